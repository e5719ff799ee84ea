"""What a refused record waits for, and whom a record that arrives lets go on.

Both sides of the meeting are a short text, the token: natural key values and company
of the record that is missing. A leg whose records wait keeps tokens with its errors;
a leg that writes the table they refer to reads the same token off each row it writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from syncengine.mapping.causes import REFERENCE_MISSING, STILL_REFERENCED
from syncengine.mapping.compiled import CompiledLeg, Lookup, Row
from syncengine.mapping.model import Direction
from syncengine.mapping.natural_keys import own_key
from syncengine.mapping.schema import ForeignKey

FREED = "\x1efreed"
"""What records wait for that others still refer to: that any of these goes, or refers
to another one. Which, the target does not say."""

LONGEST = 200
"""Longer tokens are kept as a digest, so that they can be indexed."""

LegId = tuple[int, Direction]
"""A leg by map and direction."""

ReadToken = Callable[[Row], str]
"""The token of a written row, empty when it has none."""


def awaited(
    leg: CompiledLeg,
    row: Row | None,
    code: str,
    column: str,
    references: Sequence[str] = (),
) -> str:
    """The token of the record that a refused mapped row waits for; empty when it waits
    for none, or for one that cannot be told. `references` are the columns of a foreign
    key that led nowhere."""
    if code == STILL_REFERENCED:
        return FREED
    if row is None:
        return ""
    if code == "lookup_not_found":
        for index, slot in enumerate(leg.slots):
            if slot.lookup is not None and slot.path == column:
                company = _company(leg, slot.lookup, row)
                return _token([row[index]], company)
        return ""
    if code == REFERENCE_MISSING and references:
        slots = [_plain_slot(leg, name) for name in references]
        found = [index for index in slots if index is not None]
        if len(found) == len(references):
            return _token([row[index] for index in found], None)
    return ""


@dataclass
class Arrivals:
    """Who is to be told of the rows of which leg. `waiting` are the legs that have
    errors with a token; while it is empty, arrivals cost nothing."""

    waiting: set[LegId] = field(default_factory=set)
    _readers: dict[int, list[tuple[LegId, ReadToken]]] = field(default_factory=dict)
    _referred: dict[int, list[LegId]] = field(default_factory=dict)

    def use(self, legs: Iterable[tuple[LegId, CompiledLeg]]) -> None:
        """Watch these legs (those of one stream) from now on."""
        known = list(legs)
        self._readers, self._referred = {}, {}
        for _, writer in known:
            tables = {one.table for one in writer.target.foreign_keys}
            self._referred[id(writer)] = [
                leg_id for leg_id, leg in known if leg.target.name in tables
            ]
            readers = [
                (leg_id, read)
                for leg_id, waiter in known
                for read in _readers(waiter, writer)
            ]
            if readers:
                self._readers[id(writer)] = readers

    def freed_by(self, writer: CompiledLeg) -> list[LegId]:
        """The legs whose records may be let go by a row of this leg that was changed
        or deleted."""
        return [
            one for one in self._referred.get(id(writer), ()) if one in self.waiting
        ]

    def concern(self, writer: CompiledLeg) -> bool:
        """True when somebody may wait for a row of this leg."""
        return bool(self.waiting) and any(
            leg_id in self.waiting for leg_id, _ in self._readers.get(id(writer), ())
        )

    def of(self, writer: CompiledLeg, rows: Iterable[Row]) -> dict[LegId, set[str]]:
        """Tokens of rows that were written, by the leg that may wait for them."""
        readers = [
            (leg_id, read)
            for leg_id, read in self._readers.get(id(writer), ())
            if leg_id in self.waiting
        ]
        found: dict[LegId, set[str]] = {}
        if not readers:
            return found
        for row in rows:
            for leg_id, read in readers:
                token = read(row)
                if token:
                    found.setdefault(leg_id, set()).add(token)
        return found


def _readers(waiter: CompiledLeg, writer: CompiledLeg) -> list[ReadToken]:
    """How rows of `writer` read as what rows of `waiter` may wait for."""
    table = writer.target.name
    found: list[ReadToken] = []
    for slot in waiter.slots:
        if slot.lookup is not None and table in slot.lookup.tables:
            key = own_key(writer, slot.lookup)
            if key is not None:
                found.append(_lookup_reader(writer, slot.lookup, key))
    for foreign_key in waiter.target.foreign_keys:
        if foreign_key.table == table:
            read = _foreign_reader(writer, foreign_key)
            if read is not None:
                found.append(read)
    return found


def _lookup_reader(
    writer: CompiledLeg, lookup: Lookup, key: Callable[[Row], str | None]
) -> ReadToken:
    return lambda row: _token([key(row)], _company(writer, lookup, row))


def _foreign_reader(writer: CompiledLeg, foreign_key: ForeignKey) -> ReadToken | None:
    slots = [_plain_slot(writer, name) for name in foreign_key.target_columns]
    found = [index for index in slots if index is not None]
    if len(found) < len(slots):
        return None
    return lambda row: _token([row[index] for index in found], None)


def _plain_slot(leg: CompiledLeg, column: str) -> int | None:
    for index, slot in enumerate(leg.slots):
        if slot.lookup is None and slot.column == column:
            return index
    return None


def _company(leg: CompiledLeg, lookup: Lookup, row: Row) -> str | None:
    if not lookup.scoped or leg.company is None:
        return None
    return row[leg.company]


def _token(values: Sequence[str | None], company: str | None) -> str:
    if any(value is None for value in values):
        return ""
    text = "\x1f".join([value or "" for value in values] + [company or ""])
    if len(text) <= LONGEST:
        return text
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
