"""A worker that dies while it fills references: another one ends its work, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from portal.errors.models import SyncError
from portal.maps import services as maps
from portal.maps.models import MapState
from portal.runs.models import InitialSyncRun, RunState
from syncengine.mapping.model import KeyPair, Side
from syncengine.mapping.model import TableMap as Definition
from tests.engine.pair import line
from tests.factories import make_connection_set, make_environment
from tests.jobs.workers import Worker
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

ROWS, LATER = 14_000, 10_000
ERP = "CREATE TABLE employees (number varchar(20) PRIMARY KEY, boss varchar(20))"
CRM = """
CREATE TABLE employees (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), number varchar(20) NOT NULL UNIQUE,
    boss uuid REFERENCES employees)
"""
FILL = """
INSERT INTO employees SELECT 'E' || lpad(n::text, 6, '0'),
    CASE WHEN n + %(later)s <= %(rows)s
         THEN 'E' || lpad((n + %(later)s)::text, 6, '0') END
FROM generate_series(1, %(rows)s) n
"""
SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(0.0005); RETURN new; END $$;
CREATE TRIGGER slow BEFORE UPDATE ON employees FOR EACH ROW EXECUTE FUNCTION slow()
"""
FILLED = "SELECT count(*) FROM employees WHERE boss IS NOT NULL"
EMPLOYEES = Definition(
    "employees",
    "employees",
    "employees",
    (line("number", "=", "number"), line("boss", "=", "boss.number")),
    (KeyPair("number", "number"),),
)


@pytest.fixture
def sides(make_database: Callable[..., str]) -> Iterator[dict[Side, str]]:
    dsns = {side: make_database(prefix=side.value) for side in Side}
    for side, script in ((Side.FINOPS, ERP), (Side.DATAVERSE, CRM + ";" + SLOW)):
        with psycopg.connect(dsns[side], autocommit=True) as session:
            session.execute(script)  # type: ignore[call-overload]
    with psycopg.connect(dsns[Side.FINOPS], autocommit=True) as session:
        session.execute(FILL, {"rows": ROWS, "later": LATER})
    return dsns


def test_a_worker_killed_while_it_fills_references_loses_and_doubles_nothing(
    sides: dict[Side, str],
) -> None:
    link = make_connection_set(
        finops=make_environment("finops", name="erp", dsn=sides[Side.FINOPS]),
        dataverse=make_environment("dataverse", name="crm", dsn=sides[Side.DATAVERSE]),
    )
    table_map = maps.create_map(link, EMPLOYEES)
    maps.run([table_map], master=Side.FINOPS)
    worker = Worker()

    def seen() -> str:
        runs = InitialSyncRun.objects.values_list("state", "message")
        return f"{list(runs)}\n{worker.said}"

    def running() -> bool:
        table_map.refresh_from_db()
        return table_map.state == MapState.RUNNING

    with psycopg.connect(sides[Side.DATAVERSE], autocommit=True) as crm:

        def filled() -> int:
            row = crm.execute(FILLED).fetchone()
            return int(row[0]) if row else 0

        try:
            worker.start()
            wait_until(lambda: filled() > 0, 120, seen)
            worker.kill()
            assert table_map.runs.get().state == RunState.LINKING
            assert filled() < ROWS - LATER
            crm.execute("DROP TRIGGER slow ON employees")
            worker.start()
            wait_until(running, 120, seen)
        finally:
            worker.stop()
        assert filled() == ROWS - LATER
    leg = table_map.runs.get().legs.get(order=1)
    assert (leg.exported, leg.inserted, leg.failed) == (ROWS, ROWS, 0)
    assert not SyncError.objects.exists()
