"""Tables as people have them: CSV and text out of Excel, LibreOffice, ImageJ, R and pandas.

It detects what these programs do differently: encoding (UTF-8, UTF-16, Windows-1252, Mac Roman), separator, Excel's
first line ``sep=;``, case and spaces in the header, empty rows and columns, separators at the ends of rows. A file that
is not such a table is refused, with what it is and what to do. Numbers: ``trainer.data.number_format``. This module
knows cells, not what the columns mean.
"""

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from station.errors import InputError
from station.files import read_bounded
from trainer.data.number_format import NumberFormat, find_number_format

MOST_BYTES: Final = 256 << 20
"""truth.csv of half a million clips is no larger."""
MOST_COLUMNS: Final = 1000
SEPARATORS: Final = {",": "','", ";": "';'", "\t": "tabs", "|": "'|'"}
AS_CSV: Final = 'save the table as CSV ("CSV UTF-8" in Excel)'

FOREIGN: Final = (
    (b"PK\x03\x04", "a workbook (.xlsx, .ods) or another archive"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)"),
    (b"{\\rtf", "a formatted text (RTF)"),
    (b"<", "a web page or XML"),
    (b"%PDF", "a PDF"),
)
"""First bytes of files that people give by mistake."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row that is not empty."""

    line: int
    """Of the file, from 1."""
    cells: Mapping[str, str]
    """By column, without surrounding spaces; "" for an empty cell."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as read: every cell is still text."""

    columns: tuple[str, ...]
    """Lower case, "_" for spaces. A first column without a name (row numbers, as ImageJ and R write) is called ""."""
    rows: tuple[TableRow, ...]
    bad_rows: Mapping[int, str]
    """By line: why a row cannot be read."""
    separator: str
    encoding: str
    header_line: int

    def number_format(
        self, columns: Iterable[str], largest: Mapping[str, float] = MappingProxyType({})
    ) -> NumberFormat:
        """Return how numbers are written in these columns, see ``find_number_format``. Raises InputError."""
        cells = {name: [(row.line, row.cells[name]) for row in self.rows] for name in columns if name in self.columns}
        return find_number_format(cells, self.separator, largest)

    def reading(self, numbers: NumberFormat | None = None) -> str:
        """Return in words how the table was read, "" where it is a plain one (UTF-8, commas, decimal points)."""
        words = []
        if self.separator != ",":
            words.append(f"{SEPARATORS.get(self.separator, repr(self.separator))} between columns")
        if numbers and numbers.decimal == ",":
            words.append("decimal commas")
        if numbers and numbers.grouped:
            words.append("thousands separators")
        if self.encoding not in ("UTF-8", "UTF-16"):
            words.append(f"not UTF-8 but {self.encoding}")
        return ", ".join(words)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a CSV file that opens everywhere: UTF-8, commas, decimal points, the header in the first line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def column_name(text: str) -> str:
    """Return the name that a column's heading means: ``" Um/px"`` is ``um_per_px``, ``"X (px)"`` is ``x``."""
    name = text.replace("\ufeff", "").strip().casefold().replace("µ", "u").replace("μ", "u")
    name = re.sub(r"\s*[(\[](px|pixels?)[)\]]$", "", name).replace("/", "_per_")
    return re.sub(r"[\s.\-_]+", "_", name).strip("_")


def read_table(path: Path, known: Collection[str]) -> Table:
    """Read a table that a person or a program wrote.

    Args:
        path: The file.
        known: Columns that may occur; they show which separator is right.

    Raises:
        InputError: It is not a table; the message says what it is and does not name the path.
    """
    try:
        content = read_bounded(path, MOST_BYTES)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error}); give a CSV file") from error
    text, encoding = _decode(content)
    declared = re.match(r'"?sep=(.)"?[^\r\n]*(\r\n|\r|\n)', text, re.IGNORECASE)  # Excel reads and writes this line
    first_line = 2 if declared else 1
    if declared:
        text = text[declared.end() :]
    separator = declared[1] if declared else _find_separator(text, known)
    lines = list(_split(text, separator, first_line))
    if len(lines) > 1 and all(len(cells) == 1 for _, cells in lines):
        # Whole rows in quotes: a table that was pasted into one column of a spreadsheet.
        joined = "\n".join(cells[0] for _, cells in lines)
        separator = _find_separator(joined, known)
        lines = [(line, cells) for (line, _), (_, cells) in zip(lines, _split(joined, separator, 1), strict=False)]
    if not lines:
        raise InputError("is empty")
    return _arrange(lines, separator, encoding)


def _split(text: str, separator: str, first_line: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the cells of each row that is not empty. Raises InputError."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator != " ")
    line = first_line
    try:
        for row in reader:
            cells = [re.sub(r"[\r\n]+", " ", cell.replace("\ufeff", "").strip()) for cell in row]
            if any(cells):
                yield line, cells
            line = reader.line_num + first_line
    except csv.Error as error:
        raise InputError(f"line {line}: cannot be read ({error}); {AS_CSV}") from error


def _decode(content: bytes) -> tuple[str, str]:
    """Return the text of a file and its encoding. Raises InputError for what is no text."""
    for start, kind in FOREIGN:
        if content.startswith(start):
            raise InputError(f"is {kind}, not a CSV table; {AS_CSV}")
    for mark, encoding in (
        (codecs.BOM_UTF8, "UTF-8"),
        (codecs.BOM_UTF16_LE, "UTF-16"),
        (codecs.BOM_UTF16_BE, "UTF-16"),
    ):
        if content.startswith(mark):
            return _strictly(content, "utf-8-sig" if encoding == "UTF-8" else "utf-16"), encoding
    even, odd = content[0::2].count(0), content[1::2].count(0)
    if even or odd:
        # UTF-16 without a byte order mark: nearly every second byte is 0.
        if max(even, odd) < len(content) // 4 or min(even, odd) > len(content) // 50:
            raise InputError(f"is no text; {AS_CSV}")
        return _strictly(content, "utf-16-le" if odd > even else "utf-16-be"), "UTF-16"
    try:
        return content.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError:
        if b"\r" in content and b"\n" not in content:  # what Excel for Mac calls "CSV (Macintosh)"
            return content.decode("mac_roman"), "Mac Roman"
        return _strictly(content, "cp1252"), "Windows-1252"


def _strictly(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"is neither UTF-8 nor {encoding} text (byte {error.start}); {AS_CSV}") from error


def _find_separator(text: str, known: Collection[str]) -> str:
    """Return the separator that finds most known columns in the header, or else most columns."""
    first = next((line for line in text.splitlines() if line.strip(' ,;\t|\ufeff"')), "")

    def columns(separator: str) -> tuple[int, int]:
        try:
            cells = next(csv.reader([first], delimiter=separator, skipinitialspace=True))
        except csv.Error:  # a cell far too long, with this separator or with all: then reading the whole says so
            return 0, 0
        names = [column_name(cell) for cell in cells]
        return sum(name in known for name in names), len(names)

    return max(SEPARATORS, key=columns)


def _arrange(lines: Sequence[tuple[int, list[str]]], separator: str, encoding: str) -> Table:
    """Return the table of lines that are not empty, of which the first is the header."""
    (header_line, heading), *body = lines
    names = [column_name(cell) for cell in heading]
    while names and not names[-1]:
        names.pop()
    if len(names) > MOST_COLUMNS:
        raise InputError(f"line {header_line}: expected at most {MOST_COLUMNS} columns, got {len(names)}; {AS_CSV}")
    for place, name in enumerate(names):
        if not name and place and any(cells[place : place + 1] not in ([], [""]) for _, cells in body):
            raise InputError(f"line {header_line}: column {place + 1} has values but no name; name or empty it")
        if name and name in names[:place]:
            raise InputError(f"line {header_line}: column {name!r} appears twice; rename or remove one")
    used = [place for place, name in enumerate(names) if name or (place == 0 and any(cells[0] for _, cells in body))]
    if separator == ",":
        _refuse_split_numbers(lines, len(names))
    rows, bad_rows = [], {}
    for line, cells in body:
        if any(cells[len(names) :]):
            bad_rows[line] = f"expected {len(names)} values, got {len(cells)}: {separator.join(cells)}"
            continue
        cells += [""] * (len(names) - len(cells))  # Excel leaves out empty cells at the ends of rows
        rows.append(TableRow(line, {names[place]: cells[place] for place in used}))
    return Table(tuple(names[place] for place in used), tuple(rows), bad_rows, separator, encoding, header_line)


def _refuse_split_numbers(lines: Sequence[tuple[int, list[str]]], columns: int) -> None:
    """Raise InputError where decimal commas may have split numbers: then no row of the table can be trusted.

    Too many values in a row show it. Extra empty cells at the ends of rows are harmless only where all rows have the
    same number of them and numbers have decimal points.
    """
    (_, heading), *body = lines
    pointed = any(re.fullmatch(r"[+-]?\d+\.\d+", cell) for _, cells in body for cell in cells)
    lengths = {len(cells) for _, cells in body}
    for line, cells in body:
        harmless = len(cells) <= len(heading) or (pointed and len(lengths) == 1)
        if any(cells[columns:]) or not harmless:
            raise InputError(
                f"line {line}: expected {columns} values, got {len(cells)}: {','.join(cells)}; numbers with decimal "
                "commas need ';' between columns, and text with commas needs quotes"
            )
