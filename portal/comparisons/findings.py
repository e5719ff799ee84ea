"""Keeping what a comparison finds: exact counts, and the first differences as rows."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.db import transaction

from portal.comparisons.models import (
    Comparison,
    DifferentColumn,
    FoundDifference,
)
from portal.sync.journal import key_text
from syncengine.reconcile import Difference
from syncengine.repair import RepairFailure

BATCH = 500
KEEP_OF_RUNS = 3
"""Of so many comparisons of a map the differences are kept; of older ones the
counts."""


class Findings:
    """Stores differences in batches, up to `COMPARE_KEPT_DIFFERENCES`."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._most = settings.COMPARE_KEPT_DIFFERENCES
        self._waiting: list[Difference] = []
        self.kept = 0

    def take(self, difference: Difference) -> None:
        """Keep one more, if there is room."""
        if self.kept + len(self._waiting) >= self._most:
            return
        self._waiting.append(difference)
        if len(self._waiting) >= BATCH:
            self.flush()

    @transaction.atomic
    def flush(self) -> None:
        """Write down what waits."""
        some, self._waiting = self._waiting, []
        made = FoundDifference.objects.bulk_create(
            FoundDifference(
                comparison=self._comparison,
                kind=one.kind.value,
                key=list(one.key),
                source_key=None if one.source_key is None else list(one.source_key),
                key_text=key_text(one.key),
                reason=one.reason,
            )
            for one in some
        )
        DifferentColumn.objects.bulk_create(
            DifferentColumn(
                difference=row,
                column=column.column,
                finops=column.finops,
                dataverse=column.dataverse,
            )
            for row, one in zip(made, some, strict=True)
            for column in one.columns
        )
        self.kept += len(made)

    def note_failures(self, failures: Iterable[RepairFailure]) -> None:
        """Say of kept differences why they could not be repaired."""
        words = {key_text(one.key): one.message for one in failures}
        keys = list(words)
        for start in range(0, len(keys), BATCH):
            rows = list(
                self._comparison.found.filter(key_text__in=keys[start : start + BATCH])
            )
            for row in rows:
                row.failure = words[row.key_text]
            FoundDifference.objects.bulk_update(rows, ["failure"])


def forget_older(comparison: Comparison) -> None:
    """Drop the differences of all but the last comparisons of the map."""
    recent = (
        Comparison.objects.filter(table_map=comparison.table_map_id, kept__gt=0)
        .order_by("-id")
        .values_list("pk", flat=True)[:KEEP_OF_RUNS]
    )
    older = Comparison.objects.filter(
        table_map=comparison.table_map_id, kept__gt=0
    ).exclude(pk__in=list(recent))
    for one in older:
        ids = one.found.values_list("pk", flat=True)
        DifferentColumn.objects.filter(difference__in=ids)._raw_delete("default")
        one.found.all()._raw_delete("default")
        Comparison.objects.filter(pk=one.pk).update(kept=0)
