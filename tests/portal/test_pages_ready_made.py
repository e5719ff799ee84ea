"""The ready-made maps in the browser: the list, one of them, installing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.accounts.services import set_roles
from portal.activity.models import ActivityEvent
from portal.maps.models import TableMap
from portal.maps.ready_made import address_name, find_by_address, install
from syncengine import catalog
from tests.factories import make_connection_set, make_user

pytestmark = pytest.mark.django_db

ALL = ("ready_made_list", "ready_made_page", "ready_made_install")
LIST = reverse("ready_made_list")
INSTALL = reverse("ready_made_install")
ACCOUNTS = "customers-v3-accounts"


def one(name: str = ACCOUNTS) -> str:
    return reverse("ready_made_page", args=[name])


def groups(client: Client, **query: str) -> dict[str, list[str]]:
    found = client.get(LIST, query).context["groups"]
    return {group.name: [row.entry.name for row in group.rows] for group in found}


def names(client: Client, **query: str) -> list[str]:
    return [name for rows in groups(client, **query).values() for name in rows]


@pytest.fixture
def clerk(client: Client) -> Client:
    """Somebody who may only look."""
    client.force_login(make_user(Role.AUDITOR))
    return client


# Who may


@pytest.mark.parametrize("path", [LIST, one(), f"{INSTALL}?name=Units"])
def test_visitors_and_people_who_are_not_staff_are_kept_out(
    client: Client, path: str
) -> None:
    assert client.get(path)["Location"].startswith(reverse("login"))
    client.force_login(User.objects.create_user("visitor"))
    assert client.get(path).status_code == 403


def test_staff_may_look_but_not_install(clerk: Client) -> None:
    make_connection_set()
    assert "install-package" not in clerk.get(LIST).content.decode()
    assert "needs the right to add" in clerk.get(one()).content.decode()
    assert clerk.get(INSTALL, {"name": "Units"}).status_code == 403
    assert clerk.post(INSTALL, {"name": "Units"}).status_code == 403
    assert not TableMap.objects.exists()
    user = User.objects.get()
    set_roles(user, [Role.MAP_MAKER])
    assert clerk.post(INSTALL, {"name": "Units"}).status_code == 302
    assert TableMap.objects.exists()


@pytest.mark.parametrize("path", [LIST, one()])
def test_the_reading_pages_take_no_post(admin_client: Client, path: str) -> None:
    assert admin_client.post(path).status_code == 405


def test_installing_needs_its_form_token(admin_user: User) -> None:
    make_connection_set()
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(INSTALL, {"name": "Units"}).status_code == 403
    assert client.delete(INSTALL).status_code in (403, 405)
    assert not TableMap.objects.exists()


def test_what_is_not_in_the_catalog_is_not_found(admin_client: Client) -> None:
    make_connection_set()
    assert admin_client.get(one("no-such-map")).status_code == 404
    for ask in (admin_client.get, admin_client.post):
        assert ask(INSTALL, {"name": "Unitz"}).status_code == 404


# The list


def test_every_map_is_listed_in_its_package(admin_client: Client) -> None:
    found = groups(admin_client)
    assert list(found) == list(catalog.packages())
    assert sum(map(len, found.values())) == 135
    for package, rows in found.items():
        assert rows == sorted(rows, key=str.casefold)
        assert {catalog.find(name).package for name in rows} == {package}


def test_the_filters_narrow_the_list_and_are_kept(admin_client: Client) -> None:
    assert names(admin_client, q="terms OF pay") == ["Terms of payment"]
    assert names(admin_client, package="notes", concept="tax") == []
    assert names(admin_client, direction="dataverse_to_finops") == [
        "Mixed reality guides entity"
    ]
    page = admin_client.get(LIST, {"q": "terms of pay", "package": "finance"})
    text = page.content.decode()
    assert 'value="terms of pay"' in text
    assert '<option value="finance" selected>' in text
    assert "1 ready-made map matches" in text
    nothing = admin_client.get(LIST, {"q": "no such thing"}).content.decode()
    assert "No ready-made map matches" in nothing


def test_a_map_is_found_by_a_column_and_says_which(admin_client: Client) -> None:
    text = admin_client.get(LIST, {"q": "OnHoldStatus"}).content.decode()
    assert "Vendors V2" in text
    assert "Found in" in text
    assert "<wbr>onholdstatus" in text


def test_the_list_is_sorted_either_way_and_grouped_otherwise(
    admin_client: Client,
) -> None:
    (all_names,) = groups(admin_client, group="none", sort="-columns").values()
    counts = [len(catalog.find(name).columns) for name in all_names]
    assert counts == sorted(counts, reverse=True)
    by_concept = groups(admin_client, group="concept", sort="columns")
    assert list(by_concept) == list(catalog.concepts())
    page = admin_client.get(LIST, {"sort": "columns", "q": "units"}).content.decode()
    assert 'aria-sort="ascending"' in page
    assert "sort=-columns" in page
    assert "q=units" in page
    assert names(admin_client, sort="nonsense", group="nonsense") == names(admin_client)


def test_what_is_installed_leads_to_its_map(
    admin_client: Client, django_assert_num_queries: Callable[[int], Any]
) -> None:
    contoso = make_connection_set(name="contoso")
    install(contoso, ["Terms of payment"])
    install(make_connection_set(name="fabrikam"), ["Terms of payment"])
    assert "Terms of payment" in names(admin_client, installed="yes")
    assert "Terms of payment" not in names(admin_client, installed="no")
    with django_assert_num_queries(4):
        page = admin_client.get(LIST, {"q": "terms of"})
    for table_map in TableMap.objects.filter(name="Terms of payment"):
        assert reverse("map_page", args=[table_map.pk]) in page.content.decode()


# One map


def test_every_ready_made_map_has_a_page_of_its_own(admin_client: Client) -> None:
    addresses = [address_name(entry) for entry in catalog.entries()]
    assert len(set(addresses)) == 135
    assert [find_by_address(name) for name in addresses] == list(catalog.entries())
    for entry in catalog.entries()[::9]:
        text = admin_client.get(one(address_name(entry))).content.decode()
        assert f"{len(entry.columns)} column map" in text


def test_a_page_shows_columns_values_key_scope_and_filters(
    admin_client: Client,
) -> None:
    page = admin_client.get(one())
    text = page.content.decode()
    assert "((PartyType == &quot;Organization&quot;))" in text
    assert "customertypecode eq 3" in text
    assert "belong to a company" in text
    assert "key-inferred" not in text
    lines = {line.line.finops: line for line in page.context["lines"]}
    assert lines["CUSTOMERACCOUNT"].key
    assert lines["ONHOLDSTATUS"].folded
    assert not lines["CREDITLIMITISMANDATORY"].folded
    assert lines["CUSTOMERGROUPID"].table == "msdyn_customergroups"


def test_related_maps_are_links_in_the_order_of_a_run(admin_client: Client) -> None:
    page = admin_client.get(one())
    needs = [link.name for link in page.context["needs"]]
    assert needs.index("Terms of payment") < needs.index("Customer groups")
    direct = {link.name for link in page.context["needs"] if link.direct}
    assert direct == set(catalog.find("Customers V3 (accounts)").related)
    assert one("customer-groups") in page.content.decode()
    groups_page = admin_client.get(one("customer-groups"))
    assert "Customers V3 (accounts)" in [
        link.name for link in groups_page.context["needed_by"]
    ]


def test_a_correction_stands_beside_the_published_fact(admin_client: Client) -> None:
    page = admin_client.get(one("fiscal-calendar-period"))
    text = page.content.decode()
    assert "Two lines would write CALENDAR on the way back" in text
    assert "published =" in text
    assert "key-inferred" in text
    corrected = [line for line in page.context["lines"] if line.correction]
    assert [line.line.type.value for line in corrected] == [">"]


def test_every_correction_is_shown_with_its_reason(admin_client: Client) -> None:
    for entry in catalog.entries():
        if not entry.corrections:
            continue
        page = admin_client.get(one(address_name(entry)))
        text = page.content.decode()
        assert all(escape(each.reason) in text for each in entry.corrections)
        marked = [line.correction for line in page.context["lines"] if line.correction]
        of_columns = {c.place for c in entry.corrections if c.place[:8] == "columns "}
        assert {correction.place for correction in marked} == of_columns


# Installing


def test_it_asks_first_and_shows_what_will_be_added(admin_client: Client) -> None:
    contoso = make_connection_set(name="contoso")
    install(contoso, ["Terms of payment"])
    page = admin_client.get(INSTALL, {"name": "Customer groups"})
    new = [(link.name, link.direct) for link in page.context["new"]]
    assert new[-1] == ("Customer groups", True)
    assert all(not direct for _, direct in new[:-1])
    present = [entry.name for entry, _ in page.context["present"]]
    assert "Terms of payment" in present
    assert not TableMap.objects.filter(name="Customer groups").exists()


def test_installing_adds_what_was_shown_and_writes_the_log(
    admin_client: Client, admin_user: User
) -> None:
    contoso = make_connection_set(name="contoso")
    shown = admin_client.get(INSTALL, {"name": "notes"}).context["new"]
    done = admin_client.post(INSTALL, {"name": "notes", "set": contoso.pk})
    assert done["Location"] == f"{reverse('map_list')}?set=contoso"
    assert {link.name for link in shown} == set(
        TableMap.objects.values_list("name", flat=True)
    )
    event = ActivityEvent.objects.get(kind="connection_set.installed")
    assert (event.user, event.connection_set) == (admin_user, contoso)
    again = admin_client.get(INSTALL, {"name": "notes"}).content.decode()
    assert "has notes already" in again
    assert "confirm-install" not in again


def test_where_there_are_several_connection_sets_it_asks_which(
    admin_client: Client,
) -> None:
    make_connection_set(name="contoso")
    fabrikam = make_connection_set(name="fabrikam")
    page = admin_client.get(INSTALL, {"name": "Units"})
    assert page.context["target"] is None
    assert "confirm-install" not in page.content.decode()
    assert admin_client.post(INSTALL, {"name": "Units"}).status_code == 200
    assert not TableMap.objects.exists()
    chosen = {"name": "Units", "set": str(fabrikam.pk)}
    assert admin_client.get(INSTALL, chosen).context["target"] == fabrikam
    admin_client.post(INSTALL, chosen)
    assert {m.connection_set for m in TableMap.objects.all()} == {fabrikam}


def test_without_a_connection_set_it_says_so(admin_client: Client) -> None:
    text = admin_client.get(INSTALL, {"name": "Units"}).content.decode()
    assert "There is no connection set yet" in text
    back = admin_client.get(INSTALL)
    assert back["Location"] == LIST
