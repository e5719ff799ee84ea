"""Comparisons kept as rows: finding, repairing, cancelling, schedules, forgetting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from django.utils import timezone

from portal.activity.models import ActivityEvent
from portal.alerts.models import Alert
from portal.comparisons import queries, schedules, services, working
from portal.comparisons.models import (
    Comparison,
    ComparisonSchedule,
    ComparisonState,
    DifferentColumn,
    FoundDifference,
    Trigger,
)
from portal.comparisons.queries import DifferenceFilter
from portal.comparisons.watching import Cancelled
from portal.maps.models import MapState, TableMap
from portal.refusals import ActionForbidden, Refusal
from portal.runs.models import InitialSyncRun
from syncengine.errors import OutageError
from syncengine.mapping.model import ConflictPolicy
from tests.factories import (
    make_connection_set,
    make_definition,
    make_environment,
    make_map,
)
from tests.portal.test_command_line import dw

pytestmark = pytest.mark.django_db


class Sides:
    """Two databases: c1 and c9 are equal, c2 is missing in Dataverse, c3 in FinOps,
    c4 has two names, c5 cannot be mapped."""

    def __init__(self, make_database: Callable[..., str]) -> None:
        self.erp_dsn, self.crm_dsn = make_database(), make_database()
        self.erp = psycopg.connect(self.erp_dsn, autocommit=True)
        self.crm = psycopg.connect(self.crm_dsn, autocommit=True)
        self.erp.execute(
            "CREATE TABLE customers (account text PRIMARY KEY, name text, hold text);"
            "INSERT INTO customers VALUES ('c1', 'One', 'No'), ('c2', 'Two', 'All'),"
            " ('c4', 'Ours', 'No'), ('c5', 'Five', 'Never'), ('c9', 'Nine', 'No')"
        )
        self.crm.execute(
            "CREATE TABLE accounts (accountnumber text PRIMARY KEY, name text,"
            " onhold int);"
            "INSERT INTO accounts VALUES ('c1', 'One', 0), ('c3', 'Three', 2),"
            " ('c4', 'Theirs', 0), ('c9', 'Nine', 0)"
        )
        self.set = make_connection_set(
            finops=make_environment("finops", dsn=self.erp_dsn),
            dataverse=make_environment("dataverse", dsn=self.crm_dsn),
        )

    def names(self) -> dict[str, str]:
        rows = self.crm.execute("SELECT accountnumber, name FROM accounts").fetchall()
        return dict(rows)


@pytest.fixture
def sides(make_database: Callable[..., str]) -> Iterator[Sides]:
    made = Sides(make_database)
    yield made
    made.erp.close()
    made.crm.close()


def test_a_comparison_keeps_counts_and_differences_as_rows(sides: Sides) -> None:
    done = services.compare_map(make_map(sides.set)).comparison
    done.refresh_from_db()
    assert done.state == ComparisonState.COMPLETED
    assert (done.equal, done.different) == (2, 2)
    assert (done.missing_in_dataverse, done.missing_in_finops) == (1, 1)
    assert (done.compared, done.kept, done.in_step) == (6, 4, False)
    found = {one.key_text: one for one in done.found.all()}
    assert found["c2"].kind == "missing_in_dataverse"
    assert found["c3"].kind == "missing_in_finops"
    assert "value map" in found["c5"].reason
    (column,) = found["c4"].columns.all()
    assert (column.column, column.finops, column.dataverse) == (
        "name",
        "Ours",
        "Theirs",
    )


def test_counts_are_exact_where_not_all_differences_are_kept(
    sides: Sides, settings: object
) -> None:
    settings.COMPARE_KEPT_DIFFERENCES = 1  # type: ignore[attr-defined]
    done = services.compare_map(make_map(sides.set)).comparison
    assert (done.differences, done.kept, done.found.count()) == (4, 1, 1)


def test_differences_are_found_by_kind_key_and_column(sides: Sides) -> None:
    done = services.compare_map(make_map(sides.set)).comparison

    def keys(**values: str) -> set[str]:
        rows = queries.differences(done, DifferenceFilter(**values))
        return {one.key_text for one in rows}

    assert keys(kind="different") == {"c4", "c5"}
    assert keys(key="C3") == {"c3"}
    assert keys(column="name") == {"c4"}
    assert queries.columns_found(done) == ["name"]


@pytest.mark.django_db(transaction=True)
def test_a_repair_writes_the_winner_s_rows_and_counts_them(sides: Sides) -> None:
    table_map = make_map(sides.set)
    dw("run", table_map.name, "--skip-initial-sync")
    done = services.compare_map(table_map, "finops").comparison
    assert (done.inserted, done.updated, done.failed) == (1, 1, 1)
    assert (done.left_alone, done.deleted, done.in_step) == (1, 0, False)
    assert sides.names()["c4"] == "Ours"
    assert sides.names()["c2"] == "Two"
    assert "c3" in sides.names()
    assert "value map" in done.found.get(key_text="c5").failure
    event = ActivityEvent.objects.get(kind="map.repaired")
    assert "1 inserted, 1 updated" in event.message


@pytest.mark.django_db(transaction=True)
def test_what_only_the_loser_has_is_deleted_only_when_asked_for(sides: Sides) -> None:
    table_map = make_map(sides.set)
    dw("run", table_map.name, "--skip-initial-sync")
    done = services.compare_map(table_map, "finops", delete_extra=True).comparison
    assert (done.deleted, done.left_alone) == (1, 0)
    assert "c3" not in sides.names()


@pytest.mark.django_db(transaction=True)
def test_chosen_differences_are_repaired_alone(sides: Sides) -> None:
    table_map = make_map(sides.set)
    dw("run", table_map.name, "--skip-initial-sync")
    found = services.compare_map(table_map).comparison
    chosen = list(found.found.filter(key_text__in=("c3", "c4")))
    asked = services.ask(table_map, repair="dataverse", chosen=chosen)
    claimed = working.claim(asked.pk)
    assert claimed is not None
    done = working.work(claimed).comparison
    assert (done.inserted, done.updated, done.in_step) == (1, 1, True)
    rows = sides.erp.execute("SELECT account, name FROM customers").fetchall()
    assert dict(rows)["c4"] == "Theirs"
    assert dict(rows)["c3"] == "Three"
    assert "c2" not in sides.names()
    # It says nothing of the whole map.
    last = queries.latest([table_map.pk])[table_map.pk]
    assert last.pk == found.pk


def test_the_master_is_who_wins_conflicts_or_won_the_last_initial_sync(
    sides: Sides,
) -> None:
    by_policy = make_map(
        sides.set,
        name="by policy",
        definition=make_definition("by policy", conflict=ConflictPolicy.FINOPS_WINS),
    )
    by_run = make_map(sides.set, name="by run")
    InitialSyncRun.objects.create(
        table_map=by_run, master="dataverse", state="completed"
    )
    by_nothing = make_map(sides.set, name="by nothing")
    assert services.ask(by_policy, repair="master").winner == "finops"
    assert services.ask(by_run, repair="master").winner == "dataverse"
    with pytest.raises(Refusal) as refused:
        services.ask(by_nothing, repair="master")
    assert refused.value.code == "no_master"


def test_a_map_is_compared_once_at_a_time(sides: Sides) -> None:
    table_map = make_map(sides.set)
    services.ask(table_map)
    with pytest.raises(ActionForbidden):
        services.ask(table_map)


def test_a_map_that_is_being_copied_is_not_repaired(sides: Sides) -> None:
    table_map = make_map(sides.set, state=MapState.INITIALIZING)
    with pytest.raises(Refusal):
        services.ask(table_map, repair="finops")


def test_a_waiting_comparison_is_cancelled_at_once(sides: Sides) -> None:
    asked = services.ask(make_map(sides.set))
    assert services.cancel(asked)
    assert not services.cancel(asked)
    assert working.claim(asked.pk) is None
    assert Comparison.objects.get().state == ComparisonState.CANCELLED


def test_a_running_comparison_ends_when_told_to(sides: Sides) -> None:
    asked = services.ask(make_map(sides.set))
    claimed = working.claim(asked.pk)
    assert claimed is not None

    def cancelled(_rows: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        working.work(claimed, on_progress=cancelled)
    asked.refresh_from_db()
    assert asked.state == ComparisonState.CANCELLED
    assert "Cancelled" in asked.message


def test_a_system_that_does_not_answer_fails_the_comparison() -> None:
    table_map = make_map()
    with pytest.raises(OutageError):
        services.compare_map(table_map)
    failed = Comparison.objects.get()
    assert failed.state == ComparisonState.FAILED
    assert failed.message


def test_a_comparison_whose_worker_died_is_taken_again_and_a_repair_is_not(
    sides: Sides,
) -> None:
    compared = services.ask(make_map(sides.set, name="one"))
    repaired = services.ask(make_map(sides.set, name="two"), repair="finops")
    for one in (compared, repaired):
        working.claim(one.pk)
    silent = timezone.now() - timedelta(minutes=5)
    Comparison.objects.update(heartbeat_at=silent)
    assert working.free_silent() == 2
    compared.refresh_from_db()
    repaired.refresh_from_db()
    assert compared.state == ComparisonState.WAITING
    assert repaired.state == ComparisonState.FAILED


def test_an_equal_comparison_clears_the_mark_of_a_doubtful_map(sides: Sides) -> None:
    table_map = make_map(sides.set)
    sides.erp.execute("DELETE FROM customers WHERE account NOT IN ('c1', 'c9')")
    sides.crm.execute("DELETE FROM accounts WHERE accountnumber NOT IN ('c1', 'c9')")
    TableMap.objects.update(
        reconcile_needed_at=timezone.now(), reconcile_reason="a gap"
    )
    assert services.compare_map(table_map).in_step
    table_map.refresh_from_db()
    assert (table_map.reconcile_needed_at, table_map.reconcile_reason) == (None, "")


# Schedules

MORNING = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)


def scheduled(sides: Sides, table_map: TableMap | None = None) -> ComparisonSchedule:
    schedule = schedules.save(sides.set, table_map, hour=2, rows_per_second=500)
    ComparisonSchedule.objects.update(started_at=MORNING - timedelta(days=1))
    return schedule


def test_the_running_maps_of_a_set_are_compared_when_it_is_due(sides: Sides) -> None:
    running = make_map(sides.set, name="running", state=MapState.RUNNING)
    make_map(sides.set, name="idle")
    scheduled(sides)
    assert schedules.start_due(MORNING) == 1
    (asked,) = Comparison.objects.all()
    assert (asked.table_map, asked.trigger) == (running, Trigger.SCHEDULED)
    assert asked.rows_per_second == 500
    assert schedules.start_due(MORNING + timedelta(minutes=5)) == 0


def test_a_map_with_a_schedule_of_its_own_does_not_follow_that_of_its_set(
    sides: Sides,
) -> None:
    own = make_map(sides.set, name="own", state=MapState.RUNNING)
    schedules.save(sides.set, own, hour=23)
    scheduled(sides)
    assert schedules.start_due(MORNING) == 0
    assert schedules.start_due(MORNING.replace(hour=23, minute=1)) == 1


def test_a_schedule_missed_for_long_waits_for_the_next_day(sides: Sides) -> None:
    make_map(sides.set, state=MapState.RUNNING)
    scheduled(sides)
    assert schedules.start_due(MORNING.replace(hour=9)) == 0


def test_a_schedule_that_is_just_saved_does_not_start_at_once(sides: Sides) -> None:
    make_map(sides.set, state=MapState.RUNNING)
    now = timezone.now()
    past = now - timedelta(minutes=10)
    schedules.save(sides.set, None, hour=past.hour, minute=past.minute)
    assert schedules.start_due() == 0


def test_drift_found_by_a_schedule_raises_an_alert_until_it_is_gone(
    sides: Sides,
) -> None:
    table_map = make_map(sides.set)
    services.compare_map(table_map, trigger=Trigger.SCHEDULED)
    (alert,) = Alert.objects.filter(kind="drift", closed_at=None)
    assert "4 of 6 records are not in step" in alert.message
    sides.erp.execute("DELETE FROM customers WHERE account NOT IN ('c1', 'c9')")
    sides.crm.execute("DELETE FROM accounts WHERE accountnumber NOT IN ('c1', 'c9')")
    services.compare_map(table_map)
    assert not Alert.objects.filter(kind="drift", closed_at=None).exists()


def test_a_comparison_somebody_asked_for_raises_no_alert(sides: Sides) -> None:
    services.compare_map(make_map(sides.set))
    assert not Alert.objects.exists()


# Keeping


def test_differences_of_older_comparisons_are_forgotten_and_counts_stay(
    sides: Sides,
) -> None:
    table_map = make_map(sides.set)
    for _ in range(5):
        services.compare_map(table_map)
    kept = list(Comparison.objects.order_by("pk").values_list("kept", "different"))
    assert kept == [(0, 2), (0, 2), (4, 2), (4, 2), (4, 2)]
    assert FoundDifference.objects.count() == 12
    assert DifferentColumn.objects.count() == 3


def test_old_comparisons_are_deleted_but_for_the_last(sides: Sides) -> None:
    table_map = make_map(sides.set)
    for _ in range(3):
        services.compare_map(table_map)
    Comparison.objects.update(created_at=timezone.now() - timedelta(days=365))
    assert schedules.forget_old() == 2
    assert Comparison.objects.count() == 1
    assert queries.latest([table_map.pk])


# Commands


def test_the_command_line_lists_schedules_and_history(sides: Sides) -> None:
    table_map = make_map(sides.set)
    made = dw("compare-schedule", "--map", table_map.name, "--at", "03:30", "--json")
    assert made.document["schedules"] == [
        {
            "connection_set": sides.set.name,
            "map": table_map.name,
            "at": "03:30",
            "rows_per_second": 0,
            "enabled": True,
        }
    ]
    assert dw("compare-schedule", "--map", table_map.name, "--off").code == 0
    assert "Nothing is compared" in dw("compare-schedule").out
    assert dw("compare-schedule", "--at", "03:30").code == 1
    assert dw("compare-schedule", "--set", sides.set.name, "--at", "25:00").code == 1
    dw("compare", table_map.name)
    (line,) = dw("comparisons", table_map.name, "--json").document["comparisons"]
    assert (line["state"], line["different"]) == ("completed", 2)


def test_differences_are_written_to_a_file(sides: Sides, tmp_path: object) -> None:
    path = f"{tmp_path}/differences.csv"
    done = dw("compare", make_map(sides.set).name, "--export", path, "--json")
    assert done.document["exported"] == path
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    assert lines[0] == "kind,key,column,finops,dataverse,reason,failure"
    assert "different,c4,name,Ours,Theirs,," in lines
