"""Retries from present state: a late retry can never overwrite newer data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from syncengine.connectors.base import OperationKind, Reader, ReadRequest, Transaction
from syncengine.errors import EngineError
from syncengine.live.applying import Applier
from syncengine.live.configuring import Configuration
from syncengine.live.legs import LiveLeg, record_request
from syncengine.live.routing import Item, Routed, refusal_of
from syncengine.mapping.compiled import CompiledLeg, Row
from syncengine.mapping.dangling import dangles, reference_of
from syncengine.ports import Journal, LegMode, RetryRequest

MOST_AT_ONCE = 2_000
FEWEST_AT_ONCE = 50
REMEMBERED = 100_000
"""A portion that is refused is halved again and again, while changes wait behind it:
portions shrink while much of them is refused, and grow while all goes well."""


class Retrier:
    """Tries records of the error list again, as the source has them now, and as the
    maps are now: who mends a map and asks for a retry means the mended one. `outdated`
    tells that maps have changed since they were last taken over."""

    def __init__(
        self,
        reader: Reader,
        applier: Applier,
        journal: Journal,
        outdated: Callable[[], bool],
    ) -> None:
        self._reader = reader
        self._applier = applier
        self._journal = journal
        self._outdated = outdated
        self._portion = MOST_AT_ONCE

    def run(self, configuration: Configuration) -> bool:
        """Try a portion of what is due; True when more is likely to be due now. Raises
        OutageError and TransientError; the rest of the portion stays due then."""
        requests = self._journal.retries(self._portion)
        if requests and self._outdated():
            return True
        due: dict[int, tuple[LiveLeg, list[RetryRequest]]] = {}
        for request in requests:
            leg = configuration.leg_of(request.map_id, request.direction, request.key)
            if leg is None or leg.compiled is None:
                continue
            if leg.configuration.mode is not LegMode.LIVE:
                continue
            due.setdefault(id(leg), (leg, []))[1].append(request)
        more = bool(due) and len(requests) == self._portion
        refused = sum(self._retry(leg, chosen) for leg, chosen in due.values())
        if refused * 10 > len(requests):
            self._portion = max(FEWEST_AT_ONCE, self._portion // 4)
        else:
            self._portion = min(MOST_AT_ONCE, self._portion * 2)
        return more

    def _retry(self, leg: LiveLeg, requests: Sequence[RetryRequest]) -> int:
        """Try records of one leg; gives how many were refused again."""
        compiled = leg.compiled
        if compiled is None:
            return 0
        requests = self._found(leg, compiled, requests)
        keys = [request.key for request in requests]
        rows = self._present(compiled, keys)
        batch: list[Routed] = []
        gone: list[Row] = []
        leg.has_errors = True
        for request in requests:
            present = rows.get(request.key, [])
            items = [
                self._item(leg, compiled, row, request) for row in present
            ] or self._gone(leg, compiled, request)
            if not items:
                gone.append(request.key)
                continue
            leg.open_keys.add(request.key)
            batch.append(_alone(request, items))
        if gone:
            configuration = leg.configuration
            self._journal.close_failures(
                configuration.map_id, configuration.direction, gone, "resolved"
            )
            leg.open_keys.difference_update(gone)
        if batch:
            self._applier.apply(batch, phase="retry", position=False)
            _remember(leg, batch)
        return sum(any(item.parked for item in routed.items) for routed in batch)

    def _found(
        self, leg: LiveLeg, compiled: CompiledLeg, requests: Sequence[RetryRequest]
    ) -> list[RetryRequest]:
        """The requests by keys that can be read: a reference that led nowhere when the
        record failed may lead to a key now. The others wait on."""
        lost = [request for request in requests if dangles(request.key)]
        if not lost:
            return list(requests)
        found = [request for request in requests if not dangles(request.key)]
        keys = self._resolved(compiled, [request.key for request in lost])
        still = [one for one in lost if dangles(keys[one.key])]
        if still:
            self._wait_on(leg, compiled, still)
        mended = {one.error_id: keys[one.key] for one in lost if one not in still}
        if mended:
            self._journal.rename_failures(mended)
        found += [
            replace(one, key=mended[one.error_id])
            for one in lost
            if one.error_id in mended
        ]
        return list({one.key: one for one in found}.values())

    def _wait_on(
        self, leg: LiveLeg, compiled: CompiledLeg, lost: Sequence[RetryRequest]
    ) -> None:
        """Put off what still refers to nothing; what is no more has nothing to wait
        for, unless it was a delete that failed."""
        present = self._still_there(compiled, lost)
        gone = [
            one.key
            for one in lost
            if one.operation != OperationKind.DELETE.value and one.key not in present
        ]
        if gone:
            self._journal.close_failures(*leg.id, gone, "resolved")
        waiting = [one.error_id for one in lost if one.key not in set(gone)]
        if waiting:
            self._journal.put_off(waiting)

    def _still_there(
        self, leg: CompiledLeg, requests: Sequence[RetryRequest]
    ) -> set[Row]:
        """Keys of rows that are on the source, found by their references."""
        columns = {lookup.path: lookup.column for lookup in leg.source_lookups}
        by_paths: dict[tuple[str, ...], dict[Row, Row]] = defaultdict(dict)
        for request in requests:
            references = [reference_of(part) for part in request.key]
            paths = tuple(
                path if reference is None else columns.get(path, path)
                for path, reference in zip(leg.source_key, references, strict=True)
            )
            values = tuple(
                part if reference is None else reference
                for part, reference in zip(request.key, references, strict=True)
            )
            by_paths[paths][values] = request.key
        found: set[Row] = set()
        for paths, keys in by_paths.items():
            asked = ReadRequest(leg.source.name, paths, leg.source_lookups, key=paths)
            rows = self._reader.fetch(asked, list(keys))
            found.update(keys[row] for row in rows if row in keys)
        return found

    def _resolved(self, leg: CompiledLeg, keys: Sequence[Row]) -> dict[Row, Row]:
        lookups = {lookup.path: lookup for lookup in leg.source_lookups}
        known: list[dict[str, str | None]] = []
        for place, path in enumerate(leg.source_key):
            references = {
                reference
                for key in keys
                if (reference := reference_of(key[place])) is not None
            }
            lookup = lookups.get(path)
            known.append(
                self._reader.resolve(lookup, sorted(references))
                if lookup is not None and references
                else {}
            )
        return {
            key: tuple(
                part
                if (reference := reference_of(part)) is None
                # What refers to a record without a key has none either.
                else entries.get(reference, part)
                for part, entries in zip(key, known, strict=True)
            )
            for key in keys
        }

    def _present(self, leg: CompiledLeg, keys: Sequence[Row]) -> dict[Row, list[Row]]:
        bound = leg.bind(leg.source_paths)
        joined: list[dict[str, str | None]] = [{} for _ in leg.source_lookups]
        rows: dict[Row, list[Row]] = defaultdict(list)
        for row in self._reader.fetch(record_request(leg), keys):
            rows[bound.source_key(row, joined)].append(row)
        return rows

    def _item(
        self, leg: LiveLeg, compiled: CompiledLeg, row: Row, request: RetryRequest
    ) -> Item:
        bound = compiled.bind(compiled.source_paths)
        joined: list[dict[str, str | None]] = [{} for _ in compiled.source_lookups]
        item = Item(
            leg=leg,
            kind=OperationKind.UPSERT,
            source_key=request.key,
            columns=compiled.source_paths,
            source_row=row,
            force=True,
        )
        try:
            item.row = bound.map(row, joined)
            item.key = compiled.key_of(item.row)
        except EngineError as error:
            item.refusal = refusal_of(error)
        return item

    def _gone(
        self, leg: LiveLeg, compiled: CompiledLeg, request: RetryRequest
    ) -> list[Item]:
        """The source row is no more (or out of scope): nothing is to be done, and the
        error is settled. A delete that failed is tried again as such."""
        if request.operation != OperationKind.DELETE.value:
            return []
        paths = compiled.source_paths
        known = dict(zip(compiled.source_key, request.key, strict=True))
        row = tuple(known.get(path) for path in paths)
        item = Item(
            leg=leg,
            kind=OperationKind.DELETE,
            source_key=request.key,
            columns=paths,
            source_row=row,
            force=True,
        )
        try:
            joined: list[dict[str, str | None]] = [{} for _ in compiled.source_lookups]
            item.key = compiled.bind(paths).key(row, joined)
        except EngineError as error:
            item.refusal = refusal_of(error)
        return [item]


def _remember(leg: LiveLeg, batch: Sequence[Routed]) -> None:
    if len(leg.retried) > REMEMBERED:
        leg.retried.clear()
    for routed in batch:
        for item in routed.items:
            if item.row is not None and not item.parked:
                leg.retried[item.source_key] = item.row


def _alone(request: RetryRequest, items: list[Item]) -> Routed:
    """A record by itself, so that one refused record holds back no other."""
    transaction = Transaction(
        position="",
        transaction_id=f"retry {request.error_id}",
        committed_at=datetime.now(UTC),
        changes=[],
        size=0,
    )
    return Routed("", transaction, items)
