"""What people do to a map while its streams write: neither ends the other's work."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.utils import timezone

from portal.approvals import services as approvals
from portal.approvals.models import Approval
from portal.maps import maintenance
from portal.maps import services as maps
from portal.maps.models import MapState, TableMap
from portal.sync import queueing, skipping
from portal.sync.models import QueuedChange
from syncengine.ports import QueuedEntry
from tests.factories import make_map
from tests.portal.test_approvals import ONWARD, WAVE, control_of, leg_of
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def approve(table_map: TableMap) -> None:
    approvals.approve(Approval.objects.get(table_map=table_map).pk)


def stop(table_map: TableMap) -> None:
    maps.stop([table_map])


def save_and_stop(table_map: TableMap) -> None:
    skipping.save_and_stop(table_map, "Too much.")


def pause_set(table_map: TableMap) -> None:
    maintenance.pause_set(table_map.connection_set)


def in_the_middle_of(
    work: Callable[[], object],
    action: Callable[[], object],
    rest: Callable[[], object] = lambda: None,
) -> None:
    """Do `work` in a transaction, its `rest` once the action waits or is done."""
    failed: list[Exception] = []

    def act() -> None:
        try:
            action()
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=act)
    with transaction.atomic():
        work()
        thread.start()
        wait_until(lambda: _waits() or not thread.is_alive())
        rest()
    thread.join(30)
    assert not thread.is_alive()
    assert not failed, failed


def _waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_locks"
            " WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        return cursor.fetchone() is not None


def queue_one(table_map: TableMap) -> None:
    queueing.enqueue(
        [
            QueuedEntry(
                map_id=table_map.pk,
                direction=ONWARD,
                position="00000000/00000009",
                ordinal=0,
                transaction_id="9",
                committed_at=timezone.now(),
                kind="delete",
                key=("usmf", "C9"),
                columns=("account",),
                new=None,
                old=("C9",),
            )
        ]
    )


@pytest.mark.parametrize("action", [approve, stop, save_and_stop, pause_set])
def test_it_waits_for_a_change_that_is_being_queued(
    action: Callable[[TableMap], None],
) -> None:
    table_map = make_map(state=MapState.RUNNING)
    control_of(table_map).hold(leg_of(table_map), WAVE)
    in_the_middle_of(lambda: queue_one(table_map), lambda: action(table_map))
    kept = QueuedChange.objects.filter(table_map=table_map).count()
    assert kept == (0 if action in (stop, save_and_stop) else 1)


def test_a_set_is_paused_while_one_of_its_waves_is_held() -> None:
    table_map = make_map(state=MapState.RUNNING)
    control, leg = control_of(table_map), leg_of(table_map)
    in_the_middle_of(
        lambda: TableMap.objects.select_for_update(no_key=True).get(pk=table_map.pk),
        lambda: pause_set(table_map),
        lambda: control.hold(leg, WAVE),
    )
    table_map.refresh_from_db()
    assert table_map.state == MapState.PAUSED
    assert Approval.objects.filter(table_map=table_map).exists()
