"""Workbooks and frames as text, through pandas: .xlsx, of which one sheet is read, .parquet and .feather.

Of a formula its last result is read, which the program that wrote the workbook has kept there.
"""

from __future__ import annotations

import csv
import datetime
import io
import warnings
import zipfile

from npvae.data.tables.missing import is_missing
from npvae.errors import DataFileError, MissingDependencyError, UnknownNameError

_MIDNIGHT = " 00:00:00"


def frame_as_text(path, suffix: str, data: bytes, sheet=None) -> tuple[bytes, str]:
    """``(text, words)``: comma-separated text in UTF-8; which of several sheets it is of. sheet: a name, or a number
    counted from 1.

    MissingDependencyError, DataFileError, UnknownNameError.
    """
    if suffix == ".xlsx" and not zipfile.is_zipfile(io.BytesIO(data)):
        raise DataFileError(f"{path}: expected a workbook, got a cut or damaged one, or none")
    try:
        if suffix == ".xlsx":
            columns, words = _sheet(path, data, sheet)
        else:
            columns, words = _frame(suffix, data), ""
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: {suffix} files are read through pandas and {'openpyxl' if suffix == '.xlsx' else 'pyarrow'}: "
            f"install npvae[tables], "
            f"or save the table as .csv ({error})"
        ) from None
    except (DataFileError, UnknownNameError):
        raise
    except Exception as error:  # each library has its own for a damaged file
        raise DataFileError(
            f"{path}: expected a whole {suffix} file, got a damaged one or none ({type(error).__name__}: {error})"
        ) from None
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(zip(*columns, strict=True))
    return text.getvalue().encode(), words


def _sheet(path, data: bytes, sheet) -> tuple[list[list[str]], str]:
    import pandas

    with pandas.ExcelFile(io.BytesIO(data), engine="openpyxl") as book:
        names = book.sheet_names
        if (
            sheet is not None
            and str(sheet) not in names
            and not (str(sheet).isdecimal() and 0 < int(sheet) <= len(names))
        ):
            raise UnknownNameError("sheet", sheet, names)
        name = names[0] if sheet is None else str(sheet) if str(sheet) in names else names[int(sheet) - 1]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and charts that openpyxl does not read
            frame = pandas.read_excel(book, sheet_name=name, header=None, dtype=object, keep_default_na=False)
    if frame.empty:
        raise DataFileError(
            f"{path}: expected a table in sheet {name!r}, which is empty; the sheets are "
            f"{', '.join(map(repr, names))}: say sheet="
        )
    return [_texts(frame[j]) for j in frame], f"sheet {name!r} of {len(names)}" if len(names) > 1 else ""


def _frame(suffix: str, data: bytes) -> list[list[str]]:
    import pandas

    read = {".parquet": pandas.read_parquet, ".feather": pandas.read_feather}[suffix]
    frame = read(io.BytesIO(data), dtype_backend="numpy_nullable")  # whole numbers stay whole where some are missing
    frame = frame if isinstance(frame.index, pandas.RangeIndex) else frame.reset_index()
    return [[str(name), *_texts(frame.iloc[:, j])] for j, name in enumerate(frame.columns)]


def _texts(cells) -> list[str]:
    """The cells of a column as text, dates without a time if none of them has one."""
    found = ["" if is_missing(cell) else str(cell) for cell in cells]
    dates = [isinstance(cell, datetime.datetime) and bool(text) for cell, text in zip(cells, found, strict=True)]
    if all(text.endswith(_MIDNIGHT) for text, is_date in zip(found, dates, strict=True) if is_date):
        return [text.removesuffix(_MIDNIGHT) if is_date else text for text, is_date in zip(found, dates, strict=True)]
    return found
