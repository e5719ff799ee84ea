"""What an administrator chooses for a run, and how far runs are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.http import QueryDict
from django.utils import timezone
from pytest_django.fixtures import Settings

from portal.activity.models import ActivityEvent
from portal.alerts.models import Alert
from portal.environments.models import ConnectionSet
from portal.errors.models import SyncError
from portal.maps import services as maps
from portal.maps.models import MapState, TableMap
from portal.maps.run_form import chosen_maps, read_options
from portal.maps.run_options import RunOptions
from portal.refusals import ActionForbidden, Refusal
from portal.runs import chunks, progress
from portal.runs.figures import RunFigures, figures, runs_of
from portal.runs.models import Chunk, InitialSyncRun, Outcome, RunState
from portal.runs.services import cancel_runs, purge
from syncengine.initial import ChunkResult
from syncengine.mapping.model import Side
from tests.engine.pair import CUSTOMERS_MAP, GROUPS_MAP, Pair
from tests.portal.copying import acknowledge, copy, counts, drain, start

pytestmark = pytest.mark.django_db(transaction=True)


def far(run: InitialSyncRun) -> RunFigures:
    return figures(runs_of([run.table_map_id]).filter(pk=run.pk))[0]


def both(link: ConnectionSet) -> tuple[TableMap, TableMap]:
    """Customers, and the groups that they refer to."""
    return maps.create_map(link, CUSTOMERS_MAP), maps.create_map(link, GROUPS_MAP)


def run_with(chosen: Sequence[TableMap], **options: object) -> None:
    maps.run(chosen, options=RunOptions(**options))  # type: ignore[arg-type]
    acknowledge(chosen[0].connection_set)


def test_each_map_has_its_own_master_and_its_own_choice_of_copying(
    pair: Pair, link: ConnectionSet
) -> None:
    customers, groups = both(link)
    run_with(
        [customers, groups],
        masters={customers.pk: Side.FINOPS},
        skipped=frozenset({groups.pk}),
    )
    assert customers.runs.get().master == "finops"
    assert not groups.runs.exists()
    groups.refresh_from_db()
    assert groups.state == MapState.RUNNING


def test_a_related_map_that_was_unticked_does_not_run(
    pair: Pair, link: ConnectionSet
) -> None:
    customers, groups = both(link)
    run_with([customers], related=True, without=frozenset({groups.pk}))
    groups.refresh_from_db()
    assert groups.state == MapState.NOT_RUNNING


def test_the_order_an_administrator_gives_is_followed(
    pair: Pair, link: ConnectionSet
) -> None:
    pair.add_customer("C1")
    pair.erp.execute("INSERT INTO customergroups VALUES ('usmf', '10', 'Ten')")
    customers, groups = both(link)
    run_with([customers, groups], order=[customers.pk, groups.pk])
    first, second = customers.runs.get(), groups.runs.get()
    assert first.position < second.position
    wanted = progress.advance_runs()
    assert next(iter(wanted)) == first.pk
    first.refresh_from_db()
    assert (first.state, first.message) == (RunState.COPYING, "")
    taken = chunks.claim(None)
    assert taken is not None
    assert taken.leg_run.run_id == first.pk


def test_only_new_rows_are_copied_when_asked_and_failed_records_are_left_alone(
    pair: Pair, link: ConnectionSet
) -> None:
    pair.add_customer("BAD", onholdstatus="Perhaps")
    pair.add_customer("C1", organizationname="Ours")
    run = start(link)
    acknowledge(link)
    copy(run)
    drain(run)
    assert far(run).outcome == Outcome.WARNING
    error = SyncError.objects.get()
    maps.stop([run.table_map])
    pair.erp.execute("UPDATE customersv3 SET organizationname = 'Changed'")
    pair.add_customer("C2")
    run_with([run.table_map], master=Side.FINOPS, new_rows_only=True)
    again = run.table_map.runs.latest("pk")
    copy(again)
    drain(again)
    assert pair.accounts()["USMF", "C1"][0] == "Ours"
    assert ("USMF", "C2") in pair.accounts()
    found = far(again)
    assert (found.outcome, found.failed) == (Outcome.COMPLETED, 0)
    leg = again.legs.get(order=1, legal_entity="usmf")
    assert (leg.exported, leg.inserted, leg.skipped) == (3, 1, 2)
    known = SyncError.objects.get()
    assert (known.pk, known.count, known.state) == (error.pk, error.count, error.state)
    assert TableMap.objects.get().state == MapState.RUNNING


@pytest.mark.parametrize(
    ("options", "ends"),
    [
        ({"error_limit": 1}, RunState.FAILED),
        ({"error_limit": 2}, RunState.DRAINING),
        ({"error_percent": 15.0}, RunState.FAILED),
        ({"error_percent": 20.0}, RunState.DRAINING),
        ({}, RunState.DRAINING),
    ],
)
def test_too_many_failed_records_end_a_run(
    pair: Pair, link: ConnectionSet, options: dict[str, object], ends: RunState
) -> None:
    for number in range(8):
        pair.add_customer(f"C{number}")
    for number in range(2):
        pair.add_customer(f"BAD{number}", onholdstatus="Perhaps")
    table_map = maps.create_map(link, CUSTOMERS_MAP)
    run_with([table_map], master=Side.FINOPS, **options)
    run = table_map.runs.get()
    copy(run)
    assert run.state == ends
    table_map.refresh_from_db()
    if ends == RunState.FAILED:
        assert (run.outcome, table_map.state) == (
            Outcome.ERROR,
            MapState.NOT_RUNNING,
        )
        assert table_map.state_reason.startswith("too_many_errors: 2 of 10 records")
        assert SyncError.objects.count() == 2


def test_the_dialog_says_which_maps_run_and_how() -> None:
    sent = QueryDict(
        "action=run&map=2&related=on&initial_sync=on&master=finops"
        "&plan=2&plan=1&plan=3&include=2&include=1&copy=2&master_1=dataverse"
        "&error_limit=5&error_percent=0,5 %25&new_rows_only=on"
    )
    assert chosen_maps(sent) == [2, 1]
    options = read_options(sent)
    assert options == RunOptions(
        master=Side.FINOPS,
        masters={1: Side.DATAVERSE},
        skipped=frozenset({1}),
        order=[2, 1, 3],
        new_rows_only=True,
        error_limit=5,
        error_percent=0.5,
    )
    assert options.places({1: 10, 2: 20, 3: 30, 4: 5}) == {2: 10, 1: 20, 3: 30, 4: 5}
    plain = QueryDict("map=7&related=on")
    assert chosen_maps(plain) == [7]
    wanted = RunOptions(skip_initial_sync=True, related=True, order=[])
    assert read_options(plain) == wanted
    with pytest.raises(Refusal, match="whole number"):
        read_options(QueryDict("error_limit=many"))


def test_senseless_limits_are_refused() -> None:
    with pytest.raises(Refusal):
        RunOptions(error_limit=-1)
    with pytest.raises(Refusal):
        RunOptions(error_percent=100.5)


def test_figures_count_what_workers_have_done_of_their_chunks(
    pair: Pair, link: ConnectionSet
) -> None:
    for number in range(6):
        pair.add_customer(f"C{number}")
    run = start(link)
    acknowledge(link)
    progress.advance_runs(chunk_rows=3)
    chunk = chunks.claim(run.pk)
    assert chunk is not None
    with chunks._Heartbeat(chunk) as heartbeat:
        heartbeat.count(ChunkResult(exported=2, inserted=1, failed=1))
    run.refresh_from_db()
    found = far(run)
    assert (found.exported, found.total, found.failed) == (2, 6, 1)
    assert found.rows_per_second is not None
    assert found.seconds_left == pytest.approx(4 / found.rows_per_second)
    leg = next(one for one in found.legs if one.leg.state == RunState.COPYING)
    assert (leg.counts["inserted"], leg.leg.legal_entity) == (1, "usmf")
    assert found.document()["legs"][0]["planned"] in (0, 6)


def test_cancelling_counts_nothing_half_and_leaves_the_map_not_running(
    pair: Pair, link: ConnectionSet
) -> None:
    for number in range(6):
        pair.add_customer(f"C{number}")
    run = start(link)
    acknowledge(link)
    progress.advance_runs(chunk_rows=3)
    chunk = chunks.claim(run.pk)
    assert chunk is not None
    with chunks._Heartbeat(chunk) as heartbeat:
        heartbeat.count(ChunkResult(exported=2, inserted=2))
        (cancelled,) = cancel_runs([run.table_map])
        with pytest.raises(chunks.ClaimLost):
            heartbeat.count(ChunkResult(exported=3, inserted=3))
    assert (cancelled.state, far(cancelled).exported) == (RunState.CANCELLED, 0)
    assert TableMap.objects.get().state == MapState.NOT_RUNNING
    assert not Chunk.objects.filter(state="running").exists()
    with pytest.raises(ActionForbidden, match="nothing was cancelled"):
        cancel_runs([run.table_map])


def test_a_worker_goes_on_with_the_next_run_without_being_called_again(
    pair: Pair, link: ConnectionSet
) -> None:
    pair.add_customer("C1", customergroupid=None)
    pair.erp.execute("INSERT INTO customergroups VALUES ('usmf', '10', 'Ten')")
    customers, groups = both(link)
    run_with([customers, groups], order=[customers.pk, groups.pk])
    assert sum(progress.advance_runs().values()) == 2
    assert chunks.copy_chunks() is False
    assert not Chunk.objects.exclude(state="done").exists()
    assert set(
        Chunk.objects.values_list("leg_run__run__table_map__name", flat=True)
    ) == {
        "customers",
        "customer groups",
    }


def test_no_more_workers_copy_than_are_allowed(
    pair: Pair, link: ConnectionSet, settings: Settings
) -> None:
    for number in range(8):
        pair.add_customer(f"C{number}")
    run = start(link)
    acknowledge(link)
    settings.COPY_WORKERS = 3
    assert progress.advance_runs(chunk_rows=2) == {run.pk: 3}
    taken = [chunks.claim(None) for _ in range(3)]
    assert all(taken)
    assert chunks.free_places() == 0
    assert chunks.copy_chunks() is False
    assert Chunk.objects.filter(state="waiting").count() == 1
    assert progress.advance_runs() == {}
    Chunk.objects.update(claimed_at=timezone.now() - timedelta(hours=1))
    assert progress.advance_runs() == {run.pk: 3}


def test_runs_that_ended_long_ago_are_forgotten_but_the_last_of_each_map(
    pair: Pair, link: ConnectionSet, settings: Settings
) -> None:
    settings.RUN_HISTORY_DAYS = 10
    pair.add_customer("C1")
    for _ in range(3):
        run = start(link)
        acknowledge(link)
        copy(run)
        drain(run)
        maps.stop([run.table_map])
    now = timezone.now()
    assert purge(now) == 0
    assert purge(now + timedelta(days=11)) == 2
    assert InitialSyncRun.objects.get() == run
    assert ActivityEvent.objects.get(kind="run.purged").message.startswith("2 initial")


def test_a_run_that_failed_raises_an_alert_that_the_next_one_clears(
    pair: Pair, link: ConnectionSet
) -> None:
    pair.add_customer("BAD", onholdstatus="Perhaps")
    table_map = maps.create_map(link, CUSTOMERS_MAP)
    run_with([table_map], master=Side.FINOPS, error_limit=0)
    copy(table_map.runs.get())
    assert Alert.objects.get(closed_at=None).kind == "initial_sync_failed"
    run = start(link)
    acknowledge(link)
    copy(run)
    drain(run)
    assert not Alert.objects.filter(closed_at=None).exists()


def test_counts_of_each_direction_and_company_add_up(
    pair: Pair, link: ConnectionSet
) -> None:
    pair.add_customer("C1")
    pair.add_customer("C2", "dat", onholdstatus="Perhaps")
    pair.add_account("C3", "DAT")
    run = start(link)
    acknowledge(link)
    copy(run)
    for leg in run.legs.all():
        parts = ("inserted", "updated", "unchanged", "skipped", "failed")
        assert leg.exported == sum(getattr(leg, name) for name in parts)
    assert counts(run).keys() == {
        (side, company)
        for side in ("finops", "dataverse")
        for company in ("usmf", "dat")
    }
