"""Mending a value map from the error that misses a value in it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from portal.accounts.roles import Role
from portal.errors.mending import mend, missing_value
from portal.errors.models import SyncError
from portal.maps.models import MapState, TableMap
from portal.maps.shared_values import find_value_map
from portal.refusals import ActionForbidden, Refusal
from tests.factories import (
    make_connection_set,
    make_definition,
    make_environment,
    make_map,
    make_user,
)
from tests.portal.page_rows import TO_FINOPS, make_error

pytestmark = pytest.mark.django_db

SHARED = "hold states"


@pytest.fixture
def maps(make_database: Callable[..., str]) -> tuple[TableMap, TableMap]:
    """Two running maps over real tables that share a value map."""
    made = {side: make_database(prefix=side) for side in ("finops", "dataverse")}
    with psycopg.connect(made["finops"]) as connection:
        connection.execute(
            "CREATE TABLE customers (account text PRIMARY KEY, name text, hold text);"
            "INSERT INTO customers VALUES ('c1', 'One', 'Blocked')"
        )
    with psycopg.connect(made["dataverse"]) as connection:
        connection.execute(
            "CREATE TABLE accounts (accountnumber text PRIMARY KEY, name text,"
            " onhold int); INSERT INTO accounts VALUES ('c1', 'Eins', 2)"
        )
    connection_set = make_connection_set(
        finops=make_environment("finops", name="erp", dsn=made["finops"]),
        dataverse=make_environment("dataverse", name="crm", dsn=made["dataverse"]),
    )
    found = []
    for name in ("customers", "vendors"):
        definition = make_definition(name)
        lines = tuple(
            replace(line, value_map=SHARED) if line.values is not None else line
            for line in definition.columns
        )
        found.append(
            make_map(
                connection_set,
                definition=replace(definition, columns=lines),
                state=MapState.RUNNING,
            )
        )
    return found[0], found[1]


def missed(table_map: TableMap, key: str, value: str = "Blocked") -> SyncError:
    return make_error(
        table_map,
        key,
        code="value_not_in_map",
        column="onhold",
        message=f'Column onhold: the value "{value}" is not in the value map.',
        source_row={"account": key, "name": "One", "hold": value},
    )


def test_the_pair_makes_new_versions_and_every_record_that_missed_it_is_retried(
    admin_client: Client, maps: tuple[TableMap, TableMap]
) -> None:
    customers, vendors = maps
    error = missed(customers, "c1")
    other, elsewhere = missed(customers, "c2"), missed(vendors, "c3")
    different = missed(customers, "c4", "Odd")
    page = admin_client.get(reverse("error_page", args=[error.pk])).content.decode()
    assert 'id="mend-value" value="Blocked"' in page
    assert f"Shared value map {SHARED}" in page
    address = reverse("error_mend", args=[error.pk])
    done = admin_client.post(address, {"meaning": "3"}, follow=True).content.decode()
    assert "Blocked = 3 was added: new version of customers (1.0.0.1)" in done
    assert "3 errors will be tried again now." in done
    assert 'data-testid="mend"' not in done
    for table_map in maps:
        table_map.refresh_from_db()
        assert table_map.version is not None
        assert table_map.version.version == "1.0.0.1"
        assert table_map.state == MapState.RUNNING
        line = table_map.version.columns.get(value_map=SHARED)
        assert line.values.order_by("-position")[0].finops_value == "Blocked"
    pairs = find_value_map(SHARED).pairs.order_by("-position")
    assert (pairs[0].finops_value, pairs[0].dataverse_value) == ("Blocked", "3")
    states = dict(SyncError.objects.values_list("pk", "state"))
    assert {states[one.pk] for one in (error, other, elsewhere)} == {"retrying"}
    assert states[different.pk] == "open"


def test_a_value_that_the_column_cannot_hold_changes_nothing(
    admin_client: Client, maps: tuple[TableMap, TableMap]
) -> None:
    error = missed(maps[0], "c1")
    answer = admin_client.post(
        reverse("error_mend", args=[error.pk]), {"meaning": "three"}
    )
    assert answer.status_code == 409
    assert "The pair was not added." in answer.content.decode()
    assert 'value="three"' in answer.content.decode()
    assert find_value_map(SHARED).pairs.filter(finops_value="Blocked").count() == 0
    assert maps[0].versions.count() == 1
    assert SyncError.objects.get().state == "open"


def test_a_value_map_does_not_grow_while_a_map_is_being_copied(
    maps: tuple[TableMap, TableMap],
) -> None:
    error = missed(maps[0], "c1")
    TableMap.objects.filter(pk=maps[1].pk).update(state=MapState.INITIALIZING)
    with pytest.raises(ActionForbidden) as refused:
        mend(error, "3")
    assert "vendors is Initializing" in str(refused.value)
    found = missing_value(SyncError.objects.get())
    assert found is not None
    assert len(found.hindrances) == 1


def test_a_value_of_dataverse_may_stand_for_one_that_is_known_already(
    maps: tuple[TableMap, TableMap],
) -> None:
    known = find_value_map(SHARED).pairs.order_by("position")[0]
    error = make_error(
        maps[0],
        "c1",
        direction=TO_FINOPS,
        code="value_not_in_map",
        column="hold",
        source_row={"accountnumber": "c1", "onhold": "9"},
    )
    done = mend(error, known.finops_value)
    assert done.grown.pair == (known.finops_value, "9")
    assert done.retried == 1


def test_other_errors_have_nothing_to_mend(maps: tuple[TableMap, TableMap]) -> None:
    error = make_error(maps[0], "c1", code="value_too_long", column="onhold")
    assert missing_value(error) is None
    with pytest.raises(Refusal):
        mend(error, "3")


def test_mending_needs_the_right_to_change_maps(
    client: Client, maps: tuple[TableMap, TableMap]
) -> None:
    error = missed(maps[0], "c1")
    address = reverse("error_mend", args=[error.pk])
    assert client.post(address, {"meaning": "3"}).status_code == 302
    client.force_login(make_user(Role.OPERATOR))
    assert client.get(address).status_code == 403
    assert client.post(address, {"meaning": "3"}).status_code == 403
    page = client.get(reverse("error_page", args=[error.pk])).content.decode()
    assert "needs the right to change maps" in page
    assert 'data-testid="mend-save"' not in page


def test_the_rows_are_shown_beside_what_is_there_now(
    admin_client: Client, maps: tuple[TableMap, TableMap]
) -> None:
    error = missed(maps[0], "c1", "Odd")
    text = admin_client.get(reverse("error_rows", args=[error.pk])).content.decode()
    assert "by now: Blocked" in text
    assert "Eins" in text
    gone = missed(maps[0], "c9")
    text = admin_client.get(reverse("error_rows", args=[gone.pk])).content.decode()
    assert "could not be read" in text


def test_the_command_mends_too(maps: tuple[TableMap, TableMap]) -> None:
    error = missed(maps[0], "c1")
    out = io.StringIO()
    call_command("dw", "mend", str(error.pk), "3", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {
        "pair": ["Blocked", "3"],
        "versions": [
            {"map": "customers", "version": "contoso 1.0.0.1"},
            {"map": "vendors", "version": "contoso 1.0.0.1"},
        ],
        "retried": 1,
    }


def test_a_cause_counts_the_values_it_hides_and_leads_to_each(client: Client) -> None:
    table_map = make_map(make_connection_set(), state=MapState.RUNNING)
    errors = [missed(table_map, f"usmf / R{n}") for n in range(3)]
    errors.append(missed(table_map, "usmf / R3", "It's <new>"))
    errors.append(missed(table_map, "usmf / R4", "no"))  # the map knows it meanwhile
    cause = errors[0].cause
    assert cause is not None
    assert {one.cause_id for one in errors} == {cause.pk}
    SyncError.objects.filter(pk=errors[0].pk).update(state="dismissed")
    client.force_login(make_user(Role.ADMINISTRATOR))
    page = client.get(reverse("cause_page", args=[cause.pk])).content.decode()
    rows = page.split('data-testid="hidden-value"')[1:]
    shown = [one.partition("</tr>")[0] for one in rows]
    assert "newest 4 open records" in page
    assert ["Blocked" in one for one in shown] == [True, False, False]
    assert "value=Blocked&amp;side=finops" in shown[0]
    assert f"{reverse('error_page', args=[errors[2].pk])}#mend" in shown[0]
    assert "It&#x27;s &lt;new&gt;" in page
    assert "side=finops" not in next(one for one in shown if ">no<" in one)
    asked = {"cause": cause.pk, "value": "Blocked"}
    records = client.get(reverse("error_list"), asked).content.decode()
    assert records.count('data-testid="error-row"') == 2
    client.post(reverse("error_retry"), {**asked, "scope": "matching"})
    assert SyncError.objects.filter(state="retrying").count() == 2

    out = io.StringIO()
    asked_by_command = ("errors", "--by-cause", "--cause", str(cause.pk), "--json")
    call_command("dw", *asked_by_command, stdout=out)
    (told,) = json.loads(out.getvalue())["causes"]
    assert told["hidden"]["sampled"] == 4
    assert told["hidden"]["values"][0] == {"value": "Blocked", "records": 2}
