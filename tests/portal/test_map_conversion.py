"""The rows of a version give back the very definition they were made from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portal.maps.conversion import to_engine, unstorable
from portal.maps.models import MapVersion
from syncengine.mapping.decisions import ALWAYS, DecisionRule, DecisionTable
from syncengine.mapping.model import ColumnMap, ColumnMapType
from tests.factories import make_definition, make_map

TABLE = DecisionTable(
    ("status", "fk.code"),
    (
        DecisionRule((("Open",), ALWAYS), "Submitted", ("Draft", "blank", "")),
        DecisionRule((ALWAYS, ("a", "b")), "", ()),
        DecisionRule((ALWAYS, ALWAYS), "blank"),
    ),
)
LINES = (
    ColumnMap(
        "a",
        "b",
        ColumnMapType.BOTH_TRANSFORM,
        values=(("no", "False"), ("yes", "True")),
        value_map="YN",
        sticky=True,
    ),
    ColumnMap(None, "c", ColumnMapType.TO_DATAVERSE_TRANSFORM, "", decision=TABLE),
    ColumnMap(
        None,
        "d",
        ColumnMapType.TO_DATAVERSE_TRANSFORM,
        decision=DecisionTable(("x",), ()),
    ),
    ColumnMap("e", None, ColumnMapType.TO_FINOPS_TRANSFORM, expression="round(x, 2)"),
)


@pytest.mark.django_db
def test_every_kind_of_line_survives_the_database() -> None:
    plain = make_definition()
    definition = replace(plain, columns=(*plain.columns, *LINES))
    table_map = make_map(definition=definition)
    assert to_engine(MapVersion.objects.get(table_map=table_map)) == definition


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (replace(LINES[0], value_map="x" * 101), "value map x"),
        (
            replace(LINES[1], decision=DecisionTable(("x" * 201,), ())),
            "source column x",
        ),
        (replace(LINES[1], decision=DecisionTable((), ())), "no source column"),
        (
            replace(
                LINES[1],
                decision=DecisionTable(("x",), (DecisionRule((), "y"),)),
            ),
            "one condition",
        ),
        (
            replace(
                LINES[1],
                decision=DecisionTable(("x",), (DecisionRule((("\0",),), "y"),)),
            ),
            "NUL",
        ),
        (replace(LINES[3], expression="\0"), "NUL"),
    ],
)
def test_what_the_rows_cannot_hold_is_said(line: ColumnMap, reason: str) -> None:
    found = unstorable(replace(make_definition(), columns=(line,)))
    assert len(found) == 1
    assert reason in found[0]
