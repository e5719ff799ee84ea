"""What one pass over the active runs reads once, however many runs there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portal.environments.models import ConnectionSet
from portal.maps import preparation
from portal.maps.models import TableMap
from portal.refusals import Refusal
from portal.runs.legs import MapLegs, load_legs, with_legs
from portal.runs.models import InitialSyncRun
from syncengine.mapping.dependencies import prerequisites
from syncengine.mapping.model import Side
from syncengine.mapping.schema import EnvironmentSchema

Needs = Mapping[str, Sequence[str]]

_known_needs: dict[int, tuple[tuple[tuple[int, str], ...], Needs]] = {}
"""By connection set: the map versions looked at, and what each map needs."""


class Tick:
    """Schemas and dependencies as of the beginning of a pass.

    What a system refused once it is not asked again: each run hears the same Refusal.
    """

    def __init__(self) -> None:
        self._schemas: dict[int, dict[Side, EnvironmentSchema] | Refusal] = {}
        self._needs: dict[int, Needs] = {}

    def legs(self, run: InitialSyncRun) -> MapLegs:
        """The compiled legs of the run's map. Raises like `load_legs`."""
        table_map = with_legs(run.table_map_id)
        return load_legs(table_map, self._schemas_of(table_map.connection_set))

    def needs(self, table_map: TableMap) -> Sequence[str]:
        """The maps of the set that the map's lookups lead to."""
        return self._needs_of(table_map.connection_set)[table_map.name]

    def _needs_of(self, connection_set: ConnectionSet) -> Needs:
        set_id = connection_set.pk
        if set_id not in self._needs:
            versions = tuple(
                TableMap.objects.filter(
                    connection_set=connection_set, version__isnull=False
                )
                .order_by("pk")
                .values_list("version_id", "name")
            )
            known = _known_needs.get(set_id)
            if known is None or known[0] != versions:
                schemas = self._schemas_of(connection_set)
                maps = preparation.maps_of(connection_set)
                definitions = [preparation.definition(one) for one in maps]
                known = versions, prerequisites(definitions, schemas)
                _known_needs[set_id] = known
            self._needs[set_id] = known[1]
        return self._needs[set_id]

    def _schemas_of(
        self, connection_set: ConnectionSet
    ) -> dict[Side, EnvironmentSchema]:
        set_id = connection_set.pk
        if set_id not in self._schemas:
            maps = preparation.maps_of(connection_set)
            definitions = [preparation.definition(one) for one in maps]
            try:
                read = preparation.read_schemas(connection_set, definitions)
            except Refusal as refusal:
                self._schemas[set_id] = refusal
            else:
                self._schemas[set_id] = read
        found = self._schemas[set_id]
        if isinstance(found, Refusal):
            raise found
        return found
