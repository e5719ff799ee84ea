"""What another version of a map would do with records, against the present one. What
the target would refuse is found by writing it in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from syncengine.connectors.base import (
    Connector,
    Operation,
    OperationKind,
    Outcome,
    OutcomeKind,
    Reader,
    ReadRequest,
)
from syncengine.errors import RecordError
from syncengine.initial import has_rows, read_request
from syncengine.mapping.compiled import CompiledLeg, Resolved, Row, named_values
from syncengine.mapping.types import equal

SECONDS = 20.0
"""So long one question to a system may take."""


class Verdict(StrEnum):
    """What the draft changes for one record, the worst first."""

    REFUSED = "refused"
    FAILS = "fails"
    STILL_REFUSED = "still_refused"
    STILL_FAILS = "still_fails"
    LEFT_OUT = "left_out"
    TAKEN_IN = "taken_in"
    MENDED = "mended"
    DIFFERS = "differs"
    SAME = "same"
    OUT_OF_SCOPE = "out_of_scope"


@dataclass(frozen=True, slots=True)
class ChangedColumn:
    """A column of the target that would get another value; `before` is None where the
    present version writes none. `written` and `was_written` tell nulls from columns
    that a version does not write."""

    column: str
    before: str | None
    after: str | None
    was_written: bool = True
    written: bool = True


@dataclass(frozen=True, slots=True)
class TriedRecord:
    """One source record under both versions. With a failure `code`, `column` and
    `message` say why."""

    key: Row
    origin: str
    verdict: Verdict
    code: str = ""
    column: str = ""
    message: str = ""
    changes: tuple[ChangedColumn, ...] = ()


@dataclass(frozen=True)
class LegTrial:
    """One direction. `records` are in the order they were read; `missing` counts the
    asked-for keys that the source has no more."""

    records: tuple[TriedRecord, ...] = ()
    missing: int = 0
    origins: Mapping[str, int] = field(default_factory=dict)

    def of(self, *verdicts: Verdict) -> list[TriedRecord]:
        """The records with one of these verdicts."""
        return [record for record in self.records if record.verdict in verdicts]


@dataclass(frozen=True, slots=True)
class _Mapped:
    """What a version makes of a record: nothing where it is out of scope."""

    in_scope: bool
    row: Row | None = None
    error: RecordError | None = None


def try_leg(
    source: Connector,
    target: Connector,
    link: str,
    draft: CompiledLeg,
    present: CompiledLeg | None,
    *,
    keys: Mapping[str, Sequence[Row]],
    sample: int,
) -> LegTrial:
    """Map a sample of the rows that either version takes, and the records of `keys`
    (source keys of the present version, by where they come from), under both. Leaves
    nothing written. Raises what the connectors raise; a system that takes long gives
    TransientError `cancelled`."""
    rows, missing = _read(source, draft, present, keys, sample)
    columns = _columns(draft, present)
    legs = [draft] if present is None else [draft, present]
    mapped = [[_map(leg, columns, row) for leg in legs] for _, row in rows]
    refused = _refused(target, link, draft, [each[0].row for each in mapped])
    again: dict[int, Outcome] = {}
    if present is not None and refused:
        before = [
            each[1].row if number in refused else None
            for number, each in enumerate(mapped)
        ]
        again = _refused(target, link, present, before)
    bound = draft.bind(columns)
    resolved: Resolved = tuple({} for _ in draft.source_lookups)
    records = []
    for number, ((origin, row), each) in enumerate(zip(rows, mapped, strict=True)):
        try:
            key = bound.source_key(row, resolved)
        except RecordError:
            at = dict(zip(columns, row, strict=True))
            key = tuple(at.get(path) for path in draft.source_key)
        record = _verdict(draft, present, each, refused.get(number), number in again)
        records.append(replace(record, key=key, origin=origin))
    origins: dict[str, int] = {}
    for origin, _ in rows:
        origins[origin] = origins.get(origin, 0) + 1
    return LegTrial(tuple(records), missing, origins)


# -- reading ------------------------------------------------------------------------


def _columns(draft: CompiledLeg, present: CompiledLeg | None) -> tuple[str, ...]:
    paths = [*draft.source_paths, *(present.source_paths if present else ())]
    return tuple(dict.fromkeys(paths))


def _request(
    leg: CompiledLeg, draft: CompiledLeg, present: CompiledLeg | None
) -> ReadRequest:
    """The rows of one version with the columns of both."""
    lookups = {
        lookup.path: lookup
        for each in (draft, present)
        if each is not None
        for lookup in each.source_lookups
    }
    return replace(
        read_request(leg),
        columns=_columns(draft, present),
        lookups=tuple(lookups.values()),
    )


def _read(
    source: Connector,
    draft: CompiledLeg,
    present: CompiledLeg | None,
    keys: Mapping[str, Sequence[Row]],
    sample: int,
) -> tuple[list[tuple[str, Row]], int]:
    """Each row once with where it comes from, those of `keys` first; and how many of
    the keys lead nowhere."""
    found: dict[Row, str] = {}
    missing = 0
    with source.reader() as reader:
        reader.limit(SECONDS)
        by_key = _request(present or draft, draft, present)
        by_key = replace(by_key, predicate=None)
        for origin, wanted in keys.items():
            fitting = [key for key in wanted if len(key) == len(by_key.key)]
            rows = _fetched(reader, by_key, fitting)
            missing += max(len(wanted) - len(rows), 0)
            for row in rows:
                found.setdefault(row, origin)
        for row in _sampled(reader, draft, present, sample):
            found.setdefault(row, "sample")
    return [(origin, row) for row, origin in found.items()], missing


def _fetched(reader: Reader, request: ReadRequest, keys: Sequence[Row]) -> list[Row]:
    known = [key for key in keys if None not in key]
    return reader.fetch(request, known) if known else []


def _sampled(
    reader: Reader, draft: CompiledLeg, present: CompiledLeg | None, sample: int
) -> Iterator[Row]:
    legs = [leg for leg in (draft, present) if leg is not None and has_rows(leg)]
    alike = present is not None and (
        draft.predicate_expression == present.predicate_expression
    )
    for leg in legs[:1] if alike else legs:
        share = sample if alike or len(legs) == 1 else max(sample // 2, 1)
        yield from reader.sample(_request(leg, draft, present), share)


# -- mapping and comparing ----------------------------------------------------------


def _map(leg: CompiledLeg, columns: tuple[str, ...], row: Row) -> _Mapped:
    bound = leg.bind(columns)
    resolved: Resolved = tuple({} for _ in leg.source_lookups)
    if not bound.in_scope(row, resolved):
        return _Mapped(False)
    try:
        return _Mapped(True, bound.map(row, resolved))
    except RecordError as error:
        return _Mapped(True, error=error)


def _refused(
    target: Connector, link: str, leg: CompiledLeg, rows: Sequence[Row | None]
) -> dict[int, Outcome]:
    """Which of the rows the target would not take, by their number."""
    operations = [
        Operation(
            leg,
            OperationKind.UPSERT,
            leg.key_of(row),
            row,
            force=True,
            reference=number,
        )
        for number, row in enumerate(rows)
        if row is not None
    ]
    if not operations:
        return {}
    writer = target.writer(link)
    try:
        outcomes = writer.probe(operations)
    finally:
        writer.close()
    return {one.reference: one for one in outcomes if one.kind is OutcomeKind.FAILED}


_NOWHERE: Row = ()


def _verdict(
    draft: CompiledLeg,
    present: CompiledLeg | None,
    mapped: Sequence[_Mapped],
    refused: Outcome | None,
    refused_before: bool,
) -> TriedRecord:
    """The record without its key; a present version that does not fit its tables says
    nothing."""
    new = mapped[0]
    old = mapped[1] if len(mapped) > 1 else None

    def said(
        verdict: Verdict, code: str = "", column: str = "", message: str = ""
    ) -> TriedRecord:
        return TriedRecord(_NOWHERE, "", verdict, code, column, message)

    if not new.in_scope:
        left = old is not None and old.in_scope
        return said(Verdict.LEFT_OUT if left else Verdict.OUT_OF_SCOPE)
    if new.error is not None:
        error = new.error
        before = old is not None and old.error is not None
        verdict = Verdict.STILL_FAILS if before else Verdict.FAILS
        return said(verdict, error.code, error.column, error.message)
    if refused is not None:
        verdict = Verdict.STILL_REFUSED if refused_before else Verdict.REFUSED
        return said(verdict, refused.code, refused.column, refused.message)
    if old is None or present is None or new.row is None:
        return said(Verdict.SAME)
    if not old.in_scope:
        return said(Verdict.TAKEN_IN)
    if old.row is None:
        return said(Verdict.MENDED)
    changes = tuple(_changes(draft, present, new.row, old.row))
    verdict = Verdict.DIFFERS if changes else Verdict.SAME
    return replace(said(verdict), changes=changes)


def _changes(
    draft: CompiledLeg, present: CompiledLeg, new: Row, old: Row
) -> Iterator[ChangedColumn]:
    after = _written(draft, new)
    before = _written(present, old)
    types = {
        name: slot.type
        for leg in (present, draft)
        for slot in leg.slots
        for name in named_values([slot], [None])
    }
    for name in dict.fromkeys((*after, *before)):
        if name not in before:
            yield ChangedColumn(name, None, after[name], was_written=False)
        elif name not in after:
            yield ChangedColumn(name, before[name], None, written=False)
        elif not equal(types[name], before[name], after[name]):
            yield ChangedColumn(name, before[name], after[name])


def _written(leg: CompiledLeg, row: Row) -> dict[str, str | None]:
    return named_values(leg.slots, row)
