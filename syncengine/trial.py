"""What another version of a map would do with records, against the present one. What
the target would refuse is found by writing it in a transaction that is rolled back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

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
from syncengine.mapping.compiled import (
    BoundLeg,
    CompiledLeg,
    Resolved,
    Row,
    named_values,
)
from syncengine.mapping.types import equal
from syncengine.trial_causes import Causes, only_constants
from syncengine.trial_deletes import Fate, Removal, judged, operations, removals
from syncengine.trial_records import (
    CapturedChange,
    ChangedColumn,
    LegTrial,
    TriedRecord,
    Verdict,
)

SECONDS = 20.0
"""So long one question to a system may take."""


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
    captured: Sequence[CapturedChange] = (),
) -> LegTrial:
    """Map a sample of the rows that either version takes, and the records of `keys`
    (source keys of the present version, by where they come from), under both; and
    replay the deletes of `captured`, in their order. Leaves nothing written. Raises
    what the connectors raise; a system that takes long gives TransientError
    `cancelled`."""
    legs = [draft] if present is None else [draft, present]
    found = _read(source, draft, present, keys, sample, captured)
    columns, rows = found.columns, found.rows
    mapped = [[_map(leg, columns, row) for leg in legs] for _, row in rows]
    outcomes = _attempted(
        target, link, draft, [each[0].row for each in mapped], found.removals[0]
    )
    refused = {
        number for number, one in outcomes.items() if one.kind is OutcomeKind.FAILED
    }
    again = _refused_again(target, link, present, mapped, found, refused)
    causes = Causes(draft, present) if present is not None else None
    bound = draft.bind(columns)
    records = []
    for number, ((origin, row), each) in enumerate(zip(rows, mapped, strict=True)):
        outcome = outcomes[number] if number in refused else None
        record = _verdict(draft, present, causes, each, outcome, number in again)
        key = _source_key(bound, row)
        records.append(replace(record, key=key, origin=origin))
    first = len(rows)
    deletes = [
        judged(
            change,
            found.removals[0][number],
            found.removals[1][number] if present is not None else None,
            outcomes.get(first + number),
            first + number in again,
            there=now is not None,
        )
        for number, (change, now) in enumerate(found.captured)
    ]
    told = tuple(one for one in deletes if one is not None)
    return LegTrial(
        tuple(records),
        told,
        found.missing,
        sum(one.fate is Fate.UNCLEAR for one in found.removals[0]),
        dict(Counter(one.origin for one in (*records, *told))),
    )


def _source_key(bound: BoundLeg, row: Row) -> Row:
    resolved: Resolved = tuple({} for _ in bound.leg.source_lookups)
    try:
        return bound.source_key(row, resolved)
    except RecordError:
        at = dict(zip(bound.columns, row, strict=True))
        return tuple(at.get(path) for path in bound.leg.source_key)


def _refused_again(
    target: Connector,
    link: str,
    present: CompiledLeg | None,
    mapped: Sequence[Sequence[_Mapped]],
    found: _Found,
    refused: set[int],
) -> set[int]:
    """Which of those that the target refuses it refuses of the present version too."""
    if present is None or not refused:
        return set()
    rows = [
        each[1].row if number in refused else None for number, each in enumerate(mapped)
    ]
    removed = [
        one if len(rows) + number in refused else None
        for number, one in enumerate(found.removals[1])
    ]
    outcomes = _attempted(target, link, present, rows, removed)
    return {n for n, one in outcomes.items() if one.kind is OutcomeKind.FAILED}


# -- reading ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """What was read: each row once with where it comes from, those that were asked for
    first; how many keys lead nowhere; the captured deletes with the row that is there;
    and what each version makes of them."""

    columns: tuple[str, ...]
    rows: list[tuple[str, Row]]
    missing: int
    captured: list[tuple[CapturedChange, Row | None]]
    removals: list[list[Removal]]


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
    captured: Sequence[CapturedChange],
) -> _Found:
    found: dict[Row, str] = {}
    missing = 0
    keyed = present or draft
    with source.reader() as reader:
        reader.limit(SECONDS)
        by_key = replace(_request(keyed, draft, present), predicate=None)
        for origin, wanted in keys.items():
            fitting = [key for key in wanted if len(key) == len(by_key.key)]
            rows = _fetched(reader, by_key, fitting)
            missing += max(len(wanted) - len(rows), 0)
            for row in rows:
                found.setdefault(row, origin)
        there = _still_there(reader, by_key, keyed, captured)
        for change, now in there:
            if now is not None:
                found.setdefault(now, change.origin)
        removed = [
            removals(reader, leg, keyed, there, by_key.columns)
            for leg in (draft, present)
            if leg is not None
        ]
        for row in _sampled(reader, draft, present, sample):
            found.setdefault(row, "sample")
    rows_from = [(origin, row) for row, origin in found.items()]
    return _Found(by_key.columns, rows_from, missing, there, removed)


def _still_there(
    reader: Reader,
    by_key: ReadRequest,
    keyed: CompiledLeg,
    captured: Sequence[CapturedChange],
) -> list[tuple[CapturedChange, Row | None]]:
    """Each captured change with the source row of its key, where there is one again."""
    keys = [one.key for one in captured if len(one.key) == len(by_key.key)]
    bound = keyed.bind(by_key.columns)
    now = {_source_key(bound, row): row for row in _fetched(reader, by_key, keys)}
    return [(one, now.get(one.key)) for one in captured]


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


def _attempted(
    target: Connector,
    link: str,
    leg: CompiledLeg,
    rows: Sequence[Row | None],
    removed: Sequence[Removal | None],
) -> dict[int, Outcome]:
    """What the target makes of the rows and then of the deletes, in one transaction
    that is rolled back, by their number: the deletes' go on behind the rows'."""
    tried = [
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
    tried += operations(leg, removed, len(rows))
    if not tried:
        return {}
    writer = target.writer(link)
    try:
        return {one.reference: one for one in writer.probe(tried)}
    finally:
        writer.close()


_NOWHERE: Row = ()


def _verdict(
    draft: CompiledLeg,
    present: CompiledLeg | None,
    causes: Causes | None,
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
    if old is None or present is None or causes is None or new.row is None:
        return said(Verdict.SAME)
    if not old.in_scope:
        return said(Verdict.TAKEN_IN)
    if old.row is None:
        return said(Verdict.MENDED)
    changes = tuple(
        replace(change, causes=causes.of(change.column))
        for change in _changes(draft, present, new.row, old.row)
    )
    verdict = Verdict.SAME
    if changes:
        constant = only_constants(changes)
        verdict = Verdict.CONSTANT if constant else Verdict.DIFFERS
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
