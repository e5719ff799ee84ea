"""Changes set aside when a map skipped to live: carried over later, record by record,
never over newer data.

A record's changes that were set aside are one chain: what they found and made of it is
what the target may hold and still be overwritten; anything else there is a conflict,
settled from present state. A live change of such a record takes its chain along.
"""

from __future__ import annotations

from collections.abc import Sequence

from syncengine.connectors.base import OperationKind, Reader
from syncengine.errors import EngineError
from syncengine.live.applying import Applier
from syncengine.live.configuring import Configuration
from syncengine.live.draining import chains
from syncengine.live.legs import LiveLeg, record_request
from syncengine.live.routing import Item, Routed, Router, refusal_of
from syncengine.mapping.compiled import CompiledLeg, Resolved, Row
from syncengine.mapping.model import Direction
from syncengine.ports import Control, Journal, LegMode, QueuedEntry

KEYS_AT_ONCE = 500

LegKey = tuple[int, Direction, int]


class SetAside:
    """The changes set aside of one stream's legs."""

    def __init__(
        self,
        router: Router,
        reader: Reader,
        applier: Applier,
        journal: Journal,
        control: Control,
    ) -> None:
        self._router = router
        self._reader = reader
        self._applier = applier
        self._journal = journal
        self._control = control
        self._keys: dict[LegKey, set[Row]] = {}
        self._joined: list[tuple[LiveLeg, Sequence[QueuedEntry]]] = []

    def use(self, configuration: Configuration) -> None:
        """Know which records of these legs have changes set aside."""
        self._keys = {
            _key(leg): self._journal.set_aside_keys(leg.configuration)
            for leg in configuration.legs
            if leg.configuration.set_aside and leg.compiled is not None
        }

    def join(self, working: list[Routed]) -> list[Routed]:
        """The live changes, after the chains of the records they change."""
        self._joined.clear()
        if not self._keys:
            return working
        wanted: dict[int, tuple[LiveLeg, dict[Row, None]]] = {}
        for routed in working:
            for item in routed.items:
                if item.source_key in self._keys.get(_key(item.leg), ()):
                    found = wanted.setdefault(id(item.leg), (item.leg, {}))
                    found[1][item.source_key] = None
        before: list[Routed] = []
        for leg, keys in wanted.values():
            entries = self._journal.set_aside(leg.configuration, list(keys), len(keys))
            self._joined.append((leg, entries))
            before += self._chains(leg, entries)
        return before + working

    def joined(self) -> None:
        """What `join` took along is on the target, or in the error list."""
        for leg, entries in self._joined:
            self._forget(leg, entries)
        self._joined.clear()

    def replay(self, configuration: Configuration) -> bool:
        """Carry over a portion of what is asked for; true while there may be more."""
        legs = [
            leg
            for leg in configuration.legs
            if leg.configuration.replay
            and leg.configuration.mode is LegMode.LIVE
            and leg.compiled is not None
        ]
        for leg in legs:
            entries = self._journal.set_aside(leg.configuration, None, KEYS_AT_ONCE)
            if not entries:
                self._control.replayed(leg.configuration)
                continue
            routed = self._chains(leg, entries)
            self._end_as_now(leg, routed)
            if routed:
                self._applier.apply(routed, phase="queue", position=False)
            self._forget(leg, entries)
        return bool(legs)

    def _chains(self, leg: LiveLeg, entries: Sequence[QueuedEntry]) -> list[Routed]:
        routed = self._router.replay(leg, entries, chains(entries))
        return [one for one in routed if one.items]

    def _forget(self, leg: LiveLeg, entries: Sequence[QueuedEntry]) -> None:
        self._journal.forget_set_aside(
            leg.configuration, [entry.entry_id for entry in entries]
        )
        known = self._keys.get(_key(leg))
        if known is not None:
            known.difference_update(entry.key for entry in entries)

    def _end_as_now(self, leg: LiveLeg, routed: Sequence[Routed]) -> None:
        """Let each chain end in what its source holds now: later changes have gone
        their own way."""
        compiled = leg.compiled
        if compiled is None or not routed:
            return
        keys = [one.items[-1].source_key for one in routed]
        bound = compiled.bind(compiled.source_paths)
        resolved: Resolved = tuple({} for _ in compiled.source_lookups)
        present = {
            bound.source_key(row, resolved): row
            for row in self._reader.fetch(record_request(compiled), keys)
        }
        for one in routed:
            last = one.items[-1]
            row = present.get(last.source_key)
            if row is not None:
                one.items.append(_written(leg, compiled, row, last))
            elif last.kind is not OperationKind.DELETE:
                one.items.append(_deleted(last))


def _key(leg: LiveLeg) -> LegKey:
    one = leg.configuration
    return one.map_id, one.direction, one.scope


def _written(leg: LiveLeg, compiled: CompiledLeg, row: Row, last: Item) -> Item:
    bound = compiled.bind(compiled.source_paths)
    resolved: Resolved = tuple({} for _ in compiled.source_lookups)
    item = Item(
        leg=leg,
        kind=OperationKind.UPSERT,
        source_key=last.source_key,
        columns=compiled.source_paths,
        source_row=row,
    )
    try:
        item.row = bound.map(row, resolved)
        item.key = compiled.key_of(item.row)
    except EngineError as error:
        item.refusal = refusal_of(error)
    return item


def _deleted(last: Item) -> Item:
    return Item(
        leg=last.leg,
        kind=OperationKind.DELETE,
        source_key=last.source_key,
        columns=last.columns,
        source_row=last.source_row,
        key=last.key,
    )
