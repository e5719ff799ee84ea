"""Maps with rules for tests: two plain tables, and decision tables of the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from syncengine.mapping.compiled import BoundLeg
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.decisions import ALWAYS, ANY, DecisionRule, DecisionTable
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    Direction,
    KeyPair,
    Side,
    TableMap,
)
from syncengine.mapping.schema import ColumnType, EnvironmentSchema
from tests.mapping.sample import FORWARD, environment, table, text

Condition = str | Sequence[str]
KEY_LINE = ColumnMap("number", "number", ColumnMapType.BOTH)


def rule(
    *when: Condition, then: str, present: Sequence[str] | None = None
) -> DecisionRule:
    """A rule; a condition is a value, several, or `*`."""
    conditions = tuple(
        (each,) if isinstance(each, str) and each != ANY else tuple(each)
        for each in when
    )
    return DecisionRule(
        tuple(ALWAYS if each == (ANY,) else each for each in conditions),
        then,
        None if present is None else tuple(present),
    )


def decision(
    target: str,
    sources: Sequence[str],
    *rules: DecisionRule,
    default: str | None = None,
    **members: Any,
) -> ColumnMap:
    """A line to Dataverse with a decision table."""
    return ColumnMap(
        None,
        target,
        ColumnMapType.TO_DATAVERSE_TRANSFORM,
        default,
        decision=DecisionTable(tuple(sources), rules),
        **members,
    )


def expression(
    target: str, text: str, symbol: str = ">>", default: str | None = None
) -> ColumnMap:
    """A line with an expression, to either side."""
    ends = (None, target) if symbol == ">>" else (target, None)
    return ColumnMap(*ends, ColumnMapType(symbol), default, expression=text)


def plain_map(*lines: ColumnMap, name: str = "orders") -> TableMap:
    """A map between the tables `left` and `right`, keyed by number."""
    key = (KeyPair("number", "number"),)
    return TableMap(name, "left", "right", (KEY_LINE, *lines), key)


def plain_environments(
    left: Mapping[str, ColumnType],
    right: Mapping[str, ColumnType],
    *,
    required: tuple[str, ...] = (),
) -> dict[Side, EnvironmentSchema]:
    """One table on each side; `required` columns take no null."""
    return {
        side: environment(
            side.value,
            None,
            table(
                name,
                {"number": text(20), **columns},
                primary=("number",),
                has_default=("number",),
                required=required,
            ),
        )
        for side, name, columns in (
            (Side.FINOPS, "left", left),
            (Side.DATAVERSE, "right", right),
        )
    }


def bound_leg(
    table_map: TableMap,
    sides: Mapping[Side, EnvironmentSchema],
    direction: Direction = FORWARD,
) -> BoundLeg:
    """The compiled leg on its own layout."""
    leg = compile_leg(
        table_map, direction, sides[direction.source], sides[direction.target], ()
    )
    return leg.bind(leg.source_paths)


def map_row(bound: BoundLeg, **values: str | None) -> dict[str, str | None]:
    """The mapped row by target column, less the key."""
    given = {"number": "1", **values}
    row = bound.map(tuple(given.get(path) for path in bound.columns), ())
    named = {slot.column: v for slot, v in zip(bound.leg.slots, row, strict=True)}
    named.pop("number", None)
    return named


ORDER_SOURCES = ("salesorderstatus", "documentstatus")
DELIVERED_AND_INVOICED = "192350008"

# Concepts 16, row by row: status, document, processing, and the CRM status of the
# original map, of the updated #217, and of #238; None where a column does not list it.
ORDER_STATUS = (
    ("Open", "None", "192350000", "Active", "Active", "Active"),
    ("Open", "Confirmation", "192350001", "Submitted", "Active", "Active"),
    ("Open", "Picking list", "192350002", "Submitted", "Active", "Active"),
    ("Open", "Packing slip", "192350003", "Active", "Active", "Active"),
    ("Open", "Invoice", "192350006", "Active", "Active", "Active"),
    ("Delivered", "Packing slip", "192350004", None, "Fulfilled", "Fulfilled"),
    ("Delivered", "Invoice", "192350006", "Fulfilled", None, "Fulfilled"),
    ("Invoiced", "Invoice", "192350005", "Invoiced", "Invoiced", "Invoiced"),
    ("Cancelled", ANY, "192350007", "Cancelled", "Canceled", "Canceled"),
)


def order_lines(variant: int, *, enhanced: bool = False) -> tuple[ColumnMap, ColumnMap]:
    """Processing and CRM status as decision tables. `variant` is the column of the
    CRM status; the enhanced map has a processing status of its own."""
    processing = [
        rule(status, document, then=code)
        for status, document, code, *_ in ORDER_STATUS
        if not (enhanced and (status, document) == ("Delivered", "Invoice"))
    ]
    if enhanced:
        processing.append(rule("Delivered", "Invoice", then=DELIVERED_AND_INVOICED))
    states = [
        rule(status, document, then=state)
        for status, document, _, *others in ORDER_STATUS
        if (state := others[variant]) is not None
    ]
    return (
        decision("msdyn_processingstatus", ORDER_SOURCES, *processing),
        decision("statecode", ORDER_SOURCES, *states),
    )


# Concepts 18: the status of a purchase order follows its header only from the present
# values that a person has not gone beyond, and its approval from an approval alone.
PURCHASE_STATUS = decision(
    "msdyn_systemstatus",
    ("purchaseorderstatus",),
    rule("Open", then="Submitted", present=("Draft", "Cancelled", "blank")),
    rule("Cancelled", then="Cancelled"),
    default="Draft",
)
PURCHASE_APPROVAL = decision(
    "msdyn_approvalstatus",
    ("documentapprovalstatus",),
    rule(("draft", "inReview"), then="blank"),
    rule(
        ("approved", "inExternalReview", "confirmed", "finalized"),
        then="Approved",
    ),
    rule("rejected", then="Rejected"),
)
PURCHASE_LINE_STATUS = decision(
    "msdyn_itemstatus",
    ("purchaseorderlinestatus",),
    rule("Canceled", then="Cancelled"),
    rule("*", then="Pending", present=("Cancelled",)),
)
