"""The versions of a map in the browser: history, comparison, going back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.accounts.services import set_roles
from portal.activity.models import ActivityEvent
from portal.maps.models import MapState, MapVersion, TableMap
from portal.maps.versions import create_version
from syncengine.mapping.model import ColumnMap, ColumnMapType, ConflictPolicy
from tests.factories import make_definition, make_map, make_user
from tests.portal.page_rows import make_run

pytestmark = pytest.mark.django_db

ALL = ("version_use",)


@pytest.fixture
def customers() -> TableMap:
    """A map with two versions, the second current."""
    table_map = make_map()
    account, name, hold = make_definition().columns
    values = (("No", "0"), ("All", "3"), ("Never", "9"))
    create_version(
        table_map,
        make_definition(
            version="1.0.1.0",
            conflict=ConflictPolicy.FINOPS_WINS,
            columns=(
                account,
                ColumnMap(hold.finops, hold.dataverse, hold.type, "No", values),
                ColumnMap("phone", "telephone1", ColumnMapType.TO_DATAVERSE),
            ),
        ),
    )
    assert name.finops == "name"
    table_map.refresh_from_db()
    return table_map


def versions(table_map: TableMap) -> list[MapVersion]:
    """Oldest first."""
    return list(table_map.versions.order_by("id"))


def tab(table_map: TableMap) -> str:
    return reverse("map_tab", args=[table_map.pk, "versions"])


def use(version: MapVersion) -> str:
    return reverse("version_use", args=[version.table_map_id, version.pk])


def test_the_history_says_who_and_when_and_which_is_current(
    admin_client: Client, admin_user: User, customers: TableMap
) -> None:
    create_version(customers, make_definition(publisher="fabrikam"), user=admin_user)
    page = admin_client.get(tab(customers))
    rows = page.context["page"].rows
    assert [str(one) for one in rows] == [
        "fabrikam 1.0.0.0",
        "contoso 1.0.1.0",
        "contoso 1.0.0.0",
    ]
    assert rows[0].created_by == admin_user
    text = page.content.decode()
    assert text.count('data-testid="current"') == 1
    assert text.index("fabrikam 1.0.0.0") < text.index('data-testid="current"')
    assert text.count('data-testid="use"') == 2


def test_the_tab_needs_as_many_queries_for_many_versions(
    admin_client: Client, django_assert_num_queries: Callable[[int], Any]
) -> None:
    table_map = make_map()
    with django_assert_num_queries(15):
        admin_client.get(tab(table_map))
    for number in range(1, 15):
        create_version(table_map, make_definition(version=f"1.0.{number}.0"))
    with django_assert_num_queries(15):
        admin_client.get(tab(table_map))


def test_two_versions_are_shown_side_by_side(
    admin_client: Client, customers: TableMap
) -> None:
    first, second = versions(customers)
    address = f"{tab(customers)}?from={first.pk}&to={second.pk}"
    page = admin_client.get(address)
    comparison = page.context["comparison"]
    assert comparison.summary == (
        "1 column added, 1 column removed, 1 column changed, 1 other difference."
    )
    assert [(c.kind, c.finops) for c in comparison.columns] == [
        ("removed", "name"),
        ("changed", "hold"),
        ("added", "phone"),
    ]
    hold = comparison.columns[1]
    assert [(line.name, line.before, line.after) for line in hold.lines] == [
        ("Default", None, "No"),
        ("Value All", "2", "3"),
        ("Value Never", None, "9"),
    ]
    (conflict,) = comparison.lines
    assert (conflict.before, conflict.after) == (
        "Last writer wins",
        "Finance and operations wins",
    )
    text = page.content.decode()
    assert f'<option value="{first.pk}" selected>' in text
    back = admin_client.get(f"{tab(customers)}?from={second.pk}&to={first.pk}")
    assert {c.finops: c.kind for c in back.context["comparison"].columns} == {
        "name": "added",
        "hold": "changed",
        "phone": "removed",
    }
    same = admin_client.get(f"{tab(customers)}?from={first.pk}&to={first.pk}")
    assert "equal but for their number" in same.content.decode()


def test_versions_of_other_maps_cannot_be_compared(
    admin_client: Client, customers: TableMap
) -> None:
    other = make_map(customers.connection_set, name="vendors").versions.get()
    first, _ = versions(customers)
    for query in (f"from={first.pk}&to={other.pk}", "from=x&to=999999", "from=&to="):
        page = admin_client.get(f"{tab(customers)}?{query}")
        assert page.status_code == 200
        assert page.context["comparison"] is None
    wrong = reverse("version_use", args=[customers.pk, other.pk])
    assert admin_client.get(wrong).status_code == 404


def test_going_back_asks_first_with_the_difference(
    admin_client: Client, admin_user: User, customers: TableMap
) -> None:
    first, second = versions(customers)
    text = admin_client.get(use(first)).content.decode()
    assert "Use version contoso 1.0.0.0 of customers?" in text
    assert "1 column added" in text
    customers.refresh_from_db()
    assert customers.version == second
    done = admin_client.post(use(first))
    assert done["Location"] == tab(customers)
    customers.refresh_from_db()
    assert customers.version == first
    event = ActivityEvent.objects.first()
    assert event is not None
    assert (event.user, event.kind) == (admin_user, "map.version")
    again = admin_client.get(use(first)).content.decode()
    assert "is at version contoso 1.0.0.0 already" in again
    assert "confirm-use" not in again


@pytest.mark.parametrize("state", [MapState.RUNNING, MapState.PAUSED])
def test_a_map_that_is_not_stopped_says_why_its_version_stays(
    admin_client: Client, customers: TableMap, state: MapState
) -> None:
    first, second = versions(customers)
    TableMap.objects.update(state=state)
    for address in (tab(customers), use(first)):
        text = admin_client.get(address).content.decode()
        assert f"customers is {state.label}, so its definition cannot change" in text
        assert 'data-testid="use"' not in text
        assert "confirm-use" not in text
    refused = admin_client.post(use(first))
    assert refused.status_code == 409
    assert "stop it first" in refused.content.decode()
    customers.refresh_from_db()
    assert customers.version == second


@pytest.mark.parametrize("shown_on", ["versions", "initial-sync"])
def test_after_a_failed_run_the_earlier_version_is_offered(
    admin_client: Client, customers: TableMap, shown_on: str
) -> None:
    address = reverse("map_tab", args=[customers.pk, shown_on])
    assert "offer-previous" not in admin_client.get(address).content.decode()
    make_run(customers, state="failed", message="accounts has no column telephone1.")
    text = admin_client.get(address).content.decode()
    assert "accounts has no column telephone1." in text
    assert use(versions(customers)[0]) in text
    TableMap.objects.update(version=versions(customers)[0])
    assert "offer-previous" not in admin_client.get(address).content.decode()


def test_a_map_without_versions_says_so(admin_client: Client) -> None:
    table_map = make_map()
    TableMap.objects.update(version=None)
    MapVersion.objects.all().delete()
    assert "No version yet" in admin_client.get(tab(table_map)).content.decode()


def test_only_who_may_change_maps_goes_back(
    client: Client, customers: TableMap
) -> None:
    first, second = versions(customers)
    assert client.get(use(first))["Location"].startswith(reverse("login"))
    client.force_login(User.objects.create_user("visitor"))
    assert client.get(use(first)).status_code == 403
    clerk = make_user(Role.OPERATOR)
    client.force_login(clerk)
    assert 'data-testid="use"' not in client.get(tab(customers)).content.decode()
    assert client.get(use(first)).status_code == 403
    assert client.post(use(first)).status_code == 403
    customers.refresh_from_db()
    assert customers.version == second
    set_roles(clerk, [Role.MAP_MAKER])
    assert 'data-testid="use"' in client.get(tab(customers)).content.decode()
    assert client.post(use(first)).status_code == 302
    assert client.put(use(first)).status_code == 405


def test_going_back_needs_its_form_token(admin_user: User, customers: TableMap) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(use(versions(customers)[0])).status_code == 403
