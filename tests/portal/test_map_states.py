"""The state machine: its table, bulk actions, and what each action leaves behind."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from django.db import connection, transaction

from portal.accounts.models import User
from portal.activity.models import ActivityEvent
from portal.environments.models import ConnectionSet
from portal.maps import services
from portal.maps.models import MapState, TableMap
from portal.maps.states import Action, allowed_actions, is_done, refusal
from portal.refusals import ActionForbidden, NotFound, Refusal
from portal.runs.models import InitialSyncRun, RunState
from portal.sync.models import QueuedChange
from syncengine.mapping.model import ColumnMap, ColumnMapType, Direction
from tests.factories import make_connection_set, make_definition, make_map

S, A = MapState, Action

TABLE = {
    S.NOT_RUNNING: (A.RUN,),
    S.INITIALIZING: (A.STOP,),
    S.RUNNING: (A.PAUSE, A.STOP),
    S.PAUSED: (A.RESUME, A.STOP),
    S.RESUMING: (A.PAUSE, A.STOP),
}


def queue_change(table_map: TableMap, ordinal: int = 0) -> None:
    QueuedChange.objects.create(
        table_map=table_map,
        direction=Direction.FINOPS_TO_DATAVERSE.value,
        position="00000000/00000010",
        ordinal=ordinal,
        transaction_id="7",
        committed_at=datetime(2026, 3, 1, tzinfo=UTC),
        kind="update",
        key=["c1"],
        key_text="c1",
        columns=["account"],
        new=["c1"],
    )


@pytest.mark.parametrize("state", S)
def test_allowed_actions_follow_the_table(state: MapState) -> None:
    assert allowed_actions(state) == TABLE[state]


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("action", A)
def test_every_action_is_allowed_done_or_refused_with_a_sentence(
    action: Action, state: MapState
) -> None:
    reason = refusal(action, "customers", state)
    if action in TABLE[state]:
        assert reason is None
        assert not is_done(action, state)
    elif is_done(action, state):
        assert reason is None
    else:
        assert reason is not None
        assert "customers" in reason
        assert state.label in reason


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("action", "before", "after", "mode"),
    [
        (A.PAUSE, S.RUNNING, S.PAUSED, "queue"),
        (A.PAUSE, S.RESUMING, S.PAUSED, "queue"),
        (A.RESUME, S.PAUSED, S.RESUMING, "drain"),
        (A.STOP, S.INITIALIZING, S.NOT_RUNNING, "off"),
        (A.STOP, S.RUNNING, S.NOT_RUNNING, "off"),
        (A.STOP, S.PAUSED, S.NOT_RUNNING, "off"),
        (A.STOP, S.RESUMING, S.NOT_RUNNING, "off"),
    ],
)
def test_it_changes_state_legs_revision_and_log_together(
    action: Action, before: MapState, after: MapState, mode: str
) -> None:
    user = User.objects.create_user("ada")
    table_map = make_map(state=before)
    revision = ConnectionSet.objects.get().revision

    result = services.perform(action, [table_map.pk], user=user)

    table_map.refresh_from_db()
    assert table_map.state == after
    assert {leg.mode for leg in table_map.legs.all()} == {mode}
    assert ConnectionSet.objects.get().revision == revision + 1
    event = ActivityEvent.objects.first()
    assert event is not None
    assert (event.kind, event.old_state, event.new_state, event.user) == (
        f"map.{action.value}",
        before.value,
        after.value,
        user,
    )
    assert event.correlation_id == result.correlation_id != ""


@pytest.mark.django_db
def test_asking_twice_changes_nothing() -> None:
    table_map = make_map(state=S.RUNNING)
    services.pause([table_map])
    revision = ConnectionSet.objects.get().revision
    events = ActivityEvent.objects.count()

    result = services.pause([table_map])

    assert [m.pk for m in result.unchanged] == [table_map.pk]
    assert not result.changed
    assert ConnectionSet.objects.get().revision == revision
    assert ActivityEvent.objects.count() == events


@pytest.mark.django_db
def test_a_bulk_action_changes_all_or_none_and_names_who_forbids_it() -> None:
    connection_set = make_connection_set()
    running = make_map(connection_set, name="groups", state=S.RUNNING)
    stopped = make_map(connection_set, name="terms")

    with pytest.raises(ActionForbidden) as refused:
        services.pause([running, stopped])

    running.refresh_from_db()
    assert running.state == S.RUNNING
    assert "terms is Not running" in str(refused.value)
    assert "groups is" not in str(refused.value)
    assert {leg.mode for leg in running.legs.all()} == {"live"}


@pytest.mark.django_db
def test_a_bulk_action_writes_one_correlation_id() -> None:
    connection_set = make_connection_set()
    maps = [make_map(connection_set, name=n, state=S.RUNNING) for n in ("a", "b")]
    result = services.pause(maps)
    events = ActivityEvent.objects.filter(kind="map.pause")
    assert [event.correlation_id for event in events] == [result.correlation_id] * 2


@pytest.mark.django_db
def test_stop_throws_queued_changes_away_and_cancels_the_copy() -> None:
    table_map = make_map(state=S.INITIALIZING)
    other = make_map(table_map.connection_set, name="other", state=S.PAUSED)
    run = InitialSyncRun.objects.create(table_map=table_map, master="dataverse")
    queue_change(table_map, 0)
    queue_change(table_map, 1)
    queue_change(other)
    table_map.legs.update(queued_through="00000000/00000010", fold=True)

    result = services.stop([table_map])

    run.refresh_from_db()
    assert result.discarded == 2
    assert run.state == RunState.CANCELLED
    assert QueuedChange.objects.filter(table_map=table_map).count() == 0
    assert QueuedChange.objects.filter(table_map=other).count() == 1
    assert "2 queued changes" in ActivityEvent.objects.first().message
    assert set(table_map.legs.values_list("mode", "queued_through", "fold")) == {
        ("off", "", False)
    }


@pytest.mark.django_db
def test_pause_and_resume_keep_what_is_queued() -> None:
    table_map = make_map(state=S.RUNNING)
    table_map.legs.update(queued_through="00000000/00000010")
    services.pause([table_map])
    queue_change(table_map)
    services.resume([table_map])
    assert QueuedChange.objects.count() == 1
    assert set(table_map.legs.values_list("mode", "queued_through")) == {
        ("drain", "00000000/00000010")
    }


@pytest.mark.django_db
def test_a_direction_that_carries_nothing_stays_off() -> None:
    definition = make_definition(
        columns=(
            ColumnMap("account", "accountnumber", ColumnMapType.TO_DATAVERSE),
            ColumnMap("name", "name", ColumnMapType.TO_DATAVERSE),
        )
    )
    table_map = make_map(state=S.RUNNING, definition=definition)
    services.pause([table_map])
    assert dict(table_map.legs.values_list("direction", "mode")) == {
        "finops_to_dataverse": "queue",
        "dataverse_to_finops": "off",
    }


@pytest.mark.django_db
def test_an_unknown_map_is_a_sentence() -> None:
    with pytest.raises(NotFound, match="no map with id 424242"):
        services.pause([424242])


@pytest.mark.django_db(transaction=True)
def test_two_people_pausing_at_once_make_one_transition() -> None:
    table_map = make_map(state=S.RUNNING)
    barrier = threading.Barrier(2)
    changed: list[int] = []

    def pause() -> None:
        try:
            barrier.wait(10)
            changed.append(len(services.pause([table_map.pk]).changed))
        finally:
            connection.close()

    threads = [threading.Thread(target=pause) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(changed) == [0, 1]
    assert ActivityEvent.objects.filter(kind="map.pause").count() == 1


@pytest.mark.django_db(transaction=True)
def test_running_inside_a_transaction_is_a_programming_error() -> None:
    from portal.maps.preparation import prepare_capture

    table_map = make_map()
    with transaction.atomic(), pytest.raises(RuntimeError, match="transaction"):
        prepare_capture(table_map.connection_set, [table_map])


@pytest.mark.django_db
def test_a_map_whose_system_is_down_does_not_start() -> None:
    table_map = make_map()
    with pytest.raises(Refusal) as refused:
        services.run([table_map])
    table_map.refresh_from_db()
    assert table_map.state == S.NOT_RUNNING
    assert table_map.connection_set.finops.name in str(refused.value)
    assert "secret-word" not in str(refused.value)
    assert not InitialSyncRun.objects.exists()
