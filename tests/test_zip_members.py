"""Zip files written byte by byte, after PKWARE's APPNOTE.TXT: what is read of them, and what is refused and why."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest

from npvae.support import zip_members
from npvae.support.zip_members import BadZip, ZipMembers

CONTENT = b"0123456789" * 20
FULL = 0xFFFFFFFF  #: of a length: it is in the ZIP64 extra field


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def member(
    name=b"a",
    data=CONTENT,
    *,
    method=0,
    flags=0,
    extra=b"",
    local_extra=b"",
    comment=b"",
    disk=0,
    packed=None,
    local=None,
    wide=(),
    **stated,
):
    """``(what lies in front of the directory, entry)``; the entry a function of where that lies. stated: other numbers
    than the right ones, in both places; local: in the local header only; wide: which of size, packed and offset are in
    the ZIP64 field."""
    packed = (deflated(data) if method == 8 else data) if packed is None else packed
    right = {
        "flags": flags,
        "method": method,
        "crc": zlib.crc32(data),
        "packed": len(packed),
        "size": len(data),
        "name": name,
        **stated,
    }
    here = {**right, **(local or {})}
    head = b"PK\3\4" + struct.pack(
        "<HHHHHIIIHH",
        20,
        here["flags"],
        here["method"],
        0,
        0,
        here["crc"],
        here["packed"],
        here["size"],
        len(here["name"]),
        len(local_extra),
    )

    def entry(offset: int) -> bytes:
        numbers = {"size": right["size"], "packed": right["packed"], "offset": stated.get("offset", offset)}
        more = b"".join(struct.pack("<Q", numbers[each]) for each in ("size", "packed", "offset") if each in wide)
        extras = extra + (struct.pack("<HH", 1, len(more)) + more if wide else b"")
        size, length, place = (FULL if each in wide else number for each, number in numbers.items())
        return (
            b"PK\1\2"
            + struct.pack(
                "<HHHHHHIIIHHHHHII",
                20,
                20,
                right["flags"],
                right["method"],
                0,
                0,
                right["crc"],
                length,
                size,
                len(name),
                len(extras),
                len(comment),
                disk,
                0,
                0,
                place,
            )
            + name
            + extras
            + comment
        )

    return head + here["name"] + local_extra + packed, entry


def a_zip(*members, comment=b"", wide=False, before=b"", **stated) -> bytes:
    """A zip file of these; stated: other numbers in its end than the right ones. wide: a ZIP64 end, with them, is
    before it.
    """
    data, directory = before, b""
    for content, entry in members:
        directory += entry(len(data))
        data += content
    right = {
        "disk": 0,
        "first": 0,
        "here": len(members),
        "count": len(members),
        "length": len(directory),
        "offset": len(data),
        **stated,
    }
    end64 = len(data) + len(directory)
    data += directory
    if wide:
        data += b"PK\6\6" + struct.pack("<QHH", 44, 45, 45) + struct.pack("<IIQQQQ", *right.values())
        data += b"PK\6\7" + struct.pack("<IQI", 0, end64, 1)
        right = {"disk": 0, "first": 0, "here": 0xFFFF, "count": 0xFFFF, "length": FULL, "offset": FULL}
    return data + b"PK\5\6" + struct.pack("<HHHHIIH", *right.values(), len(comment)) + comment


def with_end(data: bytes, *numbers) -> bytes:
    """The zip file with other numbers in its last record: entries twice, the directory's length and place."""
    return data[:-22] + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, *numbers, 0)


#: A ZIP64 end with everything in it, the directory of which is so long, at such a place.
WIDE = a_zip(member(), wide=True)
LENGTH_OF_IT, PLACE_OF_IT = len(member()[1](0)), len(member()[0])


def short(value) -> str:
    """What a case is called."""
    return "zip" if isinstance(value, bytes) else value


def read(data: bytes) -> dict[str, bytes]:
    """Every member, read in two pieces."""
    members, found = ZipMembers(io.BytesIO(data), len(data)), {}
    for name in members.members:
        stream = members.open(name)
        found[name] = stream.read(7) + stream.read(10**9)
        stream.finish()
    return found


@pytest.mark.parametrize(
    "data",
    [
        a_zip(member()),
        a_zip(member(method=8)),
        a_zip(member(), comment=b"c" * 0xFFFF),
        a_zip(member(), comment=b"PK\5\6" + b"c" * 30),  # the end seems to be in its comment
        a_zip(member(comment=b"of the member", local_extra=b"\7\0\2\0..")),
        a_zip(member(extra=b"\7\0\2\0..")),
        a_zip(member(disk=0xFFFF)),
        a_zip(member(flags=8, local={"crc": 0, "packed": 0, "size": 0})),  # stated after the content
        a_zip(member(local={"packed": FULL, "size": FULL})),
        a_zip(member(local={"packed": FULL})),
        a_zip(member(local={"size": FULL})),
        *(
            a_zip(member(wide=wide))
            for wide in [
                ("size",),
                ("packed",),
                ("offset",),
                ("size", "packed"),
                ("size", "offset"),
                ("size", "packed", "offset"),
            ]
        ),
        a_zip(member(extra=b"\7\0\2\0..", wide=("offset",), comment=b"c")),  # another extra field first
        a_zip(member(extra=b"\1\0\0\0", wide=("size", "offset"))),  # an empty one of the same kind first
        a_zip(member(extra=b"\7\0\0\0", wide=("size",))),
        a_zip(member(), wide=True),
        a_zip(member(method=8), wide=True, comment=b"c"),
        a_zip(member(), before=b"something in front of it"),
        with_end(WIDE, 0xFFFF, 0xFFFF, LENGTH_OF_IT, PLACE_OF_IT),
        with_end(WIDE, 1, 1, FULL, FULL),
        with_end(WIDE, 1, 1, LENGTH_OF_IT, FULL),
    ],
    ids=short,
)
def test_zips_in_every_legal_form(data):
    assert read(data) == {"a": CONTENT}


def test_several_members_in_the_order_of_the_directory():
    one, two, empty = member(b"a"), member(b"b", b"x" * 1000, method=8), member(b"c", b"")
    assert list(read(a_zip(one, two, empty)).items()) == [("a", CONTENT), ("b", b"x" * 1000), ("c", b"")]
    swapped = a_zip((one[0], member(b"b", offset=len(one[0]))[1]), (member(b"b")[0], member(b"a", offset=0)[1]))
    assert list(read(swapped)) == ["b", "a"]
    assert read(a_zip()) == read(a_zip(comment=b"PK\5\6" + b"c" * 30)) == {}
    assert list(read(a_zip(member(b"b"), member(b"a"))).items()) == [("b", CONTENT), ("a", CONTENT)]


def test_names_are_of_the_code_page_or_utf_8():
    name = "\u00e4"
    assert list(read(a_zip(member(name.encode(), flags=0x800)))) == [name]
    assert list(read(a_zip(member(name.encode("cp437"))))) == [name]


def test_long_members_are_read_in_pieces(monkeypatch):
    monkeypatch.setattr(zip_members, "_PIECE", 16)
    for method in (0, 8):
        data = a_zip(member(method=method), member(b"b", bytes(range(256)), method=method))
        assert read(data) == {"a": CONTENT, "b": bytes(range(256))}
        members, pieces, whole = ZipMembers(io.BytesIO(data), len(data)), [], bytearray(256)
        members.open("b").read_into(memoryview(whole), lambda piece, pieces=pieces: pieces.append(bytes(piece)))
        assert bytes(whole) == b"".join(pieces) == bytes(range(256)) and max(map(len, pieces)) == 16


NAMED = "its member 'a' "
DIRECTORY = "its zip directory is damaged"
ELSEWHERE = "its zip directory does not lie where the file says"
ANOTHER = NAMED + "is another where it lies than in the directory"
LENGTH = NAMED + "has another length than it states"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it has no zip directory at its end: it is cut, or no .npz file"),
        (a_zip(member())[:-1], "it has no zip directory at its end: it is cut, or no .npz file"),
        (a_zip(member()) + b"x", "it has no zip directory at its end: it is cut, or no .npz file"),
        (a_zip(member(), disk=1), ELSEWHERE),
        (a_zip(member(), first=1), ELSEWHERE),
        (a_zip(member(), here=2), ELSEWHERE),
        (a_zip(member(), offset=1), ELSEWHERE),
        (a_zip(member(), length=1), ELSEWHERE),
        (a_zip(member(), wide=True, disk=1), ELSEWHERE),
        (a_zip(member(), wide=True, first=1), ELSEWHERE),
        (a_zip(member(), wide=True, here=2), ELSEWHERE),
        (a_zip(member(), wide=True, offset=1), ELSEWHERE),
        (a_zip(member(), wide=True, length=1), ELSEWHERE),
        (
            a_zip(member(), here=0xFFFF, count=0xFFFF),
            "it has 65535 members in a directory of 47 bytes; at most 10000 and 4194304 are read",
        ),
        (a_zip(member(), wide=True).replace(b"PK\6\6", b"PK\6\0"), ELSEWHERE),
        (with_end(WIDE, 1, 1, LENGTH_OF_IT, PLACE_OF_IT), ELSEWHERE),  # a ZIP64 end that nobody refers to
        (WIDE[:-34] + struct.pack("<Q", 10**6) + WIDE[-26:], ELSEWHERE),
        (a_zip()[:-2] + b"\1\0", "it has no zip directory at its end: it is cut, or no .npz file"),
        (a_zip(member(), here=2, count=2), "its directory has 1 entries and states 2"),
        (a_zip(member(), here=0, count=0), "its directory has 1 entries and states 0"),
        (a_zip(member(), member()), "it has two members named 'a'"),
        (a_zip(member()).replace(b"PK\1\2", b"PK\1\0"), DIRECTORY),
        (a_zip(member(disk=1)), DIRECTORY),
        (a_zip((member()[0], lambda offset: member(comment=b"c")[1](offset)[:-1])), DIRECTORY),
        (a_zip((member()[0], lambda offset: member()[1](offset) + bytes(45))), DIRECTORY),
        (a_zip(member(b"\xff", flags=0x800)), DIRECTORY + ": a name is not in UTF-8"),
        (a_zip(member(size=FULL)), DIRECTORY + ": lengths above 4 GB are not stated"),
        (a_zip(member(size=FULL, extra=b"\1\0\4\0" + bytes(4))), DIRECTORY + ": lengths above 4 GB are not stated"),
        (a_zip(member(size=FULL, extra=b"\2\0\10\0" + bytes(8))), DIRECTORY + ": lengths above 4 GB are not stated"),
        (a_zip(member(size=FULL, extra=b"\1\0\10\0" + bytes(7))), DIRECTORY + ": lengths above 4 GB are not stated"),
        (
            a_zip(member(size=FULL, extra=b"\1\0\10\0" + bytes(7), comment=b"\0")),
            DIRECTORY + ": lengths above 4 GB are not stated",
        ),
        # Two are wanted, and one is there, by the field's length or by that of all extra fields.
        *(
            (a_zip(member(size=FULL, offset=FULL, extra=extra)), DIRECTORY + ": lengths above 4 GB are not stated")
            for extra in [
                b"\1\0\10\0" + bytes(8),
                b"\1\0\20\0" + bytes(8),
                b"\1\0\20\0" + bytes(15),
                b"\7\0\1\0." + b"\1\0\20\0" + bytes(15),
            ]
        ),
        (a_zip(member(flags=1)), NAMED + "is encrypted"),
        *(
            (a_zip(member(method=number)), f"{NAMED}is packed by {name}; write it without compression (numpy.savez)")
            for number, name in {
                1: "shrinking",
                9: "DEFLATE64",
                12: "BZIP2",
                14: "LZMA",
                93: "Zstandard",
                95: "XZ",
                99: "encryption",
                77: "method 77",
            }.items()
        ),
        (a_zip(member()).replace(b"PK\3\4", b"PK\3\0"), NAMED + "does not lie where its directory says"),
        (a_zip(member(offset=1)), NAMED + "does not lie where its directory says"),
        (a_zip(member(offset=10**6)), "it is cut"),
        *(
            (a_zip(member(local=local)), ANOTHER)
            for local in [
                {"crc": 1},
                {"packed": 1},
                {"size": 1},
                {"method": 8},
                {"flags": 1},
                {"name": b"b"},
                {"crc": 1, "packed": FULL},
                {"crc": 1, "size": FULL},
            ]
        ),
        (a_zip(member(flags=8, local={"flags": 9})), ANOTHER),
        (a_zip(member(size=201)), NAMED + "has two lengths"),
        (a_zip(member(packed=CONTENT[1:])), NAMED + "has two lengths"),
        (
            a_zip(member(size=201, packed=CONTENT + b"x"), member(b"b")),
            NAMED + "is damaged: its CRC-32 is not what the directory states",
        ),
        (a_zip(member(packed=b"", size=9, local={"packed": 9}, flags=8)), NAMED + "has two lengths"),
        (a_zip(member(crc=1)), NAMED + "is damaged: its CRC-32 is not what the directory states"),
        (a_zip(member(crc=1, method=8)), NAMED + "is damaged: its CRC-32 is not what the directory states"),
        (a_zip(member(method=8, size=199)), LENGTH),
        (a_zip(member(method=8, packed=deflated(CONTENT) + b"x")), LENGTH),
        (a_zip(member(method=8, size=201)), NAMED + "is cut or damaged"),
        (a_zip(member(method=8, packed=deflated(CONTENT)[:-1])), LENGTH),
        (a_zip(member(method=8, packed=deflated(CONTENT)[:5])), NAMED + "is cut or damaged"),
    ],
    ids=short,
)
def test_what_is_refused_and_why(data, why):
    with pytest.raises(BadZip) as error:
        read(data)
    assert str(error.value) == why


def test_a_stream_that_is_no_deflate_is_damaged():
    with pytest.raises(BadZip, match=r"its member 'a' is damaged \(.*invalid"):
        read(a_zip(member(method=8, packed=b"\xff" * 20)))


def test_members_that_overlap_are_refused():
    content, entry = member(b"a")
    for parts in (
        [(content, entry), (b"", member(b"b", offset=50)[1])],
        [(content[:-1], entry)],
    ):  # into another, and into the directory
        with pytest.raises(BadZip, match="its member 'a' runs into what follows it"):
            read(a_zip(*parts))


def test_a_member_that_was_not_read_to_its_end_is_not_whole():
    for method in (0, 8):
        data = a_zip(member(method=method))
        stream = ZipMembers(io.BytesIO(data), len(data)).open("a")
        assert stream.read(199) == CONTENT[:199]
        with pytest.raises(BadZip, match=LENGTH):
            stream.finish()
        with pytest.raises(BadZip, match=NAMED + "is cut or damaged"):
            stream.read_into(memoryview(bytearray(2)))  # more than is left
        rest = stream.read(2)
        assert rest == CONTENT[199:] and type(rest) is bytes
        stream.finish()


def test_a_directory_of_too_many_entries_or_bytes_is_not_read(monkeypatch):
    assert (zip_members.MOST_MEMBERS, zip_members.LONGEST_DIRECTORY) == (10_000, 4 * 2**20)
    data = a_zip(member(), member(b"b"))
    size = len(member()[1](0))
    for most, longest, is_read in ((2, 2 * size, True), (1, 2 * size, False), (2, 2 * size - 1, False)):
        monkeypatch.setattr(zip_members, "MOST_MEMBERS", most)
        monkeypatch.setattr(zip_members, "LONGEST_DIRECTORY", longest)
        if is_read:
            assert list(read(data)) == ["a", "b"]
        else:
            with pytest.raises(BadZip) as error:
                read(data)
            assert (
                str(error.value)
                == f"it has 2 members in a directory of {2 * size} bytes; at most {most} and {longest} are read"
            )


def test_what_python_writes_is_read():
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        for force in (False, True):
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w", method) as out, out.open("a", "w", force_zip64=force) as stream:
                stream.write(CONTENT)
            assert read(file.getvalue()) == {"a": CONTENT}
