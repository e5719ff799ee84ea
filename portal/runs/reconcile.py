"""Comparing and repairing a map, and trying it on single records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from portal.activity import services as activity
from portal.maps.models import MapState, TableMap
from portal.refusals import NotFound, Refusal
from portal.runs.legs import MapLegs, load_legs
from syncengine.mapping.model import Direction, Side
from syncengine.preview import PreviewRecord, preview
from syncengine.reconcile import CompareResult, Difference, compare
from syncengine.repair import RepairResult, repair

if TYPE_CHECKING:
    from portal.accounts.models import User

Progress = Callable[[int], None]
EXAMPLES = 20
SAMPLE, MOST = 5, 50
"""How many records a preview shows, and how many it may."""


@dataclass(frozen=True)
class Comparison:
    """What was found, and, after a repair, what was written."""

    table_map: TableMap
    found: CompareResult
    repaired: RepairResult | None = None

    @property
    def in_step(self) -> bool:
        """True when nothing differs (any more)."""
        if self.repaired is None:
            return self.found.compared == self.found.equal
        return not (self.repaired.extra or self.repaired.failures)

    def document(self) -> dict[str, Any]:
        """The document of `dw compare --json`."""
        document: dict[str, Any] = {
            "map": self.table_map.name,
            "compared": self.found.compared,
            "equal": self.found.equal,
            "missing_in_finops": self.found.missing_in_finops,
            "missing_in_dataverse": self.found.missing_in_dataverse,
            "different": self.found.different,
            "examples": [_example(one) for one in self.found.examples],
        }
        if self.repaired is not None:
            document["repaired"] = {
                "inserted": self.repaired.inserted,
                "updated": self.repaired.updated,
                "unchanged": self.repaired.unchanged,
                "extra": self.repaired.extra,
                "failed": len(self.repaired.failures),
                "failures": [
                    {
                        "key": list(failure.key),
                        "code": failure.code,
                        "column": failure.column,
                        "message": failure.message,
                    }
                    for failure in self.repaired.failures[:EXAMPLES]
                ],
            }
        return document


def _example(one: Difference) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "key": list(one.key),
        "reason": one.reason,
        "columns": [
            {
                "column": column.column,
                "finops": column.finops,
                "dataverse": column.dataverse,
            }
            for column in one.columns
        ],
    }


def compare_map(
    table_map: TableMap,
    *,
    winner: Side | str | None = None,
    user: User | None = None,
    on_progress: Progress | None = None,
) -> Comparison:
    """Compare both sides of a map; with a `winner`, write its rows over what differs
    or is missing on the other side. Records only the losing side has stay."""
    legs = load_legs(table_map)
    connectors = legs.connectors
    if winner is None:
        found = compare(
            connectors[Side.FINOPS],
            connectors[Side.DATAVERSE],
            legs.to_dataverse,
            legs.to_finops,
            on_progress=on_progress,
            max_examples=EXAMPLES,
        )
        return Comparison(table_map, found)
    return _repair(table_map, legs, Side(winner), user, on_progress)


def _repair(
    table_map: TableMap,
    legs: MapLegs,
    winner: Side,
    user: User | None,
    on_progress: Progress | None,
) -> Comparison:
    if table_map.state == MapState.INITIALIZING:
        raise Refusal(
            f"{table_map.name} is Initializing: wait for its initial sync before "
            "repairing.",
            code="action_forbidden",
        )
    writer = legs.connectors[winner.other].writer(legs.link)
    try:
        repaired = repair(
            legs.connectors[Side.FINOPS],
            legs.connectors[Side.DATAVERSE],
            legs.to_dataverse,
            legs.to_finops,
            winner=winner,
            writer=writer,
            on_progress=on_progress,
            max_examples=EXAMPLES,
        )
    finally:
        writer.close()
    activity.record(
        "map.repaired",
        f"{table_map.name}: repaired from {winner.value}: {repaired.inserted} "
        f"inserted, {repaired.updated} updated, {len(repaired.failures)} failed.",
        user=user,
        table_map=table_map,
        details={"winner": winner.value},
    )
    return Comparison(table_map, repaired.found, repaired)


@dataclass(frozen=True)
class Preview:
    """What a map would do, by direction."""

    table_map: TableMap
    records: dict[str, list[PreviewRecord]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The document of `dw preview --json`."""
        return {
            "map": self.table_map.name,
            "directions": [
                {
                    "direction": direction,
                    "records": [_preview_row(record) for record in records],
                }
                for direction, records in self.records.items()
            ],
        }


def _preview_row(record: PreviewRecord) -> dict[str, Any]:
    error = None
    if record.error_code:
        error = {
            "code": record.error_code,
            "column": record.error_column,
            "message": record.error,
        }
    return {
        "key": list(record.key),
        "source": record.source,
        "result": None
        if record.error_code
        else {column.column: column.result for column in record.columns},
        "columns": [
            {
                "column": column.column,
                "source": column.source,
                "value": column.value,
                "rule": column.rule.value,
                "result": column.result,
                "present": column.present,
            }
            for column in record.columns
        ],
        "target": record.target,
        "differences": list(record.differences),
        "error": error,
    }


def preview_map(
    table_map: TableMap,
    key: str | None = None,
    *,
    direction: Direction | None = None,
    sample: int = SAMPLE,
) -> Preview:
    """Try the map on the record of `key`, or on some records, in both directions or
    the one. Writes nothing. Raises NotFound when no side has a record of that key in
    scope."""
    legs = load_legs(table_map)
    records = {
        way.value: preview(
            legs.connectors[way.source],
            legs.connectors[way.target],
            leg,
            key=key,
            limit=sample,
        )
        for way, leg in legs.legs.items()
        if direction in (None, way)
    }
    if not records:
        raise Refusal(
            f"{table_map.name} carries nothing over in that direction.",
            code="no_such_direction",
        )
    if key is not None and not any(records.values()):
        leg = legs.legs[direction or next(iter(legs.legs))]
        raise NotFound(
            f"{table_map.name} has no record with the key {key} in its scope; a key "
            f"is written as {' / '.join(leg.source_key)}."
        )
    return Preview(table_map, records)
