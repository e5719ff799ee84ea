"""Dates and times in canonical text form; all moments are UTC.

Functions that read text take the ISO forms; literals of administrators may also be
`M/D/YYYY`, the form of the original product's map files.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime

from syncengine.errors import RecordError
from syncengine.mapping.numbers import imprecise, shown
from syncengine.mapping.schema import ColumnType, TypeFamily

MIDNIGHT = " 00:00:00"
INFINITE = frozenset({"infinity", "-infinity"})
_LIMIT_IN_NAME = re.compile(r"\((\d)\)")
_MOMENT = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"(?:[ T](?P<clock>\d\d:\d\d(?::\d\d)?)(?:\.(?P<fraction>\d+))?"
    r" ?(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_CLOCK = re.compile(r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?", re.ASCII)
_AMERICAN = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(.*)", re.ASCII)
_ORDINARY_DATE = len("2026-03-01")
_MIDNIGHTS = frozenset({MIDNIGHT, MIDNIGHT + "+00"})
_LAST_YEAR_OF_TIMESTAMPS = 294_276


def fraction_digits(type_: ColumnType) -> int:
    """How many digits of a second the column keeps."""
    for limit in (type_.precision, type_.scale):
        if limit is not None:
            return limit
    found = _LIMIT_IN_NAME.search(type_.name)
    return int(found[1]) if found else 6


def _wrong(text: str, what: str, form: str) -> RecordError:
    return RecordError(
        f"The value {shown(text)} is not {what} (expected like {form}).",
        code="conversion_failed",
        value=text,
    )


def iso(text: str) -> str:
    """`M/D/YYYY` turned into `YYYY-MM-DD`; anything else unchanged."""
    found = _AMERICAN.fullmatch(text.strip())
    if not found:
        return text
    month, day, year, rest = found.groups()
    return f"{year}-{int(month):02}-{int(day):02}{rest}"


def parse_date(text: str) -> str:
    """A date; a time part other than midnight is `precision_loss`."""
    stripped = text.strip()
    if stripped in INFINITE:
        return stripped
    found = _MOMENT.fullmatch(stripped)
    try:
        if not found:
            raise ValueError(stripped)
        date.fromisoformat(found["date"])
    except ValueError:
        raise _wrong(text, "a date", "2026-03-01") from None
    if (found["clock"] or "").strip("0:") or (found["fraction"] or "").strip("0"):
        raise lost_time(text)
    return found["date"]


def lost_time(text: str) -> RecordError:
    """The failure for a moment that does not fit into a date."""
    return RecordError(
        f"The value {shown(text)} has a time of day; the column keeps the date only.",
        code="precision_loss",
        value=text,
    )


def parse_timestamp(text: str, type_: ColumnType) -> str:
    """A moment in UTC; a text without zone is taken as UTC."""
    stripped = text.strip()
    if stripped in INFINITE:
        return stripped
    found = _MOMENT.fullmatch(stripped)
    try:
        if not found:
            raise ValueError(stripped)
        zone = found["zone"] or "Z"
        moment = datetime.fromisoformat(
            f"{found['date']}T{found['clock'] or '00:00:00'}{zone}"
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _wrong(text, "a time stamp", "2026-03-01 10:00:00") from None
    base = f"{moment:%Y-%m-%d %H:%M:%S}".rjust(19, "0")
    result = base + _fraction(found["fraction"], type_, text)
    return result + "+00" if type_.family is TypeFamily.TIMESTAMPTZ else result


def parse_time(text: str, type_: ColumnType) -> str:
    """A time of day."""
    found = _CLOCK.fullmatch(text.strip())
    if not found:
        raise _wrong(text, "a time of day", "10:00:00")
    hour, minute, second, fraction = found.groups()
    clock = f"{hour}:{minute}:{second or '00'}"
    digits = _fraction(fraction, type_, text)
    if (clock + digits > "24:00:00") or minute > "59" or (second or "00") > "59":
        raise _wrong(text, "a time of day", "10:00:00")
    return clock + digits


def _fraction(fraction: str | None, type_: ColumnType, text: str) -> str:
    digits = (fraction or "").rstrip("0")
    limit = fraction_digits(type_)
    if len(digits) > limit:
        raise imprecise(text, f"{limit} digits of a second")
    return f".{digits}" if digits else ""


def check_fraction(text: str, limit: int) -> str:
    """The canonical text unchanged, unless it has more digits of a second."""
    _, point, rest = text.partition(".")
    if point and len(re.split("[+ -]", rest, maxsplit=1)[0]) > limit:
        raise imprecise(text, f"{limit} digits of a second")
    return text


def midnight(zone: str) -> Callable[[str], str]:
    """From a date to its midnight; `zone` is `+00` or empty."""
    rest = MIDNIGHT + zone

    def convert(text: str) -> str:
        if len(text) == _ORDINARY_DATE:
            return text + rest
        if text in INFINITE:
            return text
        day, era, _ = text.partition(" BC")
        if int(day.split("-", 1)[0]) > _LAST_YEAR_OF_TIMESTAMPS:
            raise RecordError(
                f"The value {shown(text)} is out of range; time stamps end with the "
                f"year {_LAST_YEAR_OF_TIMESTAMPS}.",
                code="value_out_of_range",
                value=text,
            )
        return day + rest + era

    return convert


def timestamp_to_date(text: str) -> str:
    """The date of a moment at midnight (UTC)."""
    if text[_ORDINARY_DATE:] in _MIDNIGHTS:
        return text[:_ORDINARY_DATE]
    if text in INFINITE:
        return text
    moment, era, _ = text.partition(" BC")
    day, found, rest = moment.partition(MIDNIGHT)
    if not found or rest not in ("", "+00"):
        raise lost_time(text)
    return day + era


def add_zone(text: str) -> str:
    """A time stamp without zone as the same moment in UTC."""
    if text[-1] <= "9":
        return text + "+00"
    if text in INFINITE:
        return text
    moment, era, _ = text.partition(" BC")
    return f"{moment}+00{era}"


def drop_zone(text: str) -> str:
    """A moment in UTC as a time stamp without zone."""
    if text.endswith("+00"):
        return text[:-3]
    if text in INFINITE:
        return text
    moment, era, _ = text.partition(" BC")
    if not moment.endswith("+00"):
        raise RecordError(
            f"The value {shown(text)} is not given in UTC.",
            code="conversion_failed",
            value=text,
        )
    return moment[:-3] + era
