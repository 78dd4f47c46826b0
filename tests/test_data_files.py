"""Files of the user's own: tables, .npy, .npz."""

import io
import os
import pickle
import time
import tracemalloc
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from npvae.data import load_file, numpy_files, save_array, source
from npvae.data.tables import evidence, form
from npvae.data.tables.spellings import SPELLINGS
from npvae.errors import DataFileError, InputError, InputTypeError, UnknownNameError
from npvae.support import machine_memory, zip_members
from npvae.support import npz_file as npvae_io

NAN = float("nan")


@pytest.fixture
def table(tmp_path):
    """Return a function that writes a text or bytes and loads it."""

    def load(text, suffix=".csv", **options):
        path = tmp_path / f"table{suffix}"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_file(path, **options)

    return load


def check(file, x, names=None, y=None):
    assert file.x.dtype == np.float64
    np.testing.assert_array_equal(file.x, np.array(x, dtype=float))
    assert file.column_names == names
    assert file.y is None if y is None else file.y.tolist() == y


# Text tables: form


@pytest.mark.parametrize(
    "text",
    [
        "1,2.5,-3e2\n4,5,6\n",
        "1;2.5;-3e2\n4;5;6\n",
        "1\t2.5\t-3e2\n4\t5\t6\n",
        "1 2.5 -3e2\n4 5 6\n",
        "  1   2.5  -3e2  \n 4  5    6\n",
        "1, 2.5, -3e2\n4, 5, 6\n",
        "1 , 2.5 ,-3e2\n4 ,5,6",
        '"1","2.5","-3e2"\n"4",5,6\n',
        "1,2.5,-3e2\r\n4,5,6\r\n",
        "1,2.5,-3e2\r4,5,6\r",
        "\n\n1,2.5,-3e2\n\n4,5,6\n\n \n",
        "\ufeff1,2.5,-3e2\n4,5,6\n",
        "+1,2.50,-300\n4.,05,.6e1\n",
    ],
    ids="comma semicolon tab space spaces comma-space padded quoted crlf cr blank-lines bom numbers".split(),
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".data", ".CSV"])
def test_every_delimiter_is_found_whatever_the_suffix(table, text, suffix):
    check(table(text, suffix), [[1, 2.5, -300], [4, 5, 6]])


@pytest.mark.parametrize(
    "text, names",
    [
        ("a,b\n1,2\n", ["a", "b"]),
        ("\ufeffa,b\r\n1,2\r\n", ["a", "b"]),
        ("a;b, c\n1;2\n", ["a", "b, c"]),
        ('"width, cm","say ""hi"""\n1,2\n', ["width, cm", 'say "hi"']),
        (" a  b \n 1  2\n", ["a", "b"]),
        ("a ,b \n1,2\n", ["a", "b"]),
        (",b\n1,2\n", ["", "b"]),
        ('"two\nlines",b\n1,2\n', ["two\nlines", "b"]),
        ("größe\tb\n1\t2\n", ["größe", "b"]),
    ],
)
def test_header_row_gives_names(table, text, names):
    check(table(text), [[1, 2]], names)


def test_header_can_be_decided_by_hand(table):
    check(table("2019,2020\n1,2\n", header=False), [[2019, 2020], [1, 2]])
    check(table("17,5\n1,2\n", header=True), [[1, 2]], ["17", "5"])
    check(table("2019,2020\n1,2\n"), [[1, 2]], ["2019", "2020"])
    with pytest.raises(DataFileError, match="line 1, column 1: expected a number, got 'a'; the same in 1 more: '1'"):
        table("a,b\n1,2\n", header=False)


def test_single_column(table):
    check(table("1\n2\n3\n"), [[1], [2], [3]])
    check(table("body height\n1\n2\n"), [[1], [2]], ["body height"])


@pytest.mark.parametrize("missing", ["", "NA", "NaN", "nan", "?", " NA ", '""'])
def test_missing_cells_become_nan(table, missing):
    check(table(f"1,{missing},3\n{missing},5,6\n"), [[1, NAN, 3], [NAN, 5, 6]])
    check(table(f"a,b\n{missing},2\n"), [[NAN, 2]], ["a", "b"])


def test_a_first_row_with_missing_cells_is_no_header(table):
    check(table("?,NA\n1,2\n"), [[NAN, NAN], [1, 2]])
    check(table("red,NA\n7,2\n", label_column=0), [[NAN], [2]], y=["red", "7"])


def test_infinities_are_kept(table):
    check(table("inf,-inf\n1,2\n"), [[np.inf, -np.inf], [1, 2]])


# Text tables: refusals


@pytest.mark.parametrize(
    "text, place",
    [
        ("a,b\n1,2\n3,x\n", "line 3, column 2 ('b'): expected a number, got 'x'"),
        ("1,2\n3,4 kg\n", "line 2, column 2: expected a number, got '4 kg'"),
        ("a,b\n\n\n1,2\n./.,3\n", "line 5, column 1 ('a'): expected a number, got './.'"),
        ('"two\nlines",b\n1,2\n3,x\n', "line 4, column 2 ('b'): expected a number, got 'x'"),
        ("1,2\n1_000,2\n", "line 2, column 1: expected a number, got '1_000'"),
        ("a_1,b\n1,0x10\n", "line 2, column 2 ('b'): expected a number, got '0x10'"),
        ('1,2\n3,"4"5\n', "line 2, column 2: expected a number, got '\"4\"5'"),
        (b"1,2\n3,\xff\n", "line 2, column 2: expected a number, got 'ÿ'"),
        ("a,b,c\n1,x,2\n3,y,z\n", "line 2, column 2 ('b'): expected a number, got 'x'; the same in 1 more: 'c'"),
        ("NA,2\nNA,--\n", "line 2, column 2: expected a number, got '--'"),
        ("red,1\nblue,2\n", "line 1, column 1: expected a number, got 'red'"),
    ],
)
def test_text_among_numbers_is_placed(table, text, place):
    with pytest.raises(DataFileError) as caught:
        table(text)
    assert place in str(caught.value) and "table.csv" in str(caught.value)


@pytest.mark.parametrize(
    "text, words",
    [
        ("1,2\n3,4\n4,5,6\n", "line 3 has 3 columns, expected 2: a cell with the separator in it must stand in quotes"),
        ("a,b\n1,2\n\n3,4\n1,2,3\n1,2,3\n", "line 5 has 3 columns, expected 2, as have 1 more lines"),
        ("", "empty file"),
        ("\n \n\n", "empty file"),
        ("\ufeff", "empty file"),
        ("a,b\n", "only the header row"),
        (" ", "empty file"),
        ('1,2\n3,"4\n', "line 2: the quote that opens here is never closed"),
        ("1,2\n3,\0\n", "line 2: expected a table of text, got a zero byte"),
    ],
)
def test_ragged_empty_and_broken_tables(table, text, words):
    with pytest.raises(DataFileError) as caught:
        table(text)
    assert words in str(caught.value), str(caught.value)


def test_rows_that_end_early_are_missing_the_rest(table):
    check(table("1,2,3\n4\n5,6\n7,8,9\n"), [[1, 2, 3], [4, NAN, NAN], [5, 6, NAN], [7, 8, 9]])
    check(table("1 2\n3\n4 5\n"), [[1, 2], [3, NAN], [4, 5]])


# Text tables: labels


@pytest.mark.parametrize("column", ["kind", 1, -2, "1", np.int64(1)])
def test_label_column_is_split_off(table, column):
    file = table("a,kind,b\n1,cat,2\n3, dog,4\n", label_column=column)
    check(file, [[1, 2], [3, 4]], ["a", "b"], ["cat", "dog"])


def test_label_column_at_the_end(table):
    check(table("a,b,kind\n1,2,7\n3,4,8\n", label_column=-1), [[1, 2], [3, 4]], ["a", "b"], [7, 8])


@pytest.mark.parametrize(
    "cells, expected, kind",
    [
        (["3", "-1"], [3, -1], "i"),
        (["1.0", "2e0"], ["1.0", "2e0"], "U"),
        (["0.5", "2"], ["0.5", "2"], "U"),
        (["007", "7"], ["007", "7"], "U"),
        (["a", "1"], ["a", "1"], "U"),
        (["", "1"], ["", "1"], "U"),
        (["nan", "1"], ["", "1"], "U"),
        (["+1", "-1"], ["+1", "-1"], "U"),
        (["1_0", "1"], ["1_0", "1"], "U"),
        (["90071992547409931", "1"], ["90071992547409931", "1"], "U"),
    ],
)
def test_labels_are_integers_where_all_are(table, cells, expected, kind):
    file = table("".join(f"7,{cell}\n" for cell in cells), label_column=-1, header=False)
    assert file.y.tolist() == expected and file.y.dtype.kind == kind
    assert file.x.tolist() == [[7.0], [7.0]]


def test_column_numbers_of_complaints_count_the_label_column(table):
    with pytest.raises(DataFileError, match="line 2, column 3: expected a number, got 'x'"):
        table("cat,1,2\ndog,3,x\n", label_column=0, header=False)


def test_label_column_refusals(table):
    with pytest.raises(UnknownNameError, match="unknown column 'c'; known: 'a', 'b'"):
        table("a,b\n1,2\n", label_column="c")
    with pytest.raises(InputError, match="'c' is a name, but the table has no header row"):
        table("1,2\n", label_column="c")
    with pytest.raises(InputError, match="several columns are named 'a'"):
        table("a,a,b\n1,2,3\n", label_column="a")
    with pytest.raises(TypeError):
        table("1,2\n", label_column=1.0)
    for outside in (2, -3):
        with pytest.raises(InputError, match=f"label_column={outside} is outside a table of 2 columns"):
            table("1,2\n", label_column=outside)
    with pytest.raises(DataFileError, match="beside the label column"):
        table("1\n2\n", label_column=0)


def test_a_name_that_is_a_number_is_a_name_first(table):
    assert table("2,1,0\n5,6,7\n", label_column="0", header=True).y.tolist() == [7]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " "])
def test_lines_longer_than_the_limit_of_the_csv_module(table, delimiter):
    check(table(delimiter.join(["0.125"] * 30_000) + "\n"), [[0.125] * 30_000])


def test_wide_tables_take_seconds(tmp_path):
    # 5,000 x 784 must not take minutes; measured 1 to 2 s, the bound leaves room for a busy machine.
    x = np.random.default_rng(3).integers(0, 256, (5000, 784))
    x = np.where(x < 128, NAN, x)
    save_array(tmp_path / "wide.csv", x)
    start = time.process_time()
    np.testing.assert_array_equal(load_file(tmp_path / "wide.csv").x, x)
    assert time.process_time() - start < 10


# NumPy files


@pytest.mark.parametrize("dtype", ["u1", "i8", "f4", "f8", "?", ">f4", ">i2"])
def test_npy_keeps_values_dtype_and_shape(tmp_path, dtype):
    x = np.random.default_rng(4).integers(0, 2, (3, 4, 5)).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    file = load_file(tmp_path / "x.npy")
    assert np.array_equal(file.x, x) and file.x.shape == (3, 4, 5) and file.y is file.column_names is None
    assert file.x.dtype == np.dtype(dtype).newbyteorder("=")


def test_nan_in_npy_is_kept(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[NAN, 1.0]]))
    assert np.isnan(load_file(tmp_path / "x.npy").x[0, 0])


def test_npz_choice_of_array(tmp_path):
    path, a, b, y = tmp_path / "f.npz", np.ones((2, 3)), np.zeros((4, 3)), np.array(["r", "s"])
    np.savez(path, a)
    assert np.array_equal(load_file(path).x, a) and load_file(path).y is None
    np.savez_compressed(path, images=a, y=y)
    assert np.array_equal(load_file(path).x, a) and load_file(path).y.tolist() == ["r", "s"]
    np.savez(path, x=a, other=b, y=y)
    assert np.array_equal(load_file(path).x, a)
    with pytest.raises(DataFileError, match="expected one label for each of the 4 rows of 'other'"):
        load_file(path, key="other")
    np.savez(path, p=a, q=b)
    assert np.array_equal(load_file(path, key="q").x, b)
    for key in (None, "z"):
        with pytest.raises(UnknownNameError, match="known: 'p', 'q'"):
            load_file(path, key=key)
    for y in (np.float64(1), np.zeros((2, 0))):
        np.savez(path, x=a, y=y)
        with pytest.raises(DataFileError, match="expected one label for each of the 2 rows of 'x', got 'y' of shape"):
            load_file(path)
    np.savez(path, x=a, y=np.arange(6).reshape(2, 3))
    assert load_file(path).y.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert np.array_equal(load_file(path, key="y").x, [[0, 1, 2], [3, 4, 5]]) and load_file(path, key="y").y is None


def test_of_many_arrays_the_first_fifty_are_listed(tmp_path):
    np.savez(tmp_path / "f.npz", **{f"a{i}": np.zeros(1) for i in range(52)})
    with pytest.raises(UnknownNameError) as caught:
        load_file(tmp_path / "f.npz")
    assert "'a49'" in str(caught.value) and "'a50'" not in str(caught.value)


class Trap:
    """An object whose unpickling would be noticed."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was read",))


@pytest.mark.parametrize("form", ["npy", "npz", "bare pickle", "y of npz"])
def test_pickled_data_are_never_read(tmp_path, form):
    array = np.array([Trap()], dtype=object)
    path = tmp_path / ("f.npz" if "npz" in form else "f.npy")
    if form == "npy":
        np.save(path, array, allow_pickle=True)
    elif form == "bare pickle":
        path.write_bytes(pickle.dumps(Trap()))
    else:
        np.savez(path, **({"x": array} if form == "npz" else {"x": np.ones(1), "y": array}))
    with pytest.raises(DataFileError, match="pickled data are never read"):
        load_file(path)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("keep", [0, 3, 9, 60, 200, -1])
def test_cut_numpy_files(tmp_path, suffix, keep):
    path = tmp_path / f"f{suffix}"
    save_array(path, np.arange(100.0))
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    with pytest.raises(DataFileError, match="expected"):
        load_file(path)


@pytest.mark.parametrize("compress", [np.savez, np.savez_compressed])
def test_flipped_bits_in_npz_are_found(tmp_path, compress):
    path = tmp_path / "f.npz"
    compress(path, x=np.random.default_rng(5).random((50, 4)))
    data = bytearray(path.read_bytes())
    data[900] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(DataFileError, match="expected a whole NumPy file, got a damaged one") as caught:
        load_file(path)
    assert "pickled" not in str(caught.value)


@pytest.mark.parametrize(
    "x",
    [
        np.float64(1),
        np.zeros((0, 3)),
        np.zeros((3, 0)),
        np.array(["a"]),
        np.array([1j]),
        np.array(["2020-01-01"], "M8[D]"),
        np.zeros(2, "i4,f4"),
    ],
)
def test_arrays_that_are_no_data(tmp_path, x):
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(DataFileError, match="expected (real numbers|at least one row)"):
        load_file(tmp_path / "x.npy")


def npy_header(text, version=1):
    head = text.encode("latin-1")
    return b"\x93NUMPY" + bytes([version, 0]) + len(head).to_bytes(2 if version == 1 else 4, "little") + head


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }", "4000000000000 bytes"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 2), }", "states the shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2), }", "damaged"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (10, 9), }", "360 bytes .*got 400"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (10, 10), {", "damaged"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (10, 10), 'shape': (10, 10), }", "damaged"),
        ("{'descr': '<f4', 'fortran_order': False, }", "damaged"),
        ("{'descr': '<f4', 'fortran_order': 'False', 'shape': (10, 10), }", "damaged"),
        ("{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000, 1), }", "<U0"),
        ("{'descr': '<f3', 'fortran_order': False, 'shape': (10, 10), }", "<f3"),
        ("(" * 9000, "damaged"),
        ("{" + " " * 20_000, "longer than"),
    ],
)
def test_an_npy_header_is_not_believed(tmp_path, text, words):
    path = tmp_path / "x.npy"
    path.write_bytes(npy_header(text) + bytes(400))
    with pytest.raises(DataFileError, match=words):
        load_file(path)


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (10L, 10L), }",
        '{"shape": (10, 10), "descr": "<f4", "fortran_order": False}',
    ],
)
def test_npy_headers_of_other_writers(tmp_path, text):
    x = np.arange(100, dtype="<f4").reshape(10, 10)
    for version in (1, 2, 3):
        (tmp_path / "x.npy").write_bytes(npy_header(text + " " * 20 + "\n", version) + x.tobytes())
        np.testing.assert_array_equal(load_file(tmp_path / "x.npy").x, x)


def packed(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members:
            file.writestr(name, data)


def an_array(x):
    stream = io.BytesIO()
    np.save(stream, x)
    return stream.getvalue()


def test_members_that_are_no_arrays(tmp_path):
    path, x = tmp_path / "f.npz", an_array(np.ones((4, 2)))
    for members, words in [
        ([("x.npy", b"hello")], "array 'x': expected real numbers: it is no .npy array"),
        ([("x", b"hello")], "array 'x': .* no .npy array"),
        ([("x.npy", x), ("y.npy", b"1,2,3,4")], "array 'y': .* no .npy array"),
        ([("x.npy", x), ("x", x)], "two arrays named 'x'"),
        ([("x.npy", x[:-8])], "64 bytes .*got 56"),
    ]:
        packed(path, members)
        with pytest.raises(DataFileError, match=words):
            load_file(path)
    packed(path, [])
    with pytest.raises(UnknownNameError, match="unknown array"):
        load_file(path)
    packed(path, [("notes.txt", b"hello"), ("x", x)])  # without .npy, and beside something else
    np.testing.assert_array_equal(load_file(path).x, np.ones((4, 2)))


@pytest.mark.parametrize(("method", "word"), [(zipfile.ZIP_BZIP2, "BZIP2"), (zipfile.ZIP_LZMA, "LZMA")])
def test_members_packed_in_other_ways_are_refused_by_their_name(tmp_path, method, word):
    packed(tmp_path / "f.npz", [("x.npy", an_array(np.ones((4, 2))))], method)
    with pytest.raises(DataFileError, match=f"packed by {word}; write it without compression"):
        load_file(tmp_path / "f.npz")


def test_two_members_of_one_name_are_refused(tmp_path):
    packed(tmp_path / "f.npz", [("x.npy", an_array(np.ones((4, 2)))), ("y.npy", an_array(np.zeros((4, 2))))])
    data = (tmp_path / "f.npz").read_bytes().replace(b"y.npy", b"x.npy")
    (tmp_path / "f.npz").write_bytes(data)
    with pytest.raises(DataFileError, match="two members named 'x.npy'"):
        load_file(tmp_path / "f.npz")


def test_bombs_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    """400 MB of zeros in 400 kB, as x, as y and beside an x that is honest, which is then read as if it were not
    there.
    """
    path, x = tmp_path / "f.npz", an_array(np.ones((4, 2)))
    zeros = npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (4, 104857600), }") + bytes(400 << 20)
    tracemalloc.start()
    try:
        for name in ("x", "y", "other"):
            with zipfile.ZipFile(path, "w") as file:
                if name != "x":
                    file.writestr("x.npy", x)
                file.writestr(f"{name}.npy", zeros, zipfile.ZIP_DEFLATED, 1)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            if name == "other":
                np.testing.assert_array_equal(load_file(path).x, np.ones((4, 2)))
            else:
                with pytest.raises(DataFileError, match="more than 100 times as many"):
                    load_file(path)
            assert tracemalloc.get_traced_memory()[1] - before < 1 << 20
    finally:
        tracemalloc.stop()


def test_how_well_a_member_may_be_packed(tmp_path, monkeypatch):
    path = tmp_path / "f.npz"
    packed(path, [("x.npy", an_array(np.zeros((100, 10))))], zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path) as file:
        size, small = file.infolist()[0].file_size, file.infolist()[0].compress_size
    least = -(-size // small)
    for most, ratio, is_read in ((size, 1, True), (size - 1, least, True), (size - 1, least - 1, False)):
        monkeypatch.setattr(numpy_files, "MOST_UNPACKED", most)
        monkeypatch.setattr(numpy_files, "LARGEST_RATIO", ratio)
        if is_read:
            assert load_file(path).x.shape == (100, 10)
        else:
            with pytest.raises(
                DataFileError, match=f"its {small} bytes unpack to {size}, more than {ratio} times as many"
            ):
                load_file(path)


def test_limits():
    assert (numpy_files.MOST_UNPACKED, numpy_files.LARGEST_RATIO) == (256 * 2**20, 100)
    assert (form.MOST_COLUMNS, source.MOST_UNPACKED, source.LARGEST_RATIO) == (2**18, 2**28, 100)
    assert (npvae_io.LONGEST_HEADER, npvae_io.MOST_VALUES) == (256 * 2**20, 8 * 2**20)


def test_limits_at_the_limits():
    """A member of 256 MiB is unpacked whatever it takes in the file, or one of a hundred times what it takes."""

    class Opened(Exception):
        pass

    def opened(name):
        raise Opened

    large = 2_700_000  # a hundred times as much is more than 256 MiB
    for size, packed, error in (
        (2**28, 7, Opened),
        (2**28 + 1, 7, DataFileError),
        (100 * large, large, Opened),
        (100 * large + 1, large, DataFileError),
    ):
        member = SimpleNamespace(method=zip_members.DEFLATED, size=size, packed=packed)
        with pytest.raises(error):
            numpy_files._read_member("x.npz", SimpleNamespace(members={"x": member}, open=opened), "x")


def test_a_file_that_is_cut_while_it_is_read(tmp_path, monkeypatch):
    save_array(tmp_path / "x.npy", np.ones(10))
    whole = (tmp_path / "x.npy").read_bytes()
    monkeypatch.setattr(numpy_files, "open_file", lambda path, error: (io.BytesIO(whole[:-1]), len(whole)))
    with pytest.raises(DataFileError, match="expected 80 bytes, got fewer: it is cut"):
        load_file(tmp_path / "x.npy")


def test_data_beyond_the_memory_are_refused_with_both_numbers(tmp_path, monkeypatch):
    save_array(tmp_path / "x.npy", np.ones((1000, 100)))
    monkeypatch.setattr(machine_memory, "available_bytes", lambda: 700_000)
    with pytest.raises(DataFileError, match=r"0\.0 GB do not fit into the 0\.0 GB"):
        load_file(tmp_path / "x.npy")
    for free in (None, 800_000):
        monkeypatch.setattr(machine_memory, "available_bytes", lambda free=free: free)
        assert load_file(tmp_path / "x.npy").x.shape == (1000, 100)
    with open(tmp_path / "large.npy", "wb") as file:  # 1.2 GB of which nothing is written
        file.write(npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (1200000000,), }"))
        file.truncate(file.tell() + 1_200_000_000)
    with pytest.raises(DataFileError, match=r"its 1\.2 GB do not fit into the 0\.7 GB of memory"):
        monkeypatch.setattr(machine_memory, "available_bytes", lambda: 700_000_000)
        load_file(tmp_path / "large.npy")


def test_an_array_is_read_into_its_own_memory(tmp_path):
    """No second copy of it is made on the way."""
    save_array(tmp_path / "x.npy", np.ones((500, 1000)))
    tracemalloc.start()
    try:
        assert load_file(tmp_path / "x.npy").x.sum() == 500_000
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_bool_is_0_or_1(tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(npy_header("{'descr': '|b1', 'fortran_order': False, 'shape': (2, 2), }") + bytes([0, 1, 2, 255]))
    assert load_file(path).x.tolist() == [[False, True], [True, True]] and load_file(path).x.sum() == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".txt"])
def test_pipes_devices_and_folders_are_refused_without_waiting(tmp_path, suffix):
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"device{suffix}").symlink_to("/dev/zero")
    (tmp_path / f"folder{suffix}").mkdir()
    for name, words in (("pipe", "a named pipe"), ("device", "a device"), ("folder", "a folder")):
        with pytest.raises(DataFileError, match=words):
            load_file(tmp_path / f"{name}{suffix}")


def test_a_line_of_more_columns_than_a_table_has_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(form, "MOST_COLUMNS", 1000)
    for columns in (1000, 1001):
        (tmp_path / "x.csv").write_text("\n" + "1," * (columns - 1) + "1\n")
        if columns == 1000:
            assert load_file(tmp_path / "x.csv").x.shape == (1, 1000)
        else:
            with pytest.raises(DataFileError, match="line 2 has 1001 columns, more than 1000"):
                load_file(tmp_path / "x.csv")


def test_blank_rows_of_a_column_are_no_rows(table):
    check(table("1\n\t\n  \n2\n"), [[1], [2]])
    check(table("\n\t\nbody height\n1\n2\n"), [[1], [2]], ["body height"])


def test_how_much_of_a_table_its_separator_is_guessed_from(monkeypatch):
    """The last line has the only space: 200 rows are looked at, and 1 MiB, of blank lines too, which are no rows."""

    def found(text, rows=evidence.ROWS, size=evidence.BYTES):
        monkeypatch.setattr(evidence, "ROWS", rows)
        monkeypatch.setattr(evidence, "BYTES", size)
        return evidence.find_separator(text.encode())

    assert (evidence.ROWS, evidence.BYTES) == (200, 2**20)
    assert found("1\n" * 199 + "3 4\n") == " " and found("1\n" * 200 + "3 4\n") == ","
    assert found("0" * (2**20 - 5) + "\n3 4\n") == " " and found("0" * (2**20 - 4) + "\n3 4\n") == ","
    assert found("1\n\n\n2\n3 4\n", 2) == "," and found("1\n\n\n2\n3 4\n", 3) == " "
    assert found("1\n\n2\n3 4\n", 9, 8) == "," and found("1\n\n2\n3 4\n", 9, 9) == " "
    assert found("1 2 3", 9, 4) == " "  # a line without an end is looked at as far as it goes


@pytest.mark.parametrize(
    ("lines", "separator"),
    [
        ([], ","),
        (["1"], ","),
        (["a b"], ","),
        (["1 2"], " "),
        (["a b", "1 2"], " "),
        (["a b", "1"], ","),
        (["1 b", "1"], " "),
        (["1,2;3"], ";"),
        (["1,2", "1,2;3"], ","),
        (["1;2,3", "1;2,3,4"], ";"),
        (["1", "2", "3,4"], ","),
        (["1\t2;3"], "\t"),
        (['"1;2",3'], ","),
        (["1,2,3", "1;2", "1;2"], ";"),
        (["1", "1", "1", "1;2", "1,2", "1,2"], ";"),
        (["", "1,2"], ","),
        (["1|2", "1|2;3"], "|"),
        (["1, 2", "1, 2"], ","),
    ],
)
def test_the_separator_cuts_most_evenly(lines, separator):
    assert evidence.find_separator("".join(line + "\n" for line in lines).encode()) == separator


@pytest.mark.parametrize(
    ("cells", "names"),
    [(["a", "b"], True), (["a", "1"], False), (["a", "?"], False), (["", "a"], False), (["", ""], False), ([], False)],
)
def test_the_answer_whether_cells_are_names(cells, names):
    """Of a table with no row below them."""
    assert evidence.are_names(cells, [], SPELLINGS) is names and [
        evidence.is_number(cell) for cell in ("1e3", "x")
    ] == [True, False]


@pytest.mark.parametrize(
    "text, names",
    [("a\n1\n", ["a"]), ("a,\n1,2\n", ["a", ""]), (" ,\n1,2\n", None), ("a,?\n1,2\n", None), ("a,1\n1,2\n", None)],
)
def test_a_header_has_a_text_and_neither_number_nor_gap(table, text, names):
    if text.startswith(" "):
        check(table(text), [[1, 2]])  # separators and blanks alone are no row
    elif names is None:
        with pytest.raises(DataFileError, match="line 1, column 1: expected a number, got 'a'"):
            table(text)
    else:
        assert table(text).column_names == names


@pytest.mark.parametrize(
    "labels, expected",
    [
        ([" a ", "b"], ["a", "b"]),
        (["9007199254740992", "0"], [2**53, 0]),
        (["9007199254740994", "0"], ["9007199254740994", "0"]),
        (["-9007199254740994", "0"], ["-9007199254740994", "0"]),
        (["107", "-3"], [107, -3]),
        (["1.5", "2"], ["1.5", "2"]),
        (["inf", "2"], ["inf", "2"]),
        (["1_0", "2"], ["1_0", "2"]),
    ],
)
def test_labels_as_they_are_kept(table, labels, expected):
    found = table("".join(f"{label},1\n" for label in labels), label_column=0, header=False).y.tolist()
    assert found == expected and list(map(type, found)) == list(map(type, expected))


def test_options_of_the_other_kind_are_refused(tmp_path, table):
    save_array(tmp_path / "x.npy", np.ones((2, 2)))
    for options, named in (
        ({"label_column": 0}, "label_column"),
        ({"header": True}, "header"),
        ({"missing": "-", "label_column": 0}, "label_column, missing"),
    ):
        with pytest.raises(InputError, match=f"^{named}: for text tables, not for .npy files$"):
            load_file(tmp_path / "x.npy", **options)
    with pytest.raises(InputError, match="one array without a name"):
        load_file(tmp_path / "x.npy", key="x")
    with pytest.raises(InputError, match="for .npz files"):
        table("1,2\n", key="x")


@pytest.mark.parametrize("name", ["none.csv", "none.npy", "none.npz", "none.txt"])
def test_missing_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=name):
        load_file(tmp_path / name)


@pytest.mark.parametrize("name", ["x.pkl", "x", "x.pkl.gz"])
def test_unknown_suffix(tmp_path, name):
    (tmp_path / name).write_text("1,2\n")
    with pytest.raises(UnknownNameError, match="unknown file type .*known: '.npy', '.npz', '.csv'"):
        load_file(tmp_path / name)
    with pytest.raises(UnknownNameError, match="unknown file type"):
        save_array(tmp_path / name, np.ones(2))
    assert (tmp_path / name).read_text() == "1,2\n"


# Saving


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
def test_saved_arrays_come_back_exactly(tmp_path, suffix):
    rng = np.random.default_rng(6)
    x = rng.standard_normal((40, 5)) * 10.0 ** rng.integers(-300, 300, (40, 5))
    x[0] = [NAN, np.inf, -np.inf, -0.0, 5e-324]
    for array in (x, x[::2, ::-1], np.asfortranarray(x)):
        save_array(tmp_path / f"x{suffix}", array)
        back = load_file(tmp_path / f"x{suffix}").x
        assert back.dtype == array.dtype and back.shape == array.shape
        np.testing.assert_array_equal(back, array)
        assert np.array_equal(np.signbit(back), np.signbit(array))
    assert [path.name for path in tmp_path.iterdir()] == [f"x{suffix}"]


@pytest.mark.parametrize("dtype", ["f4", "u1", "i8", "?"])
def test_csv_of_other_dtypes_holds_the_same_values(tmp_path, dtype):
    x = (np.random.default_rng(7).random((6, 2)) * 3).astype(dtype)
    save_array(tmp_path / "x.csv", x)
    assert np.array_equal(load_file(tmp_path / "x.csv").x, x.astype(float))


def test_csv_names_survive_commas_quotes_and_line_ends(tmp_path):
    names = ["a, b", 'say "hi"', "größe", "two\nlines"]
    save_array(tmp_path / "x.csv", np.ones((2, 4)), names)
    check(load_file(tmp_path / "x.csv"), np.ones((2, 4)), names)


def test_the_bytes_of_a_saved_table(tmp_path):
    save_array(tmp_path / "x.csv", np.array([[1.0, 0.1], [2.5, NAN]]), ["a", 3])
    assert (tmp_path / "x.csv").read_bytes() == b"a,3\n1.0,0.1\n2.5,nan\n"
    save_array(tmp_path / "x.csv", np.array([[True, False]]))
    assert (tmp_path / "x.csv").read_bytes() == b"1,0\n"
    save_array(tmp_path / "x.csv", np.zeros((0, 2)), ["a", "b"])
    assert (tmp_path / "x.csv").read_bytes() == b"a,b\n"
    save_array(tmp_path / "x.csv", np.zeros(0), ["a"])
    assert (tmp_path / "x.csv").read_bytes() == b"a\n"


def test_a_suffix_in_capitals_is_the_same(tmp_path):
    for suffix in (".NPY", ".Npz", ".CSV"):
        save_array(tmp_path / f"x{suffix}", np.ones((3, 2)))
        assert load_file(tmp_path / f"x{suffix}").x.tolist() == [[1.0, 1.0]] * 3


def test_csv_of_one_axis_is_one_column(tmp_path):
    save_array(tmp_path / "x.csv", np.array([1.0, NAN, 3.0]))
    check(load_file(tmp_path / "x.csv"), [[1], [NAN], [3]])


def test_save_refusals_leave_the_old_file(tmp_path):
    path = tmp_path / "x.csv"
    save_array(path, [[1, 2]])
    old = path.read_bytes()
    for x, options, error in [
        (np.ones((2, 2, 2)), {}, InputError),
        (np.float64(3), {}, InputError),
        (np.ones((2, 2)), {"column_names": ["a"]}, InputError),
        (np.array([object()]), {}, InputTypeError),
        (["a"], {}, InputTypeError),
    ]:
        with pytest.raises(error):
            save_array(path, x, **options)
        assert path.read_bytes() == old and len(list(tmp_path.iterdir())) == 1


def test_saved_npz_opens_in_plain_numpy(tmp_path):
    save_array(tmp_path / "x.npz", np.arange(6).reshape(2, 3))
    with np.load(io.BytesIO((tmp_path / "x.npz").read_bytes())) as arrays:
        assert arrays.files == ["x"] and arrays["x"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_labels_have_at_most_ten_thousand_characters(tmp_path):
    (tmp_path / "t.csv").write_text(f"x,kind\n1.5,a\n2.5,{'b' * 10_000}\n3.5,a\n")
    assert load_file(tmp_path / "t.csv", label_column="kind").y.tolist() == ["a", "b" * 10_000, "a"]
    (tmp_path / "t.csv").write_text(f"# so\nx,kind\n1.5,a\n2.5,{'b' * 10_001}\n3.5,a\n")
    with pytest.raises(
        DataFileError, match=r"t\.csv: line 4: expected a label of at most 10,000 characters, got 10,001$"
    ):
        load_file(tmp_path / "t.csv", label_column="kind")
