"""How numbers are written in a table: 161.2 or 161,2; 1,234.5 or 1.234,5 or 1 234,5.

The cells decide, taken together: 161,2 can only have a decimal comma, and one such cell also decides what 1,234 means.
Where 1,234 could be either, it is refused, not guessed. This module knows numbers, not what they measure.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from station.errors import InputError

Cells = Sequence[tuple[int, str]]
"""Line and text of each cell of a column."""

_GROUPED: Final = re.compile(r"[+-]?\d{1,3}(?:[ \u00a0\u2009\u202f'\u2019]\d{3})+(?:[.,]\d+)?")
"""Thousands separated by spaces or apostrophes, which is unambiguous."""
_NUMBER: Final = re.compile(r"[+-]?(?P<whole>\d*)(?P<tail>(?:[.,]\d+)*[.,]?)(?P<exponent>[eE][+-]?\d+)?")
_CURE: Final = "write all numbers with a decimal point and no thousands separators"


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How numbers are written."""

    decimal: str = "."
    """"." or ","; the other one separates thousands."""
    grouped: bool = False
    """Whether thousands are separated anywhere."""

    def number(self, text: str) -> float:
        """Return a cell's number. Raises ValueError with what is wrong."""
        if not text:
            raise ValueError("is empty")
        match = _match(text)
        thousands = "," if self.decimal == "." else "."
        whole, mark, rest = _plain(text).partition(self.decimal)
        if match is None:
            raise ValueError(f"{text!r} is no number")
        if thousands in rest or (
            thousands in whole and not re.fullmatch(rf"[+-]?\d{{1,3}}(\{thousands}\d{{3}})+", whole)
        ):
            raise ValueError(f"{text!r} is no number with a decimal {'point' if self.decimal == '.' else 'comma'}")
        return float(whole.replace(thousands, "") + ("." if mark else "") + rest)

    def whole_number(self, text: str) -> int:
        """Return a cell's whole number, which programs also write as 12.0. Raises ValueError with what is wrong."""
        value = self.number(text)
        if not value.is_integer():
            raise ValueError(f"{text!r} is no whole number")
        return int(value)


def find_number_format(columns: Mapping[str, Cells], separator: str, largest: Mapping[str, float]) -> NumberFormat:
    """Return how numbers are written in these columns.

    Args:
        columns: The cells of each column that holds numbers; cells without one are skipped.
        separator: What stands between the table's columns.
        largest: Of some columns, the largest number that there can be: 161,200 is no 161200 px.

    Raises:
        InputError: With the line of the first number that could be read in two ways.
    """
    proofs: dict[str, tuple[int, str]] = {}
    ambiguous: list[tuple[str, int, str, str]] = []
    for name, cells in columns.items():
        for line, text in cells:
            match = _match(text)
            if match is None or not match["tail"]:
                continue
            mark = match["tail"][0]
            decimal = _decimal_of(match)
            if not decimal and float(_plain(text).replace(mark, "")) > largest.get(name, math.inf):
                decimal = mark
            if decimal:
                proofs.setdefault(decimal, (line, text))
            else:
                ambiguous.append((name, line, text, mark))
    if len(proofs) > 1:
        (line, point), (other, comma) = proofs["."], proofs[","]
        raise InputError(f"{point} (line {line}) has a decimal point, {comma} (line {other}) a decimal comma; {_CURE}")
    decimal = next(iter(proofs), ".")
    for name, line, text, mark in [] if proofs else ambiguous:
        # Otherwise a point is decimal. But for a position 1234 px is likelier than 1.234 px, and a table with ";"
        # between columns mostly has decimal commas.
        if mark == "," or separator == ";" or name in largest:
            raise InputError(
                f"line {line}: {name} {text!r} may be {text.replace(mark, '.')} or {text.replace(mark, '')}; {_CURE}"
            )
    thousands = "," if decimal == "." else "."
    grouped = any(
        _GROUPED.fullmatch(text) or (_match(text) and thousands in text)
        for cells in columns.values()
        for _, text in cells
    )
    return NumberFormat(decimal, grouped)


def _match(text: str) -> re.Match[str] | None:
    """Return the parts of a number, None where the text is none."""
    match = _NUMBER.fullmatch(_plain(text))
    return match if match and (match["whole"] or match["tail"].strip(".,")) else None


def _plain(text: str) -> str:
    """Return a number's text with an ordinary minus and without spaces or apostrophes between thousands."""
    text = text.strip().replace("\u2212", "-")
    return re.sub(r"[ \u00a0\u2009\u202f'\u2019]", "", text) if _GROUPED.fullmatch(text) else text


def _decimal_of(match: re.Match[str]) -> str:
    """Return the decimal mark that a number proves, "" where it has none or could be meant in two ways."""
    whole, tail, exponent = match["whole"], match["tail"], match["exponent"]
    marks = re.sub(r"\d", "", tail)
    if not marks:
        return ""
    if len(set(marks)) == 2:
        return marks[-1]
    if len(marks) > 1:
        return "." if marks[0] == "," else ","
    fraction = tail[1:]
    if exponent or len(fraction) != 3 or not whole or len(whole) > 3 or whole.startswith("0"):
        return marks
    return ""
