"""Replays what the journal queued, then turns the leg live (architecture 6 and 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from syncengine.connectors.base import Change, ChangeKind, Relation, Transaction
from syncengine.contests import Contest
from syncengine.live.applying import Applier
from syncengine.live.configuring import Configuration
from syncengine.live.legs import LiveLeg
from syncengine.live.overwritten import Overwritten
from syncengine.live.revived import Revived
from syncengine.live.routing import Routed, Router
from syncengine.mapping.compiled import Row
from syncengine.ports import Control, Journal, LegMode, QueuedEntry

DRAIN_ENTRIES = 2_000


class Drainer:
    """Drains legs in mode `drain`; what arrives meanwhile is queued behind."""

    def __init__(
        self,
        router: Router,
        applier: Applier,
        revived: Revived,
        overwritten: Overwritten,
        doubt: Callable[[LiveLeg, Iterable[Row]], None],
        journal: Journal,
        control: Control,
    ) -> None:
        self._router = router
        self._applier = applier
        self._revived = revived
        self._overwritten = overwritten
        self._doubt = doubt
        self._journal = journal
        self._control = control

    def draining(self, configuration: Configuration) -> list[LiveLeg]:
        """Legs that are to be drained and can be."""
        return [
            leg
            for leg in configuration.legs
            if leg.configuration.mode is LegMode.DRAIN and leg.compiled is not None
        ]

    def due(self, configuration: Configuration, seen: str) -> list[LiveLeg]:
        """Those of them that may begin: the stream has received, up to `seen`, what
        the initial copy may have read."""
        return [
            leg
            for leg in self.draining(configuration)
            if leg.configuration.drain_after <= seen
        ]

    def drain_all(self, due: Sequence[LiveLeg], ready: Callable[[], bool]) -> bool:
        """Replay one portion of each; True when a leg's mode may have changed. Queues
        that are replayed in commit order are replayed together, as one: a record and
        what it refers to may be of different maps."""
        ordered = [leg for leg in due if not leg.configuration.fold]
        if len(ordered) < 2:
            changed = [self.drain(leg, ready) for leg in due]
            return any(changed)
        folding = [leg for leg in due if leg.configuration.fold]
        changed = [self.drain(leg, ready) for leg in folding]
        return any([*changed, self._drain_together(ordered, ready)])

    def _drain_together(
        self, legs: Sequence[LiveLeg], ready: Callable[[], bool]
    ) -> bool:
        entries = self._journal.queued_together(
            [leg.configuration for leg in legs], DRAIN_ENTRIES
        )
        if not entries:
            drained = [
                ready() and self._control.drained(leg.configuration) for leg in legs
            ]
            return any(drained)
        routed: dict[str, Routed] = {}
        for leg in legs:
            own = [entry for entry in entries if _belongs(entry, leg)]
            for one in self._routed(leg, own):
                found = routed.setdefault(one.position, one)
                if found is not one:
                    found.items += one.items
        working = [routed[position] for position in sorted(routed)]
        for one in working:
            one.items.sort(key=lambda item: item.ordinal)
        working = [one for one in working if one.items]
        if working:
            self._applier.apply(working, phase="queue", position=False)
        for leg in legs:
            ids = [entry.entry_id for entry in entries if _belongs(entry, leg)]
            if ids:
                self._journal.dequeue(leg.configuration, ids)
        return False

    def _routed(self, leg: LiveLeg, entries: Sequence[QueuedEntry]) -> list[Routed]:
        """The entries of one leg, by transaction; items know their place in it."""
        ordinals = {
            position: [entry.ordinal for entry in group]
            for position, group in groupby(entries, key=lambda entry: entry.position)
        }
        routed = self._router.replay(leg, entries, _transactions(entries))
        for one in routed:
            for item in one.items:
                item.ordinal = ordinals[one.position][item.ordinal]
        return routed

    def drain(self, leg: LiveLeg, ready: Callable[[], bool]) -> bool:
        """Replay one portion; True when the leg's mode may have changed. With nothing
        left to replay the leg goes live, if `ready()` finds that it can."""
        entries = self._journal.queued(leg.configuration, DRAIN_ENTRIES)
        if not entries:
            return ready() and self._control.drained(leg.configuration)
        transactions = (
            chains(entries) if leg.configuration.fold else _transactions(entries)
        )
        routed = self._router.replay(leg, entries, transactions)
        working = [one for one in routed if one.items]
        set_back: list[Contest] = []
        if working and leg.configuration.fold:
            self._revived.remove(leg, working)
            set_back = self._overwritten.find(leg, working)
        if working:
            self._applier.apply(working, phase="queue", position=False)
        self._overwritten.settle(set_back)
        if leg.configuration.fold:
            # A user may have set a value back just as the copy read it: no image of
            # the chain tells that from what the copy wrote.
            self._doubt(leg, {i.source_key for one in working for i in one.items})
        self._journal.dequeue(leg.configuration, [e.entry_id for e in entries])
        return False


def _belongs(entry: QueuedEntry, leg: LiveLeg) -> bool:
    one = leg.configuration
    return (entry.map_id, entry.direction, entry.scope) == (
        one.map_id,
        one.direction,
        one.scope,
    )


def _transactions(entries: Sequence[QueuedEntry]) -> list[Transaction]:
    """The source transactions the entries belong to, in commit order."""
    relations: dict[tuple[str, ...], Relation] = {}
    result: list[Transaction] = []
    for position, group in groupby(entries, key=lambda entry: entry.position):
        members = list(group)
        result.append(_transaction(position, members, relations))
    return result


def chains(entries: Sequence[QueuedEntry]) -> list[Transaction]:
    """Each record's chain by itself: one record refused holds back no other."""
    relations: dict[tuple[str, ...], Relation] = {}
    return [
        _transaction(members[-1].position, members, relations)
        for members in (
            list(group) for _, group in groupby(entries, key=lambda entry: entry.key)
        )
    ]


def _transaction(
    position: str,
    entries: Sequence[QueuedEntry],
    relations: dict[tuple[str, ...], Relation],
) -> Transaction:
    changes = []
    for entry in entries:
        full = entry.old is not None or entry.kind == ChangeKind.INSERT.value
        relation = relations.get(entry.columns)
        if relation is None:
            relation = Relation("", entry.columns, full)
            relations[entry.columns] = relation
        changes.append(Change(relation, ChangeKind(entry.kind), entry.new, entry.old))
    last = entries[-1]
    return Transaction(
        position=position,
        transaction_id=last.transaction_id,
        committed_at=last.committed_at,
        changes=changes,
        size=0,
    )
