"""What a map would do with present records, without writing anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from syncengine.connectors.base import Connector, Reader, ReadRequest
from syncengine.errors import RecordError
from syncengine.initial import has_rows, read_request
from syncengine.mapping.compiled import (
    BoundLeg,
    CompiledLeg,
    Resolved,
    Row,
    Slot,
    named_values,
)
from syncengine.mapping.computed import rule_paths
from syncengine.mapping.model import ColumnMap, Direction, Side
from syncengine.mapping.types import equal
from syncengine.mapping.value_tables import BLANK
from syncengine.preview_references import missing_references

SECONDS = 10.0
"""So long one question to a system may take."""


class Rule(StrEnum):
    """How a column gets its value."""

    COMPANY = "company"
    CONSTANT = "constant"
    DEFAULT = "default"
    VALUE_MAP = "value map"
    DECISION = "decision table"
    EXPRESSION = "expression"
    LOOKUP = "lookup"
    CONVERSION = "conversion"
    COPY = "copy"
    KEPT = "kept as it is"


@dataclass(frozen=True, slots=True)
class PreviewColumn:
    """A column the leg writes: where its value comes from and by which rule, what it
    would become, and what it is now. `source` is None for constants; several sources
    are joined by commas, their values by ` / `."""

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
    with an `error` nothing would be written, and `error_column` names the culprit.
    Columns have results all the same when only a reference leads nowhere."""

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
    the target holds; see that what it refers to is there. Reads only. Raises what the
    connectors raise; a system that takes long gives TransientError `cancelled`."""
    if not has_rows(leg):
        return []
    request = read_request(leg)
    with source.reader() as reader:
        rows = _rows(reader, request, leg, key, limit)
    with target.reader() as reader:
        reader.limit(SECONDS)
        return _records(reader, leg, rows)


def _rows(
    reader: Reader,
    request: ReadRequest,
    leg: CompiledLeg,
    key: str | None,
    limit: int,
) -> Sequence[Row]:
    reader.limit(SECONDS)
    if key is None:
        return reader.sample(request, limit)
    keys = split_key(key, leg)
    return reader.fetch(request, keys)[:limit] if keys else []


def _records(
    reader: Reader, leg: CompiledLeg, rows: Sequence[Row]
) -> list[PreviewRecord]:
    bound = leg.bind(leg.source_paths)
    resolved: Resolved = tuple({} for _ in leg.source_lookups)
    records: list[PreviewRecord] = []
    mapped: dict[int, Row] = {}
    for number, row in enumerate(rows):
        source = dict(zip(leg.source_paths, row, strict=True))
        try:
            key = bound.source_key(row, resolved)
            mapped[number] = bound.map(row, resolved)
        except RecordError as error:
            there = _there(reader, leg, bound, row, resolved)
            records.append(_failed(leg, source, error, there))
        else:
            records.append(_made(reader, leg, key, source, mapped[number]))
    missing = missing_references(reader, leg, list(mapped.values()))
    for number, one in zip(mapped, missing, strict=True):
        if one is not None:
            records[number] = replace(
                records[number],
                error_code=one.code,
                error=one.message,
                error_column=one.column,
            )
    return records


def _there(
    reader: Reader, leg: CompiledLeg, bound: BoundLeg, row: Row, resolved: Resolved
) -> Row | None:
    """What the target holds of a record that cannot be mapped, where its key can."""
    try:
        return _present(reader, leg, bound.key(row, resolved))
    except RecordError:
        return None


def _failed(
    leg: CompiledLeg,
    source: dict[str, str | None],
    error: RecordError,
    present: Row | None,
) -> PreviewRecord:
    return PreviewRecord(
        key=tuple(source.get(path) for path in leg.source_key),
        source=source,
        target=None if present is None else named_values(leg.slots, present),
        columns=tuple(_columns(leg, source, [None] * len(leg.slots), present)),
        error_code=error.code,
        error=error.message,
        error_column=error.column,
    )


def _made(
    reader: Reader,
    leg: CompiledLeg,
    key: Row,
    source: dict[str, str | None],
    mapped: Row,
) -> PreviewRecord:
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
        kept = (
            differs
            and present is not None
            and _keeps(slot, mapped[index], present[index])
        )
        for column, result in results.items():
            origin = _origin(leg, index, column)
            rule, value = origin.rule, origin.value(source)
            if value is None and origin.has_default and result is not None:
                rule = Rule.DEFAULT
            if kept:
                rule, result = Rule.KEPT, there[column]
            yield PreviewColumn(
                column,
                ", ".join(origin.paths) or None,
                value,
                rule,
                result,
                there[column],
                differs and not kept,
            )


def _keeps(slot: Slot, result: str | None, present: str | None) -> bool:
    return slot.guard is not None and not slot.guard.allows(result, present)


@dataclass(frozen=True, slots=True)
class _Origin:
    """The source paths that feed a column path, the rule that carries them, and
    whether a null is replaced by a default."""

    rule: Rule
    paths: tuple[str, ...] = ()
    has_default: bool = True

    def value(self, source: Mapping[str, str | None]) -> str | None:
        """What the source holds there."""
        values = [source.get(path) for path in self.paths]
        if not any(value is not None for value in values):
            return None
        return " / ".join(value or "" for value in values)


def _origin(leg: CompiledLeg, index: int, column: str) -> _Origin:
    """Where the value of a column path that a slot writes comes from."""
    slot = leg.slots[index]
    if index == leg.company and leg.source_company is not None:
        return _Origin(Rule.COMPANY, (leg.source_company.path,))
    direction = leg.direction
    spelled = {known.casefold(): known for known in leg.source_paths}
    for line in leg.table_map.columns:
        written = line.on(direction.target)
        if written is None or not line.type.flows(direction):
            continue
        if written.casefold() != column.casefold():
            continue
        paths = rule_paths(line, direction.source)
        if paths:
            rule = Rule.DECISION if line.decision is not None else Rule.EXPRESSION
            paths = tuple(spelled.get(path.casefold(), path) for path in paths)
            return _Origin(rule, paths, has_default=line.decision is None)
        path = line.on(direction.source)
        if path is None:
            return _Origin(Rule.CONSTANT, has_default=False)
        path = spelled.get(path.casefold(), path)
        if line.values is not None:
            return _Origin(Rule.VALUE_MAP, (path,), not _maps_blank(line, direction))
        if slot.lookup is not None or "." in path:
            return _Origin(Rule.LOOKUP, (path,))
        own = leg.source.column(path)
        same = own is not None and own.type == slot.type
        return _Origin(Rule.COPY if same else Rule.CONVERSION, (path,))
    if index in leg.constants:
        return _Origin(Rule.CONSTANT, has_default=False)
    return _Origin(Rule.COPY, slot.sources[:1])


def _maps_blank(line: ColumnMap, direction: Direction) -> bool:
    """True when the value map says what no value becomes."""
    side = 0 if direction.source is Side.FINOPS else 1
    return any(pair[side].strip().casefold() == BLANK for pair in line.values or ())


def _present(reader: Reader, leg: CompiledLeg, key: Row) -> Row | None:
    request = ReadRequest(
        table=leg.target.name,
        columns=tuple(slot.path for slot in leg.slots),
        lookups=tuple(dict.fromkeys(slot.lookup for slot in leg.slots if slot.lookup)),
        key=tuple(leg.slots[index].path for index in leg.key),
    )
    found = reader.fetch(request, [key])
    return found[0] if found else None
