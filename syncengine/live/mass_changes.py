"""Waves of deletes or updates over a large share of a table, held for approval.

A wave is told by counting within a window, over transactions: an import that empties a
table row by row is one as well. What is held queues in commit order with everything of
its leg that follows; other maps go on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from syncengine.connectors.base import (
    ChangeKind,
    Connector,
    OperationKind,
    ReadRequest,
    Transaction,
)
from syncengine.connectors.spooling import SpooledChanges
from syncengine.live.legs import LiveLeg
from syncengine.live.routing import Item, Routed
from syncengine.mapping.compiled import CompiledLeg, Row
from syncengine.ports import Control, GuardRule, Journal, MassChange

SAMPLE = 20
DELETE, UPDATE = "delete", "update"

Wave = tuple[int, str]
"""A leg's id and the kind of change."""


@dataclass
class _Window:
    """How many changes of one wave came when, and how large the table is at least."""

    parts: deque[tuple[float, int]] = field(default_factory=deque)
    at_least: int = 0

    def count(self, seconds: float) -> int:
        """Those of the last seconds."""
        oldest = time.monotonic() - seconds
        while self.parts and self.parts[0][0] < oldest:
            self.parts.popleft()
            self.at_least = 0
        return sum(number for _, number in self.parts)

    def add(self, number: int) -> None:
        """So many more, now."""
        self.parts.append((time.monotonic(), number))


class MassChangeGuard:
    """Counts what is about to be written and has waves held by the control."""

    def __init__(self, target: Connector, control: Control, journal: Journal) -> None:
        self._target = target
        self._control = control
        self._journal = journal
        self._windows: dict[Wave, _Window] = {}
        self._counted = ""
        self._drains: set[int] = set()

    def holds(self, routed: Sequence[Routed]) -> bool:
        """True when a leg is held now: route these transactions anew."""
        waves: dict[Wave, list[Item]] = {}
        for one in routed:
            if one.position <= self._counted:
                continue
            for item in one.items:
                rule = item.leg.configuration.guard
                kind = _kind(item, rule) if rule is not None else ""
                if kind and one.position > item.leg.configuration.approved_through:
                    wave = (item.leg.configuration.leg_id, kind)
                    waves.setdefault(wave, []).append(item)
        held = False
        for (_, kind), items in waves.items():
            keys = tuple(item.source_key for item in items[:SAMPLE])
            held |= self._hold(items[0].leg, kind, len(items), keys)
        if routed:
            self._counted = max(self._counted, routed[-1].position)
        return held

    def holds_large(
        self, transaction: Transaction, by_table: Mapping[str, Sequence[LiveLeg]]
    ) -> bool:
        """The same for one large transaction, by its changes of each table."""
        changes = transaction.changes
        if transaction.position <= self._counted or not isinstance(
            changes, SpooledChanges
        ):
            return False
        held = False
        for (table, kind), number in changes.kinds.items():
            word = _WORDS.get(kind)
            for leg in by_table.get(table, ()) if word else ():
                configuration = leg.configuration
                if transaction.position > configuration.approved_through:
                    held |= self._hold(leg, word or "", number, ())
        self._counted = transaction.position
        return held

    def holds_queues(self, legs: Sequence[LiveLeg]) -> bool:
        """The same for queues that are about to be carried over after a pause; looked
        at once."""
        present = {leg.configuration.leg_id for leg in legs}
        self._drains &= present
        held = False
        for leg in legs:
            configuration = leg.configuration
            if configuration.leg_id in self._drains or configuration.guard is None:
                continue
            self._drains.add(configuration.leg_id)
            if configuration.fold:
                continue  # the copy before it made both sides equal
            for kind, number in self._journal.queued_kinds(configuration).items():
                held |= self._hold(leg, kind, number, ())
        return held

    def _hold(
        self, leg: LiveLeg, kind: str, number: int, keys: tuple[Row, ...]
    ) -> bool:
        rule, compiled = leg.configuration.guard, leg.compiled
        if rule is None or compiled is None:
            return False
        percent = rule.percent(kind)
        window = self._windows.setdefault((leg.configuration.leg_id, kind), _Window())
        before = window.count(rule.window_seconds)
        total = before + number
        if percent and total >= rule.rows:
            needed = 100 * total // percent
            if window.at_least < needed:
                # Rows deleted within the window belonged to the table as well.
                gone = before if kind == DELETE else 0
                window.at_least = gone + self._rows(compiled, 2 * needed)
            if 100 * total > percent * window.at_least:
                wave = MassChange(kind, total, window.at_least, keys)
                self._control.hold(leg.configuration, wave)
                del self._windows[leg.configuration.leg_id, kind]
                return True
        window.add(number)
        return False

    def _rows(self, leg: CompiledLeg, at_most: int) -> int:
        """Rows of the target's table in the map's companies, counted that far."""
        request = ReadRequest(
            table=leg.target.name,
            columns=(),
            company=leg.target_company,
            companies=tuple(leg.companies.values()),
        )
        with self._target.reader() as reader:
            return reader.count(request, at_most)


_WORDS = {ChangeKind.DELETE: DELETE, ChangeKind.UPDATE: UPDATE}


def _kind(item: Item, rule: GuardRule) -> str:
    if item.kind is OperationKind.DELETE:
        return DELETE
    if rule.updates_percent and item.base is not None:
        return UPDATE
    return ""
