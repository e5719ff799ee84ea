"""Trying a draft on present records before it is published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from portal.editor.captured import captured_deletes, captured_keys, without
from portal.editor.trial_groups import (
    WORSE,
    Difference,
    Failure,
    differences,
    failures,
    moved,
)
from portal.maps.models import TableMap
from portal.refusals import Refusal
from portal.runs.legs import MapLegs, load_legs
from syncengine.errors import EngineError
from syncengine.mapping.model import Direction, HealthFinding
from syncengine.mapping.model import TableMap as Definition
from syncengine.mapping.problems import CompilationError
from syncengine.trial import try_leg
from syncengine.trial_records import LegTrial, TriedRecord, Verdict

SAMPLE, MOST = 200, 1000
"""How many rows of each side are tried, and how many may be."""


@dataclass(frozen=True)
class DirectionTrial:
    """One direction: how many records and captured deletes came to which verdict, what
    fails grouped by cause, and what comes out differently by column and cause."""

    direction: Direction
    trial: LegTrial
    counts: dict[str, int]
    deletes: dict[str, int]
    failures: Sequence[Failure]
    changes: Sequence[Difference]
    moved: Sequence[TriedRecord]

    @property
    def total(self) -> int:
        """How many records were tried."""
        return len(self.trial.records)

    @property
    def deleted(self) -> int:
        """How many deletes were tried."""
        return len(self.trial.deletes)


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
        """How many records and deletes fail that did not before."""
        return sum(len(one.trial.of(*WORSE)) for one in self.directions)

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
        "deletes": {
            "tried": one.deleted,
            "unclear": one.trial.unclear,
            "verdicts": one.deletes,
        },
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
        "changes": [_change_document(each) for each in one.changes],
    }


def _change_document(each: Difference) -> dict[str, Any]:
    return {
        "column": each.column,
        "causes": [cause.value for cause in each.causes],
        "records": each.count,
        "alone": each.alone,
        "examples": [
            {
                "key": list(step.record.key),
                "before": step.change.before,
                "after": step.change.after,
                "records": step.count,
            }
            for step in each.steps
        ],
    }


def try_draft(
    table_map: TableMap, draft: Definition, *, sample: int = SAMPLE
) -> DraftTrial:
    """Map a sample of both sides, and the records of the last captured changes, under
    the draft and the present version, replay the last captured deletes, and have the
    target try what the draft would write and delete. Nothing stays written."""
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
        deletes = captured_deletes(table_map, direction)
        try:
            trial = try_leg(
                wanted.connectors[direction.source],
                wanted.connectors[direction.target],
                wanted.link,
                leg,
                present.legs.get(direction) if present else None,
                keys=without(captured_keys(table_map, direction), deletes),
                sample=sample,
                captured=deletes,
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


def _grouped(direction: Direction, trial: LegTrial) -> DirectionTrial:
    return DirectionTrial(
        direction=direction,
        trial=trial,
        counts=_counted(trial.records),
        deletes=_counted(trial.deletes),
        failures=failures(trial),
        changes=differences(trial),
        moved=list(moved(trial)),
    )


def _counted(records: Sequence[TriedRecord]) -> dict[str, int]:
    counted = Counter(record.verdict for record in records)
    return {each.value: counted[each] for each in Verdict if counted[each]}
