"""The sample databases for all ready-made maps, and the maps between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psycopg

from portal.sample.ready_made.companies import COMPANY_RULES, LEGAL_ENTITIES
from portal.sample.ready_made.populations import Sizes
from portal.sample.ready_made.seed import seeder
from syncengine import catalog
from syncengine.connectors.base import ConnectionSettings, Connector
from syncengine.connectors.registry import connector_for
from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.dependencies import lookup_tables
from syncengine.mapping.model import Direction, Side, TableMap
from tests.bench.cluster import database
from tests.bench.maps import LINK
from tests.servers import PostgresServer


@dataclass(frozen=True)
class ReadyMade:
    """Two sample databases and some of the maps; travels to other processes."""

    maps: tuple[TableMap, ...]
    dsns: Mapping[Side, str]
    legal_entities = LEGAL_ENTITIES

    def connector(self, side: Side) -> Connector:
        """The connector of one side."""
        return connector_for(
            ConnectionSettings(
                side.value,
                side,
                "postgres",
                self.dsns[side],
                "public",
                COMPANY_RULES[side],
            )
        )

    def leg(self, table_map: TableMap, direction: Direction) -> CompiledLeg:
        """A map compiled for one direction."""
        schemas = {
            side: self.connector(side).tables(
                [table_map.table(side), *lookup_tables(table_map, side)]
            )
            for side in Side
        }
        return compile_leg(
            table_map,
            direction,
            schemas[direction.source],
            schemas[direction.target],
            LEGAL_ENTITIES,
        )

    def install(self) -> None:
        """Capture of the maps' tables on both sides."""
        for side in Side:
            tables = {table_map.table(side) for table_map in self.maps}
            self.connector(side).install(LINK, sorted(tables))


def find(*names: str) -> tuple[TableMap, ...]:
    """Maps of the catalog, by name; all of them without names."""
    chosen = [catalog.find(name) for name in names] or catalog.entries()
    return tuple(catalog.table_map(entry) for entry in chosen)


@contextmanager
def ready_made(on: PostgresServer, sizes: Sizes) -> Iterator[dict[Side, str]]:
    """Both sample databases, filled; dropped at the end."""
    with ExitStack() as stack:
        dsns = {}
        for side in Side:
            dsns[side] = stack.enter_context(database(on, f"sample_{side.value}"))
            with psycopg.connect(dsns[side], autocommit=True) as connection:
                seeder(side, sizes)(connection)
        yield dsns
