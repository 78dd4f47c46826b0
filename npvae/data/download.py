"""Fetching one published file from the first mirror that gives the right bytes."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from npvae._version import __version__
from npvae.data.published import PublishedFile

Progress = Callable[[int, int, str], None]

BLOCK = 1 << 16
TRIES = 3  # requests to one mirror while each brings new bytes


class AllMirrorsFailed(Exception):
    """No mirror gave the file; ``reasons`` is a list of (address, reason)."""

    def __init__(self, reasons: list[tuple[str, str]]) -> None:
        self.reasons = reasons


class _Refused(Exception):
    """This request brought nothing more; the text is the reason."""


def fetch(
    file: PublishedFile, mirrors: Sequence[str], target: Path, timeout: float, progress: Progress | None = None
) -> None:
    """Download ``file`` to ``target``, which appears only whole and with the right sha256.

    Bytes received so far lie in ``<target>.part``; a later call, also with another mirror, goes on from
    there. ``timeout`` is in seconds, for each wait on the network. ``progress(done, total, name)`` is called
    after each block. Two processes must not fetch the same file at once: they would share the part file, and
    the checksum would refuse what comes of it. AllMirrorsFailed: nobody gave the right bytes. OSError: the
    disk refused.
    """
    part = target.with_name(target.name + ".part")
    reasons = []
    for mirror in mirrors:
        reason = _fetch_from(mirror + file.name, file, part, timeout, progress)
        if reason is None:
            os.replace(part, target)
            return
        reasons.append((mirror, reason))
    raise AllMirrorsFailed(reasons)


def _fetch_from(url: str, file: PublishedFile, part: Path, timeout: float, progress) -> str | None:
    """Complete ``part`` from one address; return None, or the reason why it could not be done."""
    reason = None
    for _ in range(TRIES):
        start, reason = _size(part), None
        try:
            if start < file.size:
                _receive(url, file, part, start, timeout, progress)
        except _Refused as refusal:
            reason = str(refusal)
        size = _size(part)
        if size < file.size:
            reason = reason or f"the connection ended after {size} of {file.size} bytes"
            if size <= start:
                return reason
        else:
            found = _sha256(part)
            if found == file.sha256:
                return None
            reason = f"wrong contents: {size} bytes with sha256 {found}"
            part.unlink()
            if start == 0:
                return reason
            # The bad bytes may be those of an earlier request: ask once more, from the beginning.
    return reason


def _receive(url: str, file: PublishedFile, part: Path, start: int, timeout: float, progress) -> None:
    """Append to ``part`` what ``url`` has from byte ``start`` on; a server without ranges begins anew."""
    headers = {"User-Agent": f"npvae/{__version__}"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with _open(urllib.request.Request(url, headers=headers), timeout) as response:
        if response.status == 206:
            offered = response.headers.get("Content-Range", "")
            if not re.fullmatch(rf"bytes {start}-{file.size - 1}/(\*|{file.size})", offered.strip()):
                raise _Refused(f"asked for bytes {start}-{file.size - 1}, was offered {offered!r}")
        else:
            start = 0
            offered = response.headers.get("Content-Length")
            if offered is not None and offered.strip() != str(file.size):
                raise _Refused(f"expected {file.size} bytes, was offered {offered}")
        with open(part, "ab" if start else "wb") as out:
            done = start
            while done < file.size and (block := _read(response, min(BLOCK, file.size - done))):
                out.write(block)
                done += len(block)
                if progress is not None:
                    progress(done, file.size, file.name)
            out.flush()
            os.fsync(out.fileno())


def _open(request: urllib.request.Request, timeout: float):
    try:
        return urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        raise _Refused(f"HTTP status {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise _Refused(str(error.reason)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Refused(f"{type(error).__name__}: {error}") from error


def _read(response, size: int) -> bytes:
    try:
        return response.read1(size)  # what is there now: a cut then loses little
    except (OSError, http.client.HTTPException) as error:
        raise _Refused(f"{type(error).__name__}: {error}") from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
