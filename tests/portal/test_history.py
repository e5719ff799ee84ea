"""The history of records: what streams carried, kept, found, told and purged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.accounts.roles import Role
from portal.activity.models import ActivityEvent
from portal.errors.models import Conflict
from portal.history import asking, keeping, origins
from portal.history.keys import fits, hashed, hashes
from portal.history.models import CarriedChange, HistoryGap
from portal.history.recording import Recorder
from portal.history.timeline import timeline
from portal.maps.models import TableMap
from portal.runs.models import InitialSyncRun, LegRun
from syncengine.mapping.model import Direction
from syncengine.ports import CarriedChange as Change
from tests.factories import make_connection_set, make_environment, make_map, make_user
from tests.portal.page_rows import TO_DATAVERSE, TO_FINOPS, ago, make_error, make_queued

FORWARD = Direction.FINOPS_TO_DATAVERSE


class Given:
    """What one commit brought."""

    def __init__(self, *changes: Change, described: bool = True) -> None:
        self.changes = changes
        self.described = described

    def counts(self) -> Mapping[tuple[int, Direction], int]:
        found: dict[tuple[int, Direction], int] = {}
        for one in self.changes:
            leg = one.map_id, one.direction
            found[leg] = found.get(leg, 0) + 1
        return found

    def describe(self) -> Iterator[Change]:
        yield from self.changes


def change(map_id: int, key: str, **values: Any) -> Change:
    defaults: dict[str, Any] = {
        "direction": FORWARD,
        "version": "contoso 1.0.0.0",
        "kind": "updated",
        "phase": "live",
        "position": "0/1",
        "transaction_id": "77",
        "committed_at": datetime.now(UTC),
        "source_key": ("usmf", key),
        "target_key": ("USMF", key),
        "company": True,
        "before": {"name": "Old"},
        "after": {"name": "New"},
    }
    return Change(map_id=map_id, **{**defaults, **values})


def kept(table_map: TableMap, key: str = "C-1", **values: Any) -> CarriedChange:
    """A row as the recorder writes it."""
    at = values.pop("at", timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("SELECT history_ensure_day(%s)", [at.date()])
    defaults: dict[str, Any] = {
        "direction": TO_DATAVERSE,
        "kind": "updated",
        "phase": "live",
        "version": "contoso 1.0.0.0",
        "position": "0/1",
        "transaction_id": "77",
        "committed_at": at,
        "source_key": f"usmf / {key}",
        "target_key": f"USMF / {key}",
        "key_hash": hashed(f"usmf / {key}", company=True),
        "before": '{"name":"Old"}',
        "after": '{"name":"New"}',
        "changes": 1,
    }
    return CarriedChange.objects.create(
        at=at, map_id=table_map.pk, **{**defaults, **values}
    )


def test_a_key_is_found_with_and_without_its_company_in_any_case() -> None:
    for searched in ("usmf / C-1", "USMF/c-1", "c-1"):
        assert hashed("usmf / C-1", company=True) in hashes(searched)
        assert fits(searched, "usmf / C-1")
    assert hashed("C-1", company=False) in hashes("c-1")
    assert not fits("dat / C-1", "usmf / C-1")
    assert not fits("1", "usmf / C-1")


# -- recording ------------------------------------------------------------------------


def recorded(
    rate: float, *commits: Given, connect: Callable[..., Any] = keeping.session
) -> None:
    recorder = Recorder(connect, rate)
    for one in commits:
        recorder.take(one)
    recorder.close()


@pytest.mark.django_db(transaction=True)
def test_what_was_carried_is_written_by_a_thread_of_its_own() -> None:
    recorded(100, Given(change(1, "A"), change(1, "B", target_key=("USMF", "b2"))))
    first, second = CarriedChange.objects.order_by("id")
    assert (first.source_key, first.target_key) == ("usmf / A", "USMF / A")
    assert (first.before, first.after) == ('{"name":"Old"}', '{"name":"New"}')
    assert first.other_hash is None
    assert second.other_hash == hashed("b2", company=False)
    assert not HistoryGap.objects.exists()
    assert threading.active_count() == len(threading.enumerate())
    assert not any(one.name == "history" for one in threading.enumerate())


@pytest.mark.django_db(transaction=True)
def test_what_comes_faster_than_the_rate_is_counted_and_left_out() -> None:
    many = Given(*(change(1, f"A{n}") for n in range(30)))
    recorded(1, many, Given(change(2, "B")))
    recorded(1, many)
    assert [one.source_key for one in CarriedChange.objects.all()] == ["usmf / B"]
    gap = HistoryGap.objects.get()
    assert (gap.map_id, gap.direction, gap.records) == (1, TO_DATAVERSE, 60)


@pytest.mark.django_db(transaction=True)
def test_while_too_much_comes_nothing_is_described_until_it_comes_slower() -> None:
    clock = [1000.0]
    recorder = Recorder(keeping.session, 10, lambda: clock[0])
    many = [change(1, f"A{n}") for n in range(60)]
    recorder.take(Given(*many))
    assert recorder.keeps()
    recorder.take(Given(*many))
    recorder.take(Given(*many))
    assert not recorder.keeps()
    for _ in range(4):
        clock[0] += 0.5
        recorder.take(Given(*many, described=recorder.keeps()))
        assert not recorder.keeps()
    clock[0] += 1.5  # the last of it still came within this time
    assert not recorder.keeps()
    clock[0] += 1.5
    assert recorder.keeps()
    recorder.take(Given(change(2, "B")))
    recorder.close()
    assert CarriedChange.objects.filter(source_key="usmf / B").exists()
    assert CarriedChange.objects.count() == 61
    assert HistoryGap.objects.get().records == 6 * 60


@pytest.mark.django_db(transaction=True)
def test_a_database_that_does_not_answer_costs_history_and_nothing_else() -> None:
    tries = iter([psycopg.OperationalError("away"), None])

    def connect() -> psycopg.Connection[Any]:
        if (error := next(tries, None)) is not None:
            raise error
        return keeping.session()

    recorder = Recorder(connect, 100)
    recorder.take(Given(change(1, "A")))
    recorder.take(Given(change(1, "B")))
    recorder.close()
    recorder.take(Given(change(1, "C")))
    recorder.close()
    assert [one.source_key for one in CarriedChange.objects.all()] == ["usmf / C"]
    assert sum(one.records for one in HistoryGap.objects.all()) == 2


# -- keeping --------------------------------------------------------------------------


@pytest.mark.django_db
def test_days_go_whole_when_they_are_old_or_take_too_much_room(
    settings: Any,
) -> None:
    table_map = make_map()
    now = datetime.now(UTC)
    for days in (40, 20, 1, 0):
        kept(table_map, at=now - timedelta(days=days))
    settings.HISTORY_KEPT_DAYS, settings.HISTORY_KEPT_MEGABYTES = 30, 0
    assert keeping.purge(now) == 2  # a day and the one after it are made together
    assert CarriedChange.objects.count() == 3
    assert keeping.kept_since() == (now - timedelta(days=20)).date()
    settings.HISTORY_KEPT_DAYS, settings.HISTORY_KEPT_MEGABYTES = 0, 1e-9
    keeping.purge(now)
    (left,) = CarriedChange.objects.all()
    assert left.at.date() == now.date()
    assert ActivityEvent.objects.filter(kind="history.purge").count() == 2


# -- the timeline ---------------------------------------------------------------------


@pytest.fixture
def table_map() -> TableMap:
    return make_map(make_connection_set(legal_entities=(("usmf", "USMF"),)))


def story(table_map: TableMap) -> None:
    """A record of which everything happened once, and another of which one thing."""
    kept(table_map, at=ago(500), kind="inserted", before="{}")
    kept(table_map, at=ago(400), direction=TO_FINOPS)
    kept(table_map, "C-2")
    make_error(
        table_map,
        "usmf / C-1",
        state="dismissed",
        dismiss_reason="A test record",
        first_seen=ago(300),
        last_seen=ago(290),
        closed_at=ago(280),
        count=2,
    )
    conflict = Conflict.objects.create(
        table_map=table_map,
        direction=TO_DATAVERSE,
        key_text="usmf / C-1",
        column="name",
        policy="finops_wins",
        winner="finops",
        source_value="Mine",
        target_value="Theirs",
    )
    Conflict.objects.filter(pk=conflict.pk).update(created_at=ago(200))
    make_queued(table_map, key_text="usmf / C-1", committed_at=ago(100))
    HistoryGap.objects.create(
        began_at=ago(60), ended_at=ago(50), map_id=table_map.pk, records=900
    )


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["usmf / C-1", "c-1", " USMF/C-1 "])
def test_everything_that_happened_is_told_in_order(
    table_map: TableMap, key: str
) -> None:
    story(table_map)
    found = timeline(key)
    assert [one.kind for one in found.events] == [
        *("gap", "waiting", "conflict", "closed", "retry", "error"),
        *("carried", "carried"),
    ]
    added, back = found.events[-1], found.events[-2]
    assert added.message == "Dataverse: added from FinOps."
    assert (added.columns[0].after, added.columns[0].had) == ("New", False)
    assert back.message == "FinOps: changed from Dataverse."
    assert (back.columns[0].before, back.columns[0].after) == ("Old", "New")
    assert found.events[3].message == "Dismissed: A test record."
    assert found.maps == [table_map]


@pytest.mark.django_db
def test_the_page_finds_a_record_and_says_when_nothing_is_known(
    admin_client: Client, table_map: TableMap
) -> None:
    address = reverse("record_page")
    assert "Follow one record" in admin_client.get(address).content.decode()
    story(table_map)
    text = admin_client.get(address, {"key": "c-1"}).content.decode()
    assert text.count('data-testid="event"') == 8
    assert "version contoso 1.0.0.0" in text
    nothing = admin_client.get(address, {"key": "<b>C-9"}).content.decode()
    assert "Nothing is known of &lt;b&gt;C-9" in nothing
    elsewhere = make_map(name="other")
    asked = {"key": "c-1", "map": elsewhere.pk}
    text = admin_client.get(address, asked).content.decode()
    assert "Nothing is known" in text
    # Of a map that was chosen both systems are asked all the same.
    assert 'data-testid="record-fields"' in text
    assert 'data-testid="record-fields"' not in nothing


@pytest.mark.django_db
def test_history_is_switched_by_those_who_may_change_maps(
    client: Client, admin_client: Client, table_map: TableMap
) -> None:
    address = reverse("history_switch")
    assert client.post(address).status_code == 302
    assert admin_client.get(address).status_code == 405
    clerk = Client()
    clerk.force_login(make_user(Role.OPERATOR))
    assert clerk.post(address).status_code == 403
    assert clerk.get(reverse("record_page")).status_code == 200
    assert clerk.get(reverse("record_fields")).status_code == 404
    revision = table_map.connection_set.revision
    admin_client.post(address)
    table_map.refresh_from_db()
    assert not table_map.history
    table_map.connection_set.refresh_from_db()
    assert table_map.connection_set.revision > revision
    story(table_map)
    text = admin_client.get(reverse("record_page"), {"key": "C-1"}).content.decode()
    assert 'data-testid="without"' in text


# -- where fields are from ------------------------------------------------------------


@pytest.fixture
def real(make_database: Callable[..., str]) -> TableMap:
    made = {side: make_database(prefix=side) for side in ("finops", "dataverse")}
    with psycopg.connect(made["finops"]) as session:
        session.execute(
            "CREATE TABLE customers (account text PRIMARY KEY, name text, hold text);"
            "INSERT INTO customers VALUES ('C-1', 'New', 'All')"
        )
    with psycopg.connect(made["dataverse"]) as session:
        session.execute(
            "CREATE TABLE accounts (accountnumber text PRIMARY KEY, name text,"
            " onhold int); INSERT INTO accounts VALUES ('C-1', 'New', 0)"
        )
    return make_map(
        make_connection_set(
            finops=make_environment("finops", dsn=made["finops"]),
            dataverse=make_environment("dataverse", dsn=made["dataverse"]),
        )
    )


@pytest.mark.django_db
def test_both_systems_are_asked_for_a_record_that_nothing_happened_to(
    admin_client: Client, real: TableMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = admin_client.get(reverse("record_page"), {"key": "C-1"}).content.decode()
    address = reverse("record_asked")
    assert f"{address}?key=C-1" in page
    found = admin_client.get(address, {"key": "C-1"}).content.decode()
    assert found.count('data-testid="hit"') == 1
    assert f"{reverse('record_page')}?key=C-1&amp;map={real.pk}" in found
    assert "on FinOps and Dataverse" in found
    assert "Not found now" in admin_client.get(address, {"key": "x"}).content.decode()
    many = admin_client.get(address, {"key": "a / b / c"}).content.decode()
    assert asking.OTHER_PARTS in many.lower()
    assert admin_client.get(address).status_code == 404

    told = asking.document(asking.ask("c / C-1"))
    assert (told["maps"], told["found"]) == (0, [])
    assert asking.ask("C-1", seconds=0).unasked == {asking.TOO_LONG: [real]}
    monkeypatch.setattr(asking, "MOST", 0)
    assert asking.ask("C-1").unasked == {asking.TOO_MANY: [real]}


@pytest.mark.django_db
def test_every_field_says_which_side_version_and_rule_it_is_from(
    admin_client: Client, real: TableMap
) -> None:
    plain = {
        "source_key": "C-1",
        "target_key": "C-1",
        "key_hash": hashed("C-1", company=False),
    }
    kept(real, **plain, after='{"name":"New","onhold":"2"}', before="{}")
    found = {one.finops: one for one in origins.fields(real, "C-1").fields}
    name = found["name"]
    assert name.origins["finops"].sentence == "made on FinOps"
    there = name.origins["dataverse"]
    assert there.sentence == "carried over from FinOps"
    assert (there.version, there.rule) == ("contoso 1.0.0.0", "copy")
    # Dataverse holds something else by now.
    assert "changed on Dataverse after" in found["hold"].origins["dataverse"].sentence
    assert not found["account"].origins["finops"].known
    HistoryGap.objects.create(
        began_at=ago(1), ended_at=timezone.now(), map_id=real.pk, records=9
    )
    text = admin_client.get(
        reverse("record_fields"), {"map": real.pk, "key": "C-1"}
    ).content.decode()
    assert "unless a later change was among those not kept" in text
    assert "Unknown: no change of it is kept" in text


@pytest.mark.django_db
def test_fields_without_a_kept_change_are_from_the_last_initial_sync(
    real: TableMap,
) -> None:
    key = {"source_key": "C-1", "target_key": "C-1"}
    kept(
        real,
        **key,
        key_hash=hashed("C-1", company=False),
        after='{"name":"New","onhold":"2"}',
        before="{}",
    )
    run = InitialSyncRun.objects.create(
        table_map=real, master="finops", state="completed", version="contoso 1.0.0.0"
    )
    done = {"run": run, "state": "completed", "finished_at": timezone.now()}
    only = LegRun.objects.create(
        **done, direction=TO_DATAVERSE, order=1, exported=1, inserted=1
    )

    def told(name: str) -> Mapping[str, origins.Origin]:
        fields = origins.fields(real, "C-1").fields
        return next(one.origins for one in fields if one.finops == name)

    there = told("account")
    assert there["finops"].sentence == f"made on FinOps before initial sync {run.pk}"
    assert there["dataverse"].sentence == (
        f"copied from FinOps by initial sync {run.pk}"
    )
    assert (there["dataverse"].version, there["dataverse"].rule) == (
        "contoso 1.0.0.0",
        "copy",
    )
    assert there["dataverse"].at == only.finished_at
    # The write agrees with what is there; of the other, only the copy can be newer.
    assert told("name")["dataverse"].sentence == "carried over from FinOps"
    assert "changed on one side since initial" in told("hold")["dataverse"].sentence
    LegRun.objects.filter(pk=only.pk).update(inserted=0, unchanged=1)
    assert told("account")["dataverse"].sentence.endswith(", or equal already")
    LegRun.objects.create(**done, direction=TO_FINOPS, order=2)
    for origin in told("account").values():
        assert origin.sentence.startswith("equal on both sides since initial sync")
        assert origin.sentence.endswith("from FinOps where both had it")


def test_the_rate_is_a_setting() -> None:
    assert settings.HISTORY_CHANGES_PER_SECOND > 0
