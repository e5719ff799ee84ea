"""What the command line says of comparisons."""

from __future__ import annotations

from typing import Any

from portal.comparisons.models import Comparison, ComparisonSchedule
from portal.comparisons.working import EXAMPLES, Outcome
from syncengine.reconcile import Difference


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """The document of `dw compare --json`."""
    found, repaired = outcome.found, outcome.repaired
    document: dict[str, Any] = {
        "map": outcome.table_map.name,
        "id": outcome.comparison.pk,
        "compared": found.compared,
        "equal": found.equal,
        "missing_in_finops": found.missing_in_finops,
        "missing_in_dataverse": found.missing_in_dataverse,
        "different": found.different,
        "unclaimed": found.unclaimed,
        "examples": [_example(one) for one in found.examples],
    }
    if repaired is not None:
        document["repaired"] = {
            "winner": outcome.comparison.winner,
            "inserted": repaired.inserted,
            "updated": repaired.updated,
            "unchanged": repaired.unchanged,
            "deleted": repaired.deleted,
            "extra": outcome.comparison.left_alone,
            "failed": len(repaired.failures),
            "failures": [
                {
                    "key": list(failure.key),
                    "code": failure.code,
                    "column": failure.column,
                    "message": failure.message,
                }
                for failure in repaired.failures[:EXAMPLES]
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


def comparison_document(one: Comparison) -> dict[str, Any]:
    """One line of `dw comparisons --json`."""
    return {
        "id": one.pk,
        "map": one.table_map.name,
        "state": one.state,
        "trigger": one.trigger,
        "repaired_from": one.winner or None,
        "started_at": one.started_at,
        "seconds": one.seconds,
        "in_step": one.in_step,
        "compared": one.compared,
        "equal": one.equal,
        "missing_in_finops": one.missing_in_finops,
        "missing_in_dataverse": one.missing_in_dataverse,
        "different": one.different,
        "unclaimed": one.unclaimed,
        "inserted": one.inserted,
        "updated": one.updated,
        "deleted": one.deleted,
        "failed": one.failed,
        "message": one.message,
    }


def schedule_document(one: ComparisonSchedule) -> dict[str, Any]:
    """One line of `dw compare-schedule --json`."""
    return {
        "connection_set": one.connection_set.name,
        "map": one.table_map.name if one.table_map else None,
        "at": one.time,
        "rows_per_second": one.rows_per_second,
        "enabled": one.enabled,
    }
