"""The control groups of Linux that this process is in, which bound what a container may use: versions 1 and 2.

The kernel lists a process's groups in /proc/self/cgroup; their files are mounted under /sys/fs/cgroup, in version 1 in
a hierarchy for each controller. A limit of any group around holds for those inside. A container that does not see the
groups around its own finds its own at the root of the mount.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MEMBERSHIP = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")


def limits(controller: str, one: tuple[str, ...], two: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """For every group around this process: the version and the texts of its files, named ``one`` or ``two`` by
    version.
    """
    for version, folder in _folders(controller):
        try:
            yield version, [(folder / name).read_text(encoding="ascii") for name in (one if version == 1 else two)]
        except (OSError, ValueError):
            continue  # no such group, or no such limit in it


def _folders(controller: str) -> Iterator[tuple[int, Path]]:
    try:
        lines = MEMBERSHIP.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            version, mounts = 2, [MOUNT, MOUNT / "unified"]
        elif controller in controllers.split(","):
            version, mounts = 1, [*dict.fromkeys((MOUNT / controllers, MOUNT / controller))]
        else:
            continue
        group = PurePosixPath(path.lstrip("/"))
        inside = [group, *group.parents] if ".." not in group.parts else [PurePosixPath()]
        for mount in mounts:
            yield from ((version, mount / each) for each in inside)
