"""The error list as streams write it: causes, counts, back-off, records that wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from portal.errors import services
from portal.errors.models import ErrorGroup, ErrorState, SyncError
from portal.maps.models import MapState, TableMap
from portal.sync import failed_records
from portal.sync.failed_records import CLOSED_WITHIN_SECONDS, FailedRecords
from syncengine.awaiting import FREED
from syncengine.mapping.causes import FIRST_WAITS
from syncengine.mapping.dangling import dangling
from syncengine.mapping.model import Direction
from syncengine.ports import RecordFailure
from tests.factories import make_map

pytestmark = pytest.mark.django_db

FORWARD = Direction.FINOPS_TO_DATAVERSE


@pytest.fixture
def customers() -> TableMap:
    return make_map(state=MapState.RUNNING)


def failed(table_map: TableMap, account: str, **values: Any) -> RecordFailure:
    defaults: dict[str, Any] = {
        "map_id": table_map.pk,
        "direction": FORWARD,
        "phase": "live",
        "key": ("usmf", account),
        "code": "value_not_in_map",
        "column": "hold",
        "message": f"The value 'X{account}' of hold is not in its value map.",
    }
    return RecordFailure(**{**defaults, **values})


def records(table_map: TableMap) -> FailedRecords:
    return FailedRecords(table_map.connection_set_id)


def counts(group: ErrorGroup) -> tuple[int, int, int]:
    group.refresh_from_db()
    return group.waiting_count, group.retrying_count, group.kept_count


def test_failures_that_differ_in_values_alone_have_one_cause(
    customers: TableMap,
) -> None:
    records(customers).record([failed(customers, f"C{n}") for n in range(50)])
    records(customers).record([failed(customers, "C1"), failed(customers, "D")])
    (cause,) = ErrorGroup.objects.all()
    assert cause.text == "The value '\u2026' of hold is not in its value map."
    assert (cause.code, cause.column, cause.table_map) == (
        "value_not_in_map",
        "hold",
        customers,
    )
    assert counts(cause) == (51, 0, 51)


def test_the_counts_of_causes_follow_every_change(customers: TableMap) -> None:
    mine = records(customers)
    mine.record([failed(customers, f"C{n}") for n in range(6)])
    (cause,) = ErrorGroup.objects.all()
    assert services.retry(services.choose(causes=[cause.pk])) == 6
    assert counts(cause) == (6, 6, 6)
    mine.close(customers.pk, FORWARD, [("usmf", "C0")], "resolved")
    mine.record([failed(customers, "C1", phase="retry")])
    assert counts(cause) == (5, 4, 6)
    # The same record fails for another reason: it moves from one cause to the other.
    mine.record([failed(customers, "C1", code="value_too_long", message="Too long.")])
    other = ErrorGroup.objects.exclude(pk=cause.pk).get()
    assert (counts(cause), counts(other)) == ((4, 4, 5), (1, 0, 1))
    assert services.dismiss(services.choose(table_map=customers)) == 5
    assert (counts(cause), counts(other)) == ((0, 0, 5), (0, 0, 1))
    SyncError.objects.all().delete()
    assert (counts(cause), counts(other)) == ((0, 0, 0), (0, 0, 0))


def test_a_change_that_fails_again_does_not_undo_a_retry_that_is_asked_for(
    customers: TableMap,
) -> None:
    """A stream may still go by the map as it was before somebody mended it."""
    mine = records(customers)
    mine.record([failed(customers, "C1")])
    services.retry(services.choose(table_map=customers))
    asked = SyncError.objects.get().not_before
    mine.record([failed(customers, "C1", code="lookup_not_found")])
    error = SyncError.objects.get()
    assert (error.state, error.not_before) == (ErrorState.RETRYING, asked)
    mine.record([failed(customers, "C1", phase="retry")])
    error.refresh_from_db()
    assert (error.state, error.not_before) == (ErrorState.OPEN, None)


def test_codes_and_keys_of_open_errors_are_told_without_reading_all(
    customers: TableMap,
) -> None:
    mine = records(customers)
    assert mine.codes() == {}
    mine.record([failed(customers, "A"), failed(customers, "B", code="refused")])
    assert mine.codes() == {
        (customers.pk, FORWARD): frozenset({"value_not_in_map", "refused"})
    }
    keys = [("usmf", "B"), ("usmf", "C")]
    assert mine.among(customers.pk, FORWARD, keys) == {("usmf", "B")}
    assert not mine.among(customers.pk, Direction.DATAVERSE_TO_FINOPS, keys)


def test_only_what_may_pass_is_retried_by_itself_ever_later(
    customers: TableMap,
) -> None:
    mine = records(customers)
    mine.record(
        [
            failed(customers, "A"),
            failed(customers, "B", code="lookup_not_found"),
            failed(customers, "C", code="transaction_held", group="t1"),
            failed(customers, "D", code="transaction_held", group="t2", polled=True),
        ]
    )
    by_key = {error.key_text: error for error in SyncError.objects.all()}
    assert by_key["usmf / A"].not_before is None
    assert by_key["usmf / C"].not_before is None
    assert by_key["usmf / D"].not_before is not None
    waits = []
    for _ in range(len(FIRST_WAITS) + 2):
        error = SyncError.objects.get(key_text="usmf / B")
        assert error.not_before is not None
        waits.append(round((error.not_before - error.last_seen).total_seconds()))
        mine.record(
            [failed(customers, "B", code="lookup_not_found", phase="retry", group="r")]
        )
    assert waits == [*FIRST_WAITS, FIRST_WAITS[-1], FIRST_WAITS[-1]]
    error.refresh_from_db()
    assert (error.phase, error.group) == ("live", "")


def test_a_record_that_arrives_makes_those_due_that_wait_for_it(
    customers: TableMap,
) -> None:
    mine = records(customers)
    lookup = {"code": "lookup_not_found"}
    mine.record(
        [
            failed(customers, "A", awaits="G\x1fUSMF", **lookup),
            failed(customers, "B", awaits="H\x1fUSMF", **lookup),
            failed(customers, "C", **lookup),
        ]
    )
    SyncError.objects.update(not_before=timezone.now() + timedelta(hours=1))
    mine.wake(customers.pk, FORWARD, {"G\x1fUSMF", ""})
    due = [request.key for request in mine.due(FORWARD, 10)]
    assert due == [("usmf", "A")]


def test_of_records_that_others_refer_to_those_longest_untried_are_due(
    customers: TableMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = records(customers)
    for key in "ABC":
        mine.record([failed(customers, key, code="still_referenced", awaits=FREED)])
    SyncError.objects.update(not_before=timezone.now() + timedelta(hours=1))
    monkeypatch.setattr(failed_records, "FREED_AT_ONCE", 2)
    mine.wake(customers.pk, FORWARD, {FREED})
    due = {request.key for request in mine.due(FORWARD, 10)}
    assert due == {("usmf", "A"), ("usmf", "B")}


def test_held_records_are_due_when_the_last_culprit_is_settled(
    customers: TableMap,
) -> None:
    mine = records(customers)
    mine.record(
        [
            failed(customers, "A", group="t1", position="1"),
            failed(customers, "B", group="t1", position="1"),
            failed(customers, "C", group="t1", code="transaction_held"),
            failed(customers, "D", group="t2", code="transaction_held"),
        ]
    )
    mine.close(customers.pk, FORWARD, [("usmf", "A")], "superseded")
    assert mine.due(FORWARD, 10) == []
    (culprit,) = SyncError.objects.filter(key_text="usmf / B")
    services.dismiss(services.choose(ids=[culprit.pk]))
    assert [request.key for request in mine.due(FORWARD, 10)] == [("usmf", "C")]


def test_many_are_changed_in_portions_each_in_the_activity_log(
    customers: TableMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "PORTION", 4)
    records(customers).record([failed(customers, f"C{n}") for n in range(10)])
    customers.connection_set.refresh_from_db()
    revision = customers.connection_set.revision
    assert services.dismiss(services.choose(everything=True)) == 10
    events = customers.connection_set.activity.filter(kind="errors.dismiss")
    assert sorted(event.details["errors"] for event in events) == [2, 4, 4]
    assert len({event.correlation_id for event in events}) == 1
    customers.connection_set.refresh_from_db()
    assert customers.connection_set.revision == revision + 1


def lost(account: str) -> tuple[str, str]:
    return ("usmf", dangling(account))


def test_a_record_whose_key_becomes_known_keeps_its_error(customers: TableMap) -> None:
    mine = records(customers)
    mine.record([failed(customers, "A"), failed(customers, "B", group="g/1")])
    mine.record(
        [failed(customers, "", key=lost(one), group="g/1") for one in ("r1", "r2")]
    )
    ids = dict(SyncError.objects.values_list("key_text", "pk"))
    first = ids["usmf / (not found: r1)"], ids["usmf / (not found: r2)"]
    mine.rename({first[0]: ("usmf", "C"), first[1]: ("usmf", "A")})
    assert dict(SyncError.objects.values_list("key_text", "state")) == {
        "usmf / A": "open",
        "usmf / B": "open",
        "usmf / C": "open",
        "usmf / (not found: r2)": "superseded",
    }
    assert SyncError.objects.get(pk=first[0]).key == ["usmf", "C"]


def test_a_record_that_cannot_be_read_yet_is_put_off(customers: TableMap) -> None:
    mine = records(customers)
    mine.record([failed(customers, "", key=lost("r1"), polled=True)])
    (error,) = SyncError.objects.all()
    first = error.not_before
    assert first is not None
    services.retry(services.choose(causes=[error.cause_id]))
    mine.put_off([error.pk])
    error.refresh_from_db()
    assert (error.state, error.attempts) == ("open", 1)
    assert error.not_before is not None
    assert error.not_before > first


def test_an_error_that_is_about_to_be_closed_is_tried_again_unless_it_is(
    customers: TableMap,
) -> None:
    mine = records(customers)
    mine.record([failed(customers, "A"), failed(customers, "B")])
    mine.retry_unless_closed(customers.pk, FORWARD, [("usmf", "A"), ("usmf", "B")])
    mine.close(customers.pk, FORWARD, [("usmf", "A")], "superseded")
    assert mine.due(FORWARD, 10) == []
    later = timezone.now() + timedelta(seconds=CLOSED_WITHIN_SECONDS + 1)
    assert [one.key for one in mine.due(FORWARD, 10, later)] == [("usmf", "B")]
    # It failed again: a person is needed.
    mine.record([failed(customers, "B")])
    assert mine.due(FORWARD, 10, later) == []
