"""The tables a compiled leg stands on: its own and those its lookups lead through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from syncengine.mapping.compiled import CompiledLeg, Lookup
from syncengine.mapping.schema import EnvironmentSchema, TableSchema
from syncengine.mapping.schema_changes import changes


@dataclass(frozen=True)
class Grounds:
    """Tables of both sides, as the leg was compiled on them."""

    source: Mapping[str, TableSchema]
    target: Mapping[str, TableSchema]

    def stand(self, source: EnvironmentSchema, target: EnvironmentSchema) -> bool:
        """True when all of them still are as they were."""
        return all(
            now.tables.get(name) == table
            for known, now in ((self.source, source), (self.target, target))
            for name, table in known.items()
        )

    def changes(
        self, source: EnvironmentSchema, target: EnvironmentSchema
    ) -> list[str]:
        """What has become of them, in words."""
        return [
            sentence
            for known, now in ((self.source, source), (self.target, target))
            for sentence in changes(
                known, {name: now.tables[name] for name in known if name in now.tables}
            )
        ]


def grounds_in(
    leg: CompiledLeg, source: EnvironmentSchema, target: EnvironmentSchema
) -> Grounds:
    """What `leg` stands on, out of all tables that were read."""
    lookups = (slot.lookup for slot in leg.slots if slot.lookup is not None)
    return Grounds(
        _with(leg.source, leg.source_lookups, source),
        _with(leg.target, lookups, target),
    )


def _with(
    own: TableSchema, lookups: Iterable[Lookup], schema: EnvironmentSchema
) -> dict[str, TableSchema]:
    names = {name for lookup in lookups for name in lookup.all_tables}
    found = (schema.table(name) for name in names)
    return {own.name: own} | {table.name: table for table in found if table is not None}
