"""Unlinking while a real worker runs the streams that hold the slots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

from tests.jobs.pair import Pair
from tests.waiting import wait_until

CATALOG = (
    "SELECT oid::regclass::text, relreplident FROM pg_class WHERE relkind IN ('r', 'i')"
    " AND relnamespace = 'public'::regnamespace",
    "SELECT indexrelid::regclass::text FROM pg_index WHERE indisreplident",
    "SELECT pubname FROM pg_publication",
    "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()",
    "SELECT nspname, nspacl::text FROM pg_namespace",
)


def catalogs(pair: Pair) -> list[Any]:
    found = []
    for dsn in pair.databases.values():
        with psycopg.connect(dsn, autocommit=True) as connection:
            found += [sorted(connection.execute(query.encode())) for query in CATALOG]
    return found


def streaming(pair: Pair) -> bool:
    """Whether the worker reads both slots of the pair."""
    rows = pair.admin.execute(
        "SELECT count(*) FROM pg_replication_slots WHERE active AND slot_name LIKE %s",
        [f"dualwrite_{link(pair)}_%"],
    ).fetchone()
    return rows is not None and rows[0] == 2


def link(pair: Pair) -> str:
    rows = pair.portal.rows(
        "SELECT link_id FROM environments_connectionset WHERE name = %s", pair.name
    )
    return str(rows[0][0])


def test_a_link_with_running_streams_leaves_both_databases_as_they_were(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair()
    before = catalogs(pair)
    pair.run()
    wait_until(lambda: streaming(pair), 60, "both slots are read")
    assert catalogs(pair) != before

    refused = pair.portal.ask("unlink", pair.name, "--yes")
    assert refused.code == 1
    assert "stop these maps first" in refused.err
    assert all(state == "running" for state, _ in pair.states().values())

    worker = pair.portal.workers["w1"]
    complaints = worker.log.read_text().count("Traceback")
    pair.portal.must("stop", *pair.maps)
    document = pair.portal.must("unlink", pair.name, "--yes")
    assert sorted(document["maps"]) == sorted(pair.maps)
    assert document["left_behind"] == []
    assert catalogs(pair) == before
    assert worker.running
    assert worker.log.read_text().count("Traceback") == complaints, worker.tail()

    pair.apply()
    pair.run()
    pair.equal()
