"""All ready-made maps between the sample databases, run by the engine alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from psycopg import sql

from portal.sample.ready_made.companies import COMPANY_RULES, LEGAL_ENTITIES
from syncengine import catalog
from syncengine.connectors.base import ConnectionSettings, Connector
from syncengine.connectors.registry import connector_for
from syncengine.counterparts import Counterparts
from syncengine.initial import ChunkResult, copy_chunk
from syncengine.live import LiveStream
from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.dependencies import in_order, prerequisites
from syncengine.mapping.health import Member, Subject, examine
from syncengine.mapping.model import Direction, HealthFinding, Side, TableMap
from syncengine.ports import LegMode
from syncengine.reconcile import CompareResult, Comparison
from tests.engine.link import QUICK
from tests.engine.memory import MemoryState, MemoryStream
from tests.waiting import wait_until

LINK = "readymade"
PARALLEL = 4
BUCKETS = 256
SECONDS = 60.0

Connection = psycopg.Connection[Any]


class Everything:
    """Both databases, all maps compiled, and their streams."""

    def __init__(self, dsns: dict[Side, str]) -> None:
        self.sessions: dict[Side, Connection] = {
            side: psycopg.connect(dsn, autocommit=True) for side, dsn in dsns.items()
        }
        self.connectors: dict[Side, Connector] = {
            side: connector_for(
                ConnectionSettings(
                    side.value, side, "postgres", dsn, company=COMPANY_RULES[side]
                )
            )
            for side, dsn in dsns.items()
        }
        self.maps = {
            entry.name: catalog.table_map(entry) for entry in catalog.entries()
        }
        self.state = MemoryState(tuple(self.maps.values()), LEGAL_ENTITIES)
        for side, connector in self.connectors.items():
            tables = {table_map.table(side) for table_map in self.maps.values()}
            connector.install(LINK, sorted(tables))
        self.schemas = {
            side: connector.tables() for side, connector in self.connectors.items()
        }

    def close(self) -> None:
        """End the test's own sessions."""
        for session in self.sessions.values():
            session.close()

    def findings(self, name: str) -> list[HealthFinding]:
        """What the health check says of a map while all others run too."""
        members = {
            other: Member(table_map, active=True, published=table_map)
            for other, table_map in self.maps.items()
        }
        own = members.pop(name)
        others = tuple(members.values())
        return examine(Subject(own, self.schemas, LEGAL_ENTITIES, others))

    def legs(self, table_map: TableMap) -> dict[Direction, CompiledLeg]:
        """The map's compiled legs."""
        return {
            way: compile_leg(
                table_map,
                way,
                self.schemas[way.source],
                self.schemas[way.target],
                LEGAL_ENTITIES,
            )
            for way in Direction
            if table_map.flows(way)
        }

    # -- initial sync ---------------------------------------------------------------

    def copy(self) -> dict[str, dict[Direction, ChunkResult]]:
        """The initial sync of all maps, each after those it refers to."""
        needs = prerequisites(tuple(self.maps.values()), self.schemas)
        levels: dict[str, int] = {}
        for name in in_order(needs):
            below = [levels[other] for other in needs[name] if other in levels]
            levels[name] = 1 + max(below, default=0)
        done: dict[str, dict[Direction, ChunkResult]] = {}
        with ThreadPoolExecutor(PARALLEL) as pool:
            for level in sorted(set(levels.values())):
                names = [name for name, own in levels.items() if own == level]
                done |= dict(zip(names, pool.map(self._copy_map, names), strict=True))
        return done

    def _copy_map(self, name: str) -> dict[Direction, ChunkResult]:
        number = list(self.maps).index(name) + 1
        counts = {}
        for way, leg in self.legs(self.maps[name]).items():
            journal = MemoryStream(self.state, way.source)
            with closing(self.connectors[way.target].writer(LINK)) as writer:
                counts[way] = copy_chunk(
                    self.connectors[way.source],
                    writer,
                    leg,
                    None,
                    map_id=number,
                    journal=journal,
                    insert_only=way.source is Side.DATAVERSE,
                )
        return counts

    # -- live -----------------------------------------------------------------------

    @contextmanager
    def streams(self) -> Iterator[None]:
        """Both streams at work, all maps live."""
        for number in range(1, len(self.maps) + 1):
            self.state.set_mode(number, LegMode.LIVE)
        end = threading.Event()
        failed: list[BaseException] = []

        def run(side: Side) -> None:
            port = MemoryStream(self.state, side)
            source, target = self.connectors[side], self.connectors[side.other]
            try:
                LiveStream(LINK, source, target, port, port, QUICK).run(end.is_set)
            except BaseException as error:
                failed.append(error)

        threads = [
            threading.Thread(target=run, args=(side,), daemon=True) for side in Side
        ]
        for thread in threads:
            thread.start()
        try:
            self._wait(
                lambda: all(
                    self.state.acknowledged.get(side) == self.state.revision
                    for side in Side
                ),
                failed,
            )
            self._failed = failed
            yield
        finally:
            end.set()
            for thread in threads:
                thread.join(20)

    def settle(self, source: Side) -> None:
        """Wait until the stream of `source` has dealt with all that is committed."""
        with self.connectors[source].reader() as reader:
            position = reader.position()
        self._wait(
            lambda: (
                (report := self.state.reports.get(source)) is not None
                and report.position >= position
            ),
            self._failed,
        )

    def _wait(self, condition: Callable[[], bool], failed: list[BaseException]) -> None:
        wait_until(
            lambda: condition() or failed,
            SECONDS,
            lambda: f"{self.state.reports} {self.state.acknowledged}",
        )
        if failed:
            raise failed[0]

    # -- judgement ------------------------------------------------------------------

    def compare(self, name: str) -> CompareResult:
        """The map's rows on both sides, by the product's own comparison."""
        legs = self.legs(self.maps[name])
        sides = Counterparts(
            self.connectors[Side.FINOPS],
            self.connectors[Side.DATAVERSE],
            legs.get(Direction.FINOPS_TO_DATAVERSE),
            legs.get(Direction.DATAVERSE_TO_FINOPS),
        )
        return Comparison(sides, buckets=BUCKETS).run()

    def unlinked_rows(self) -> dict[str, list[Any]]:
        """By table, a digest of the rows of the company that is not linked."""
        company = self.sessions[Side.DATAVERSE].execute(
            "SELECT cdm_companyid FROM cdm_companies WHERE cdm_companycode = 'ITCO'"
        )
        codes = {Side.FINOPS: ("itco",), Side.DATAVERSE: company.fetchone()}
        found: dict[str, list[Any]] = {}
        for side, session in self.sessions.items():
            for name, table in self.schemas[side].tables.items():
                rule = self.schemas[side].company_of(table)
                if rule is None or name == "msdyn_ledgers":
                    continue
                query = sql.SQL(
                    "SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text))"
                    " FROM {} t WHERE {} = %s"
                ).format(sql.Identifier(name), sql.Identifier(rule.column))
                found[name] = session.execute(query, codes[side]).fetchall()
        return found

    def errors(self) -> dict[str, list[str]]:
        """The open errors by map: direction, key and message."""
        names = list(self.maps)
        found: dict[str, list[str]] = {}
        for (number, way, key), error in self.state.errors.items():
            failure = error.failure
            text = f"{way.value} {key}: {failure.code} {failure.message}"
            found.setdefault(names[number - 1], []).append(text)
        return found
