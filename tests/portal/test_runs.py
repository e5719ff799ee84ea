"""The state machine of initial syncs, on real databases; the streams are played."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from portal.activity.models import ActivityEvent
from portal.environments.models import ConnectionSet, Stream
from portal.errors.models import SyncError
from portal.maps import services as maps
from portal.maps.models import LegModeChoices, MapState, TableMap
from portal.refusals import ActionForbidden
from portal.runs import chunks, progress
from portal.runs.models import Chunk, ChunkState, LegRun, RunState
from portal.runs.services import cancel_run, complete_run
from syncengine.initial import ChunkResult
from syncengine.mapping.model import Side
from syncengine.mapping.model import TableMap as Definition
from tests.engine.pair import CUSTOMERS_MAP, GROUPS_MAP, Pair, line
from tests.portal.copying import acknowledge, copy, counts, drain, start

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_waits_until_the_streams_queue_the_map_s_changes(
    link: ConnectionSet,
) -> None:
    run = start(link)
    Stream.objects.filter(source="finops").update(acknowledged_revision=10_000)
    assert progress.advance_runs() == {}
    run.refresh_from_db()
    assert (run.state, run.message) == (
        RunState.WAITING,
        "Waiting for the stream of crm.",
    )
    acknowledge(link)
    progress.advance_runs()
    run.refresh_from_db()
    assert run.state == RunState.DRAINING


def test_a_run_copies_both_legs_drains_and_ends_with_the_map_running(
    pair: Pair, link: ConnectionSet
) -> None:
    pair.add_groups("10")
    pair.add_customer("C1", customergroupid="10")
    pair.add_customer("C2", "dat")
    pair.add_account("C1", name="Old")
    pair.add_account("C3", "DAT")
    run = start(link)
    acknowledge(link)
    copy(run)
    assert counts(run) == {
        ("finops", "usmf"): (0, 1, 0, 0),
        ("finops", "dat"): (1, 0, 0, 0),
        ("dataverse", "usmf"): (0, 0, 1, 0),
        ("dataverse", "dat"): (1, 0, 1, 0),
    }
    assert run.state == RunState.DRAINING
    legs = run.table_map.legs.all()
    assert {leg.mode for leg in legs} == {LegModeChoices.DRAIN}
    assert all(leg.fold and len(leg.drain_after) == 17 for leg in legs)
    drain(run)
    table_map = TableMap.objects.get()
    assert (run.state, table_map.state) == (RunState.COMPLETED, MapState.RUNNING)
    assert run.message == ("5 rows: 2 inserted, 1 updated, 0 unchanged, 2 left alone.")
    assert table_map.rows_synced == 3
    event = ActivityEvent.objects.get(kind="run.completed")
    assert event.correlation_id == run.correlation_id


def test_a_second_initial_sync_writes_nothing(pair: Pair, link: ConnectionSet) -> None:
    for number in range(20):
        pair.add_customer(f"C{number}")
    for _ in range(2):
        run = start(link)
        acknowledge(link)
        copy(run)
        drain(run)
        maps.stop([run.table_map])
    assert counts(run)["finops", "usmf"] == (0, 0, 20, 0)
    assert counts(run)["dataverse", "usmf"] == (0, 0, 20, 0)


def test_the_second_leg_is_planned_only_after_the_first(
    pair: Pair, link: ConnectionSet
) -> None:
    for number in range(5):
        pair.add_customer(f"C{number}")
    run = start(link)
    acknowledge(link)
    assert progress.advance_runs(chunk_rows=2) == {run.pk: 2}
    states = {leg.direction: leg.state for leg in run.legs.filter(legal_entity="usmf")}
    assert states == {
        "finops_to_dataverse": RunState.COPYING,
        "dataverse_to_finops": RunState.WAITING,
    }
    assert Chunk.objects.count() == 3
    copy(run)
    assert run.state == RunState.DRAINING


def test_the_master_decides_which_leg_comes_first(
    pair: Pair, link: ConnectionSet
) -> None:
    pair.add_customer("C1", organizationname="Ours")
    pair.add_account("C1", name="Theirs")
    run = start(link, master=Side.DATAVERSE)
    acknowledge(link)
    copy(run)
    row = pair.erp.execute("SELECT organizationname FROM customersv3").fetchone()
    assert row == ("Theirs",)
    assert pair.accounts()["USMF", "C1"][0] == "Theirs"


def test_a_map_that_flows_one_way_has_one_leg(pair: Pair, link: ConnectionSet) -> None:
    definition = Definition(
        "one way",
        "customersv3",
        "accounts",
        (
            line("customeraccount", ">", "accountnumber"),
            line("organizationname", ">", "name"),
        ),
        CUSTOMERS_MAP.key,
    )
    pair.add_customer("C1")
    pair.add_account("C2")
    run = start(link, definition, master=Side.DATAVERSE)
    Stream.objects.filter(source="finops").update(acknowledged_revision=10_000)
    copy(run)
    assert {leg.direction for leg in run.legs.all()} == {"finops_to_dataverse"}
    assert run.state == RunState.DRAINING


def test_a_map_waits_for_the_copy_of_the_maps_its_lookups_lead_to(
    pair: Pair, link: ConnectionSet
) -> None:
    pair.add_customer("C1", customergroupid="10")
    pair.erp.execute("INSERT INTO customergroups VALUES ('usmf', '10', 'Ten')")
    customers = maps.create_map(link, CUSTOMERS_MAP)
    groups = maps.create_map(link, GROUPS_MAP)
    maps.run([customers, groups], master=Side.FINOPS)
    acknowledge(link)
    first, second = groups.runs.get(), customers.runs.get()
    assert progress.advance_runs() == {first.pk: 1}
    second.refresh_from_db()
    assert second.message == "Waiting for the copy of customer groups."
    copy(first)
    copy(second)
    assert (first.state, second.state) == (RunState.DRAINING, RunState.DRAINING)
    assert pair.accounts()["USMF", "C1"][1] == "10"
    assert not SyncError.objects.exists()


def test_bad_rows_become_errors_and_the_run_goes_on(
    pair: Pair, link: ConnectionSet
) -> None:
    pair.add_customer("GOOD")
    pair.add_customer("BAD", onholdstatus="Perhaps")
    pair.add_customer("LOST", customergroupid="99")
    run = start(link)
    acknowledge(link)
    copy(run)
    drain(run)
    assert run.state == RunState.COMPLETED
    assert run.message == (
        "4 rows: 1 inserted, 0 updated, 0 unchanged, 1 left alone, 2 failed "
        "(see the error list)."
    )
    errors = {error.key_text: error for error in SyncError.objects.all()}
    assert {key: error.code for key, error in errors.items()} == {
        "usmf / BAD": "value_not_in_map",
        "usmf / LOST": "lookup_not_found",
    }
    assert errors["usmf / BAD"].phase == "initial"
    assert errors["usmf / LOST"].source_row["customergroupid"] == "99"


def test_a_dead_worker_s_chunk_is_done_by_another_and_counted_once(
    pair: Pair, link: ConnectionSet
) -> None:
    pair.add_customer("C1")
    run = start(link)
    acknowledge(link)
    progress.advance_runs()
    dead = chunks.claim(run.pk)
    assert dead is not None
    assert chunks.claim(run.pk) is None
    Chunk.objects.update(
        claimed_at=timezone.now() - timedelta(seconds=chunks.CLAIM_SECONDS + 1)
    )
    copy(run)
    assert counts(run)["finops", "usmf"] == (1, 0, 0, 0)
    with pytest.raises(chunks.ClaimLost):
        chunks.finish(dead, ChunkResult(exported=1, inserted=1))
    assert LegRun.objects.get(order=1, legal_entity="usmf").inserted == 1
    assert Chunk.objects.get(pk=dead.pk).attempts == 2


def test_two_workers_never_take_the_same_chunk(pair: Pair, link: ConnectionSet) -> None:
    for number in range(6):
        pair.add_customer(f"C{number}")
    run = start(link)
    acknowledge(link)
    progress.advance_runs(chunk_rows=2)
    taken = [chunks.claim(run.pk) for _ in range(3)]
    assert len({chunk.pk for chunk in taken if chunk}) == 3
    assert chunks.claim(run.pk) is None
    assert chunks.copy_chunks(run.pk) is False


def test_a_cancelled_run_stops_its_workers_and_its_map(
    pair: Pair, link: ConnectionSet
) -> None:
    pair.add_customer("C1")
    run = start(link)
    acknowledge(link)
    progress.advance_runs()
    chunk = chunks.claim(run.pk)
    assert chunk is not None
    cancel_run(run)
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
    assert TableMap.objects.get().state == MapState.NOT_RUNNING
    with pytest.raises(chunks.ClaimLost):
        chunks.finish(chunk, ChunkResult())
    assert progress.advance_runs() == {}
    with pytest.raises(ActionForbidden):
        cancel_run(run)
    assert start(link).state == RunState.WAITING


def test_a_dropped_table_fails_the_run_and_says_so(
    pair: Pair, link: ConnectionSet
) -> None:
    pair.add_customer("C1")
    run = start(link)
    acknowledge(link)
    pair.crm.execute("DROP TABLE accounts")
    progress.advance_runs()
    run.refresh_from_db()
    table_map = TableMap.objects.get()
    assert (run.state, table_map.state) == (RunState.FAILED, MapState.NOT_RUNNING)
    assert "accounts" in run.message
    assert "accounts" in table_map.state_reason
    assert {leg.mode for leg in table_map.legs.all()} == {LegModeChoices.OFF}


def test_a_table_dropped_while_copying_fails_the_run(
    pair: Pair, link: ConnectionSet
) -> None:
    pair.add_customer("C1")
    run = start(link)
    acknowledge(link)
    progress.advance_runs()
    pair.crm.execute("DROP TABLE accounts")
    assert chunks.copy_chunks(run.pk) is False
    run.refresh_from_db()
    assert run.state == RunState.FAILED
    assert "accounts" in run.message
    assert not SyncError.objects.exists()
    assert set(Chunk.objects.values_list("state", flat=True)) == {ChunkState.FAILED}


def closed(pair: Pair, is_open: bool) -> None:
    """Let nobody connect to the CRM database (or let them again)."""
    dsn = pair.dsns[Side.DATAVERSE]
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    if not is_open:
        pair.crm.close()
    with psycopg.connect(pair.dsns[Side.FINOPS], autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {is_open}')  # type: ignore[arg-type]
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [name],
        )
    if is_open:
        pair.crm = pair.sql[Side.DATAVERSE] = psycopg.connect(dsn, autocommit=True)


def test_an_outage_is_waited_for_and_nothing_is_lost(
    pair: Pair, link: ConnectionSet
) -> None:
    pair.add_customer("C1")
    run = start(link)
    acknowledge(link)
    progress.advance_runs()
    closed(pair, False)
    assert chunks.copy_chunks(run.pk) is False
    run.refresh_from_db()
    chunk = Chunk.objects.get()
    assert (run.state, chunk.state) == (RunState.COPYING, ChunkState.WAITING)
    assert chunk.not_before is not None
    assert chunk.not_before > timezone.now()
    assert "crm" in run.message
    assert progress.advance_runs() == {}
    closed(pair, True)
    Chunk.objects.update(not_before=timezone.now())
    copy(run)
    assert run.state == RunState.DRAINING
    assert run.message == ""
    assert counts(run)["finops", "usmf"] == (1, 0, 0, 0)


def test_only_one_tick_works_at_a_time(pair: Pair, link: ConnectionSet) -> None:
    run = start(link)
    acknowledge(link)
    settings = connection.settings_dict
    with psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        dbname=settings["NAME"],
    ) as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", progress.LOCK)
        assert progress.advance_runs() == {}
        run.refresh_from_db()
        assert run.state == RunState.WAITING
        other.execute("SELECT pg_advisory_unlock(%s, %s)", progress.LOCK)
    progress.advance_runs()
    run.refresh_from_db()
    assert run.state == RunState.DRAINING


def test_completing_twice_counts_once(pair: Pair, link: ConnectionSet) -> None:
    run = start(link)
    acknowledge(link)
    copy(run)
    assert complete_run(run)
    assert not complete_run(run)
    assert ActivityEvent.objects.filter(kind="run.completed").count() == 1
