"""The grid of a decision table: cells, steps, pasting, and what is kept of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from django.http import QueryDict
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.editor import services
from portal.editor.content import replace_all
from portal.editor.decision_form import (
    read_cell,
    rows_of,
    step,
    table_of,
    with_table,
    without_table,
    write_cell,
)
from portal.maps.models import TableMap
from syncengine.mapping.decisions import ALWAYS, DecisionRule, DecisionTable
from syncengine.mapping.model import ColumnMap, ColumnMapType, Side
from tests.factories import make_definition
from tests.portal.test_pages_editor import begun, customers, draft, dsns

__all__ = ["begun", "customers", "dsns"]

TABLE = DecisionTable(
    ("hold", "area"),
    (
        DecisionRule((("No",), ALWAYS), "0"),
        DecisionRule((("All", "Payment, late"), ("*",)), "1", ("0", "blank")),
        DecisionRule((ALWAYS, ("blank", 'a "b"')), "2", ()),
    ),
)


def sent(table: DecisionTable, **more: str) -> QueryDict:
    """The grid of a table as a form sends it."""
    fields = QueryDict(mutable=True)
    fields.setlist("source", list(table.sources))
    rows = rows_of(table)
    fields.setlist("when", [cell for row in rows for cell in row.when])
    fields.setlist("then", [row.then for row in rows])
    fields.setlist("present", [row.present for row in rows])
    fields.update(more)
    return fields


def form(table: DecisionTable, **more: str) -> dict[str, object]:
    return dict(sent(table, **more).lists())


def test_the_grid_gives_back_the_table_it_shows() -> None:
    assert table_of(sent(TABLE)) == TABLE


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", ()),
        (" * ", ()),
        ('"*"', ("*",)),
        ("a, b", ("a", "b")),
        ('"a, b",c', ("a, b", "c")),
        ("a,,b,", ("a", "b")),
        ('""', ("",)),
        ('5" pipe', ('5" pipe',)),
    ],
)
def test_a_cell_says_values(text: str, values: tuple[str, ...]) -> None:
    assert read_cell(text) == values
    assert read_cell(write_cell(values)) == values


@pytest.mark.parametrize(
    ("do", "at", "results", "focus"),
    [
        ("rule_add", "1", ["0", "", "1", "2"], "1-0"),
        ("rule_remove", "2", ["0", "1"], "1-0"),
        ("rule_up", "1", ["1", "0", "2"], "0-0"),
        ("rule_down", "1", ["0", "2", "1"], "2-0"),
        ("rule_up", "0", ["0", "1", "2"], "0-0"),
        ("rule_down", "99", ["0", "1", "2"], "99-0"),
    ],
)
def test_rules_come_go_and_move(
    do: str, at: str, results: list[str], focus: str
) -> None:
    grid = step(sent(TABLE, do=do, at=at))
    assert [rule.then for rule in grid.table.rules] == results
    assert grid.focus == focus


def test_columns_come_go_and_move_with_their_conditions() -> None:
    wider = step(sent(TABLE, do="source_add")).table
    assert wider.sources == ("hold", "area", "")
    assert {len(rule.when) for rule in wider.rules} == {3}
    turned = step(sent(TABLE, do="source_right", at="0")).table
    assert turned.sources == ("area", "hold")
    assert turned.rules[0].when == (ALWAYS, ("No",))
    left = step(sent(TABLE, do="source_remove", at="0")).table
    assert left.sources == ("area",)
    assert step(sent(left, do="source_remove", at="0")).table == left


def test_a_spreadsheet_is_pasted_from_a_cell_on() -> None:
    text = "HOLD\tarea\nNo\tNorth\t5\n\tSouth\t6\t\tmore\n\nAll\t*\t7\n"
    grid = step(sent(TABLE, do="paste", at="2", column="0", paste=text))
    assert [rule.then for rule in grid.table.rules] == ["0", "1", "5", "6", "7"]
    assert grid.table.rules[3].when == (ALWAYS, ("South",))
    assert grid.focus == "2-0"
    assert "left out" in " ".join(grid.notes)


def test_a_value_map_becomes_rules_and_the_column_comes_back() -> None:
    line = ColumnMap(
        "hold", "onhold", ColumnMapType.BOTH_TRANSFORM, values=(("No", "0"),)
    )
    ruled = with_table(line, Side.FINOPS)
    assert (ruled.finops, ruled.dataverse, ruled.type.value) == ("hold", None, "<<")
    assert ruled.decision == DecisionTable(
        ("onhold",), (DecisionRule((("0",),), "No"),)
    )
    back = without_table(ruled)
    assert (back.dataverse, back.decision) == ("onhold", None)


@pytest.mark.django_db
def test_rules_are_typed_checked_and_kept(
    admin_client: Client, admin_user: User, begun: TableMap
) -> None:
    address = reverse("map_edit_decision", args=[begun.pk, 3])
    panel = reverse("map_edit_panel", args=[begun.pk, 3])
    begin = "begin-decision-dataverse"
    assert begin in admin_client.get(panel).content.decode()
    admin_client.post(address, {"do": "begin", "side": "dataverse"})
    line = draft(begun).line(3)
    assert (line.finops, line.type.value) == (None, ">>")
    assert line.decision is not None
    assert line.decision.sources == ("hold",)
    page = admin_client.get(panel).content.decode()
    assert 'data-testid="decision"' in page
    assert begin not in page
    wrong = replace(
        line.decision, rules=(*line.decision.rules, DecisionRule((ALWAYS,), "many"))
    )
    said = admin_client.post(address, form(wrong)).content.decode()
    number = len(wrong.rules)
    assert f"result of rule {number}" in said
    assert "DIPV1030" in said.partition(f'id="decision-mark-3-{number}"')[2][:400]
    idle = replace(
        wrong, rules=(DecisionRule((ALWAYS,), "0"), DecisionRule((ALWAYS,), "1"))
    )
    said = admin_client.post(address, form(idle)).content.decode()
    assert "VMAP126" in said.partition('id="decision-mark-3-2"')[2]
    anew = admin_client.post(address, form(idle, do="rule_add", at="2"))
    assert 'data-focus="2-0"' in anew.content.decode()
    assert draft(begun).line(3).decision is not None
    admin_client.post(address, {"do": "end"})
    line = draft(begun).line(3)
    assert (line.finops, line.decision, line.type.value) == ("hold", None, ">")
    assert "not kept" in admin_client.post(address, form(idle)).content.decode()
    json.dumps(services.draft_or_refuse(begun).content)


@pytest.mark.django_db
def test_a_column_without_a_name_is_not_published(
    admin_user: User, begun: TableMap
) -> None:
    account, name, _ = make_definition().columns
    ruled = ColumnMap(
        None,
        "onhold",
        ColumnMapType.TO_DATAVERSE_TRANSFORM,
        decision=DecisionTable(("",), (DecisionRule((ALWAYS,), "0"),)),
    )
    wanted = make_definition(columns=(account, name, ruled))
    services.change(begun, replace_all(wanted), "text", user=admin_user)
    with pytest.raises(services.Refusal) as refused:
        services.ready(draft(begun).definition)
    assert refused.value.code == "draft_unfinished"
