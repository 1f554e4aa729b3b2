"""CSV files that go through somebody's spreadsheet and come back."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from snellen.errors import DataError

# A spreadsheet computes a cell that begins so. Behind an apostrophe it is text; `CSV Injection` at owasp.org.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
# A spreadsheet takes such text for a number: it loses zeros and digits. Of an id of 16 hex digits one in 600 is such.
NUMBER = re.compile(r"[0-9]+([.,][0-9]+)?(e[+-]?[0-9]+)?", re.IGNORECASE)
# A number keeps six digits where it is shown as 1.23457E+15.
DIGITS = 1e-5


def write_sheet(header: Sequence[str], rows: Iterable[Mapping[str, str]]) -> bytes:
    """A table as CSV in UTF-8, with the mark by which Excel knows it; what a row lacks is blank."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([guarded(row.get(name, "")) for name in header] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def read_sheet(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV by column, each with its number in the spreadsheet; blank ones are left out.

    Cells are separated by commas, semicolons or tabs, whichever the header has most of. A short row ends in blanks.
    Raises DataError where the file cannot be read, lacks a column of `needed` or has one twice, or has a row that is
    longer than the header.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"no file {str(path)!r}: {error.strerror}; give a CSV that --export wrote") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{str(path)!r} is not UTF-8; let the spreadsheet save it as `CSV UTF-8`") from error
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    try:
        header, *rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)) or [[]]
    except csv.Error as error:
        raise DataError(f"{str(path)!r} is no CSV: {error}; let the spreadsheet save it again") from error
    names = [name.strip() for name in header]
    lacking = next((name for name in needed if name not in names), None)
    if lacking:
        raise DataError(
            f"{str(path)!r} has no column {lacking!r}; give a CSV that --export wrote, with all its columns"
        )
    twice = next((name for name, count in Counter(filter(None, names)).items() if count > 1), None)
    if twice:
        raise DataError(f"{str(path)!r} has two columns {twice!r}; remove one")
    found = []
    for number, row in enumerate(rows, 2):
        if len(row) > len(names):
            raise DataError(
                f"{str(path)!r}, row {number} has more cells than the header; a reason that holds "
                f"{delimiter!r} must be in quotes"
            )
        if any(cell.strip() for cell in row):
            cells = [unguarded(cell) for cell in row] + [""] * len(names)
            found.append((number, dict(zip(names, cells, strict=False))))
    return found


def guarded(text: str) -> str:
    """A cell that no spreadsheet takes for a formula.

    >>> guarded("=1+1.jpg"), guarded("a=b.jpg")
    ("'=1+1.jpg", 'a=b.jpg')
    """
    return f"'{text}" if text.startswith(FORMULA) else text


def unguarded(text: str) -> str:
    """The text that `guarded` was given; also where somebody wrote the cell.

    >>> unguarded("'=1+1.jpg"), unguarded("'tis a tench")
    ('=1+1.jpg', "'tis a tench")
    """
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def is_number(text: str) -> bool:
    """Whether a spreadsheet takes a text for a number.

    >>> is_number("1234567890123456"), is_number("12345678e1234567"), is_number("1.23457E+15"), is_number("00ab")
    (True, True, True, False)
    """
    return NUMBER.fullmatch(text.strip()) is not None


def same(cell: str, text: str) -> bool:
    """Whether a cell still says what was written: but for spaces, and for what a spreadsheet makes of numbers.

    >>> same("1.23457E+15", "1234567890123456"), same("12", "0012"), same("a  b ", "a b"), same("a", "b")
    (True, True, True, False)
    """
    if cell.split() == text.split():
        return True
    if not (is_number(cell) and is_number(text)):
        return False
    shown, meant = (float(word.replace(",", ".")) for word in (cell, text))
    return math.isfinite(meant) and math.isclose(shown, meant, rel_tol=DIGITS)
