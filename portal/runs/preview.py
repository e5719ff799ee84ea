"""Trying a map on single records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from portal.maps.models import TableMap
from portal.refusals import NotFound, Refusal
from portal.runs.legs import load_legs
from syncengine.mapping.model import Direction
from syncengine.mapping.model import TableMap as Definition
from syncengine.preview import PreviewRecord, preview

SAMPLE, MOST = 5, 50
"""How many records a preview shows, and how many it may."""


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
    draft: Definition | None = None,
) -> Preview:
    """Try the map (or a `draft` of it) on the record of `key`, or on some records, in
    both directions or the one. Writes nothing. Raises NotFound when no side has a
    record of that key in scope."""
    legs = load_legs(table_map, draft=draft)
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
