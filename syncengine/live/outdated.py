"""Changes from before their table was changed, as those queued until a new version.

They lack columns that the leg reads now (new ones, or renamed ones). These are taken
from the present row, and what the change itself says of the others stays what it is.
What they were before the change is unknown, so a target that differs there is a
conflict on that column, settled like any other.
"""

from __future__ import annotations

from collections.abc import Sequence

from syncengine.connectors.base import Change, Reader, Transaction
from syncengine.connectors.merge import UNRESOLVED
from syncengine.live.legs import Layout, LiveLeg, record_request
from syncengine.mapping.compiled import CompiledLeg, Row


class PresentRows:
    """Present source rows of the records that outdated changes are about: read for a
    whole batch when the first of them is met."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._batch: Sequence[Transaction] = ()
        self._rows: dict[int, dict[Row, Row]] = {}

    def begin(self, batch: Sequence[Transaction]) -> None:
        """The changes to come are those of `batch`."""
        self._batch = batch
        self._rows = {}

    def row(self, leg: LiveLeg, compiled: CompiledLeg, key: Row) -> Row | None:
        """The present row of a record by `compiled.source_paths`; None when it is gone
        or out of scope. Raises OutageError and SetupError."""
        rows = self._rows.get(id(leg))
        if rows is None:
            rows = self._rows[id(leg)] = self._read(leg, compiled)
        return rows.get(key)

    def _read(self, leg: LiveLeg, compiled: CompiledLeg) -> dict[Row, Row]:
        keys: dict[Row, None] = {}
        for transaction in self._batch:
            for change in transaction.changes:
                table = change.relation.table
                row = change.new if change.new is not None else change.old
                if row is None or table not in ("", compiled.source.name):
                    continue
                layout = leg.layout(change.relation)
                if layout.lacking:
                    keys[layout.bound.source_key(row, leg.resolved)] = None
        bound = compiled.bind(compiled.source_paths)
        joined: list[dict[str, str | None]] = [{} for _ in compiled.source_lookups]
        found = self._reader.fetch(record_request(compiled), list(keys))
        return {bound.source_key(row, joined): row for row in found}


def filled(
    change: Change, layout: Layout, compiled: CompiledLeg, present: Row
) -> Change:
    """The change with what its table has now."""
    assert layout.whole is not None  # noqa: S101 - only outdated layouts come here
    values = dict(zip(compiled.source_paths, present, strict=True))
    more = tuple(values[path] for path in layout.lacking)
    return Change(
        layout.whole.relation,
        change.kind,
        None if change.new is None else change.new + more,
        None if change.old is None else change.old + more,
        change.incomplete,
    )


def without(base: Row, layout: Layout, compiled: CompiledLeg) -> Row:
    """A before-image that says nothing of what the change lacked."""
    lookups = {lookup.path: lookup.column for lookup in compiled.source_lookups}
    lacking = {lookups.get(path, path) for path in layout.lacking}
    return tuple(
        value
        if not lacking & set(slot.sources)
        else (UNRESOLVED if slot.lookup is None else None)
        for slot, value in zip(compiled.slots, base, strict=True)
    )
