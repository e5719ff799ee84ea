"""What both systems say of the tables of a draft: kept for a while, since every key
stroke asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from portal.environments.connectors import connector_for
from portal.environments.models import ConnectionSet
from portal.maps.health import list_companies
from portal.maps.preparation import naming
from portal.refusals import Refusal
from syncengine.connectors.base import Connector, ReadRequest
from syncengine.errors import EngineError
from syncengine.mapping.dependencies import lookup_tables
from syncengine.mapping.model import Side, TableMap
from syncengine.mapping.schema import EnvironmentSchema, TableSchema

KEPT_SECONDS = 300.0
SAMPLES = 5
SAMPLE_SECONDS = 2.0


@dataclass(frozen=True)
class SideTables:
    """One side: the schemas of the tables that were asked for (`asked`, in lower case;
    those that are not there are simply absent), the codes of its companies where it
    lists them, and a few values of each column of the mapped table. `trouble` says why
    the system could not be asked."""

    environment: str
    schema: EnvironmentSchema | None
    asked: frozenset[str] = frozenset()
    companies: tuple[str, ...] | None = None
    samples: Mapping[str, tuple[str, ...]] | None = None
    trouble: str = ""

    def table(self, name: str) -> TableSchema | None:
        """The table of that name, if it is there."""
        return self.schema.table(name) if self.schema else None


Tables = Mapping[Side, SideTables]

_kept: dict[tuple[int, Side, str], tuple[float, SideTables]] = {}
_guard = threading.Lock()


def tables_of(connection_set: ConnectionSet, draft: TableMap) -> dict[Side, SideTables]:
    """Both sides of a draft. Never raises what a system cannot do: it is told."""
    return {side: _side(connection_set, draft, side) for side in Side}


def forget(connection_set: ConnectionSet) -> None:
    """Read the tables anew next time."""
    with _guard:
        for key in [key for key in _kept if key[0] == connection_set.pk]:
            del _kept[key]


def _side(connection_set: ConnectionSet, draft: TableMap, side: Side) -> SideTables:
    table = draft.table(side)
    wanted = frozenset(n.casefold() for n in (table, *lookup_tables(draft, side)))
    key = (connection_set.pk, side, table.casefold())
    now = time.monotonic()
    with _guard:
        until, kept = _kept.get(key, (0.0, None))
    if kept is not None and now < until and wanted <= kept.asked:
        return kept
    asked = wanted if kept is None else wanted | kept.asked
    found = _read(connection_set, side, table, asked)
    if not found.trouble:
        with _guard:
            _kept[key] = (now + KEPT_SECONDS, found)
    return found


def _read(
    connection_set: ConnectionSet, side: Side, table: str, asked: frozenset[str]
) -> SideTables:
    environment = connection_set.environment(side)
    connector = connector_for(environment)
    names = set(asked)
    if environment.company_lookup_table:
        names.add(environment.company_lookup_table)
    try:
        with naming(environment.name):
            schema = connector.tables(sorted(names))
    except Refusal as refused:
        return SideTables(environment.name, None, trouble=refused.message)
    found = SideTables(
        environment.name, schema, asked, list_companies(connector, schema)
    )
    known = schema.table(table)
    return replace(found, samples=_samples(connector, known)) if known else found


def _samples(
    connector: Connector, table: TableSchema
) -> dict[str, tuple[str, ...]] | None:
    """Some values of each column that are there, each once; None where the rows cannot
    be read in time."""
    names = tuple(column.name for column in table.columns)
    try:
        with connector.reader() as reader:
            reader.limit(SAMPLE_SECONDS)
            rows = reader.sample(ReadRequest(table.name, names), SAMPLES * 4)
    except EngineError:
        return None
    found: dict[str, tuple[str, ...]] = {}
    for number, name in enumerate(names):
        values = dict.fromkeys(value for row in rows if (value := row[number]))
        found[name] = tuple(list(values)[:SAMPLES])
    return found
