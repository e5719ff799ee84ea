"""Trying a draft on present records before it is published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import OperationalError, connection, transaction
from django.utils import timezone

from portal.errors.models import OPEN_ERROR_STATES, SyncError
from portal.history.keys import SEPARATOR
from portal.history.models import CarriedChange
from portal.maps.models import TableMap
from portal.refusals import Refusal
from portal.runs.legs import MapLegs, load_legs
from portal.sync.models import QueuedChange, SetAsideChange
from syncengine.errors import EngineError
from syncengine.mapping.compiled import Row
from syncengine.mapping.model import Direction, HealthFinding
from syncengine.mapping.model import TableMap as Definition
from syncengine.mapping.problems import CompilationError
from syncengine.trial import LegTrial, TriedRecord, Verdict, try_leg

SAMPLE, MOST = 200, 1000
"""How many rows of each side are tried, and how many may be."""
EXAMPLES = 5
LATELY = timedelta(days=1)
"""So far back changes that were carried over are tried again."""
FAILING = (
    Verdict.REFUSED,
    Verdict.FAILS,
    Verdict.STILL_REFUSED,
    Verdict.STILL_FAILS,
)


@dataclass(frozen=True)
class Grouped:
    """What several records have in common, with a few of them."""

    verdict: str
    code: str
    column: str
    message: str
    count: int
    examples: Sequence[TriedRecord]


@dataclass(frozen=True)
class DirectionTrial:
    """One direction: how many records came to which verdict, what fails grouped by
    cause, and which columns change."""

    direction: Direction
    trial: LegTrial
    counts: dict[str, int]
    failures: Sequence[Grouped]
    changes: Sequence[Grouped]
    moved: Sequence[TriedRecord]

    @property
    def total(self) -> int:
        """How many records were tried."""
        return len(self.trial.records)


@dataclass(frozen=True)
class DraftTrial:
    """Both directions; with `findings` or `trouble` nothing was tried."""

    table_map: TableMap
    directions: Sequence[DirectionTrial] = ()
    findings: Sequence[HealthFinding] = ()
    trouble: str = ""
    note: str = ""

    @property
    def worse(self) -> int:
        """How many records fail that did not before."""
        return sum(
            one.counts.get(Verdict.FAILS, 0) + one.counts.get(Verdict.REFUSED, 0)
            for one in self.directions
        )

    def document(self) -> dict[str, Any]:
        """The document of `dw try --json`."""
        return {
            "map": self.table_map.name,
            "directions": [_direction_document(one) for one in self.directions],
            "findings": [
                {"code": f.code, "place": f.place, "message": f.message}
                for f in self.findings
            ],
            "note": self.note,
        }


def _direction_document(one: DirectionTrial) -> dict[str, Any]:
    return {
        "direction": one.direction.value,
        "records": one.total,
        "origins": dict(one.trial.origins),
        "missing": one.trial.missing,
        "verdicts": one.counts,
        "failures": [
            {
                "verdict": each.verdict,
                "code": each.code,
                "column": each.column,
                "message": each.message,
                "records": each.count,
                "keys": [list(record.key) for record in each.examples],
            }
            for each in one.failures
        ],
        "changes": [
            {
                "column": each.column,
                "records": each.count,
                "examples": [
                    {"key": list(record.key), "before": c.before, "after": c.after}
                    for record in each.examples
                    for c in record.changes
                    if c.column == each.column
                ],
            }
            for each in one.changes
        ],
    }


def try_draft(
    table_map: TableMap, draft: Definition, *, sample: int = SAMPLE
) -> DraftTrial:
    """Map a sample of both sides, and the records of open errors and of queued
    changes, under the draft and the present version, and have the target try what the
    draft would write. Nothing stays written."""
    sample = min(max(sample, 1), MOST)
    try:
        wanted = load_legs(table_map, draft=draft)
    except CompilationError as error:
        return DraftTrial(table_map, findings=error.findings)
    except (EngineError, Refusal) as error:
        return DraftTrial(table_map, trouble=error.message)
    present, note = _present(table_map)
    found = []
    for direction, leg in wanted.legs.items():
        try:
            trial = try_leg(
                wanted.connectors[direction.source],
                wanted.connectors[direction.target],
                wanted.link,
                leg,
                present.legs.get(direction) if present else None,
                keys=captured_keys(table_map, direction),
                sample=sample,
            )
        except EngineError as error:
            return DraftTrial(table_map, trouble=error.message)
        found.append(_grouped(direction, trial))
    return DraftTrial(table_map, found, note=note)


def _present(table_map: TableMap) -> tuple[MapLegs | None, str]:
    try:
        return load_legs(table_map), ""
    except CompilationError:
        return None, (
            f"Version {table_map.version} does not fit the tables, so there is nothing "
            "to compare the draft with."
        )


def captured_keys(table_map: TableMap, direction: Direction) -> dict[str, list[Row]]:
    """The source keys of the newest captured changes that are kept: of open errors, of
    the queue, of changes set aside, and of those carried over; each key once."""
    of_leg = {"table_map": table_map, "direction": direction.value}
    latest = ("-position", "-ordinal")
    sources = {
        "error": SyncError.objects.filter(
            **of_leg, state__in=OPEN_ERROR_STATES
        ).order_by("-id"),
        "queue": QueuedChange.objects.filter(**of_leg).order_by(*latest),
        "set aside": SetAsideChange.objects.filter(**of_leg).order_by(*latest),
    }
    keys: dict[str, list[Row]] = {}
    for origin, rows in sources.items():
        newest = rows.values_list("key", flat=True)[:SAMPLE]
        found = dict.fromkeys(_plain(key) for key in newest)
        if found:
            keys[origin] = list(found)
    if carried := _carried_lately(table_map, direction):
        keys["carried"] = carried
    return keys


def _carried_lately(table_map: TableMap, direction: Direction) -> list[Row]:
    """The source keys of what was carried over last, from the history; none where it
    is too long to be looked through in time."""
    rows = CarriedChange.objects.filter(
        map_id=table_map.pk,
        direction=direction.value,
        at__gte=timezone.now() - LATELY,
    ).exclude(kind="delete")
    newest = rows.order_by("-at").values_list("source_key", flat=True)[:SAMPLE]
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '2s'")
            texts = dict.fromkeys(newest)
            cursor.execute("SET LOCAL statement_timeout = DEFAULT")
    except OperationalError:
        return []
    return [tuple(text.split(SEPARATOR)) for text in texts]


def _plain(key: Sequence[Any]) -> Row:
    return tuple(None if part is None else str(part) for part in key)


def _grouped(direction: Direction, trial: LegTrial) -> DirectionTrial:
    counted = Counter(record.verdict for record in trial.records)
    moved = trial.of(Verdict.LEFT_OUT, Verdict.TAKEN_IN, Verdict.MENDED)
    return DirectionTrial(
        direction=direction,
        trial=trial,
        counts={each.value: counted[each] for each in Verdict if counted[each]},
        failures=list(_failures(trial)),
        changes=list(_changes(trial)),
        moved=moved[: EXAMPLES * 2],
    )


def _failures(trial: LegTrial) -> Iterator[Grouped]:
    groups: dict[tuple[str, str, str], list[TriedRecord]] = {}
    for record in trial.of(*FAILING):
        key = (record.verdict.value, record.code, record.column)
        groups.setdefault(key, []).append(record)
    order = {each.value: number for number, each in enumerate(Verdict)}
    for (verdict, code, column), records in sorted(
        groups.items(), key=lambda each: (order[each[0][0]], -len(each[1]))
    ):
        examples = records[:EXAMPLES]
        message = examples[0].message
        yield Grouped(verdict, code, column, message, len(records), examples)


def _changes(trial: LegTrial) -> Iterator[Grouped]:
    groups: dict[str, list[TriedRecord]] = {}
    for record in trial.of(Verdict.DIFFERS):
        for change in record.changes:
            groups.setdefault(change.column, []).append(record)
    for column, records in sorted(groups.items(), key=lambda each: -len(each[1])):
        yield Grouped(
            Verdict.DIFFERS.value, "", column, "", len(records), records[:EXAMPLES]
        )
