"""Trying filters: the service, `dw filter`, and the tab of a map's page."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.environments.models import ConnectionSet
from portal.maps.filter_trial import try_filters
from portal.maps.models import MapVersion, TableMap
from tests.factories import (
    make_connection_set,
    make_definition,
    make_environment,
    make_map,
    make_user,
)
from tests.portal.test_command_line import dw

pytestmark = pytest.mark.django_db

RESULTS = {"HX-Request": "true", "HX-Target": "filter-trial"}


@pytest.fixture
def contoso(make_database: Callable[..., str]) -> ConnectionSet:
    """Two real databases with companies, of which one is linked."""
    erp, crm = make_database(prefix="erp"), make_database(prefix="crm")
    with psycopg.connect(erp) as connection:
        connection.execute(
            "CREATE TABLE customers (company text, account text, name text, hold text,"
            " PRIMARY KEY (company, account));"
            "INSERT INTO customers VALUES ('usmf', 'c1', 'One', 'No'),"
            " ('usmf', 'c2', '<b>Two', NULL), ('usmf', 'c3', '', 'All'),"
            " ('demf', 'c4', 'Four', 'No')"
        )
    with psycopg.connect(crm) as connection:
        connection.execute(
            "CREATE TABLE accounts (company text, accountnumber text, name text,"
            " onhold int, PRIMARY KEY (company, accountnumber));"
            "INSERT INTO accounts VALUES ('USMF', 'c1', 'One', 0)"
        )
    return make_connection_set(
        name="contoso",
        finops=make_environment("finops", dsn=erp, company_column="company"),
        dataverse=make_environment("dataverse", dsn=crm, company_column="company"),
        legal_entities=(("usmf", "USMF"),),
    )


@pytest.fixture
def customers(contoso: ConnectionSet) -> TableMap:
    definition = make_definition(
        finops_filter='hold == "No"', dataverse_filter="onhold eq 0"
    )
    return make_map(contoso, definition=definition)


def tab(client: Client, table_map: TableMap, results: bool = True, **texts: str) -> str:
    response = client.get(
        reverse("map_tab", args=[table_map.pk, "filters"]),
        texts,
        headers=RESULTS if results else {},
    )
    assert response.status_code == 200
    return response.content.decode()


def test_stored_filters_are_tried_in_the_linked_companies(customers: TableMap) -> None:
    before = MapVersion.objects.count()
    outcome = dw("filter", "customers", "--json")
    assert outcome.code == 0
    assert outcome.document["map"] == "customers"
    finops, dataverse = outcome.document["filters"]
    assert finops["side"] == "finops"
    assert finops["environment"] == customers.connection_set.finops.name
    assert (finops["table"], finops["filter"]) == ("customers", 'hold == "No"')
    assert finops["edited"] is False
    assert finops["matching"] == {"rows": 1, "more": False}
    assert finops["not_matching"] == {"rows": 2, "more": False}
    assert finops["columns"] == ["company", "account", "hold"]
    assert finops["matching_rows"] == [["usmf", "c1", "No"]]
    assert sorted(finops["not_matching_rows"]) == [
        ["usmf", "c2", None],
        ["usmf", "c3", "All"],
    ]
    assert finops["odata"] == "hold eq 'No'"
    assert finops["query"].startswith("SELECT ")
    assert finops["error"] is None
    assert dataverse["matching"]["rows"] == 1
    assert MapVersion.objects.count() == before


def test_another_text_is_tried_and_not_stored(customers: TableMap) -> None:
    outcome = dw("filter", "customers", "--finops", 'name == ""', "--dataverse", "")
    assert outcome.code == 0
    assert "1 match, 2 do not match" in outcome.out
    assert 'note: name is compared with ""' in outcome.out
    assert "    usmf     c3       ''" in outcome.out
    assert "accounts: all rows\n  1 match, 0 do not match" in outcome.out
    assert MapVersion.objects.get().finops_filter == 'hold == "No"'


def test_a_mistake_comes_with_its_place(customers: TableMap) -> None:
    text = 'hold == "No" &&\n(nam == "x")'
    outcome = dw("filter", "customers", "--finops", text, "--json")
    assert outcome.code == 1
    finops, dataverse = outcome.document["filters"]
    assert finops["matching"] is None
    assert finops["error"] == {
        "code": "filter_column",
        "message": "the table customers has no column nam; did you mean name?",
        "position": 17,
        "line": 2,
        "character": 2,
        "place": '(nam == "x")\n ^',
        "suggestions": ["name"],
    }
    assert dataverse["error"] is None
    told = dw("filter", "customers", "--finops", text)
    assert "Filter, line 2, character 2: the table customers has no" in told.out
    assert '    (nam == "x")\n     ^\n' in told.out


def test_an_environment_that_cannot_be_asked_is_said_of_its_side(
    customers: TableMap,
) -> None:
    crm = customers.connection_set.dataverse
    crm.dsn = "postgresql://127.0.0.1:1/none"
    crm.save()
    customers.refresh_from_db()
    finops, dataverse = try_filters(customers).sides
    assert finops.usable
    assert dataverse.problem is not None
    assert dataverse.problem.code == "unreachable"
    outcome = dw("filter", "customers", "--json")
    assert outcome.code == 1
    assert outcome.document["filters"][1]["error"]["code"] == "unreachable"
    assert "not tried" in dw("filter", "customers").out


def test_the_tab_comes_at_once_and_asks_for_its_results(
    admin_client: Client, customers: TableMap
) -> None:
    page = tab(admin_client, customers, results=False)
    assert "Counting rows" in page
    assert 'hx-trigger="load"' in page
    assert "hold == &quot;No&quot;</textarea>" in page
    results = tab(admin_client, customers)
    assert "<textarea" not in results
    assert results.count("hx-swap-oob") == 2
    assert 'data-testid="matching">1</dd>' in results
    assert 'data-testid="other">2</dd>' in results
    assert results.count('data-testid="sample"') == 4
    assert "null" in results
    assert "edited" not in results


def test_the_tab_tries_the_texts_of_its_address(
    admin_client: Client, customers: TableMap
) -> None:
    texts = {"finops": 'name like "<b>*" ||\r\n (nam == 1)', "dataverse": "onhold eq 0"}
    page = tab(admin_client, customers, results=False, **texts)
    assert "name like &quot;&lt;b&gt;*&quot; ||\n (nam == 1)</textarea>" in page
    assert "?finops=name+like" in page
    results = tab(admin_client, customers, **texts)
    assert "Line 2, character 3:" in results
    assert "did you mean name?" in results
    assert '(<mark class="dw-caret">n</mark>am == 1)' in results
    assert results.count('data-testid="edited"') == 1
    texts["finops"] = 'name like "<b>*"'
    results = tab(admin_client, customers, **texts)
    assert "&lt;b&gt;Two" in results
    assert "<b>Two" not in results


def test_the_tab_works_without_a_script(
    admin_client: Client, customers: TableMap
) -> None:
    page = tab(admin_client, customers, results=False, **{"try": "1", "finops": ""})
    assert "<html" in page
    assert 'data-testid="matching">3</dd>' in page
    assert 'hx-trigger="load"' not in page


def test_a_filter_too_long_for_an_address_is_shown_but_not_edited(
    admin_client: Client, contoso: ConnectionSet
) -> None:
    text = " || ".join(f'(name == "{number}")' for number in range(200))
    table_map = make_map(contoso, definition=make_definition(finops_filter=text))
    page = tab(admin_client, table_map, results=False)
    assert 'name="finops"' not in page
    assert "manage.py dw filter" in page
    assert 'data-testid="matching">0</dd>' in tab(admin_client, table_map)


def test_a_map_without_a_version_has_no_filters(admin_client: Client) -> None:
    table_map = make_map()
    TableMap.objects.update(version=None)
    assert "No version yet" in tab(admin_client, table_map, results=False)


def test_whoever_may_see_may_try_and_nobody_else(
    client: Client, customers: TableMap
) -> None:
    address = reverse("map_tab", args=[customers.pk, "filters"])
    assert client.get(address).status_code == 302
    client.force_login(User.objects.create_user("visitor"))
    assert client.get(address, headers=RESULTS).status_code == 403
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    assert client.get(address, headers=RESULTS).status_code == 403
    client.force_login(make_user(Role.AUDITOR))
    assert "matching" in tab(client, customers)
    assert client.post(address).status_code == 405
