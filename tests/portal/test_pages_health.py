"""The Health tab, the check before a run, and the check of a link, as pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.accounts.models import User
from portal.checks.models import HealthReport
from portal.checks.queries import map_health
from portal.checks.services import check_map
from portal.environments.models import ConnectionSet, Environment
from portal.maps.models import MapState, TableMap
from tests.factories import UNREACHABLE, make_map
from tests.portal.health_ground import CUSTOMERS, Systems, add_map
from tests.servers import PostgresServer

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def both(postgres: PostgresServer) -> Iterator[Systems]:
    made = Systems(postgres)
    yield made
    made.close()


@pytest.fixture
def systems(both: Systems) -> Systems:
    both.afresh()
    return both


@pytest.fixture
def link(systems: Systems) -> ConnectionSet:
    return systems.link()


@pytest.fixture
def customers(link: ConnectionSet) -> TableMap:
    return add_map(link)


def shown(client: Client, name: str, *ids: int | str, **query: object) -> str:
    response = client.get(reverse(name, args=ids), query)  # type: ignore[arg-type]
    assert response.status_code == 200
    return response.content.decode()


def codes(text: str) -> list[str]:
    return re.findall(r'data-code="([^"]+)"', text)


# -- the tab ------------------------------------------------------------------------


def test_a_map_that_was_never_checked_is_checked_when_its_tab_opens(
    admin_client: Client, customers: TableMap
) -> None:
    text = shown(admin_client, "map_tab", customers.pk, "health")
    assert "This map has not been checked yet." in text
    assert f'hx-get="{reverse("map_health", args=[customers.pk])}"' in text
    assert 'hx-trigger="load"' in text
    assert "Checking both systems…" in text
    assert not HealthReport.objects.exists()


def test_a_clean_map_says_so_and_folds_what_is_good_to_know(
    admin_client: Client, customers: TableMap
) -> None:
    text = shown(admin_client, "map_health", customers.pk)
    assert "Nothing stands in the way of a run." in text
    assert "No errors and no warnings" in text
    folded = text.split('<details data-testid="good-to-know">')[1]
    assert {"1000", "1600"} <= set(codes(folded))
    assert "Show the query" in folded
    assert "SELECT " in folded
    # Beside it, the tab and the head of the page are brought up to date.
    assert text.count('hx-swap-oob="true"') == 2
    assert 'hx-trigger="load"' not in text
    again = shown(admin_client, "map_tab", customers.pk, "health")
    assert "Nothing stands in the way of a run." in again
    assert 'id="map-health"' in again
    assert "Not checked" not in again


def test_findings_show_severity_place_cure_and_code(
    admin_client: Client, systems: Systems, customers: TableMap
) -> None:
    systems.crm.execute("ALTER TABLE accounts ADD tier integer NOT NULL")
    systems.erp.execute("ALTER TABLE customers ALTER credit TYPE numeric(12,4)")
    text = shown(admin_client, "map_health", customers.pk)
    assert "1 finding blocks a run, 1 warning." in text
    serious = text.split('data-testid="good-to-know"')[0]
    assert codes(serious) == ["DIPV1010", "PRECISION_MISMATCH"]
    for words in ("Blocks a run", "Warning", "tier", "Map it, or write a constant"):
        assert words in serious
    page = shown(admin_client, "map_page", customers.pk)
    assert "Cannot run" in page
    assert '<span class="dw-tabs__count">2</span>' in page


def test_dependencies_show_the_present_states(
    admin_client: Client, customers: TableMap
) -> None:
    groups = TableMap.objects.get(name="groups")
    check_map(groups)
    TableMap.objects.filter(pk=groups.pk).update(state=MapState.PAUSED)
    text = shown(admin_client, "map_health", customers.pk)
    needs = text.split('data-testid="needs"')[1].split("</ul>")[0]
    assert "groups" in needs
    assert "Paused" in needs
    assert "No lookup of another map leads to this one." in text
    text = shown(admin_client, "map_tab", groups.pk, "health")
    assert "customers" in text.split('data-testid="needed-by"')[1].split("</ul>")[0]


def test_without_scripts_a_link_checks_and_shows_the_whole_page(
    admin_client: Client, customers: TableMap
) -> None:
    text = shown(admin_client, "map_tab", customers.pk, "health", check="now")
    assert "<html" in text
    assert "Nothing stands in the way of a run." in text


def test_a_system_that_is_down_is_a_finding_without_the_secret(
    admin_client: Client,
) -> None:
    table_map = make_map()
    text = shown(admin_client, "map_health", table_map.pk)
    assert set(codes(text)) == {"DIPV1000"}
    assert "secret-word" not in text
    assert "secret-word" not in str(HealthReport.objects.get().findings)


def test_a_map_without_a_version_says_how_to_get_one(
    admin_client: Client, customers: TableMap
) -> None:
    TableMap.objects.filter(pk=customers.pk).update(version=None)
    assert "No version yet" in shown(admin_client, "map_tab", customers.pk, "health")


def test_a_report_is_made_anew_when_it_is_old_or_the_map_has_changed(
    customers: TableMap,
) -> None:
    check_map(customers)
    now = timezone.now()
    assert not map_health(customers, now=now).due
    assert map_health(customers, now=now + timedelta(minutes=2)).due
    customers.state_changed_at = now + timedelta(seconds=1)
    assert map_health(customers, now=now).due


# -- before a run -------------------------------------------------------------------


def run_check(client: Client, *maps: TableMap, related: str = "on") -> str:
    return shown(client, "map_run_check", map=[one.pk for one in maps], related=related)


def test_a_clean_run_says_so(admin_client: Client, customers: TableMap) -> None:
    text = run_check(admin_client, customers)
    assert "Nothing stands in the way." in text
    assert codes(text) == []
    assert "disabled" not in text
    assert "added-maps" not in text


def test_errors_block_the_run_and_warnings_are_listed(
    admin_client: Client, systems: Systems, customers: TableMap
) -> None:
    systems.erp.execute("ALTER TABLE customers ALTER credit TYPE numeric(12,4)")
    text = run_check(admin_client, customers)
    assert codes(text) == ["PRECISION_MISMATCH"]
    assert "disabled" not in text
    systems.crm.execute("ALTER TABLE accounts ADD tier integer NOT NULL")
    text = run_check(admin_client, customers)
    assert codes(text) == ["DIPV1010", "PRECISION_MISMATCH"]
    assert "disabled" in text
    assert "Something must be mended before this map can run." in text


def test_related_maps_are_named_and_checked_with_the_others(
    admin_client: Client, systems: Systems, customers: TableMap
) -> None:
    TableMap.objects.update(state=MapState.NOT_RUNNING)
    text = run_check(admin_client, customers, related="")
    assert codes(text) == ["VMAP104"]
    assert "Run groups first." in text
    text = run_check(admin_client, customers)
    assert codes(text) == []
    assert "groups" in text.split('data-testid="added-maps"')[1].split("</p>")[0]
    systems.crm.execute("ALTER TABLE groups ADD tier integer NOT NULL")
    text = run_check(admin_client, customers)
    assert codes(text) == ["DIPV1010"]
    assert 'data-map="groups"' in text


def planned(text: str) -> list[str]:
    return re.findall(r'data-testid="planned" data-map="([^"]+)"', text)


def test_the_dialog_shows_the_order_of_the_copy_and_keeps_what_was_chosen(
    admin_client: Client, customers: TableMap
) -> None:
    TableMap.objects.update(state=MapState.NOT_RUNNING)
    text = run_check(admin_client, customers)
    assert planned(text) == ["groups", "customers"]
    assert "after groups" in text
    groups = TableMap.objects.get(name="groups")
    text = shown(
        admin_client,
        "map_run_check",
        map=[customers.pk],
        related="on",
        plan=[customers.pk, groups.pk],
        include=[customers.pk],
        copy=[groups.pk],
        **{f"master_{customers.pk}": "finops"},
    )
    assert planned(text) == ["customers", "groups"]
    assert "groups comes later" in text
    assert text.count('<option value="finops" selected>') == 1
    ticked = re.findall(r'name="(include|copy)" value="(\d+)" checked', text)
    assert ticked == [("include", str(customers.pk)), ("copy", str(groups.pk))]


def test_the_dialog_asks_for_the_check_and_works_without_it(
    admin_client: Client, customers: TableMap
) -> None:
    text = shown(admin_client, "map_run", map=customers.pk)
    assert f'hx-get="{reverse("map_run_check")}"' in text
    assert "Checking both systems…" in text
    assert "disabled" not in text.split('id="run-button"')[1].split("</span>")[0]


def test_a_run_across_links_is_checked_link_by_link(
    admin_client: Client, customers: TableMap
) -> None:
    text = run_check(admin_client, customers, make_map())
    assert set(codes(text)) == {"DIPV1000"}
    assert "disabled" in text


# -- the link -----------------------------------------------------------------------


def test_the_check_of_a_link_groups_findings_by_map(
    admin_client: Client, systems: Systems, link: ConnectionSet
) -> None:
    TableMap.objects.update(state=MapState.NOT_RUNNING)
    broken = add_map(link, replace(CUSTOMERS, key=()))
    text = shown(admin_client, "connection_set_check", link.pk)
    assert "1 without a finding" in text
    block = text.split('data-map="customers"')[1].split("</details>")[0]
    assert codes(block) == ["DIPV1003"]
    assert reverse("map_tab", args=[broken.pk, "health"]) in block
    assert HealthReport.objects.get(table_map=None).errors == 1


def test_the_check_of_a_link_says_that_maps_were_not_looked_at(
    admin_client: Client, link: ConnectionSet
) -> None:
    Environment.objects.filter(name="erp").update(dsn=UNREACHABLE)
    text = shown(admin_client, "connection_set_check", link.pk)
    assert "The maps were not checked" in text
    assert "DWFOEV1001" in codes(text)


# -- who may ------------------------------------------------------------------------


def test_only_staff_may_check_and_only_by_reading(
    client: Client, admin_client: Client
) -> None:
    path = reverse("map_health", args=[make_map().pk])
    assert admin_client.post(path).status_code == 405
    assert admin_client.get(reverse("map_health", args=[0])).status_code == 404
    assert client.get(path).status_code == 302
    client.force_login(User.objects.create_user("visitor"))
    assert client.get(path).status_code == 403
    assert not HealthReport.objects.exists()
