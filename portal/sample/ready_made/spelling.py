"""How the own parts of keys are spelled: words of the real world, numbered codes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from portal.sample.ready_made import vocabulary
from portal.sample.ready_made.kinds import Kind
from portal.sample.ready_made.values import FIRST_DAY, FIRST_MOMENT
from syncengine.catalog import CatalogEntry

FIRST_RECORD_ID = 5_637_144_576


def spelling(entry: CatalogEntry, column: str, kind: Kind) -> Callable[[int], str]:
    """How the nth key of a column is spelled."""
    if kind is Kind.INTEGER:
        return lambda n: str(n + 1)
    if kind is Kind.BIG_INTEGER:
        return lambda n: str(FIRST_RECORD_ID + n)
    if kind is Kind.DATE:
        return lambda n: str(FIRST_DAY + timedelta(days=n))
    if kind is Kind.MOMENT:
        return lambda n: _moment(FIRST_MOMENT + timedelta(hours=n))
    known = vocabulary.KEY_WORDS.get((entry.finops_table, column))
    if known is not None:
        return lambda n: _word(known, n)
    prefix = vocabulary.CODES.get((entry.name, column))
    if prefix is None:
        letters = re.sub(r"ID$|CODE$|NUMBER$|[AEIOU_]", "", column)
        prefix = f"{letters[:4]}-"
    if prefix.endswith(" "):
        return lambda n: f"{prefix}{n + 1}"
    return lambda n: f"{prefix}{n + 1:05d}"


def _word(known: tuple[str, ...], n: int) -> str:
    again, place = divmod(n, len(known))
    return f"{known[place]} {again + 1}" if again else known[place]


def _moment(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S+00}"
