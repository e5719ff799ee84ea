"""What a map would do with present records, without writing anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from syncengine.connectors.base import Connector, Reader, ReadRequest
from syncengine.counterparts import slot_path
from syncengine.errors import RecordError
from syncengine.initial import has_rows, read_request
from syncengine.mapping.compiled import BoundLeg, CompiledLeg, Resolved, Row
from syncengine.mapping.types import equal


@dataclass(frozen=True, slots=True)
class PreviewColumn:
    """A column the leg writes: what it would become, and what it is now."""

    column: str
    result: str | None
    present: str | None
    differs: bool


@dataclass(frozen=True, slots=True)
class PreviewRecord:
    """One source record. `target` is None when the other side has no such record;
    with an `error` there is no result, and `error_column` names the culprit."""

    key: Row
    source: dict[str, str | None]
    target: dict[str, str | None] | None = None
    columns: tuple[PreviewColumn, ...] = ()
    error_code: str = ""
    error: str = ""
    error_column: str = ""
    differences: tuple[str, ...] = field(default=())


def split_key(text: str, leg: CompiledLeg) -> list[Row]:
    """Source keys that `text` may mean: its parts are joined by ` / ` and a company,
    which comes first, may be left out."""
    parts = tuple(part.strip() for part in text.split(" / "))
    if leg.company is not None and len(parts) == len(leg.source_key) - 1:
        return [(company, *parts) for company in leg.companies]
    return [parts] if len(parts) == len(leg.source_key) else []


def preview(
    source: Connector,
    target: Connector,
    leg: CompiledLeg,
    *,
    key: str | None = None,
    limit: int = 5,
) -> list[PreviewRecord]:
    """Map the record of `key`, or the first few in scope, and set each beside what
    the target holds. Reads only."""
    if not has_rows(leg):
        return []
    request = read_request(leg)
    with source.reader() as reader:
        rows = _rows(reader, request, leg, key, limit)
    bound = leg.bind(leg.source_paths)
    resolved: Resolved = tuple({} for _ in leg.source_lookups)
    records: list[PreviewRecord] = []
    with target.reader() as reader:
        for row in rows:
            records.append(_record(reader, bound, row, resolved))
    return records


def _rows(
    reader: Reader,
    request: ReadRequest,
    leg: CompiledLeg,
    key: str | None,
    limit: int,
) -> Sequence[Row]:
    if key is not None:
        keys = split_key(key, leg)
        return reader.fetch(request, keys)[:limit] if keys else []
    found: list[Row] = []
    for rows in reader.read(request):
        found += rows[: limit - len(found)]
        if len(found) >= limit:
            break
    return found


def _record(
    reader: Reader, bound: BoundLeg, row: Row, resolved: Resolved
) -> PreviewRecord:
    leg = bound.leg
    source = dict(zip(leg.source_paths, row, strict=True))
    try:
        key = bound.source_key(row, resolved)
        mapped = bound.map(row, resolved)
    except RecordError as error:
        return PreviewRecord(
            key=tuple(source.get(path) for path in leg.source_key),
            source=source,
            error_code=error.code,
            error=error.message,
            error_column=error.column,
        )
    present = _present(reader, leg, leg.key_of(mapped))
    columns = tuple(
        PreviewColumn(
            column=slot_path(slot),
            result=value,
            present=present[index] if present else None,
            differs=present is None
            or (
                index not in leg.constants
                and not equal(slot.type, value, present[index])
            ),
        )
        for index, (slot, value) in enumerate(zip(leg.slots, mapped, strict=True))
    )
    return PreviewRecord(
        key=key,
        source=source,
        target=None
        if present is None
        else {
            column.column: value for column, value in zip(columns, present, strict=True)
        },
        columns=columns,
        differences=tuple(c.column for c in columns if c.differs),
    )


def _present(reader: Reader, leg: CompiledLeg, key: Row) -> Row | None:
    request = ReadRequest(
        table=leg.target.name,
        columns=tuple(slot_path(slot) for slot in leg.slots),
        lookups=tuple(dict.fromkeys(slot.lookup for slot in leg.slots if slot.lookup)),
        key=tuple(slot_path(leg.slots[index]) for index in leg.key),
    )
    found = reader.fetch(request, [key])
    return found[0] if found else None
