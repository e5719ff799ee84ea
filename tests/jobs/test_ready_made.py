"""Ready-made maps under a real worker, as an administrator installs and runs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from portal.sample.ready_made.companies import COMPANY_RULES, LEGAL_ENTITIES
from portal.sample.ready_made.populations import Populations, Sizes
from portal.sample.ready_made.records import Records
from syncengine import catalog
from syncengine.initial import ChunkResult
from syncengine.mapping.files import (
    ConnectionSetFile,
    Document,
    EnvironmentFile,
    dump_document,
)
from syncengine.mapping.model import Direction, Side
from tests.jobs.portal import Portal
from tests.ready_made.changes import KINDS, Changes
from tests.ready_made.counts import miscounted
from tests.ready_made.databases import make_databases
from tests.waiting import wait_until

WANTED = ("notes", "Asset management models")
"""Four maps that share a table, and one that brings those it refers to along."""

NAME = "wanted"
SECONDS = 60.0


@dataclass
class Linked:
    """The linked sample: the test's own sessions, and the installed maps."""

    portal: Portal
    sessions: dict[Side, psycopg.Connection]
    maps: list[str]


@pytest.fixture
def linked(portal: Portal) -> Iterator[Linked]:
    dsns = make_databases(portal.server, Sizes())
    variables = {f"{NAME}-{side.value}": f"DSN_{side.name}" for side in Side}
    document = Document(
        environments=tuple(
            EnvironmentFile(
                f"{NAME}-{side.value}",
                side,
                "postgres",
                "",
                company=COMPANY_RULES[side],
            )
            for side in Side
        ),
        connection_sets=(
            ConnectionSetFile(NAME, *variables, legal_entities=LEGAL_ENTITIES),
        ),
    )
    text = dump_document(document, dsn_variables=variables)
    for side in Side:
        text = text.replace(f"${{DSN_{side.name}}}", dsns[side])
    file = portal.data / f"{NAME}.yaml"
    file.write_text(text)
    portal.must("apply", str(file))
    made = portal.must("catalog", "--install", *WANTED, "--connection-set", NAME)
    sessions = {
        side: psycopg.connect(dsn, autocommit=True) for side, dsn in dsns.items()
    }
    yield Linked(portal, sessions, made["installed"])
    portal.start()
    portal.forget(NAME)
    for session in sessions.values():
        session.close()
    for dsn in dsns.values():
        portal.server.drop_database(dsn)


def test_ready_made_maps_are_installed_with_others_copied_and_live(
    linked: Linked,
) -> None:
    portal, records = linked.portal, Records(Populations(Sizes()))
    entries = [catalog.find(name) for name in linked.maps]
    assert len(entries) == 9
    portal.must("run", *linked.maps, "--master", "finops", "--wait")
    for entry in entries:
        assert not miscounted(entry, records, counts(portal, entry.name)), entry.name

    for kind in KINDS:
        for way in Direction:
            changes = Changes(records, way)
            made = [one for entry in entries for one in getattr(changes, kind)(entry)]
            assert len(made) == len(entries)
            for one in made:
                one.do(linked.sessions[way.source])
            target = linked.sessions[way.target]

            def arrived() -> bool:
                return not any(one.problem(target) for one in made)  # noqa: B023

            wait_until(
                arrived,
                SECONDS,
                lambda: f"{portal.must('errors')}\n{portal.tails()}",
            )
    assert portal.must("errors")["errors"] == []
    for name in linked.maps:
        ran = portal.ask("compare", name)
        assert ran.code == 0, ran


def counts(portal: Portal, name: str) -> dict[Direction, ChunkResult]:
    """What the legs of the map's run counted, all companies together."""
    found = portal.rows(
        "SELECT l.direction, sum(l.exported), sum(l.inserted), sum(l.updated),"
        " sum(l.unchanged), sum(l.skipped), sum(l.failed) FROM runs_legrun l"
        " JOIN runs_initialsyncrun r ON r.id = l.run_id"
        " JOIN maps_tablemap m ON m.id = r.table_map_id"
        " JOIN environments_connectionset s ON s.id = m.connection_set_id"
        " WHERE m.name = %s AND s.name = %s GROUP BY l.direction",
        name,
        NAME,
    )
    return {Direction(way): ChunkResult(*map(int, figures)) for way, *figures in found}
