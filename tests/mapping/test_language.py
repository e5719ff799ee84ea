"""Value maps, decision tables, expressions and sticky flags in compiled legs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncengine.catalog import find
from syncengine.errors import RecordError
from syncengine.mapping.compiler import compile_leg, validate
from syncengine.mapping.decisions import DecisionTable
from syncengine.mapping.dependencies import lookup_tables, referenced_tables
from syncengine.mapping.guards import Guard
from syncengine.mapping.model import ColumnMap, ColumnMapType, Severity, Side, TableMap
from syncengine.mapping.schema import ColumnType, EnvironmentSchema
from tests.mapping.rules import (
    DELIVERED_AND_INVOICED,
    ORDER_STATUS,
    PURCHASE_APPROVAL,
    PURCHASE_LINE_STATUS,
    PURCHASE_STATUS,
    bound_leg,
    decision,
    expression,
    map_row,
    order_lines,
    plain_environments,
    plain_map,
    rule,
)
from tests.mapping.sample import (
    BACKWARD,
    BOOLEAN,
    DATAVERSE,
    DATE,
    FINOPS,
    FORWARD,
    INTEGER,
    LINKED,
    NUMERIC,
    TIMESTAMPTZ,
    accounts_map,
    enum,
    line,
    numeric,
    text,
)

Columns = dict[str, ColumnType]


def value_map(
    left: ColumnType,
    right: ColumnType,
    *pairs: tuple[str, str],
    symbol: str = "><",
    required: bool = False,
    default: str | None = None,
) -> tuple[TableMap, dict[Side, EnvironmentSchema]]:
    """A map of one column `a` to `b` with these pairs."""
    column = ColumnMap("a", "b", ColumnMapType(symbol), default, pairs)
    names = ("a", "b") if required else ()
    return plain_map(column), plain_environments(
        {"a": left}, {"b": right}, required=names
    )


def forth(
    case: tuple[TableMap, dict[Side, EnvironmentSchema]], a: str | None
) -> object:
    return map_row(bound_leg(*case), a=a)["b"]


def back(case: tuple[TableMap, dict[Side, EnvironmentSchema]], b: str | None) -> object:
    return map_row(bound_leg(*case, BACKWARD), b=b)["a"]


def code_of(case: tuple[TableMap, dict[Side, EnvironmentSchema]], a: str | None) -> str:
    with pytest.raises(RecordError) as caught:
        forth(case, a)
    return caught.value.code


def codes(table_map: TableMap, left: Columns, right: Columns) -> list[str]:
    """All findings of a map between two plain tables."""
    sides = plain_environments(left, right)
    found = validate(table_map, sides[Side.FINOPS], sides[Side.DATAVERSE], ())
    return [finding.code for finding in found]


# Value maps


def test_many_values_may_stand_for_one_in_a_map_of_one_way() -> None:
    pairs = (("employee", "1"), ("both", "1"), ("contractor", "2"))
    case = value_map(text(20), INTEGER, *pairs, symbol=">>")
    assert [forth(case, a) for a in ("employee", "BOTH", "contractor")] == [
        "1",
        "1",
        "2",
    ]
    columns = {"a": text(20)}, {"b": INTEGER}
    assert codes(case[0], *columns) == []
    both_ways = value_map(text(20), INTEGER, *pairs)[0]
    assert codes(both_ways, *columns) == ["VMAP100"]


def test_a_value_map_may_turn_values_round() -> None:
    case = value_map(text(3), INTEGER, ("no", "1"), ("yes", "0"))
    assert (forth(case, "Yes"), back(case, "1")) == ("0", "no")


def test_blank_is_null_or_empty_on_the_source() -> None:
    case = value_map(text(20), INTEGER, ("blank", "192350000"), ("asset", "192350005"))
    assert forth(case, None) == forth(case, "") == "192350000"
    assert back(case, "192350000") is None
    assert code_of(case, "liability") == "value_not_in_map"


def test_blank_goes_before_the_default() -> None:
    pairs = (("blank", "7"), ("x", "8"))
    case = value_map(text(20), INTEGER, *pairs, symbol=">>", default="9")
    assert forth(case, None) == "7"


def test_blank_on_the_target_is_null_or_an_empty_text() -> None:
    case = value_map(text(20), INTEGER, ("none", "blank"), ("x", "1"))
    assert forth(case, "none") is None
    assert back(case, None) == "none"
    strict = value_map(text(20), text(20), ("none", "blank"), ("x", "1"), required=True)
    assert forth(strict, "none") == ""
    assert back(strict, "") == "none"


def test_blank_cannot_be_written_where_no_null_is_taken() -> None:
    table_map, sides = value_map(
        text(20), INTEGER, ("none", "blank"), ("x", "1"), required=True
    )
    found = validate(table_map, sides[Side.FINOPS], sides[Side.DATAVERSE], ())
    assert [finding.code for finding in found] == ["DIPV1030"]
    assert "takes no null" in found[0].message


def test_a_label_named_blank_is_that_label() -> None:
    case = value_map(enum("Blank", "Asset"), INTEGER, ("blank", "0"), ("asset", "5"))
    assert forth(case, "Blank") == "0"
    assert back(case, "0") == "Blank"
    assert forth(case, None) is None


@pytest.mark.parametrize("right", [DATE, TIMESTAMPTZ])
def test_a_date_that_means_no_date_is_blank_and_others_go_unchanged(
    right: ColumnType,
) -> None:
    """Concepts 19, story 19: 1/1/1900 of FinOps is blank in Dataverse, both ways."""
    case = value_map(DATE, right, ("1/1/1900", "blank"))
    midnight = "" if right is DATE else " 00:00:00+00"
    assert forth(case, "1900-01-01") is None
    assert back(case, None) == "1900-01-01"
    assert forth(case, "2026-03-01") == f"2026-03-01{midnight}"
    assert back(case, f"2026-03-01{midnight}") == "2026-03-01"
    assert forth(case, None) is None


def test_a_moment_among_dates_is_still_refused() -> None:
    case = value_map(TIMESTAMPTZ, DATE, ("1900-01-01", "blank"))
    assert code_of(case, "2026-03-01 10:00:00+00") == "precision_loss"


def test_the_ready_made_asset_map_has_the_sentinel() -> None:
    found = [c for c in find("Asset management assets").columns if c.values]
    assert [(c.finops, c.values) for c in found if c.finops == "REPLACEMENTDATE"] == [
        ("REPLACEMENTDATE", (("1/1/1900", "blank"),))
    ]


def test_a_blank_in_the_key_is_refused() -> None:
    table_map = plain_map()
    keyed = replace(
        table_map.columns[0],
        type=ColumnMapType.BOTH_TRANSFORM,
        finops="code",
        dataverse="code",
        values=(("x", "blank"), ("y", "1")),
    )
    key = replace(table_map.key[0], finops="code", dataverse="code")
    sides = plain_environments({"code": text(9)}, {"code": text(9)})
    bound = bound_leg(replace(table_map, columns=(keyed,), key=(key,)), sides)
    assert bound.map(("y",), ()) == ("1",)
    with pytest.raises(RecordError) as caught:
        bound.map(("x",), ())
    assert caught.value.code == "required_value_missing"


# Decision tables


@pytest.mark.parametrize(("variant", "enhanced"), [(0, False), (1, False), (2, True)])
def test_order_status_follows_the_table_of_the_concept_row_by_row(
    variant: int, enhanced: bool
) -> None:
    sides = plain_environments(
        {"salesorderstatus": text(20), "documentstatus": text(20)},
        {"msdyn_processingstatus": INTEGER, "statecode": text(20)},
    )
    bound = bound_leg(plain_map(*order_lines(variant, enhanced=enhanced)), sides)
    listed = 0
    for status, document, code, *states in ORDER_STATUS:
        documents = (
            ["None", "Confirmation", "Invoice"] if document == "*" else [document]
        )
        for each in documents:
            row = {"salesorderstatus": status, "documentstatus": each}
            if states[variant] is None:
                with pytest.raises(RecordError) as caught:
                    map_row(bound, **row)
                assert caught.value.code == "no_rule_matches"
                assert caught.value.column == "statecode"
                continue
            if enhanced and (status, each) == ("Delivered", "Invoice"):
                code = DELIVERED_AND_INVOICED
            assert map_row(bound, **row) == {
                "msdyn_processingstatus": code,
                "statecode": states[variant],
            }
            listed += 1
    assert listed == (11 if enhanced else 10)
    assert bound.leg.triggers >= {"salesorderstatus", "documentstatus"}


def test_no_rule_and_no_default_refuses_the_record_with_its_values() -> None:
    sides = plain_environments({"x": text(9), "y": INTEGER}, {"b": text(9)})
    bound = bound_leg(plain_map(decision("b", "xy", rule("a", "1", then="z"))), sides)
    with pytest.raises(RecordError) as caught:
        map_row(bound, x="q", y=None)
    assert (caught.value.code, caught.value.column) == ("no_rule_matches", "b")
    assert 'x "q", y blank' in caught.value.message
    given = bound_leg(
        plain_map(decision("b", "xy", rule("a", "1", then="z"), default="d")), sides
    )
    assert map_row(given, x="q")["b"] == "d"


def test_a_blank_result_is_not_replaced_by_the_default() -> None:
    sides = plain_environments({"x": text(9)}, {"b": text(9)})
    lines = decision("b", "x", rule("a", then="blank"), default="d")
    assert map_row(bound_leg(plain_map(lines), sides), x="a")["b"] is None


def guard_of(column: ColumnMap, left: Columns, right: Columns) -> Guard:
    sides = plain_environments(left, right)
    guard = bound_leg(plain_map(column), sides).leg.slots[-1].guard
    assert guard is not None
    return guard


def test_the_status_of_a_purchase_order_is_guarded_by_what_is_there() -> None:
    guard = guard_of(
        PURCHASE_STATUS,
        {"purchaseorderstatus": text(20)},
        {"msdyn_systemstatus": text(20)},
    )
    allowed = [
        p
        for p in ("Draft", "Products Received", "cancelled", None, "")
        if guard.allows("Submitted", p)
    ]
    assert allowed == ["Draft", "cancelled", None, ""]
    assert guard.allows("Cancelled", "Products Received")
    line_guard = guard_of(
        PURCHASE_LINE_STATUS,
        {"purchaseorderlinestatus": text(20)},
        {"msdyn_itemstatus": text(20)},
    )
    assert line_guard.allows("Pending", "Cancelled")
    assert not line_guard.allows("Pending", "Received")


def test_an_approval_that_is_none_yet_is_blank() -> None:
    sides = plain_environments(
        {"documentapprovalstatus": text(20)}, {"msdyn_approvalstatus": text(20)}
    )
    bound = bound_leg(plain_map(PURCHASE_APPROVAL), sides)
    given = ["Draft", "inReview", "Approved", "FINALIZED", "rejected"]
    assert [
        map_row(bound, documentapprovalstatus=each)["msdyn_approvalstatus"]
        for each in given
    ] == [None, None, "Approved", "Approved", "Rejected"]


# Expressions


def test_a_discount_goes_both_ways_without_loss() -> None:
    lines = (
        line("quantity", "=", "quantity"),
        expression("discount", "quantity * unitdiscount - charge"),
        expression("unitdiscount", "round(discount / quantity, 2)", "<<"),
        expression(
            "charge", "quantity * round(discount / quantity, 2) - discount", "<<"
        ),
    )
    sides = plain_environments(
        {"quantity": numeric(9, 2), "unitdiscount": numeric(9, 2), "charge": NUMERIC},
        {"quantity": numeric(9, 2), "discount": numeric(18, 4)},
    )
    backward = bound_leg(plain_map(*lines), sides, BACKWARD)
    finops = map_row(backward, quantity="3.00", discount="10.0000")
    assert finops == {"quantity": "3.00", "unitdiscount": "3.33", "charge": "-0.0100"}
    forward = bound_leg(plain_map(*lines), sides)
    assert map_row(forward, **finops) == {"quantity": "3.00", "discount": "10.0000"}
    with pytest.raises(RecordError) as caught:
        map_row(backward, quantity="0.00", discount="10.0000")
    assert (caught.value.code, caught.value.column) == (
        "conversion_failed",
        "unitdiscount",
    )


def test_an_expression_fails_where_its_result_does_not_fit() -> None:
    sides = plain_environments({"x": NUMERIC}, {"b": numeric(6, 2)})
    bound = bound_leg(plain_map(expression("b", "x / 3")), sides)
    assert map_row(bound, x="6")["b"] == "2.00"
    with pytest.raises(RecordError) as caught:
        map_row(bound, x="10")
    assert (caught.value.code, caught.value.column) == ("precision_loss", "b")
    with pytest.raises(RecordError) as caught:
        map_row(bound, x="99999999")
    assert caught.value.code == "value_out_of_range"
    assert caught.value.details["source_column"] == "x"


def test_a_default_stands_for_an_expression_without_value() -> None:
    sides = plain_environments({"x": NUMERIC}, {"b": INTEGER})
    bound = bound_leg(plain_map(expression("b", "x + 1", default="0")), sides)
    assert (map_row(bound, x=None)["b"], map_row(bound, x="1")["b"]) == ("0", "2")


def test_an_expression_may_read_over_a_lookup_and_make_a_key_of_one() -> None:
    table_map = accounts_map(
        expression("msdyn_customergroupid.msdyn_groupid", "upper(customergroupid)"),
        expression(
            "salesmemo", "concat(msdyn_customergroupid.msdyn_groupid, '!')", "<<"
        ),
    )
    there = compile_leg(table_map, FORWARD, FINOPS, DATAVERSE, LINKED)
    bound = there.bind(there.source_paths)
    given = {"dataareaid": "usmf", "customeraccount": "1", "customergroupid": "vip"}
    row = bound.map(tuple(given[path] for path in bound.columns), ())
    assert row[-1] == "VIP"
    back_leg = compile_leg(table_map, BACKWARD, DATAVERSE, FINOPS, LINKED)
    assert "msdyn_customergroupid.msdyn_groupid" in back_leg.source_paths
    assert referenced_tables(table_map, Side.DATAVERSE, DATAVERSE) == {
        "msdyn_customergroups"
    }
    path = "column('customerid.Account(accountnumber).Contact(number)')"
    poly = accounts_map(expression("salesmemo", f"concat({path})", "<<"))
    assert {"account", "contact"} <= {
        name.casefold() for name in lookup_tables(poly, Side.DATAVERSE)
    }


# Sticky flags


@pytest.mark.parametrize(
    ("right", "pairs", "yes", "no"),
    [
        (BOOLEAN, None, "t", "f"),
        (INTEGER, None, "1", "0"),
        (text(3), None, "YES", "no"),
        (enum("No", "Yes"), None, "Yes", "No"),
        (INTEGER, {"no": "192350000", "yes": "192350001"}, "192350001", "192350000"),
        (INTEGER, {"no": "1", "yes": "0"}, "0", "1"),
        (text(9), {"no": "off duty", "yes": "on duty"}, "On Duty", "off duty"),
    ],
)
def test_a_sticky_flag_never_goes_back(
    right: ColumnType, pairs: dict[str, str] | None, yes: str, no: str
) -> None:
    column = replace(line("a", "><", "b", values=pairs), sticky=True)
    left = (
        BOOLEAN
        if right is BOOLEAN
        else text(3)
        if pairs or right != INTEGER
        else INTEGER
    )
    guard = guard_of(column, {"a": left}, {"b": right})
    assert [
        guard.allows(new, now)
        for new, now in ((yes, no), (yes, None), (no, None), (no, yes), (None, yes))
    ] == [True, True, True, False, False]


# What is wrong

X: Columns = {"x": text(9), "y": INTEGER, "flag": BOOLEAN, "day": DATE}
PLANTED: list[tuple[str, ColumnMap, str]] = [
    (
        "a decision that flows both ways",
        replace(decision("b", "x", rule("a", then="1")), type=ColumnMapType.BOTH),
        "VMAP120",
    ),
    (
        "a decision with a source column",
        replace(decision("b", "x", rule("a", then="1")), finops="x"),
        "VMAP120",
    ),
    (
        "a decision and an expression",
        replace(decision("b", "x", rule("a", then="1")), expression="x"),
        "VMAP120",
    ),
    (
        "an expression with a value map",
        replace(expression("b", "x"), values=(("a", "1"),)),
        "VMAP120",
    ),
    ("no rule", decision("b", "x"), "VMAP120"),
    ("a condition too few", decision("b", "xy", rule("a", then="1")), "VMAP120"),
    (
        "no source",
        replace(decision("b", "x"), decision=DecisionTable((), (rule(then="1"),))),
        "VMAP120",
    ),
    ("no expression", expression("b", "x +"), "VMAP121"),
    ("an expression of texts", expression("b", "x + x"), "VMAP121"),
    ("an unknown column in it", expression("b", "upper(z)"), "DIPV1022"),
    (
        "an unknown column to decide by",
        decision("b", "z", rule("1", then="1")),
        "DIPV1022",
    ),
    (
        "a condition that fits no number",
        decision("b", "y", rule("a", then="1")),
        "DIPV1030",
    ),
    ("a result that does not fit", decision("n", "x", rule("a", then="b")), "DIPV1030"),
    (
        "a present value that does not fit",
        decision("n", "x", rule("a", then="1", present=("b",))),
        "DIPV1030",
    ),
    ("a default that does not fit", expression("n", "y", default="b"), "DIPV1030"),
    ("a result that cannot become a date", expression("d", "y"), "DIPV1030"),
    (
        "two guards for one result",
        decision(
            "b",
            "x",
            rule("a", then="1", present=("2",)),
            rule("b", then="1", present=("3",)),
        ),
        "VMAP122",
    ),
    (
        "a guard and none for one result",
        decision("b", "x", rule("a", then="1", present=("2",)), rule("b", then="1")),
        "VMAP122",
    ),
    (
        "a guard for the default",
        decision("b", "x", rule("a", then="1", present=("2",)), default="1"),
        "VMAP122",
    ),
    ("a sticky date", replace(line("day", ">", "d"), sticky=True), "VMAP123"),
    (
        "a sticky number that is no flag",
        replace(line("x", ">>", "n", values={"a": "5", "b": "6"}), sticky=True),
        "VMAP123",
    ),
    (
        "a value map that there is not",
        ColumnMap("x", "b", ColumnMapType.BOTH_TRANSFORM, value_map="YN"),
        "VMAP125",
    ),
    (
        "a rule that never applies",
        decision("b", "xy", rule("a", "*", then="1"), rule("A", "1", then="2")),
        "VMAP126",
    ),
]


@pytest.mark.parametrize(
    ("column", "code"),
    [case[1:] for case in PLANTED],
    ids=[case[0] for case in PLANTED],
)
def test_each_planted_mistake_gives_its_code(column: ColumnMap, code: str) -> None:
    right = {"b": text(9), "n": INTEGER, "d": DATE, "t": TIMESTAMPTZ}
    assert codes(plain_map(column), X, right) == [code]


def test_a_guard_stands_neither_on_a_key_nor_on_a_lookup() -> None:
    flag = replace(line("flag", "=", "flag"), sticky=True)
    table_map = plain_map(flag)
    keyed = replace(
        table_map,
        key=(
            *table_map.key,
            replace(table_map.key[0], finops="flag", dataverse="flag"),
        ),
    )
    found = codes(keyed, {"flag": BOOLEAN}, {"flag": BOOLEAN})
    assert found[0] == "VMAP124"
    lookup = replace(
        line("isonetime", ">", "msdyn_customergroupid.msdyn_groupid"), sticky=True
    )
    problems = validate(accounts_map(lookup), FINOPS, DATAVERSE, LINKED)
    assert [problem.code for problem in problems] == ["VMAP124"]


def test_findings_name_the_place_in_an_expression() -> None:
    sides = plain_environments(X, {"b": text(9)})
    table_map = plain_map(expression("b", "concat(x, y +)"))
    found = validate(table_map, sides[Side.FINOPS], sides[Side.DATAVERSE], ())
    assert found[0].severity is Severity.ERROR
    assert found[0].message.endswith("concat(x, y +)\n             ^")
