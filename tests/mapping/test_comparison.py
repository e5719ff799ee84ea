"""Two definitions of a map side by side: every difference, and nothing else."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncengine import catalog
from syncengine.mapping.comparison import Change, ChangeKind, compare_maps
from syncengine.mapping.decisions import ALWAYS, DecisionRule, DecisionTable
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    ConflictPolicy,
    KeyPair,
    LookupDeclaration,
    Side,
    TableMap,
)
from tests.mapping.sample import line
from tests.mapping.test_files import COLUMN, table_maps
from tests.properties import examples

BEFORE = TableMap(
    name="customers",
    finops_table="customersv3",
    dataverse_table="accounts",
    columns=(
        line("account", "=", "accountnumber"),
        line("name", "=", "name"),
        line("hold", "><", "onhold", values={"No": "0", "All": "2", "Never": "9"}),
        line(None, ">>", "typecode", "3"),
    ),
    key=(KeyPair("account", "accountnumber"),),
    publisher="contoso",
)


def test_equal_maps_have_no_difference() -> None:
    found = compare_maps(BEFORE, BEFORE)
    assert found.equal
    assert found.lines() == []


def test_single_values_are_told_before_and_after() -> None:
    after = replace(
        BEFORE,
        version="1.0.0.1",
        finops_filter='(a == "b")',
        conflict=ConflictPolicy.FINOPS_WINS,
    )
    found = compare_maps(BEFORE, after)
    assert found.settings == (
        Change("version", "1.0.0.0", "1.0.0.1"),
        Change("finops_filter", None, '(a == "b")'),
        Change("conflict", "last_writer_wins", "finops_wins"),
    )
    assert compare_maps(after, BEFORE).lines()[1] == 'finops_filter: (a == "b") -> none'


def test_keys_and_lookups_are_told_one_by_one() -> None:
    group = LookupDeclaration(Side.DATAVERSE, "groupid", "groups", "id")
    after = replace(
        BEFORE, key=(*BEFORE.key, KeyPair("area", "region")), lookups=(group,)
    )
    assert compare_maps(BEFORE, after).lines() == [
        "key area = region added",
        "lookups dataverse groupid -> groups.id added",
    ]
    (_, lookup) = compare_maps(after, BEFORE).entries
    assert lookup.kind is ChangeKind.REMOVED


def test_columns_are_added_removed_and_changed_at_their_places() -> None:
    account, _, hold, _ = BEFORE.columns
    after = replace(
        BEFORE,
        columns=(
            line("phone", ">", "telephone1"),
            account,
            replace(hold, values=(("No", "1"), ("All", "2"), ("Some", "3"))),
            line(None, ">>", "typecode", ""),
        ),
    )
    found = compare_maps(BEFORE, after)
    assert [(change.kind.value, change.name) for change in found.columns] == [
        ("added", "phone > telephone1"),
        ("removed", "name = name"),
        ("changed", "hold >< onhold"),
        ("changed", "none >> typecode"),
    ]
    assert found.columns[0].settings == (Change("type", None, ">"),)
    assert found.columns[1].settings == (Change("type", "=", None),)
    assert found.columns[2].pairs == (
        Change("No", "0", "1"),
        Change("Never", "9", None),
        Change("Some", None, "3"),
    )
    assert found.columns[3].settings == (Change("default", "3", ""),)
    assert found.lines() == [
        "column phone > telephone1 added",
        "column name = name removed",
        "column hold >< onhold changed: value map: 1 added, 1 removed, 1 changed",
        "column none >> typecode changed: default: 3 -> empty text",
    ]


def test_a_new_line_tells_all_that_it_says() -> None:
    hold = replace(BEFORE.columns[2], default="No")
    before, after = replace(BEFORE, columns=()), replace(BEFORE, columns=(hold,))
    (change,) = compare_maps(before, after).columns
    assert change.kind is ChangeKind.ADDED
    assert change.settings == (
        Change("type", None, "><"),
        Change("default", None, "No"),
    )
    assert [(pair.name, pair.after) for pair in change.pairs] == list(hold.values or ())


def test_another_order_is_a_difference() -> None:
    after = replace(BEFORE, columns=BEFORE.columns[::-1])
    found = compare_maps(BEFORE, after)
    assert (found.columns, found.reordered) == ((), ("columns",))
    assert found.lines() == ["order of columns changed"]
    hold = BEFORE.columns[2]
    turned = replace(hold, values=(hold.values or ())[::-1])
    (change,) = compare_maps(
        BEFORE,
        replace(BEFORE, columns=(*BEFORE.columns[:2], turned, BEFORE.columns[3])),
    ).columns
    assert change.reordered
    assert not change.pairs


def test_a_line_that_comes_twice_is_compared_with_its_like() -> None:
    first, second = line("a", ">", "b"), line("a", "<<", "b", "x")
    before = replace(BEFORE, columns=(first, second))
    after = replace(BEFORE, columns=(first, replace(second, default="y")))
    (change,) = compare_maps(before, after).columns
    assert change.settings == (Change("default", "x", "y"),)


def test_a_value_map_without_pairs_differs_from_none() -> None:
    before = replace(BEFORE, columns=(replace(BEFORE.columns[1], values=()),))
    after = replace(BEFORE, columns=(BEFORE.columns[1],))
    assert compare_maps(before, after).lines() == [
        "column name = name changed: values: no pairs -> none"
    ]


def test_decision_tables_are_compared_rule_by_rule() -> None:
    first = DecisionRule((("Open",), ALWAYS), "1", ("Draft", "blank"))
    second = DecisionRule((ALWAYS, ("a", "b")), "2")
    last = DecisionRule((ALWAYS, ALWAYS), "3")

    def with_rules(*rules: DecisionRule) -> TableMap:
        table = DecisionTable(("status", "number"), rules) if rules else None
        line = ColumnMap(None, "s", ColumnMapType.TO_DATAVERSE, decision=table)
        return replace(BEFORE, columns=(line,))

    def changes(before: TableMap, after: TableMap) -> list[tuple[str | None, ...]]:
        (change,) = compare_maps(before, after).columns
        return [(each.name, each.before, each.after) for each in change.settings]

    both, one = with_rules(first, second, last), with_rules(first, last)
    told = "number = a or b: 2"
    assert changes(one, both) == [("rule 2", None, told)]
    assert changes(both, one) == [("rule 2", told, None)]
    turned = with_rules(first, replace(second, then="5"), last)
    assert changes(both, turned) == [("rule 2", told, "number = a or b: 5")]
    assert changes(with_rules(), one) == [
        ("decides by", None, "status, number"),
        ("rule 1", None, "status = Open: 1, over Draft or blank"),
        ("rule 2", None, "always: 3"),
    ]


def test_flags_and_expressions_are_told() -> None:
    line = ColumnMap("a", "b", ColumnMapType.TO_DATAVERSE, value_map="YN")
    changed = replace(line, sticky=True, expression="upper(a)", value_map=None)
    before, after = (replace(BEFORE, columns=(each,)) for each in (line, changed))
    assert compare_maps(before, after).lines() == [
        "column a > b changed: value_map: YN -> none, sticky: none -> yes, "
        "expression: none -> upper(a)"
    ]


def test_the_ready_made_variants_of_one_entity_can_be_compared() -> None:
    accounts, contacts = [
        catalog.table_map(catalog.find(f"Customers V3 ({table})"))
        for table in ("accounts", "contacts")
    ]
    found = compare_maps(accounts, contacts)
    assert "dataverse_table: accounts -> contacts" in found.lines()
    assert not compare_maps(contacts, accounts).equal


@settings(deadline=None, max_examples=examples(60))
@given(table_maps(), table_maps(), st.data())
def test_nothing_differs_exactly_when_the_maps_are_equal(
    one: TableMap, other: TableMap, data: st.DataObject
) -> None:
    assert compare_maps(one, replace(one)).equal
    mixed = replace(
        other,
        **{
            each.name: getattr(one, each.name)
            for each in fields(TableMap)
            if data.draw(st.booleans())
        },
    )
    for before, after in ((one, mixed), (mixed, one)):
        found = compare_maps(before, after)
        assert found.equal is (before == after)
        assert bool(found.lines()) is not found.equal


@settings(deadline=None, max_examples=examples(60))
@given(COLUMN, COLUMN, st.data())
def test_every_field_of_a_line_takes_part(
    one: ColumnMap, other: ColumnMap, data: st.DataObject
) -> None:
    chosen = data.draw(st.sampled_from([each.name for each in fields(ColumnMap)]))
    changed = replace(one, **{chosen: getattr(other, chosen)})
    before, after = (replace(BEFORE, columns=(each,)) for each in (one, changed))
    assert compare_maps(before, after).equal is (one == changed)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_entries_given_several_times_are_counted(count: int) -> None:
    pair = KeyPair("a", "b")
    before, after = replace(BEFORE, key=(pair,) * count), replace(BEFORE, key=(pair,))
    assert len(compare_maps(before, after).entries) == abs(count - 1)
