"""What a map would do with present records, without writing anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from syncengine.connectors.base import Connector, Reader, ReadRequest
from syncengine.errors import RecordError
from syncengine.initial import has_rows, read_request
from syncengine.mapping.compiled import (
    BoundLeg,
    CompiledLeg,
    Resolved,
    Row,
    named_values,
)
from syncengine.mapping.types import equal


class Rule(StrEnum):
    """How a column gets its value."""

    COMPANY = "company"
    CONSTANT = "constant"
    DEFAULT = "default"
    VALUE_MAP = "value map"
    LOOKUP = "lookup"
    CONVERSION = "conversion"
    COPY = "copy"


@dataclass(frozen=True, slots=True)
class PreviewColumn:
    """A column the leg writes: where its value comes from and by which rule, what it
    would become, and what it is now. `source` is None for constants."""

    column: str
    source: str | None
    value: str | None
    rule: Rule
    result: str | None
    present: str | None
    differs: bool


@dataclass(frozen=True, slots=True)
class PreviewRecord:
    """One source record. `target` is None when the other side has no such record;
    with an `error` no column has a result, and `error_column` names the culprit."""

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
            columns=tuple(_columns(leg, source, [None] * len(leg.slots), None)),
            error_code=error.code,
            error=error.message,
            error_column=error.column,
        )
    present = _present(reader, leg, leg.key_of(mapped))
    columns = tuple(_columns(leg, source, mapped, present, written=True))
    return PreviewRecord(
        key=key,
        source=source,
        target=None if present is None else named_values(leg.slots, present),
        columns=columns,
        differences=tuple(c.column for c in columns if c.differs),
    )


def _columns(
    leg: CompiledLeg,
    source: Mapping[str, str | None],
    mapped: Sequence[str | None],
    present: Row | None,
    *,
    written: bool = False,
) -> Iterator[PreviewColumn]:
    """What becomes of each column path the leg writes; `written` when the mapped row
    is known. Parts of a natural key stand one by one."""
    for index, slot in enumerate(leg.slots):
        results = named_values([slot], [mapped[index]])
        there = named_values([slot], [present[index] if present else None])
        differs = written and (
            present is None
            or (
                index not in leg.constants
                and not equal(slot.type, mapped[index], present[index])
            )
        )
        for column, result in results.items():
            path, rule = _origin(leg, index, column)
            value = None if path is None else source.get(path)
            if value is None and rule is not Rule.CONSTANT and result is not None:
                rule = Rule.DEFAULT
            yield PreviewColumn(
                column, path, value, rule, result, there[column], differs
            )


def _origin(leg: CompiledLeg, index: int, column: str) -> tuple[str | None, Rule]:
    """The source path of a column path a slot writes, and the rule that carries it."""
    slot = leg.slots[index]
    if index == leg.company and leg.source_company is not None:
        return leg.source_company.path, Rule.COMPANY
    direction = leg.direction
    for line in leg.table_map.columns:
        path, written = line.on(direction.source), line.on(direction.target)
        if written is None or not line.type.flows(direction):
            continue
        if written.casefold() != column.casefold():
            continue
        if path is None:
            return None, Rule.CONSTANT
        spelled = {known.casefold(): known for known in leg.source_paths}
        path = spelled.get(path.casefold(), path)
        if line.values is not None:
            return path, Rule.VALUE_MAP
        if slot.lookup is not None or "." in path:
            return path, Rule.LOOKUP
        own = leg.source.column(path)
        same = own is not None and own.type == slot.type
        return path, Rule.COPY if same else Rule.CONVERSION
    if index in leg.constants:
        return None, Rule.CONSTANT
    return next(iter(slot.sources), None), Rule.COPY


def _present(reader: Reader, leg: CompiledLeg, key: Row) -> Row | None:
    request = ReadRequest(
        table=leg.target.name,
        columns=tuple(slot.path for slot in leg.slots),
        lookups=tuple(dict.fromkeys(slot.lookup for slot in leg.slots if slot.lookup)),
        key=tuple(leg.slots[index].path for index in leg.key),
    )
    found = reader.fetch(request, [key])
    return found[0] if found else None
