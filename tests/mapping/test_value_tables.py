"""Value maps and decision tables over rows: spellings, blanks, order of rules."""

from __future__ import annotations

from functools import partial

import pytest

from syncengine.errors import RecordError
from syncengine.mapping import moments
from syncengine.mapping.decisions import ALWAYS, DecisionRule, DecisionTable
from syncengine.mapping.schema import ColumnType, TypeFamily
from syncengine.mapping.value_tables import Decisions, ValueTable, read_value
from tests.mapping.sample import BOOLEAN, DATE, INTEGER, TIMESTAMPTZ, numeric, text

ENUM = ColumnType(TypeFamily.ENUM, "status", labels=("Open", "Blank"))


@pytest.mark.parametrize(
    ("written", "type_", "expected"),
    [
        ("blank", text(), None),
        ("Blank", INTEGER, None),
        (" BLANK ", DATE, None),
        ("blank", ENUM, "Blank"),
        ("open", ENUM, "Open"),
        ("1/1/1900", DATE, "1900-01-01"),
        ("1/1/1900", TIMESTAMPTZ, "1900-01-01 00:00:00+00"),
        ("", text(), ""),
        ("Yes", BOOLEAN, "t"),
    ],
)
def test_blank_stands_for_no_value(
    written: str, type_: ColumnType, expected: str | None
) -> None:
    assert read_value(written, type_) == expected


def test_a_value_is_found_however_it_is_spelled() -> None:
    table = ValueTable({"netDays": "1"}, text())
    assert table["netDays"] == table["NETDAYS"] == table[" netdays "] == "1"
    assert ValueTable({"1.50": "x"}, numeric(5, 2))["1.5"] == "x"


def test_an_exact_value_goes_before_one_that_differs_in_case() -> None:
    table = ValueTable({"yes": "1", "Yes": "2"}, text())
    assert (table["yes"], table["Yes"], table["YES"]) == ("1", "2", "1")


def test_no_value_of_a_text_is_null_or_empty_or_the_word_itself() -> None:
    table = ValueTable({None: "192350000", "asset": "192350005"}, text())
    assert table.takes_null
    assert table.when_null == table[""] == table["blank"] == "192350000"
    named = ValueTable({None: "1", "": "2"}, text())
    assert (named.when_null, named[""]) == ("1", "2")


def test_a_value_outside_the_map_is_refused_or_carried_over() -> None:
    with pytest.raises(RecordError) as caught:
        ValueTable({"a": "1"}, text())["b"]
    assert caught.value.code == "value_not_in_map"
    dates = ValueTable({"1900-01-01": None}, DATE, moments.midnight("+00"))
    assert dates["1900-01-01"] is None
    assert dates["2026-03-01"] == "2026-03-01 00:00:00+00"
    lossy = ValueTable(
        {"1900-01-01 00:00:00": None},
        TIMESTAMPTZ,
        partial(moments.timestamp_to_date),
    )
    with pytest.raises(RecordError) as caught:
        lossy["2026-03-01 10:00:00+00"]
    assert caught.value.code == "precision_loss"


def decisions(*rules: DecisionRule, default: str | None = None) -> Decisions:
    table = DecisionTable(("status", "number"), rules)
    results = [read_value(rule.then, text()) for rule in rules]
    return Decisions(table, (text(), INTEGER), results, default)


def rule(*when: str | tuple[str, ...], then: str) -> DecisionRule:
    conditions = tuple(
        (each,) if isinstance(each, str) and each != "*" else tuple(each)
        for each in when
    )
    return DecisionRule(
        tuple(ALWAYS if each == ("*",) else each for each in conditions), then
    )


def test_the_first_rule_that_holds_decides() -> None:
    decide = decisions(
        rule("Open", "1", then="first"),
        rule(("Open", "Draft"), "*", then="second"),
        rule("blank", "*", then="none"),
        rule("*", "blank", then="blank"),
        rule("*", "*", then="other"),
    )
    assert decide(("Open", "1")) == "first"
    assert decide(("OPEN", "2")) == "second"
    assert decide(("draft", None)) == "second"
    assert decide((None, "1")) == decide(("", "1")) == "none"
    assert decide(("Closed", None)) is None
    assert decide(("Closed", "3")) == "other"


def test_without_a_rule_the_default_is_given_or_the_record_refused() -> None:
    assert decisions(rule("a", "*", then="x"), default="d")(("b", "1")) == "d"
    with pytest.raises(RecordError) as caught:
        decisions(rule("a", "*", then="x"))(("b", None))
    assert caught.value.code == "no_rule_matches"
    assert 'status "b", number blank' in caught.value.message
