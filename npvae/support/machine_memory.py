"""How much memory the machine, or the container on it, has left."""

from __future__ import annotations

import os
import re

from npvae.support import cgroup


def available_bytes() -> int | None:
    """Bytes that can be had without swapping, by Linux's own estimate, else the free pages; at most what the control
    groups around this process have left. None where nobody says.
    """
    free = [each for each in (_of_machine(), *_of_groups()) if each is not None]
    return min(free) if free else None


def _of_groups() -> list[int]:
    """What is left of each limit; pages of files that nobody has used lately count as free."""
    found = []
    one = "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"
    two = "memory.max", "memory.current", "memory.stat"
    for version, (limit, usage, stat) in cgroup.limits("memory", one, two):
        pages = re.search(
            r"^total_inactive_file (\d+)$" if version == 1 else r"^inactive_file (\d+)$", stat, re.MULTILINE
        )
        try:  # without a limit "max", or a number beyond every memory
            found.append(max(0, int(limit) - int(usage) + int(pages[1] if pages else 0)))
        except ValueError:
            continue
    return found


def _of_machine() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
