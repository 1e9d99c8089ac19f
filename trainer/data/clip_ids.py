"""Ids of clips that survive a spreadsheet, and what a spreadsheet has done to those that did not.

Excel silently turns 000012 into 12, 12-2 into a date and 1E5 into 1.00E+05, and saves it like that. So the ids that
this program makes look like text to every spreadsheet. Lost leading zeros are restored where only one clip fits; what
cannot be undone is named. This module knows words, not tables.
"""

import re
from collections.abc import Collection
from typing import Final

PREFIX: Final = "clip-"

_MONTHS: Final = (
    "jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec,mär,mrz,mai,okt,dez,fév,fev,avr,juin,juil,aoû,déc,ene,abr,ago,dic,"
    "gen,mag,giu,lug,set,ott,out,mei,maa"
)
"""First letters of the months: English, German, French, Spanish, Italian, Portuguese, Dutch."""
_WORDS: Final = frozenset(("true", "false", "wahr", "falsch", "vrai", "faux", "na", "nan", "null", "none", "inf"))
"""Read as a truth value or as missing by Excel, pandas or R."""

_DAY_MONTH: Final = re.compile(r"\d{1,2}[-. /]{1,2}([^\W\d_]{3,10})\.?([-. /]{1,2}\d{2,4})?")
_MONTH_NUMBER: Final = re.compile(r"([^\W\d_]{3,10})\.?[-. /]{0,2}\d{1,4}")
_MONTH_YEAR: Final = re.compile(r"([^\W\d_]{3,10})\.?[-. ]{1,2}\d{2,4}")
_DATE: Final = re.compile(
    r"(\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[月월] ?\d{1,2}[日일])"
    r"( \d{1,2}:\d{2}(:\d{2})?)?"
)
_POWER: Final = re.compile(r"\d([.,]\d+)?E[+-]\d{2,}")
_ERROR: Final = re.compile(r"#(NAME\?|REF!|VALUE!|N/A|DIV/0!|NUM!|NULL!|#+)")
_CURE: Final = "copy the ids from clips.csv again, into a column that was formatted as text before"


def safe_id(name: str) -> str:
    """Return an id made of a name: the name itself, or with ``clip-`` before it where a spreadsheet would alter it."""
    plain = name[:1].isalpha() and not _is_month(_MONTH_NUMBER, name) and name.casefold() not in _WORDS
    return name if plain else PREFIX + name


def spreadsheet_damage(text: str) -> str:
    """Return what a spreadsheet has made of an id, and what to do; "" where the text looks like an ordinary id."""
    if _DATE.fullmatch(text) or _is_month(_DAY_MONTH, text) or _is_month(_MONTH_YEAR, text):
        return f"{text!r} is a date: a spreadsheet made it of an id such as 12-2; {_CURE}"
    if _POWER.fullmatch(text):
        return f"{text!r} is a number in powers of ten: a spreadsheet made it of an id such as 1E5; {_CURE}"
    if _ERROR.fullmatch(text):
        return f"{text!r} is a spreadsheet's error, of an id that begins with = or -; {_CURE}"
    return ""


def match_ids(texts: Collection[str], known: Collection[str]) -> dict[str, str]:
    """Return the known id that each text means, without those that mean none.

    That is this very id, or the same after ``clip-``, or the only one that is the same number.
    """
    numbers: dict[int, list[str]] = {}
    for name in known:
        if (number := _number(name)) is not None:
            numbers.setdefault(number, []).append(name)
    found: dict[str, str] = {}
    for text in texts:
        same = numbers.get(_number(text) or 0, []) if _number(text) is not None else []
        if text in known:
            found[text] = text
        elif PREFIX + text in known:
            found[text] = PREFIX + text
        elif len(same) == 1:
            found[text] = same[0]
    return found


def _number(text: str) -> int | None:
    """Return the number that an id is, with or without ``clip-``; spreadsheets and pandas also write it as 12.0."""
    digits = re.fullmatch(r"(\d{1,18})(?:[.,]0+)?", text.removeprefix(PREFIX))
    return int(digits[1]) if digits else None


def _is_month(pattern: re.Pattern[str], text: str) -> bool:
    match = pattern.fullmatch(text)
    return match is not None and match[1].casefold().startswith(tuple(_MONTHS.split(",")))
