"""The conflict log's pages and command."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from portal.environments.models import ConnectionSet
from portal.errors.models import Conflict
from portal.maps.models import TableMap
from portal.maps.services import create_map
from tests.engine.pair import CUSTOMERS_MAP, Pair
from tests.portal.test_conflicts import names, record

pytestmark = pytest.mark.django_db


@pytest.fixture
def table_map(link: ConnectionSet) -> TableMap:
    return create_map(link, CUSTOMERS_MAP)


def text(response: Any) -> str:
    content: bytes = response.content
    return content.decode()


def test_the_log_is_narrowed_by_every_filter(
    admin_client: Client, table_map: TableMap
) -> None:
    record(table_map)
    record(table_map, "undecided", key=("usmf", "C2"), finops_key=("usmf", "C2"))
    for query, there, not_there in (
        ("", "usmf / C1", "usmf / C9"),
        ("?state=undecided", "usmf / C2", "usmf / C1"),
        ("?policy=finops_wins", "usmf / C1", "usmf / C2"),
        ("?winner=finops&column=name", "usmf / C1", "usmf / C2"),
        ("?key=c2", "usmf / C2", "usmf / C1"),
        (f"?map={table_map.pk}&period=hour", "usmf / C1", "usmf / C9"),
        ("?key=nobody", "No conflict matches", "usmf / C1"),
    ):
        shown = text(admin_client.get(reverse("conflict_list") + query))
        assert there in shown, query
        assert f'data-key="{not_there}"' not in shown, query
    shown = text(admin_client.get(reverse("conflict_list")))
    assert "1 conflict waits for a decision" in shown
    lines = b"".join(
        admin_client.get(reverse("conflict_export") + "?state=settled")
    ).decode()
    assert "usmf / C1" in lines
    assert "usmf / C2" not in lines


def test_a_conflict_shows_both_versions_and_why_one_won(
    admin_client: Client, table_map: TableMap
) -> None:
    record(table_map)
    shown = text(
        admin_client.get(reverse("conflict_page", args=[Conflict.objects.get().pk]))
    )
    for piece in (
        "Ours",
        "Theirs",
        "Old",
        "The map says that FinOps wins.",
        "FinOps wins",
    ):
        assert piece in shown
    assert 'data-testid="use-dataverse"' in shown
    assert 'data-testid="use-finops"' not in shown


def test_using_the_other_side_asks_first_and_then_does_it(
    admin_client: Client, pair: Pair, table_map: TableMap
) -> None:
    pair.add_customer("C1", organizationname="Ours")
    pair.add_account("C1", name="Ours")
    record(table_map)
    address = reverse("conflict_use", args=[Conflict.objects.get().pk])
    asked = text(admin_client.post(address, {"side": "dataverse"}))
    assert "Use Dataverse's version of usmf / C1 on both sides?" in asked
    assert names(pair) == ("Ours", "Ours")
    done = admin_client.post(
        address, {"side": "dataverse", "confirmed": "yes"}, follow=True
    )
    assert "Both sides now have Dataverse&#x27;s version." in text(done)
    assert names(pair) == ("Theirs", "Theirs")


def test_a_change_since_is_shown_and_offered_again(
    admin_client: Client, pair: Pair, table_map: TableMap
) -> None:
    pair.add_customer("C1", organizationname="Newer")
    pair.add_account("C1", name="Newer")
    record(table_map)
    address = reverse("conflict_use", args=[Conflict.objects.get().pk])
    form = {"side": "dataverse", "confirmed": "yes"}
    refused = admin_client.post(address, form)
    assert refused.status_code == 409
    assert "Newer" in text(refused)
    assert 'data-testid="insist"' in text(refused)
    seen = refused.context["seen"]
    assert admin_client.post(address, form | {"seen": seen}).status_code == 302
    assert names(pair) == ("Theirs", "Theirs")


def test_many_ask_first_with_their_number(
    admin_client: Client, table_map: TableMap
) -> None:
    for key in ("C1", "C2"):
        record(table_map, finops_key=("usmf", key))
    address = reverse("conflict_use_many")
    form = {"side": "dataverse", "scope": "matching", "policy": "finops_wins"}
    assert "for 2 conflicts?" in text(admin_client.post(address, form))
    assert not Conflict.objects.exclude(wanted_side="").exists()
    nothing = admin_client.post(address, {"side": "finops"}, follow=True)
    assert "Choose at least one conflict" in text(nothing)
    admin_client.post(address, form | {"confirmed": "yes"})
    assert Conflict.objects.filter(wanted_side="dataverse").count() == 2


def test_the_pages_refuse_what_is_not_theirs(
    admin_client: Client, client: Client, table_map: TableMap
) -> None:
    record(table_map)
    pk = Conflict.objects.get().pk
    assert client.get(reverse("conflict_list")).status_code == 302
    assert client.post(reverse("conflict_use", args=[pk])).status_code == 302
    assert admin_client.get(reverse("conflict_page", args=[pk + 1])).status_code == 404
    assert admin_client.get(reverse("conflict_use", args=[pk])).status_code == 405
    wrong = {"side": "both", "confirmed": "yes"}
    assert (
        admin_client.post(reverse("conflict_use", args=[pk]), wrong).status_code == 404
    )


def run(*arguments: str) -> tuple[dict[str, Any], int]:
    out = StringIO()
    code = 0
    try:
        call_command("dw", "conflicts", *arguments, "--json", stdout=out)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return json.loads(out.getvalue()), code


def test_the_command_lists_and_decides(pair: Pair, table_map: TableMap) -> None:
    pair.add_customer("C1", organizationname="Ours")
    pair.add_account("C1", name="Ours")
    record(table_map)
    document, code = run()
    (one,) = document["conflicts"]
    assert code == 0
    assert (one["state"], one["finops"], one["dataverse"]) == (
        "settled",
        {"organizationname": "Ours"},
        {"name": "Theirs"},
    )
    document, code = run(str(one["id"]), "--use", "dataverse")
    assert (document["decided"], code) == ([one["id"]], 0)
    assert names(pair) == ("Theirs", "Theirs")
    document, code = run(str(one["id"]), "--use", "dataverse")
    assert code == 1
    assert "already have" in document["refused"][0]["message"]
