"""Trying a draft on present records: what changes, fails and is refused; no writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.accounts.models import User
from portal.editor import services
from portal.editor.captured import captured_deletes, captured_keys
from portal.editor.content import replace_all
from portal.editor.trying import DirectionTrial, try_draft
from portal.history.models import CarriedChange
from portal.maps.models import TableMap
from portal.sync.models import QueuedChange
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    Direction,
    OnFilterExit,
)
from syncengine.mapping.model import TableMap as Definition
from tests.factories import (
    make_connection_set,
    make_definition,
    make_environment,
    make_map,
)
from tests.portal.page_rows import make_error
from tests.portal.test_command_line import dw

pytestmark = pytest.mark.django_db

FORWARD = Direction.FINOPS_TO_DATAVERSE


@pytest.fixture
def dsns(make_database: Callable[..., str]) -> dict[str, str]:
    made = {side: make_database(prefix=side) for side in ("finops", "dataverse")}
    with psycopg.connect(made["finops"]) as opened:
        opened.execute(
            "CREATE TABLE customers (account text PRIMARY KEY, name text, hold text,"
            " area text, grade int);"
            "INSERT INTO customers VALUES ('c1', 'One', 'No', 'North', 1),"
            " ('c2', 'Two', 'All', 'South', 2), ('c3', 'Three', 'Never', 'North', 3),"
            " ('c4', 'Four', 'No', NULL, 99);"
            "ALTER TABLE customers REPLICA IDENTITY FULL"
        )
    with psycopg.connect(made["dataverse"]) as opened:
        opened.execute(
            "CREATE TABLE areas (areaid int PRIMARY KEY, name text UNIQUE);"
            "INSERT INTO areas VALUES (1, 'North');"
            "CREATE TABLE accounts (accountnumber text PRIMARY KEY, name text,"
            " onhold int, areaid int REFERENCES areas, grade int CHECK (grade < 10));"
            "INSERT INTO accounts VALUES ('c1', 'Eins', 0, 1, 1),"
            " ('g1', 'Gone', 0, NULL, 1), ('g2', 'Gone', 0, NULL, 1),"
            " ('g3', 'Changed', 0, NULL, 1), ('g5', 'Gone', 0, NULL, 1);"
            "CREATE TABLE orders (account text REFERENCES accounts);"
            "INSERT INTO orders VALUES ('g2')"
        )
    return made


@pytest.fixture
def customers(dsns: dict[str, str]) -> Iterator[TableMap]:
    """A map over real tables; the records of both are the same afterwards."""

    def rows() -> list[Any]:
        found = []
        for side, table in (("finops", "customers"), ("dataverse", "accounts")):
            with psycopg.connect(dsns[side]) as opened:
                query = f"SELECT t.*, xmin::text FROM {table} t ORDER BY 1"
                found += opened.execute(query).fetchall()  # type: ignore[call-overload]
        return found

    contoso = make_connection_set(
        name="contoso",
        finops=make_environment("finops", dsn=dsns["finops"]),
        dataverse=make_environment("dataverse", dsn=dsns["dataverse"]),
    )
    before = rows()
    made = make_map(contoso)
    made.refresh_from_db()
    yield made
    assert rows() == before


def tried(table_map: TableMap, draft: Definition) -> DirectionTrial:
    found = try_draft(table_map, draft)
    assert (found.trouble, found.findings) == ("", ())
    return next(one for one in found.directions if one.direction is FORWARD)


def verdicts(one: DirectionTrial) -> dict[str, str]:
    return {str(r.key[0]): r.verdict.value for r in one.trial.records}


def with_lines(*lines: ColumnMap, **changes: object) -> Definition:
    return make_definition(columns=(*make_definition().columns, *lines), **changes)


def test_the_present_version_against_itself_changes_nothing(
    customers: TableMap,
) -> None:
    one = tried(customers, make_definition())
    assert one.counts == {"still_fails": 1, "same": 3}
    (failure,) = one.failures
    assert (failure.code, failure.column) == ("value_not_in_map", "onhold")


def test_records_that_come_out_differently_are_counted_by_column(
    customers: TableMap,
) -> None:
    account, name, hold = make_definition().columns
    upper = ColumnMap(None, "name", ColumnMapType.TO_DATAVERSE_TRANSFORM)
    draft = make_definition(
        columns=(account, replace(upper, expression="upper(name)"), hold)
    )
    assert name.dataverse == "name"
    one = tried(customers, draft)
    (change,) = one.changes
    assert (change.column, change.count) == ("name", 3)
    first = change.steps[0].change
    assert (first.before, first.after, change.cause) == (
        "One",
        "ONE",
        "Expression",
    )


def test_values_that_fail_anew_and_those_that_are_mended(customers: TableMap) -> None:
    account, name, hold = make_definition().columns
    pairs = (("No", "0"), ("Never", "1"))
    draft = make_definition(columns=(account, name, replace(hold, values=pairs)))
    one = tried(customers, draft)
    assert verdicts(one) == {
        "c1": "same",
        "c2": "fails",
        "c3": "mended",
        "c4": "same",
    }
    assert [each.code for each in one.failures] == ["value_not_in_map"]


def test_what_the_target_refuses_is_found_by_writing_and_undone(
    customers: TableMap,
) -> None:
    draft = with_lines(
        ColumnMap("area", "areaid.name", ColumnMapType.TO_DATAVERSE),
        ColumnMap("grade", "grade", ColumnMapType.TO_DATAVERSE),
    )
    one = tried(customers, draft)
    assert verdicts(one) == {
        "c1": "differs",
        "c2": "refused",
        "c3": "still_fails",
        "c4": "refused",
    }
    codes = {each.examples[0].key[0]: each.code for each in one.failures}
    assert codes == {
        "c2": "lookup_not_found",
        "c4": "check_violated",
        "c3": "value_not_in_map",
    }
    new = {
        change.column: change.was_written
        for r in one.trial.records
        for change in r.changes
    }
    assert new == {"areaid.name": False, "grade": False}


def test_a_filter_that_leaves_out_and_takes_in(customers: TableMap) -> None:
    draft = make_definition(finops_filter='account != "c1"')
    assert verdicts(tried(customers, draft))["c1"] == "left_out"
    narrow = with_lines(finops_filter='account == "c1"', version="2.0.0.0")
    services.begin(customers)
    services.change(customers, replace_all(narrow), "text")
    services.publish(customers, publisher="contoso", version="2.0.0.0")
    customers.refresh_from_db()
    wide = verdicts(tried(customers, make_definition()))
    assert (wide["c1"], wide["c2"]) == ("same", "taken_in")


def test_records_of_errors_are_tried_beside_the_sample(customers: TableMap) -> None:
    make_error(customers, "c3")
    make_error(customers, "gone")
    assert captured_keys(customers, FORWARD) == {"error": [("gone",), ("c3",)]}
    found = try_draft(customers, make_definition(), sample=1)
    one = next(each for each in found.directions if each.direction is FORWARD)
    assert one.trial.origins["error"] == 1
    assert one.trial.missing == 1


def test_a_constant_does_not_drown_what_else_differs(customers: TableMap) -> None:
    constant = ColumnMap(
        None, "grade", ColumnMapType.TO_DATAVERSE_TRANSFORM, default="5"
    )
    one = tried(customers, with_lines(constant))
    assert one.counts == {"still_fails": 1, "constant": 3}
    account, _, hold = make_definition().columns
    upper = ColumnMap(
        None, "name", ColumnMapType.TO_DATAVERSE_TRANSFORM, expression="upper(name)"
    )
    one = tried(customers, make_definition(columns=(account, upper, hold, constant)))
    assert one.counts == {"still_fails": 1, "differs": 3}
    told = [(each.column, each.cause, each.count, each.alone) for each in one.changes]
    assert told == [("name", "Expression", 3, 0), ("grade", "Constant", 3, 0)]
    (step,) = one.changes[1].steps
    assert (step.change.after, step.count) == ("5", 3)


def queue_delete(table_map: TableMap, number: int, key: str) -> None:
    now = timezone.now()
    QueuedChange.objects.create(
        table_map=table_map,
        direction=FORWARD.value,
        position=f"0/{number}",
        ordinal=number,
        transaction_id="1",
        committed_at=now,
        kind="delete",
        key=[key],
        key_text=key,
        columns=["account", "name", "hold", "area", "grade"],
        old=[key, "Gone", "No", None, "1"],
    )


def test_captured_deletes_are_replayed_and_undone(customers: TableMap) -> None:
    for number, key in enumerate(("g1", "g2", "g3", "g4", "c1")):
        queue_delete(customers, number, key)
    assert not captured_keys(customers, FORWARD)
    one = tried(customers, make_definition())
    assert {str(r.key[0]): r.verdict.value for r in one.trial.deletes} == {
        "g1": "deleted",
        "g2": "delete_still_blocked",
        "g3": "delete_contested",
        "g4": "delete_absent",
    }
    assert verdicts(one)["c1"] == "same"
    blocked = next(each for each in one.failures if each.code != "value_not_in_map")
    assert (blocked.code, blocked.count) == ("still_referenced", 1)
    draft = make_definition(finops_filter='account != "g1"')
    assert tried(customers, draft).deletes["delete_left"] == 1


def test_a_row_that_left_the_filter_is_deleted_where_the_draft_says_so(
    customers: TableMap,
) -> None:
    queue_delete(customers, 1, "c1")
    QueuedChange.objects.update(kind="update", new=["c1", "One", "No", "North", "1"])
    draft = make_definition(
        finops_filter='name == "Gone"', on_filter_exit=OnFilterExit.DELETE
    )
    one = tried(customers, draft)
    assert one.deletes == {"delete_contested": 1}
    assert not tried(customers, make_definition()).deletes


def test_a_draft_that_does_not_fit_says_what_is_wrong(customers: TableMap) -> None:
    draft = with_lines(ColumnMap("nothing", "grade", ColumnMapType.TO_DATAVERSE))
    found = try_draft(customers, draft)
    assert [one.code for one in found.findings] == ["DIPV1022"]
    assert not found.directions


def test_the_page_and_the_command_show_the_trial(
    admin_client: Client, admin_user: User, customers: TableMap
) -> None:
    services.begin(customers, user=admin_user)
    draft = with_lines(ColumnMap("grade", "grade", ColumnMapType.TO_DATAVERSE))
    services.change(customers, replace_all(draft), "text", user=admin_user)
    page = reverse("map_edit_part", args=[customers.pk, "try"])
    assert "See it before it counts" in admin_client.get(page).content.decode()
    run = admin_client.post(reverse("map_edit_try", args=[customers.pk]))
    text = run.content.decode()
    assert 'data-code="check_violated"' in text
    assert 'data-verdict="refused"' in text
    done = dw("try", "customers", "--json")
    assert done.code == 1
    forward = done.document["directions"][0]
    assert forward["verdicts"]["refused"] == 1
    assert forward["failures"][0]["keys"] == [["c4"]]


def test_records_carried_over_lately_are_tried_too(customers: TableMap) -> None:
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT history_ensure_day(%s)", [now.date()])
    names = [field.name for field in CarriedChange._meta.fields]
    values = {name: "" for name in names if name != "id"}
    for minutes, key in enumerate(("c1", "c4", "c1", "g5")):
        CarriedChange.objects.create(
            **{
                **values,
                "at": now - timedelta(minutes=minutes),
                "committed_at": now,
                "map_id": customers.pk,
                "direction": FORWARD.value,
                "kind": "deleted" if key == "g5" else "updated",
                "source_key": key,
                "key_hash": 1,
                "other_hash": None,
                "changes": 1,
            }
        )
    assert captured_keys(customers, FORWARD) == {"carried": [("c1",), ("c4",)]}
    assert tried(customers, make_definition()).trial.origins["carried"] == 3
    (deleted,) = captured_deletes(customers, FORWARD)
    assert (deleted.key, deleted.origin) == (("g5",), "carried")
    assert tried(customers, make_definition()).deletes == {"deleted": 1}
