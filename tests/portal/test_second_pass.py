"""Self references and cycles: rows first, then the references that came too early."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import psycopg
import pytest
from django.utils import timezone

from portal.environments.models import ConnectionSet, Stream
from portal.errors.models import SyncError
from portal.maps import services as maps
from portal.runs import chunks, progress
from portal.runs.models import Chunk, ChunkState, InitialSyncRun, RunState
from syncengine.mapping.model import KeyPair, Side
from syncengine.mapping.model import TableMap as Definition
from tests.engine.pair import line
from tests.factories import make_connection_set, make_environment

pytestmark = pytest.mark.django_db(transaction=True)

ERP = """
CREATE TABLE departments (name varchar(20) PRIMARY KEY, manager varchar(20));
CREATE TABLE employees (
    number varchar(20) PRIMARY KEY, boss varchar(20), department varchar(20));
"""
CRM = """
CREATE TABLE departments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar(20) NOT NULL UNIQUE,
    manager uuid);
CREATE TABLE employees (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), number varchar(20) NOT NULL UNIQUE,
    boss uuid REFERENCES employees, department uuid REFERENCES departments);
ALTER TABLE departments ADD FOREIGN KEY (manager) REFERENCES employees;
"""
EMPLOYEES = Definition(
    "employees",
    "employees",
    "employees",
    (
        line("number", "=", "number"),
        line("boss", "=", "boss.number"),
        line("department", "=", "department.name"),
    ),
    (KeyPair("number", "number"),),
)
DEPARTMENTS = Definition(
    "departments",
    "departments",
    "departments",
    (line("name", "=", "name"), line("manager", "=", "manager.number")),
    (KeyPair("name", "name"),),
)


class Tables:
    """The two databases."""

    def __init__(self, make_database: Callable[..., str]) -> None:
        self.dsns = {side: make_database(prefix=side.value) for side in Side}
        self.erp = psycopg.connect(self.dsns[Side.FINOPS], autocommit=True)
        self.crm = psycopg.connect(self.dsns[Side.DATAVERSE], autocommit=True)
        self.erp.execute(ERP)
        self.crm.execute(CRM)

    def employees(self) -> list[tuple]:
        """CRM employees in ERP terms."""
        return self.crm.execute(
            "SELECT e.number, b.number, d.name FROM employees e"
            " LEFT JOIN employees b ON b.id = e.boss"
            " LEFT JOIN departments d ON d.id = e.department ORDER BY e.number"
        ).fetchall()

    def erp_employees(self) -> list[tuple]:
        return self.erp.execute("SELECT * FROM employees ORDER BY number").fetchall()


@pytest.fixture
def tables(make_database: Callable[..., str]) -> Iterator[Tables]:
    made = Tables(make_database)
    yield made
    made.erp.close()
    made.crm.close()


@pytest.fixture
def link(tables: Tables) -> ConnectionSet:
    return make_connection_set(
        finops=make_environment("finops", name="erp", dsn=tables.dsns[Side.FINOPS]),
        dataverse=make_environment(
            "dataverse", name="crm", dsn=tables.dsns[Side.DATAVERSE]
        ),
    )


def start(link: ConnectionSet, *definitions: Definition) -> list[InitialSyncRun]:
    """Runs of maps that were just asked to run, as their streams have heard."""
    made = [maps.create_map(link, definition) for definition in definitions]
    maps.run(made, master=Side.FINOPS)
    link.refresh_from_db()
    Stream.objects.filter(connection_set=link).update(
        acknowledged_revision=link.revision
    )
    return [table_map.runs.get() for table_map in made]


def work(runs: list[InitialSyncRun], chunk_rows: int = 10) -> None:
    """Tick and copy until everything is copied."""
    for _ in range(50):
        for pk in progress.advance_runs(chunk_rows=chunk_rows):
            chunks.copy_chunks(pk)
        for run in runs:
            run.refresh_from_db()
        if all(run.state == RunState.DRAINING for run in runs):
            return
    raise AssertionError([(run.state, run.message) for run in runs])


def counts(run: InitialSyncRun) -> list[tuple[str, int, int, int, int]]:
    return [
        (
            leg.direction.split("_")[0],
            leg.inserted,
            leg.updated,
            leg.unchanged + leg.skipped,
            leg.failed,
        )
        for leg in run.legs.all()
    ]


def chain(tables: Tables, number: int) -> None:
    """Employees each of whom reports to the next one, who is copied later."""
    tables.erp.execute(
        "INSERT INTO employees (number, boss) SELECT 'E' || lpad(n::text, 4, '0'),"
        " CASE WHEN n < %(n)s THEN 'E' || lpad((n + 1)::text, 4, '0') END"
        " FROM generate_series(1, %(n)s) n",
        {"n": number},
    )


def test_a_self_reference_across_chunks_is_filled_in_a_second_pass(
    tables: Tables, link: ConnectionSet
) -> None:
    chain(tables, 95)
    (run,) = start(link, EMPLOYEES)
    work([run])
    assert run.state == RunState.DRAINING
    assert tables.employees() == tables.erp_employees()
    assert counts(run) == [("finops", 95, 0, 0, 0), ("dataverse", 0, 0, 95, 0)]
    assert not SyncError.objects.exists()
    assert not Chunk.objects.exclude(state=ChunkState.DONE).exists()
    assert not Chunk.objects.filter(deferred__isnull=False).exists()


def test_rows_that_are_there_already_count_as_updated(
    tables: Tables, link: ConnectionSet
) -> None:
    chain(tables, 20)
    tables.crm.execute(
        "INSERT INTO employees (number) SELECT 'E' || lpad(n::text, 4, '0')"
        " FROM generate_series(1, 10) n;"
        "UPDATE employees SET boss = (SELECT id FROM employees WHERE number = 'E0001')"
        " WHERE number = 'E0010'"
    )
    (run,) = start(link, EMPLOYEES)
    work([run])
    assert tables.employees() == tables.erp_employees()
    assert counts(run)[0] == ("finops", 10, 10, 0, 0)


def test_maps_that_refer_to_each_other_are_both_copied_whole(
    tables: Tables, link: ConnectionSet
) -> None:
    chain(tables, 30)
    tables.erp.execute(
        "INSERT INTO departments SELECT 'D' || n, 'E' || lpad((n * 10)::text, 4, '0')"
        " FROM generate_series(1, 3) n;"
        "UPDATE employees SET department = 'D' || (right(number, 1)::int % 3 + 1)"
    )
    runs = start(link, EMPLOYEES, DEPARTMENTS)
    work(runs)
    assert [run.state for run in runs] == [RunState.DRAINING, RunState.DRAINING]
    assert not SyncError.objects.exists()
    assert tables.employees() == tables.erp_employees()
    managers = tables.crm.execute(
        "SELECT d.name, e.number FROM departments d JOIN employees e"
        " ON e.id = d.manager ORDER BY 1"
    ).fetchall()
    assert (
        managers
        == tables.erp.execute(
            "SELECT name, manager FROM departments ORDER BY 1"
        ).fetchall()
    )
    assert counts(runs[0])[0] == ("finops", 30, 0, 0, 0)
    assert counts(runs[1])[0] == ("finops", 3, 0, 0, 0)


def test_a_reference_to_nobody_is_an_error_and_the_counts_add_up(
    tables: Tables, link: ConnectionSet
) -> None:
    chain(tables, 20)
    tables.erp.execute("UPDATE employees SET boss = 'nobody' WHERE number = 'E0005'")
    (run,) = start(link, EMPLOYEES)
    work([run])
    assert counts(run)[0] == ("finops", 19, 0, 0, 1)
    error = SyncError.objects.get()
    assert (error.code, error.column) == ("lookup_not_found", "boss.number")
    assert run.legs.get(order=1).exported == 20


def test_rows_only_the_other_side_has_refer_to_each_other_too(
    tables: Tables, link: ConnectionSet
) -> None:
    tables.crm.execute(
        "INSERT INTO employees (number) SELECT 'C' || n FROM generate_series(1, 20) n;"
        "UPDATE employees e SET boss = b.id FROM employees b WHERE b.number ="
        " 'C' || (substr(e.number, 2)::int + 1)"
    )
    (run,) = start(link, EMPLOYEES)
    work([run])
    assert tables.erp_employees() == tables.employees()
    assert counts(run)[1] == ("dataverse", 20, 0, 0, 0)


def test_a_worker_that_dies_in_the_second_pass_hands_its_rows_back(
    tables: Tables, link: ConnectionSet
) -> None:
    chain(tables, 25)
    (run,) = start(link, EMPLOYEES)
    while run.state != RunState.LINKING:
        for pk in progress.advance_runs(chunk_rows=10):
            run.refresh_from_db()
            if run.state != RunState.LINKING:
                chunks.copy_chunks(pk)
    taken = chunks.claim(run.pk)
    assert taken is not None
    assert taken.deferred is not None
    chunks.free_stale(timezone.now() + timedelta(hours=1))
    taken.refresh_from_db()
    assert (taken.state, taken.claimed_at) == (ChunkState.DEFERRED, None)
    work([run])
    assert run.state == RunState.DRAINING
    assert tables.employees() == tables.erp_employees()
    assert counts(run)[0] == ("finops", 25, 0, 0, 0)


def test_a_cancelled_run_ends_its_second_pass(
    tables: Tables, link: ConnectionSet
) -> None:
    chain(tables, 25)
    (run,) = start(link, EMPLOYEES)
    while run.state != RunState.LINKING:
        for pk in progress.advance_runs(chunk_rows=10):
            run.refresh_from_db()
            if run.state != RunState.LINKING:
                chunks.copy_chunks(pk)
    maps.stop([run.table_map_id])
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
    assert chunks.claim(run.pk) is None
    assert not chunks.copy_chunks(run.pk)
