"""Parking: refused records become entries of the error list, everything else goes on.

Architecture section 6, step 4. With `on_error: transaction` the other records of the
refused one's source transaction wait with it; they say so and name the culprit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from syncengine.awaiting import awaited
from syncengine.connectors.base import OperationKind, is_part
from syncengine.errors import EngineError
from syncengine.live.routing import Item, Refusal, Routed
from syncengine.mapping.causes import HELD, Recovery, recovery_of
from syncengine.mapping.compiled import Row, named_values, salvaged_values
from syncengine.mapping.dangling import shown_key
from syncengine.mapping.model import OnError
from syncengine.ports import RecordFailure

WHOLE_TRANSACTION_LIMIT = 1_000
"""Larger source transactions always isolate by record."""


def failures_of(
    routed: Routed, refused: Mapping[Item, Refusal], phase: str
) -> list[RecordFailure]:
    """Failures for the refused items and, where the map says so, for the rest of
    their transaction. Marks all of them parked."""
    waiting = [item for item in routed.items if not item.parked]
    parked = [item for item in waiting if item in refused or item.refusal is not None]
    whole = (
        len(routed.items) <= WHOLE_TRANSACTION_LIMIT
        and not is_part(routed.position)
        and any(_holds_transaction(item) for item in parked)
    )
    reasons = {item: refused.get(item) or item.refusal for item in parked}
    first = parked[0] if parked else None
    # What waits for a record may wait for one that is held back because of it.
    polled = all(
        recovery_of(reason.code) is Recovery.WAITING
        for reason in reasons.values()
        if reason is not None
    )
    result: list[RecordFailure] = []
    for item in waiting:
        reason = reasons.get(item)
        if reason is None:
            if not whole or first is None:
                continue
            reason = _held(first, reasons[first])
        item.parked = True
        item.leg.has_errors = True
        item.leg.open_keys.add(item.source_key)
        failure = _failure(routed, item, reason, phase)
        result.append(replace(failure, polled=polled and item not in reasons))
    return _last_per_record(result)


def _holds_transaction(item: Item) -> bool:
    return item.leg.configuration.table_map.on_error is OnError.TRANSACTION


def _held(culprit: Item, reason: Refusal | None) -> Refusal:
    name = shown_key(culprit.source_key)
    why = reason.message if reason else ""
    return Refusal(
        HELD,
        f"Waits because record {name} of map {culprit.leg.configuration.table_map.name}"
        f", changed in the same transaction, was refused: {why}",
    )


def _failure(routed: Routed, item: Item, reason: Refusal, phase: str) -> RecordFailure:
    configuration = item.leg.configuration
    return RecordFailure(
        map_id=configuration.map_id,
        direction=configuration.direction,
        phase=phase,
        key=item.source_key,
        code=reason.code,
        message=reason.message,
        column=reason.column,
        remote=reason.remote,
        operation=item.kind.value,
        group=f"{routed.position}/{routed.transaction.transaction_id}",
        position=routed.position,
        source_row=dict(zip(item.columns, item.source_row, strict=True)),
        mapped_row=mapped_values(item),
        awaits=_awaited(item, reason),
    )


def _awaited(item: Item, reason: Refusal) -> str:
    leg = item.leg.compiled
    if leg is None:
        return ""
    return awaited(leg, item.row, reason.code, reason.column, reason.references)


def mapped_values(item: Item) -> dict[str, str | None]:
    """What would have been written, by target column path; of a record that cannot be
    mapped, what could be made of it all the same."""
    leg = item.leg.compiled
    if leg is None:
        return {}
    if item.row is not None:
        return named_values(leg.slots, item.row)
    if item.refusal is None or item.kind is not OperationKind.UPSERT:
        return {}
    try:
        bound = leg.bind(item.columns)
    except EngineError:
        return {}
    return salvaged_values(bound, item.source_row, item.leg.resolved)


def _last_per_record(failures: Sequence[RecordFailure]) -> list[RecordFailure]:
    """One failure per record; a refusal says more than being held."""
    kept: dict[tuple[int, str, Row], RecordFailure] = {}
    for failure in failures:
        key = (failure.map_id, failure.direction.value, failure.key)
        former = kept.get(key)
        if former is None or failure.code != HELD or former.code == HELD:
            kept[key] = failure
    return list(kept.values())
