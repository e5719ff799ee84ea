"""The map editor: a draft is changed line by line, checked, and published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.activity.models import ActivityEvent
from portal.editor import services
from portal.editor.content import Draft, move_line
from portal.editor.models import MapDraft
from portal.editor.texts import write_text
from portal.maps.conversion import to_engine
from portal.maps.models import MapState, SharedValueMap, TableMap
from portal.maps.value_maps import save as save_value_map
from portal.refusals import ActionForbidden
from syncengine.mapping.model import ColumnMap, ColumnMapType
from tests.factories import (
    make_connection_set,
    make_definition,
    make_environment,
    make_user,
)
from tests.factories import make_map as make_unreachable
from tests.portal.test_command_line import dw

pytestmark = pytest.mark.django_db

READING = ("map_edit",)
PARTS = ("filters", "settings", "preview", "try", "examples", "text")
WRITING = (
    "map_edit_begin",
    "map_edit_take_over",
    "map_edit_undo",
    "map_edit_tables",
    "map_edit_add",
    "map_edit_filters",
    "map_edit_settings",
    "map_edit_text",
    "map_edit_try",
    "map_edit_examples",
)
OF_LINES = (
    "map_edit_line",
    "map_edit_remove",
    "map_edit_move",
    "map_edit_rule",
    "map_edit_decision",
    "map_edit_lookup",
)
ALL = (
    *READING,
    *WRITING,
    *OF_LINES,
    "map_edit_panel",
    "map_edit_part",
    "map_edit_rows",
    "map_edit_discard",
    "map_edit_publish",
)


@pytest.fixture
def dsns(make_database: Callable[..., str]) -> dict[str, str]:
    made = {side: make_database(prefix=side) for side in ("finops", "dataverse")}
    with psycopg.connect(made["finops"]) as connection:
        connection.execute(
            "CREATE TABLE customers (account text PRIMARY KEY, name text, hold text,"
            " area text, phone text);"
            "INSERT INTO customers VALUES ('c1', 'One', 'No', 'North', '07'),"
            " ('c2', 'Two', 'All', NULL, NULL)"
        )
    with psycopg.connect(made["dataverse"]) as connection:
        connection.execute(
            "CREATE TABLE areas (areaid int PRIMARY KEY, name text UNIQUE);"
            "INSERT INTO areas VALUES (1, 'North');"
            "CREATE TABLE accounts (accountnumber text PRIMARY KEY, name text,"
            " onhold int, areaid int REFERENCES areas, telephone1 text,"
            " must text NOT NULL DEFAULT '')"
        )
    return made


@pytest.fixture
def customers(dsns: dict[str, str]) -> TableMap:
    """A map over real tables that fits them."""
    contoso = make_connection_set(
        name="contoso",
        finops=make_environment("finops", dsn=dsns["finops"]),
        dataverse=make_environment("dataverse", dsn=dsns["dataverse"]),
    )
    return make_unreachable(contoso)


@pytest.fixture
def begun(customers: TableMap, admin_user: User) -> TableMap:
    """The map with a draft of the administrator."""
    services.begin(customers, user=admin_user)
    return customers


def draft(table_map: TableMap) -> Draft:
    return services.read(services.draft_or_refuse(table_map))


def address(name: str, table_map: TableMap, *args: object) -> str:
    return reverse(name, args=[table_map.pk, *args])


def lines(table_map: TableMap) -> list[tuple[str | None, str, str | None]]:
    return [
        (c.finops, c.type.value, c.dataverse)
        for c in draft(table_map).definition.columns
    ]


def change(client: Client, table_map: TableMap, line: int, **fields: str) -> str:
    answer = client.post(address("map_edit_line", table_map, line), fields)
    assert answer.status_code == 200
    return answer.content.decode()


# -- beginning, holding, discarding ---------------------------------------------------


def test_a_draft_is_begun_kept_and_discarded(
    admin_client: Client, customers: TableMap
) -> None:
    page = admin_client.get(address("map_edit", customers))
    assert "Begin a draft" in page.content.decode()
    assert not page.context["editable"]
    assert not MapDraft.objects.exists()
    answer = admin_client.post(address("map_edit_begin", customers))
    assert answer["Location"] == address("map_edit", customers)
    change(admin_client, customers, 2, finops="name", type=">", dataverse="name")
    admin_client.post(address("map_edit_begin", customers))
    assert lines(customers)[1] == ("name", ">", "name")
    assert admin_client.get(address("map_edit_discard", customers)).status_code == 200
    admin_client.post(address("map_edit_discard", customers))
    assert not MapDraft.objects.exists()
    kinds = list(ActivityEvent.objects.order_by("id").values_list("kind", flat=True))
    assert kinds[-2:] == ["map.draft_begun", "map.draft_discarded"]


def test_another_reads_the_draft_until_they_take_it_over(
    client: Client, begun: TableMap
) -> None:
    client.force_login(make_user(Role.MAP_MAKER))
    page = client.get(address("map_edit", begun)).content.decode()
    assert "admin edits this draft" in page
    said = change(client, begun, 2, finops="phone", type="=", dataverse="telephone1")
    assert "This change was not kept" in said
    assert lines(begun)[1][0] == "name"
    client.post(address("map_edit_take_over", begun))
    change(client, begun, 2, finops="phone", type="=", dataverse="telephone1")
    assert lines(begun)[1] == ("phone", "=", "telephone1")


def test_a_running_map_is_read_only_and_says_why(
    admin_client: Client, admin_user: User, begun: TableMap
) -> None:
    TableMap.objects.update(state=MapState.RUNNING)
    page = admin_client.get(address("map_edit", begun))
    assert "is Running, so its definition cannot change" in page.content.decode()
    assert not page.context["editable"]
    with pytest.raises(ActionForbidden):
        services.change(begun, move_line(1, 1), "move", user=admin_user)
    assert "was not kept" in change(admin_client, begun, 2, finops="x")


# -- lines ----------------------------------------------------------------------------


def test_a_wrong_column_is_told_at_its_line(
    admin_client: Client, begun: TableMap
) -> None:
    said = change(admin_client, begun, 2, finops="nome", type="=", dataverse="name")
    at, _, rest = said.partition('id="said-2"')
    assert "DIPV1022" in rest.split("</div>")[0]
    assert "DIPV1022" not in at
    assert "1 error" in said
    page = admin_client.get(address("map_edit", begun))
    (line,) = [one for one in page.context["lines"] if one.findings]
    assert (line.id, line.state, line.line.finops) == (2, "added", "nome")
    said = change(admin_client, begun, 2, finops="name", type="=", dataverse="name")
    assert "Fits its tables" in said
    assert "Nothing changed yet" in said


def test_fields_offer_columns_with_types_and_samples(
    admin_client: Client, begun: TableMap
) -> None:
    picks = dict(admin_client.get(address("map_edit", begun)).context["picks"])
    hints = {choice.path: choice.hint for choice in picks["finops"]}
    assert hints["name"] == "text · e.g. One, Two"
    assert "primary key" in hints["account"]
    hints = {choice.path: choice.hint for choice in picks["dataverse"]}
    assert hints["areaid.name"] == "looks up areas by name · text"


def test_lines_are_added_moved_and_removed_and_the_changes_undone(
    admin_client: Client, begun: TableMap
) -> None:
    added = admin_client.post(
        address("map_edit_add", begun), {"after": "1", "dataverse": "telephone1"}
    )
    assert 'data-focus="finops-4"' in added.content.decode()
    change(admin_client, begun, 4, finops="phone", type=">", dataverse="telephone1")
    assert [one[0] for one in lines(begun)] == ["account", "phone", "name", "hold"]
    admin_client.post(address("map_edit_move", begun, 4), {"by": "1"})
    assert [one[0] for one in lines(begun)] == ["account", "name", "phone", "hold"]
    admin_client.post(address("map_edit_move", begun, 4), {"before": "1"})
    assert [one[0] for one in lines(begun)] == ["phone", "account", "name", "hold"]
    admin_client.post(address("map_edit_move", begun, 4), {"before": ""})
    admin_client.post(address("map_edit_remove", begun, 2))
    assert [one[0] for one in lines(begun)] == ["account", "hold", "phone"]
    admin_client.post(address("map_edit_undo", begun))
    assert [one[0] for one in lines(begun)] == ["account", "name", "hold", "phone"]
    while services.draft_or_refuse(begun).steps.exists():
        admin_client.post(address("map_edit_undo", begun))
    assert draft(begun).definition == make_definition()


def test_the_key_follows_its_line(admin_client: Client, begun: TableMap) -> None:
    change(
        admin_client, begun, 1, finops="account", type="=", dataverse="name", key="on"
    )
    (pair,) = draft(begun).definition.key
    assert (pair.finops, pair.dataverse) == ("account", "name")
    said = change(admin_client, begun, 1, finops="account", type="=", dataverse="name")
    assert not draft(begun).definition.key
    assert "error" in said
    page = admin_client.get(address("map_edit_part", begun, "settings"))
    assert "DIPV1003" in page.content.decode()


def test_a_line_that_is_gone_is_told(admin_client: Client, begun: TableMap) -> None:
    assert "not in the draft any more" in change(admin_client, begun, 99, finops="x")


# -- what makes a value ---------------------------------------------------------------


def test_pasted_pairs_become_the_value_map_of_a_line(
    admin_client: Client, begun: TableMap
) -> None:
    rule = address("map_edit_rule", begun, 2)
    pasted = {"values": "own", "pairs": "One\tEins\nTwo\tZwei\nTwo\tDrei\n"}
    said = admin_client.post(rule, pasted).content.decode()
    line = draft(begun).line(2)
    assert line.values == (("One", "Eins"), ("Two", "Zwei"), ("Two", "Drei"))
    assert line.type is ColumnMapType.BOTH_TRANSFORM
    assert "several meanings" in said
    said = admin_client.post(
        rule, {**pasted, "swap": "1", "panel": "1"}
    ).content.decode()
    assert draft(begun).line(2).values == (
        ("Eins", "One"),
        ("Zwei", "Two"),
        ("Drei", "Two"),
    )
    assert 'data-testid="panel"' in said
    said = admin_client.post(rule, {"values": "own", "pairs": "alone"}).content.decode()
    assert "Not kept yet" in said
    assert len(draft(begun).line(2).values or ()) == 3
    admin_client.post(rule, {"values": ""})
    assert draft(begun).line(2) == ColumnMap("name", "name", ColumnMapType.BOTH)


def test_a_shared_value_map_and_a_default_are_taken(
    admin_client: Client, begun: TableMap
) -> None:
    save_value_map("names", [("One", "Eins")])
    assert SharedValueMap.objects.count() == 1
    panel = admin_client.get(address("map_edit_panel", begun, 2)).content.decode()
    assert "Shared value map names" in panel
    fields = {"values": "shared names", "has_default": "on", "default": "Null"}
    said = admin_client.post(
        address("map_edit_rule", begun, 2), fields
    ).content.decode()
    line = draft(begun).line(2)
    assert (line.value_map, line.values, line.default) == (
        "names",
        (("One", "Eins"),),
        "Null",
    )
    assert "names: 1 pair, default Null" in said


def test_a_reference_is_looked_up_by_a_key_that_is_chosen(
    admin_client: Client, begun: TableMap
) -> None:
    admin_client.post(address("map_edit_add", begun), {"finops": "area"})
    change(admin_client, begun, 4, finops="area", type=">", dataverse="areaid")
    panel = admin_client.get(address("map_edit_panel", begun, 4)).content.decode()
    assert "looks up areas by name" in panel
    assert ">areaid.name</option>" in panel
    assert "North" in panel
    admin_client.post(
        address("map_edit_lookup", begun, 4),
        {"side": "dataverse", "path": "areaid.name"},
    )
    assert lines(begun)[3] == ("area", ">", "areaid.name")


# -- the further pages ----------------------------------------------------------------


def test_filters_are_kept_checked_and_counted(
    admin_client: Client, begun: TableMap
) -> None:
    keep = address("map_edit_filters", begun)
    answer = admin_client.post(keep, {"finops": 'account == "c1"'})
    assert answer["HX-Trigger"] == "draft-filters"
    assert draft(begun).definition.finops_filter == 'account == "c1"'
    rows = admin_client.get(address("map_edit_rows", begun)).content.decode()
    assert 'data-testid="matching">1<' in rows
    said = admin_client.post(keep, {"finops": "account ="}).content.decode()
    assert 'data-code="900"' in said


def test_settings_key_order_and_declared_lookups(
    admin_client: Client, begun: TableMap
) -> None:
    keep = address("map_edit_settings", begun)
    admin_client.post(keep, {"conflict": "finops_wins", "on_error": "nonsense"})
    admin_client.post(
        keep,
        {
            "what": "lookup_declare",
            "column": "finops area",
            "table": "customers",
            "reference": "account",
        },
    )
    definition = draft(begun).definition
    assert definition.conflict.value == "finops_wins"
    (lookup,) = definition.lookups
    assert (lookup.side.value, lookup.column) == ("finops", "area")
    admin_client.post(keep, {"what": "lookup_forget", "number": "0"})
    assert not draft(begun).definition.lookups


def test_the_preview_is_that_of_the_draft(
    admin_client: Client, begun: TableMap
) -> None:
    admin_client.post(
        address("map_edit_rule", begun, 2), {"values": "own", "pairs": "One\tUno"}
    )
    page = admin_client.get(
        address("map_edit_part", begun, "preview"),
        {"direction": "finops_to_dataverse", "key": "c1"},
    )
    (record,) = page.context["records"]
    results = {one.column.column: one.column.result for one in record.columns}
    assert results["name"] == "Uno"


@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_the_draft_is_a_text_and_back(
    admin_client: Client, begun: TableMap, kind: str
) -> None:
    page = address("map_edit_part", begun, "text")
    text = admin_client.get(page, {"format": kind}).context["text"]
    before = draft(begun)
    take = address("map_edit_text", begun)
    assert admin_client.post(take, {"format": kind, "text": text}).status_code == 302
    assert draft(begun) == before
    longer = text.replace("telephone", "x").replace("onhold", "telephone1")
    admin_client.post(take, {"format": kind, "text": longer})
    assert lines(begun)[2] == ("hold", "><", "telephone1")
    assert draft(begun).ids[:2] == (1, 2)
    broken = admin_client.post(take, {"format": kind, "text": "maps: ["})
    assert broken.status_code == 409
    assert broken.context["text"] == "maps: ["
    assert lines(begun)[2] == ("hold", "><", "telephone1")


# -- publishing -----------------------------------------------------------------------


def test_publishing_shows_the_difference_and_makes_the_next_version(
    admin_client: Client, begun: TableMap
) -> None:
    publish = address("map_edit_publish", begun)
    nothing = admin_client.post(publish, {"publisher": "contoso", "version": "1.0.0.1"})
    assert nothing.status_code == 409
    change(admin_client, begun, 2, finops="name", type=">", dataverse="name")
    page = admin_client.get(publish)
    assert page.context["version"] == "1.0.0.1"
    assert page.context["comparison"].summary == "1 column changed."
    low = admin_client.post(publish, {"publisher": "contoso", "version": "0.9.0.0"})
    assert "raise the version above 1.0.0.0" in low.content.decode()
    strange = admin_client.post(publish, {"publisher": "contoso", "version": "next"})
    assert "is no version" in strange.content.decode()
    assert (
        admin_client.post(
            publish, {"publisher": "contoso", "version": "1.0.0.1"}
        ).status_code
        == 302
    )
    begun.refresh_from_db()
    assert str(begun.version) == "contoso 1.0.0.1"
    assert to_engine(begun.version).columns[1].type is ColumnMapType.TO_DATAVERSE  # type: ignore[arg-type]
    assert not MapDraft.objects.exists()


# -- a system that is away, and many lines --------------------------------------------


def test_a_draft_is_kept_while_a_system_is_away(
    admin_client: Client, admin_user: User
) -> None:
    table_map = make_unreachable()
    services.begin(table_map, user=admin_user)
    said = change(admin_client, table_map, 2, finops="name", type=">", dataverse="name")
    assert "Nothing is checked meanwhile" in said
    assert lines(table_map)[1] == ("name", ">", "name")


def test_a_map_of_108_lines_asks_no_more_than_a_small_one(
    admin_client: Client,
    admin_user: User,
    begun: TableMap,
    django_assert_max_num_queries: Any,
) -> None:
    many = [ColumnMap(f"extra{n}", f"extra{n}", ColumnMapType.BOTH) for n in range(105)]
    wide = make_definition("wide", columns=(*make_definition().columns, *many))
    table_map = make_unreachable(begun.connection_set, definition=wide)
    services.begin(table_map, user=admin_user)
    admin_client.get(address("map_edit", table_map))
    with django_assert_max_num_queries(30):
        page = admin_client.get(address("map_edit", table_map))
    assert len(page.context["lines"]) == 108


def test_a_line_becomes_a_part_of_the_key_on_its_page(
    admin_client: Client, begun: TableMap
) -> None:
    page = admin_client.get(address("map_edit_part", begun, "settings"))
    assert [line.finops for _, line in page.context["keyless"]] == ["name", "hold"]
    path = address("map_edit_settings", begun)
    admin_client.post(path, {"what": "key_add", "number": "2"})
    key = draft(begun).definition.key
    assert [pair.finops for pair in key] == ["account", "name"]
    admin_client.post(path, {"what": "key_add", "number": "99"})
    assert draft(begun).definition.key == key


def test_a_change_offers_to_be_undone(admin_client: Client, begun: TableMap) -> None:
    def undo(text: str) -> str:
        return text.partition('id="undo"')[2].partition(">")[0]

    page = admin_client.get(address("map_edit", begun)).content.decode()
    assert "disabled" in undo(page)
    answer = admin_client.post(address("map_edit_add", begun)).content.decode()
    assert 'hx-swap-oob="true"' in undo(answer)
    assert "disabled" not in undo(answer)


# -- who may --------------------------------------------------------------------------


def test_a_reader_sees_every_part_and_changes_nothing(
    client: Client, begun: TableMap
) -> None:
    client.force_login(make_user(Role.OPERATOR))
    for part in PARTS:
        page = client.get(address("map_edit_part", begun, part))
        assert page.status_code == 200
        assert not page.context["editable"]
        assert "needs the right to change table maps" in page.content.decode()


def test_only_who_may_change_maps_edits(client: Client, admin_client: Client) -> None:
    table_map = make_unreachable()
    clerk = make_user(Role.OPERATOR)
    for name in (*WRITING, *OF_LINES, "map_edit_discard", "map_edit_publish"):
        path = address(name, table_map, *([1] if name in OF_LINES else []))
        client.logout()
        assert client.post(path).status_code == 302
        client.force_login(clerk)
        assert client.post(path).status_code == 403
        if name in (*WRITING, *OF_LINES):
            assert admin_client.get(path).status_code in (404, 405)
    assert not MapDraft.objects.exists()


# -- by command -----------------------------------------------------------------------


def test_a_draft_is_taken_from_a_file_shown_and_published_by_command(
    customers: TableMap, tmp_path: Path
) -> None:
    assert dw("draft", "customers", "--json").document == {
        "map": "customers",
        "draft": None,
    }
    account, name, hold = make_definition().columns
    one_way = replace(name, type=ColumnMapType.TO_DATAVERSE)
    wanted = make_definition(columns=(account, one_way, hold))
    file = tmp_path / "map.yaml"
    file.write_text(write_text(customers, wanted, "yaml"))
    shown = dw("draft", "customers", "--json", "--from", str(file)).document["draft"]
    assert shown["held_by"] is None
    assert "column name = name changed: type: = -> >" in shown["changes"]
    assert "DIPV1003" not in {one["code"] for one in shown["findings"]}
    made = dw("draft", "customers", "--publish", "--json").document
    assert made["published"] == {"publisher": "contoso", "version": "1.0.0.1"}
    services.begin(customers)
    assert dw("draft", "customers", "--discard", "--json").document["discarded"]
