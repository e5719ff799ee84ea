"""Initial syncs by real workers: from the run to a running map, and through a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from portal.environments.models import ConnectionSet, Stream
from portal.errors.models import SyncError
from portal.maps import services as maps
from portal.maps.models import MapState, TableMap
from portal.runs.models import Chunk, InitialSyncRun, LegRun, RunState
from syncengine.mapping.model import Side
from syncengine.reconcile import compare
from tests.engine.pair import CUSTOMERS_MAP, GROUPS_MAP, Pair
from tests.factories import make_connection_set, make_environment
from tests.jobs.workers import Worker
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
COPY_SECONDS = 120


@pytest.fixture
def pair(make_database: Callable[..., str]) -> Iterator[Pair]:
    pair = Pair(make_database)
    yield pair
    pair.close()


@pytest.fixture
def link(pair: Pair) -> ConnectionSet:
    return make_connection_set(
        finops=make_environment(
            "finops",
            name="erp",
            dsn=pair.dsns[Side.FINOPS],
            company_column="dataareaid",
        ),
        dataverse=make_environment(
            "dataverse",
            name="crm",
            dsn=pair.dsns[Side.DATAVERSE],
            company_column="msdyn_company",
            company_lookup_table="cdm_companies",
            company_lookup_column="cdm_companycode",
        ),
        legal_entities=(("usmf", "USMF"), ("dat", "DAT")),
    )


@pytest.fixture
def worker(link: ConnectionSet) -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.stop()


def add_customers(pair: Pair, number: int) -> None:
    pair.erp.execute(
        "INSERT INTO customersv3 (dataareaid, customeraccount, organizationname,"
        " customergroupid, onholdstatus)"
        " SELECT 'usmf', 'C' || i, 'Name of ' || i, '10', 'No'"
        " FROM generate_series(1, %s) i",
        [number],
    )


def running(table_map: TableMap) -> bool:
    table_map.refresh_from_db()
    return table_map.state == MapState.RUNNING


def state(worker: Worker) -> str:
    runs = InitialSyncRun.objects.values_list("table_map__name", "state", "message")
    streams = Stream.objects.values_list("source", "state", "message")
    return f"{list(runs)} {list(streams)}\n{worker.said}"


def test_maps_are_copied_in_order_and_end_running(
    pair: Pair, link: ConnectionSet, worker: Worker
) -> None:
    pair.erp.execute("INSERT INTO customergroups VALUES ('usmf', '10', 'Ten')")
    add_customers(pair, 2000)
    pair.add_account("CRM", customertypecode=3)
    customers = maps.create_map(link, CUSTOMERS_MAP)
    groups = maps.create_map(link, GROUPS_MAP)
    maps.run([customers, groups], master=Side.FINOPS)
    worker.start()
    for table_map in (groups, customers):
        wait_until(
            lambda table_map=table_map: running(table_map),
            COPY_SECONDS,
            lambda: state(worker),
        )
    assert not SyncError.objects.exists()
    run = customers.runs.get()
    assert (run.state, run.message) == (
        RunState.COMPLETED,
        "4,001 rows: 2,001 inserted, 0 updated, 0 unchanged, 2,000 left alone.",
    )
    result = compare(pair.finops, pair.dataverse, *pair.legs(CUSTOMERS_MAP))
    assert (result.in_step, result.compared) == (True, 2001)


def test_a_killed_worker_loses_and_doubles_nothing(
    pair: Pair, link: ConnectionSet, worker: Worker
) -> None:
    pair.add_groups("10")
    rows = 21_000
    add_customers(pair, rows)
    pair.crm.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.0001); RETURN new; END $$;"
        "CREATE TRIGGER slow BEFORE INSERT ON accounts FOR EACH ROW"
        " EXECUTE FUNCTION slow()"
    )
    table_map = maps.create_map(link, CUSTOMERS_MAP)
    maps.run([table_map], master=Side.FINOPS)
    worker.start()
    wait_until(
        lambda: Chunk.objects.filter(state="running", inserted__gte=10_000).exists(),
        COPY_SECONDS,
        lambda: state(worker),
    )
    worker.kill()
    assert 10_000 <= len(pair.accounts()) < rows
    pair.crm.execute("DROP TRIGGER slow ON accounts")
    pair.erp.execute(
        "UPDATE customersv3 SET organizationname = 'Changed meanwhile'"
        " WHERE customeraccount IN ('C1', 'C20999')"
    )
    pair.erp.execute("DELETE FROM customersv3 WHERE customeraccount = 'C2'")
    worker.start()
    wait_until(lambda: running(table_map), COPY_SECONDS, lambda: state(worker))
    leg = LegRun.objects.get(order=1, legal_entity="usmf")
    assert leg.exported == leg.inserted + leg.updated + leg.unchanged
    assert leg.exported in (rows, rows - 1)
    assert leg.unchanged >= 9_998
    assert not SyncError.objects.exists()
    result = compare(pair.finops, pair.dataverse, *pair.legs(CUSTOMERS_MAP))
    assert (result.in_step, result.compared) == (True, rows - 1)
