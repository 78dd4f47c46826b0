"""Headers of .npy arrays: what is read of them, and what is refused and why."""

from __future__ import annotations

import io

import numpy as np
import pytest

from npvae.support import npy
from npvae.support.npy import BadHeader, read_header


def header(text: str, version: int = 1, length: int | None = None) -> bytes:
    data = text.encode("utf-8" if version == 3 else "latin-1")
    width = 2 if version == 1 else 4
    return (
        b"\x93NUMPY" + bytes([version, 0]) + (len(data) if length is None else length).to_bytes(width, "little") + data
    )


def of(descr="'<f4'", order="False", shape="(3, 4)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize(
    "x",
    [
        np.zeros((3, 4), "<f4"),
        np.zeros((3, 4), ">f8", "F"),
        np.zeros(()),
        np.zeros(5, "?"),
        np.zeros((0, 2), "u1"),
        np.zeros((2, 1, 3), "<U7"),
        np.zeros(2, "S3"),
        np.zeros(2, "c16"),
        np.zeros((1,) * 32, "f2"),
    ],
    ids=lambda x: str(x.dtype),
)
def test_what_numpy_writes(x, version):
    file = io.BytesIO()
    np.lib.format.write_array(file, x, version)
    file.seek(0)
    found = read_header(file.read)
    assert (found.dtype, found.shape, found.fortran_order) == (
        x.dtype,
        x.shape,
        x.flags.f_contiguous and not x.flags.c_contiguous,
    )
    assert found.nbytes == x.nbytes and found.length == file.tell() == len(file.getvalue()) - x.nbytes


def test_the_longest_header_and_the_most_axes():
    assert (npy.LONGEST, npy.MOST_AXES) == (10_000, 32)
    text = of() + " " * (10_000 - len(of()))
    for version in (1, 2, 3):
        assert read_header(io.BytesIO(header(text, version)).read).shape == (3, 4)
    assert read_header(io.BytesIO(header(of(shape=f"({'1,' * 32})"))).read).shape == (1,) * 32
    assert read_header(io.BytesIO(header(of(shape="(9999999999999999999,)"))).read).shape == (9999999999999999999,)


@pytest.mark.parametrize(
    "text",
    [
        of().replace(", }", "}"),
        " \n" + of() + "\n",
        of().replace("'", '"'),
        of(shape="(3L, 4L)"),
        of(shape="( 3 ,4,)"),
        of().replace(":", " :\n"),
    ],
)
def test_other_spellings(text):
    assert read_header(io.BytesIO(header(text)).read)[:3] == (np.dtype("<f4"), (3, 4), False)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is no .npy array"),
        (b"\x93NUMPY\1", "it is no .npy array"),
        (b"\x93numpy\1\0" + header(of())[8:], "it is no .npy array"),
        (b"\x93NUMPY\0\0" + header(of())[8:], "version 0.0 of .npy is not known"),
        (b"\x93NUMPY\1\1" + header(of())[8:], "version 1.1 of .npy is not known"),
        (b"\x93NUMPY\4\0" + header(of(), 3)[8:], "version 4.0 of .npy is not known"),
        (header(of() + " " * 10_001), f"its .npy header of {len(of()) + 10_001} bytes is longer than 10000"),
        (header(of(), length=10_001), "its .npy header of 10001 bytes is longer than 10000"),
        (header(of(), 2, length=1 << 24), "its .npy header of 16777216 bytes is longer than 10000"),
        (header(of())[:-1], "its .npy header is cut"),
        (header(of(), length=len(of()) + 1), "its .npy header is cut"),
        (b"\x93NUMPY\3\0" + (2).to_bytes(4, "little") + b"\xff\xfe", "its .npy header is damaged"),
        *(
            (header(text), "its .npy header is damaged")
            for text in [
                "",
                "{}",
                of()[:-1] + "x}",
                of()[:-2] + "x}",
                of()[1:],
                of()[:-1],
                of() + "x",
                of().replace("descr", "description"),
                of().replace("shape", "descr"),
                of() + of(),
                of()[:-1] + "'shape': (3, 4), }",
                of()[:-1] + "'more': (3, 4), }",
                of(order="'False'"),
                of(order="0"),
                of(descr="False"),
                of(descr="(3,)"),
                of(shape="'<f4'"),
                of(shape="[3, 4]"),
                of(shape="(-3, 4)"),
                of(shape="(3.0, 4)"),
                of(descr="'<f4\\x20'"),
                of().replace(",", ";"),
            ]
        ),
        *(
            (header(of(shape=f"({axes})")), f"its .npy header states the shape '({axes[:60]})'")
            for axes in ["3 4", ",", "3,,4", "1" * 20, ",".join("1" * 33)]
        ),
        *(
            (header(of(descr=f"'{descr}'")), f"it has the dtype '{descr}'")
            for descr in [
                "<U0",
                "<f3",
                "<V8",
                "<M8[D]",
                "m8",
                "f",
                "4",
                "<f4,<f4",
                "<f444",
                "<i4x",
                "x<i4",
                "?1",
                "!f4",
            ]
        ),
        (header(of(descr="'\u20ac'"), 3), "it has the dtype '\\u20ac'"),
        (header(of(descr="'\xe4'")), "it has the dtype '\\xe4'"),
        (header(of(descr=f"'{'x' * 70}'")), f"it has the dtype '{'x' * 60}'"),
        *(
            (header(of(descr=descr)), "it holds Python objects; pickled data are never read")
            for descr in ["'|O'", "'O'", "'|O8'", "[('a', '|O')]"]
        ),
        (header(of(descr="[('a', '<f4')]")), "it has the dtype \"[('a', '<f4')]\""),
    ],
    ids=lambda value: "header" if isinstance(value, bytes) else value,
)
def test_what_is_refused_and_why(data, why):
    with pytest.raises(BadHeader) as error:
        read_header(io.BytesIO(data).read)
    assert str(error.value) == why
