"""Damage to a file: of its bytes, or of what they mean, with checksums and digests that were made right again.

``damaged(rng, kind, data)`` gives ``(bytes, mended)``. mended: whether some checksum or digest was made right, so that
other numbers than the honest ones are no loss that could be noticed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import struct
import warnings
import zipfile

import numpy as np

WHOLE = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
VALUES = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    3,
    10**6,
    10**9,
    10**15,
    2**63,
    10**30,
    0.5,
    -0.5,
    1e-300,
    1e300,
    1e-45,
    float("nan"),
    float("inf"),
    "",
    "a",
    "float64",
    "gaussian_decoder",
    "\x1b[31m\x07",
    "x" * 2000,
    "\ud800",
    "é",
    "nan",
    [],
    [[]],
    {},
    {"name": "table"},
    {"name": "gaussian", "sd": 1e-30},
    [1] * 3000,
    [[[[[[[[[[[[[]]]]]]]]]]]]],
    ["a", "a"],
    [1, 2, 3],
    {"": None},
)
#: What the program itself could have written there.
PLAUSIBLE = (
    "relu",
    "tanh",
    "softplus",
    "identity",
    "bernoulli",
    "squared_error",
    "gaussian",
    "gaussian_one_variance",
    "gaussian_per_feature",
    "gaussian_decoder",
    "student_t",
    "categorical",
    "poisson",
    "continuous_bernoulli",
    "rmsprop",
    "adam",
    "sgd",
    "elbo",
    "constant",
    "cosine",
    "float32",
    "float64",
    "static",
    "dynamic",
    "none",
    "continuous",
    "positive",
    "counts",
    "binary",
    "labels",
    "0",
    "1",
    "interrupted",
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    12,
    0.0,
    1.0,
    0.25,
    0.999,
    1e-9,
    255.0,
    True,
    False,
    None,
    [],
    [4],
    [1, 1],
    ["a", "b"],
    [0.5, 0.5],
    [0, 1],
    [True, False],
    {"name": "bernoulli"},
    {"name": "gaussian_per_feature"},
    {"name": "poisson"},
    {"name": "categorical"},
    {"name": "categorical", "sizes": [3, 3]},
    {"name": "table", "columns": [["poisson", 3], ["student_t", 3]]},
    {"name": "student_t", "df": 1.5},
    {"name": "cyclic", "period": 1},
)
NUMBERS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e-30, 1e10, -1e10, 1e30, 3e38, -3e38, 1e300, np.nan, np.inf, -np.inf)
DESCR = (
    "<f4",
    "<f8",
    ">f4",
    ">f8",
    "<f2",
    "|u1",
    "<i4",
    "<i8",
    "<c8",
    "|b1",
    "<U1",
    "|S3",
    "|O",
    "<M8[D]",
    "<f16",
    "[('a', '<f4')]",
    "'",
)
SHAPES = (
    "()",
    "(0,)",
    "(1,)",
    "(3,)",
    "(-1,)",
    "(10**12,)",
    "(1000000000000,)",
    "(2, 3)",
    "(4294967296, 4294967296)",
    "3",
    "(3.0,)",
    "[3]",
)
CELLS = (
    "",
    "nan",
    "NA",
    "?",
    "inf",
    "-inf",
    "1e999",
    "1e-999",
    "-1",
    "0",
    "1_000",
    "²",
    "٣",
    "0x10",
    "a",
    '"',
    '""',
    '"a',
    'a"b',
    "\x00",
    "\x1b[0m",
    "1,5",
    "1;5",
    "\t",
    " ",
    "\r",
    "1" * 400,
    "x" * 200_000,
    "-0.0",
    "True",
    "None",
    "1e308",
    "2.5",
    "\ufeff1",
    "\u202e",
)


def damaged(rng, kind: str, data: bytes) -> tuple[bytes, bool]:
    """See above; kind: the suffix of the file's form."""
    times = 1 if rng.random() < 0.7 else int(rng.integers(2, 5))
    if rng.random() < 0.5:
        meaning = {"npz": _npz, "npy": _npy_file, "csv": _csv, "gz": _gz, "idx": _idx}[kind]
        return meaning(rng, data, times), True
    for _ in range(times):
        data = _bytes(rng, kind, data)
    return data, False


def _pick(rng, choices):
    return choices[int(rng.integers(len(choices)))]


# bytes


def _places(kind: str, data: bytes) -> list[tuple[int, int]]:
    """Where the parts of a file lie: records of a zip, headers of arrays, the rest."""
    marks = {0, len(data)}
    if kind == "npz":
        for signature, length in ((b"PK\3\4", 30), (b"PK\1\2", 46), (b"PK\5\6", 22), (b"\x93NUMPY", 128)):
            for found in re.finditer(re.escape(signature), data):
                marks |= {found.start(), min(len(data), found.start() + length)}
    elif kind in ("npy", "gz", "idx"):
        marks |= {min(len(data), n) for n in (4, 10, 16, 128, max(0, len(data) - 8))}
    ends = sorted(marks)
    return [(a, b) for a, b in zip(ends, ends[1:], strict=False) if a < b]


def _bytes(rng, kind: str, data: bytes) -> bytes:
    if not data:
        return bytes(rng.integers(0, 256, int(rng.integers(1, 40))).tolist())
    a, b = _pick(rng, _places(kind, data))
    at, out = int(rng.integers(a, b)), bytearray(data)
    match int(rng.integers(10)):
        case 0 | 1 | 2:
            out[at] ^= 1 << int(rng.integers(8))
        case 3:
            out[at] = _pick(rng, (0, 1, 0x7F, 0x80, 0xFF, 0x20, 0x28, 0x7B))
        case 4 | 5:
            width = _pick(rng, (2, 4, 8))
            value = _pick(rng, (*WHOLE, len(data), len(data) - 1, at, a))
            out[at : at + width] = (value % 256**width).to_bytes(width, _pick(rng, ("little", "big")))
        case 6:
            del out[_pick(rng, (at, a, b)) :]
        case 7:
            del out[at : at + int(rng.integers(1, 20))]
        case 8:
            piece = out[at : at + int(rng.integers(1, 60))]
            to = int(rng.integers(len(out) + 1))
            out[to:to] = piece
        case 9:
            out[at : at + 4] = bytes(rng.integers(0, 256, 4).tolist())
    return bytes(out)


# what an .npz means


def _npz(rng, data: bytes, times: int) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = [(info.filename, file.read(info), info.compress_type) for info in file.infolist()]
    for _ in range(times):
        index = int(rng.integers(len(members))) if members else 0
        if members and members[0][0] == "header.npy" and rng.random() < 0.6:
            index = 0
        if rng.random() < 0.08 or not members:
            members = _member_list(rng, members, index)
            continue
        name, body, method = members[index]
        body = _header_member(rng, body) if name == "header.npy" and rng.random() < 0.97 else _npy(rng, body)
        members[index] = name, body, method
    if members and members[0][0] == "header.npy" and rng.random() < 0.9:
        members[0] = "header.npy", _with_digests(members), members[0][2]
    return _zip(rng, members)


def _zip(rng, members) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(out, "w") as file:
            for name, body, method in members:
                file.writestr(zipfile.ZipInfo(name), body, method)
    return out.getvalue()


def _member_list(rng, members, index):
    members = list(members)
    match int(rng.integers(6)):
        case 0 if members:
            del members[index]
        case 1 if members:
            members.append(members[index])
        case 2 if members:
            members[index] = (
                _pick(rng, ("theta.npy", "x.npy", "y.npy", "", "../x.npy", "é.npy", "header.npy")),
                *members[index][1:],
            )
        case 3:
            order = rng.permutation(len(members))
            members = [members[i] for i in order]
        case 4 if members:
            method = _pick(rng, (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
            members[index] = (*members[index][:2], method)
        case _:
            zeros = _array(np.zeros((_pick(rng, (3, 10**6, 30 * 10**6)),), "u1"))
            members.append((_pick(rng, ("bomb.npy", "y.npy", "x.npy")), zeros, zipfile.ZIP_DEFLATED))
    return members


def _array(x) -> bytes:
    out = io.BytesIO()
    np.save(out, x, allow_pickle=False)
    return out.getvalue()


def _loaded(body: bytes):
    try:
        return np.load(io.BytesIO(body), allow_pickle=False)
    except Exception:  # whatever it has become
        return None


def _with_digests(members) -> bytes:
    header = _loaded(members[0][1])
    try:
        content = json.loads(header.tobytes().decode())
        for name, body, _ in members[1:]:
            array, key = _loaded(body), name.removesuffix(".npy")
            if array is not None and key in content["arrays"]:
                digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
                content["arrays"][key] = {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": digest}
        return _array(np.frombuffer(json.dumps(content).encode(), np.uint8))
    except Exception:  # a header that is no longer one stays as it is
        return members[0][1]


def _header_member(rng, body: bytes) -> bytes:
    array = _loaded(body)
    if array is None:
        return _bytes(rng, "npy", body)
    text = array.tobytes()
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if content is None or rng.random() < 0.1:
        text = _tokens(rng, text)
    else:
        (_change_alike if isinstance(content, dict) and rng.random() < 0.5 else _change)(rng, content)
        try:
            text = json.dumps(content).encode()
        except (ValueError, RecursionError):
            pass
    return _array(np.frombuffer(text, np.uint8))


def _tokens(rng, text: bytes) -> bytes:
    """The text with a token of JSON changed, doubled or taken out."""
    found = list(re.finditer(rb'"[^"]*"|-?[0-9.eE+-]+|[{}\[\]:,]|true|false|null', text))
    if not found:
        return text
    token = _pick(rng, found)
    new = _pick(
        rng,
        (
            b"",
            token[0] * 2,
            b"NaN",
            b"1e999",
            b"-Infinity",
            b"{",
            b"[" * 2000,
            b'"',
            b"9" * 5000,
            b"\xff",
            b"null",
            b"0x1",
            b"\\",
        ),
    )
    return text[: token.start()] + new + text[token.end() :]


def _change_alike(rng, content) -> None:
    """Give a name another plausible value wherever it occurs, so that what depends on it still agrees."""
    found: dict = {}
    waiting = [content]
    while waiting:
        inside = waiting.pop()
        entries = inside.items() if isinstance(inside, dict) else enumerate(inside)
        for key, value in entries:
            if isinstance(key, str):
                found.setdefault(key, []).append(inside)
            if isinstance(value, (dict, list)):
                waiting.append(value)
    if not found:
        return
    key = _pick(rng, sorted(found))
    old = found[key][0][key]
    values = (
        PLAUSIBLE
        if type(old) not in (int, float) or rng.random() < 0.3
        else (old + 1, max(0, old - 1), old * 2, old / 2, old * 100, -old)
    )
    new = _pick(rng, values)
    for inside in found[key]:
        inside[key] = new


def _change(rng, content) -> None:
    """Change a value somewhere in JSON."""
    inside = content
    while True:
        if isinstance(inside, dict) and inside:
            key = _pick(rng, list(inside))
        elif isinstance(inside, list) and inside:
            key = int(rng.integers(len(inside)))
        else:
            return
        if not isinstance(inside[key], (dict, list)) or not inside[key] or rng.random() < 0.15:
            break
        inside = inside[key]
    old = inside[key]
    match int(rng.integers(8)):
        case 0:
            del inside[key]
        case 1 if isinstance(inside, dict):
            inside[_pick(rng, ("extra", "name", "theta", key + "x", ""))] = old
        case 2 if isinstance(old, (int, float)) and not isinstance(old, bool):
            inside[key] = _pick(rng, (old + 1, old - 1, -old, old * 2, old / 2, float(old), old * 10**6))
        case 3 if isinstance(old, (list, str)):
            inside[key] = _pick(rng, (old[:-1], old + old, old[::-1], old[1:]))
        case 4 if isinstance(inside, dict) and len(inside) > 1:
            inside[key] = inside[_pick(rng, list(inside))]
        case 5 if isinstance(inside, list):
            inside.insert(key, old)
        case _:
            inside[key] = _pick(rng, VALUES if rng.random() < 0.5 else PLAUSIBLE)


def _npy(rng, body: bytes) -> bytes:
    """An array with other numbers, another shape or type, or a header that does not fit."""
    array = _loaded(body)
    if array is None or rng.random() < 0.3:
        return _npy_header(rng, body)
    if array.dtype.kind not in "fiub" or not array.size or not array.ndim:
        return _array(np.array([_pick(rng, NUMBERS)]))
    with np.errstate(all="ignore"):
        match int(rng.integers(6)):
            case 0 | 1 | 2:
                array = array.copy()
                at = rng.integers(0, array.size, int(rng.integers(1, 4)))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    array.reshape(-1)[at] = np.array(_pick(rng, NUMBERS)).astype(array.dtype)
            case 3:
                raw = bytearray(array.tobytes())
                for _ in range(int(rng.integers(1, 5))):
                    raw[int(rng.integers(len(raw)))] = int(rng.integers(256))
                array = np.frombuffer(bytes(raw), array.dtype).reshape(array.shape)
            case 4:
                array = _pick(
                    rng,
                    (
                        array[:-1],
                        np.concatenate([array, array]),
                        array[None],
                        array.reshape(-1),
                        array[:0],
                        array.T,
                        array[0],
                    ),
                )
            case 5:
                array = array.astype(_pick(rng, ("<f4", "<f8", ">f4", "<i4", "|u1", "<f2")))
    return _array(array)


def _npy_header(rng, body: bytes) -> bytes:
    end = 10 + int.from_bytes(body[8:10], "little")
    text, rest = body[10:end].decode("latin-1"), body[end:]
    match int(rng.integers(5)):
        case 0:
            text = re.sub(r"'descr': ('[^']*'|\[.*\])", lambda _: f"'descr': '{_pick(rng, DESCR)}'", text)
        case 1:
            text = re.sub(r"'shape': \([^)]*\)", lambda _: f"'shape': {_pick(rng, SHAPES)}", text)
        case 2:
            text = text.replace("False", _pick(rng, ("True", "0", "None", "''")))
        case 3:
            raw = bytearray(text.encode("latin-1"))
            if raw:
                raw[int(rng.integers(len(raw)))] = int(rng.integers(256))
            text = raw.decode("latin-1")
        case 4:
            return body[: int(rng.integers(len(body) + 1))] if body else body
    coded = text.encode("latin-1", "replace")
    return body[:8] + struct.pack("<H", len(coded) % 65536) + coded + rest


def _npy_file(rng, data: bytes, times: int) -> bytes:
    for _ in range(times):
        data = _npy(rng, data)
    return data


# text, gzip, idx


def _csv(rng, data: bytes, times: int) -> bytes:
    for _ in range(times):
        rows = [line.split(b",") for line in data.split(b"\n")]
        row = int(rng.integers(len(rows)))
        column = int(rng.integers(len(rows[row])))
        match int(rng.integers(9)):
            case 0 | 1 | 2:
                rows[row][column] = _pick(rng, CELLS).encode()
            case 3:
                del rows[row]
            case 4:
                rows.insert(row, list(rows[row]))
            case 5:
                del rows[row][column]
            case 6:
                rows[row].insert(column, _pick(rng, CELLS).encode())
            case 7:
                rows[row][column] = bytes(rng.integers(0, 256, 3).tolist())
            case 8:
                data = b"\n".join(map(b",".join, rows))
                data = data.replace(
                    *_pick(
                        rng,
                        (
                            (b",", b";"),
                            (b",", b"\t"),
                            (b",", b" "),
                            (b"\n", b"\r\n"),
                            (b"\n", b"\r"),
                            (b"\n", b"\x00\n"),
                        ),
                    )
                )
                continue
        data = b"\n".join(map(b",".join, rows))
    return data


def _gz(rng, data: bytes, times: int) -> bytes:
    body = gzip.decompress(data)
    match int(rng.integers(4)):
        case 0:
            return gzip.compress(body[: len(body) // 2]) + gzip.compress(body[len(body) // 2 :])
        case 1:
            return gzip.compress(body + bytes(_pick(rng, (1, 1000, 50 * 10**6))), 1)
        case 2:
            return data + bytes(rng.integers(0, 256, 9).tolist())
    return gzip.compress(_idx(rng, body, times), 1)


def _idx(rng, data: bytes, times: int) -> bytes:
    for _ in range(times):
        data = _bytes(rng, "idx", data)
    return data
