"""Reading members of a zip file, such as an .npz, where nothing in it is believed before it was looked at.

The directory at the end says where every member lies, how it is packed and how long it is; it is read first, and no
more than so much of it. Two members of one name, members that overlap, or that are called otherwise where they lie, are
refused. A member is read as a stream of exactly the stated length, whose CRC-32 is compared at its end. Members are
stored, or packed by DEFLATE, which is unpacked piece by piece, never farther than was stated.

Source: PKWARE, APPNOTE.TXT 6.3, sections 4.3 and 4.5.3 (ZIP64).
"""

from __future__ import annotations

import struct
import zlib
from io import BufferedReader
from typing import NamedTuple

LONGEST_DIRECTORY, MOST_MEMBERS = 1 << 22, 10_000
STORED, DEFLATED = 0, 8
_METHODS = {1: "shrinking", 9: "DEFLATE64", 12: "BZIP2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 99: "encryption"}
_PIECE = 1 << 18
_END, _END64, _LOCATOR, _CENTRAL, _LOCAL = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\1\2", b"PK\3\4"


class BadZip(ValueError):
    """The zip file is damaged, or made in a way that is not read; the text says how."""


class Member(NamedTuple):
    """An entry of the directory."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


class ZipMembers:
    """The members of an open zip file of ``size`` bytes, by name, in the order of the directory. BadZip."""

    def __init__(self, file: BufferedReader, size: int) -> None:
        self._file = file
        directory, self._end, count = self._directory(size)
        self.members: dict[str, Member] = {}
        at = 0
        while at < len(directory):
            member, at = _entry(directory, at)
            if member.name in self.members:
                raise BadZip(f"it has two members named {member.name!r}")
            self.members[member.name] = member
        if len(self.members) != count:
            raise BadZip(f"its directory has {len(self.members)} entries and states {count}")
        ordered = sorted(self.members.values(), key=lambda member: member.offset)
        self._ends = {}
        for member, end in zip(ordered, [*(following.offset for following in ordered[1:]), self._end], strict=False):
            self._ends[member.name] = end

    def open(self, name: str) -> MemberStream:
        """The contents of a member as a stream. BadZip: it is packed in another way, or does not lie where it
        should.
        """
        member, end = self.members[name], self._ends[name]
        if member.flags & 1:
            raise BadZip(f"its member {name!r} is encrypted")
        if member.method not in (STORED, DEFLATED):
            how = _METHODS.get(member.method, f"method {member.method}")
            raise BadZip(f"its member {name!r} is packed by {how}; write it without compression (numpy.savez)")
        local = self._read(member.offset, 30)
        if local[:4] != _LOCAL:
            raise BadZip(f"its member {name!r} does not lie where its directory says")
        flags, method, _, _, crc, packed, size, name_length, extra = struct.unpack("<HHHHIIIHH", local[6:])
        start = member.offset + 30 + name_length + extra
        stated = flags & 8 or ((crc, packed) == (member.crc, member.packed) and size == member.size)
        if not stated and 0xFFFFFFFF in (packed, size):
            stated = crc == member.crc  # the lengths are in an extra field, as the directory has them
        if (
            not stated
            or method != member.method
            or flags & 1
            or self._read(member.offset + 30, name_length) != member.raw_name
        ):
            raise BadZip(f"its member {name!r} is another where it lies than in the directory")
        if start + member.packed > end:
            raise BadZip(f"its member {name!r} runs into what follows it")
        if member.method == STORED and member.packed != member.size:
            raise BadZip(f"its member {name!r} has two lengths")
        return MemberStream(self._file, member, start)

    def _read(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        data = self._file.read(length)
        if len(data) != length:
            raise BadZip("it is cut")
        return data

    def _directory(self, size: int) -> tuple[bytes, int, int]:
        """The directory's bytes, where it begins, and how many entries it states."""
        tail = self._read(size - (length := min(size, 22 + 0xFFFF)), length)
        at = tail.rfind(_END)
        while at >= 0 and at + 22 + int.from_bytes(tail[at + 20 : at + 22], "little") != len(tail):
            at = tail.rfind(_END, 0, at)
        if at < 0:
            raise BadZip("it has no zip directory at its end: it is cut, or no .npz file")
        disk, first_disk, here, count, length, offset = struct.unpack("<HHHHII", tail[at + 4 : at + 20])
        end = size - len(tail) + at
        if 0xFFFF in (here, count) or 0xFFFFFFFF in (length, offset):
            if end >= 20 and (locator := self._read(end - 20, 20))[:4] == _LOCATOR:
                end = int.from_bytes(locator[8:16], "little")
                if end + 56 > size or (found := self._read(end, 56))[:4] != _END64:
                    raise BadZip("its zip directory does not lie where the file says")
                disk, first_disk, here, count, length, offset = struct.unpack("<IIQQQQ", found[16:56])
        if disk or first_disk or here != count or offset + length != end:
            raise BadZip("its zip directory does not lie where the file says")
        if count > MOST_MEMBERS or length > LONGEST_DIRECTORY:
            raise BadZip(
                f"it has {count} members in a directory of {length} bytes; at most {MOST_MEMBERS} and "
                f"{LONGEST_DIRECTORY} are read"
            )
        return self._read(offset, length), offset, count


class MemberStream:
    """A member's contents, to be read from its start to its end; never more than it states."""

    def __init__(self, file: BufferedReader, member: Member, start: int) -> None:
        self._file, self._member, self._at = file, member, start
        self._packed, self.left = member.packed, member.size  # bytes that are still to come: in the file, and unpacked
        self._crc = 0
        self._unpack = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == DEFLATED else None
        self._waiting = b""

    def read(self, length: int) -> bytes:
        """So many bytes, or as many as there are left."""
        data = bytearray(min(length, self.left))
        self.read_into(memoryview(data))
        return bytes(data)

    def read_into(self, view: memoryview, seen=None) -> None:
        """Fill ``view``; ``seen(piece)`` is called with every piece of it. BadZip: there is less."""
        done = 0
        while done < len(view):
            piece = self._piece(view[done : done + _PIECE])
            if not piece:
                raise BadZip(f"its member {self._member.name!r} is cut or damaged")
            filled = view[done : done + piece]
            self._crc = zlib.crc32(filled, self._crc)
            if seen is not None:
                seen(filled)
            self.left -= piece
            done += piece

    def finish(self) -> None:
        """Compare the checksum, once all was read. BadZip: it is another, or there is more than was stated."""
        if self.left or self._waiting or (self._unpack is not None and not self._ended(self._unpack)):
            raise BadZip(f"its member {self._member.name!r} has another length than it states")
        if self._crc != self._member.crc:
            raise BadZip(f"its member {self._member.name!r} is damaged: its CRC-32 is not what the directory states")

    def _piece(self, view: memoryview) -> int:
        """Fill the front of ``view``; how many bytes of it, 0 at the end."""
        if len(view) > self.left:
            return 0
        if self._unpack is None:
            self._file.seek(self._at)
            count = self._file.readinto(view)
            self._at += count
            return count
        data = self._unpacked(self._unpack, len(view))
        view[: len(data)] = data
        return len(data)

    def _unpacked(self, unpack, most: int) -> bytes:
        while not unpack.eof:
            waiting = self._waiting
            if not waiting and self._packed:
                self._file.seek(self._at)
                waiting = self._file.read(min(_PIECE, self._packed))
                self._at, self._packed = self._at + len(waiting), self._packed - len(waiting)
            try:
                data = unpack.decompress(waiting, most)
            except zlib.error as error:
                raise BadZip(f"its member {self._member.name!r} is damaged ({error})") from None
            self._waiting = unpack.unconsumed_tail
            if data or not waiting:
                return data
        return b""

    def _ended(self, unpack) -> bool:
        """Whether the packed stream ends here, and with it what is stated of it."""
        return not self._unpacked(unpack, 1) and unpack.eof and not self._packed and not unpack.unused_data


def _entry(directory: bytes, at: int) -> tuple[Member, int]:
    """The entry at a place of the directory, and the place of the next."""
    fixed = directory[at : at + 46]
    if len(fixed) < 46 or fixed[:4] != _CENTRAL:
        raise BadZip("its zip directory is damaged")
    flags, method, _, _, crc, packed, size, name_length, extra_length, comment, disk, _, _, offset = struct.unpack(
        "<HHHHIIIHHHHHII", fixed[8:]
    )
    names = at + 46
    extras = names + name_length
    following = extras + extra_length + comment
    raw = directory[names:extras]
    if following > len(directory) or disk not in (0, 0xFFFF):
        raise BadZip("its zip directory is damaged")
    try:
        name = raw.decode("utf-8" if flags & 0x800 else "cp437")
    except UnicodeDecodeError:
        raise BadZip("its zip directory is damaged: a name is not in UTF-8") from None
    wide = [value == 0xFFFFFFFF for value in (size, packed, offset)]
    if any(wide):
        values = iter(_zip64(directory[extras : extras + extra_length], sum(wide)))
        size, packed, offset = (
            next(values) if is_wide else value for is_wide, value in zip(wide, (size, packed, offset), strict=True)
        )
    return Member(name, raw, flags, method, crc, packed, size, offset), following


def _zip64(extra: bytes, count: int) -> tuple[int, ...]:
    """The first numbers of the ZIP64 extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack("<HH", extra[at : at + 4])
        if kind == 1 and length >= 8 * count and at + 4 + 8 * count <= len(extra):
            return struct.unpack(f"<{count}Q", extra[at + 4 : at + 4 + 8 * count])
        at += 4 + length
    raise BadZip("its zip directory is damaged: lengths above 4 GB are not stated")
