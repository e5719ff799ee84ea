"""Why a column comes out differently: what of its line the draft changes (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.model import ColumnMap
from syncengine.trial_records import Cause, ChangedColumn


class Causes:
    """The causes of one direction, column by column."""

    def __init__(self, draft: CompiledLeg, present: CompiledLeg) -> None:
        self._direction = draft.direction
        self._draft = _lines(draft)
        self._present = _lines(present)
        self.of = cache(self._of)

    def _of(self, column: str) -> tuple[Cause, ...]:
        """What changed of the line that writes the column."""
        before = self._present.get(column.casefold())
        after = self._draft.get(column.casefold())
        lines = [line for line in (before, after) if line is not None]
        if lines and all(self._constant(line) for line in lines):
            return (Cause.CONSTANT,)
        if before is None or after is None:
            if before is after:
                return (Cause.OTHER,)
            return (Cause.NEW if before is None else Cause.GONE,)
        return tuple(self._changed(before, after)) or (Cause.OTHER,)

    def _constant(self, line: ColumnMap) -> bool:
        return not line.has_source(self._direction)

    def _changed(self, before: ColumnMap, after: ColumnMap) -> Iterator[Cause]:
        if before.decision != after.decision:
            yield Cause.DECISION
        if before.expression != after.expression:
            yield Cause.EXPRESSION
        side = self._direction.source
        if before.on(side) != after.on(side) and before.computed is after.computed:
            yield Cause.SOURCE
        if before.values != after.values:
            yield Cause.VALUES
        if before.default != after.default:
            yield Cause.DEFAULT


def only_constants(changes: tuple[ChangedColumn, ...]) -> bool:
    """True when nothing but constants differs."""
    return all(change.causes == (Cause.CONSTANT,) for change in changes)


def _lines(leg: CompiledLeg) -> dict[str, ColumnMap]:
    target = leg.direction.target
    return {
        path.casefold(): line
        for line in leg.table_map.columns
        if line.type.flows(leg.direction) and (path := line.on(target))
    }
