"""Decision tables, guards, sticky flags, expressions and sentinels between databases:
in a copy, live, compared and previewed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from syncengine.connectors.base import Connector
from syncengine.initial import ChunkResult, copy_chunk
from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.model import ColumnMap, ColumnMapType, Direction, Side
from syncengine.preview import Rule, preview
from syncengine.reconcile import compare
from tests.engine.link import Link
from tests.engine.pair import MemoryJournal
from tests.mapping.rules import (
    ORDER_STATUS,
    decision,
    expression,
    order_lines,
    plain_map,
    rule,
)
from tests.mapping.sample import line
from tests.waiting import wait_until

FORWARD, BACKWARD = Direction.FINOPS_TO_DATAVERSE, Direction.DATAVERSE_TO_FINOPS

ERP = """
CREATE TABLE "left" (
    number varchar(20) PRIMARY KEY, salesorderstatus varchar(20),
    documentstatus varchar(20), purchase varchar(20) NOT NULL DEFAULT 'Open',
    sellable boolean, quantity numeric(12,2) NOT NULL DEFAULT 1,
    unitdiscount numeric(12,2), charge numeric(12,2), replaced date, kind varchar(20))
"""
CRM = """
CREATE TABLE "right" (
    number varchar(20) PRIMARY KEY, msdyn_processingstatus integer, statecode text,
    purchase varchar(20), sellable varchar(3), quantity numeric(12,2),
    discount numeric(12,2), replaced timestamptz, kind integer)
"""
ORDERS = plain_map(
    *order_lines(1),
    decision(
        "purchase",
        ("purchase",),
        rule("Open", then="Submitted", present=("Draft", "Cancelled", "blank")),
        rule("Cancelled", then="Cancelled"),
    ),
    replace(
        line("sellable", "><", "sellable", values={"false": "no", "true": "yes"}),
        sticky=True,
    ),
    line("quantity", "=", "quantity"),
    expression("discount", "quantity * unitdiscount - charge"),
    expression("unitdiscount", "round(discount / quantity, 2)", "<<"),
    expression("charge", "quantity * round(discount / quantity, 2) - discount", "<<"),
    ColumnMap(
        "replaced",
        "replaced",
        ColumnMapType.BOTH_TRANSFORM,
        values=(("1/1/1900", "blank"),),
    ),
    line("kind", "><", "kind", values={"blank": "192350000", "asset": "192350005"}),
)
ORDERS = replace(
    ORDERS,
    columns=tuple(
        replace(c, default="Active") if c.dataverse == "statecode" else c
        for c in ORDERS.columns
    ),
)


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    made = Link(
        make_database(prefix="erp"),
        make_database(prefix="crm"),
        maps=(ORDERS,),
        tables=(ERP, CRM),
    )
    yield made
    made.close()


def leg(link: Link, direction: Direction) -> CompiledLeg:
    connectors: dict[Side, Connector] = {
        Side.FINOPS: link.finops,
        Side.DATAVERSE: link.dataverse,
    }
    schemas = {side: connectors[side].tables([ORDERS.table(side)]) for side in Side}
    return compile_leg(
        ORDERS, direction, schemas[direction.source], schemas[direction.target], ()
    )


def copy(link: Link, direction: Direction) -> ChunkResult:
    source, target = link.finops, link.dataverse
    if direction is BACKWARD:
        source, target = target, source
    writer = target.writer(link.name)
    journal = MemoryJournal()
    try:
        result = copy_chunk(
            source,
            writer,
            leg(link, direction),
            None,
            map_id=1,
            journal=journal,  # type: ignore[arg-type]
        )
    finally:
        writer.close()
    assert not journal.failures
    return result


def crm(link: Link, columns: str) -> list[tuple[Any, ...]]:
    query = f'SELECT number, {columns} FROM "right" ORDER BY number'
    return link.crm.execute(query).fetchall()  # type: ignore[arg-type]


def erp(link: Link, columns: str) -> list[tuple[Any, ...]]:
    query = f'SELECT number, {columns} FROM "left" ORDER BY number'
    return link.erp.execute(query).fetchall()  # type: ignore[arg-type]


def fill(link: Link) -> None:
    """Records whose counterpart is new, open for writing, or gone further."""
    link.erp.execute(
        'INSERT INTO "left" (number, salesorderstatus, documentstatus, purchase,'
        " sellable, quantity, unitdiscount, charge, replaced, kind) VALUES"
        " ('1', 'Open', 'Picking list', 'Open', false, 3, 3.33, -0.01,"
        "  '1900-01-01', NULL),"
        " ('2', 'Invoiced', 'Invoice', 'Open', false, 1, 1, 0, '2026-03-01', 'asset'),"
        " ('3', 'Cancelled', 'None', 'Open', true, 1, 1, 0, NULL, ''),"
        " ('4', 'Delivered', 'Packing slip', 'Cancelled', false, 1, 1, 0, NULL, NULL)"
    )
    link.crm.execute(
        'INSERT INTO "right" (number, purchase, sellable) VALUES'
        " ('2', 'Products received', 'Yes'), ('3', 'draft', 'no'),"
        " ('4', 'Products received', 'no')"
    )


def test_a_copy_decides_by_what_is_there_and_is_repeatable(link: Link) -> None:
    fill(link)
    first = copy(link, FORWARD)
    assert (first.inserted, first.updated) == (1, 3)
    assert crm(link, "msdyn_processingstatus, statecode, purchase, sellable") == [
        ("1", 192350002, "Active", "Submitted", "no"),
        ("2", 192350005, "Invoiced", "Products received", "Yes"),
        ("3", 192350007, "Canceled", "Submitted", "yes"),
        ("4", 192350004, "Fulfilled", "Cancelled", "no"),
    ]
    assert crm(link, "discount::text, replaced::date::text, kind") == [
        ("1", "10.00", None, 192350000),
        ("2", "1.00", "2026-03-01", 192350005),
        ("3", "1.00", None, 192350000),
        ("4", "1.00", None, 192350000),
    ]
    again = copy(link, FORWARD)
    assert (again.inserted, again.updated, again.unchanged) == (0, 0, 4)
    back = copy(link, BACKWARD)
    assert (back.inserted, back.updated) == (0, 3)
    assert erp(link, "unitdiscount::text, charge::text, replaced::text, sellable") == [
        ("1", "3.33", "-0.01", "1900-01-01", False),
        ("2", "1.00", "0.00", "2026-03-01", True),
        ("3", "1.00", "0.00", "1900-01-01", True),
        ("4", "1.00", "0.00", "1900-01-01", False),
    ]


def test_what_a_guard_leaves_alone_is_no_difference(link: Link) -> None:
    fill(link)
    copy(link, FORWARD)
    sides = (link.finops, link.dataverse, leg(link, FORWARD), leg(link, BACKWARD))
    found = compare(*sides)
    assert (found.compared, found.equal) == (4, 3)
    flag = found.examples[0].columns
    assert [(c.column, c.finops, c.dataverse) for c in flag] == [
        ("sellable", "no", "Yes")
    ]
    copy(link, BACKWARD)
    assert compare(*sides).in_step
    link.crm.execute("UPDATE \"right\" SET purchase = 'Draft', statecode = 'x'")
    found = compare(*sides)
    assert {c.column for e in found.examples for c in e.columns} == {
        "purchase",
        "statecode",
    }


def test_rules_hold_for_changes_as_they_come(link: Link) -> None:
    link.start()
    link.erp.execute(
        'INSERT INTO "left" (number, salesorderstatus, documentstatus, sellable)'
        " VALUES ('1', 'Open', 'None', false)"
    )
    wait_until(lambda: crm(link, "purchase, sellable") == [("1", "Submitted", "no")])

    for status, document, code, _, state, _ in ORDER_STATUS:
        link.erp.execute(
            'UPDATE "left" SET salesorderstatus = %s, documentstatus = %s',
            [status, document],
        )
        expected = [("1", int(code), state or "Active")]
        wait_until(
            lambda want=expected: (
                crm(link, "msdyn_processingstatus, statecode") == want
            ),
            message=lambda: f"{crm(link, '*')} {link.state.errors}",
        )

    # A person went beyond the status; the ERP opens and cancels the order again.
    link.crm.execute("UPDATE \"right\" SET purchase = 'Received'")
    link.erp.execute("UPDATE \"left\" SET purchase = 'Cancelled'")
    wait_until(lambda: crm(link, "purchase") == [("1", "Cancelled")])
    link.crm.execute("UPDATE \"right\" SET purchase = 'Received'")
    link.erp.execute("UPDATE \"left\" SET purchase = 'Open', quantity = 2")
    wait_until(lambda: crm(link, "purchase, quantity") == [("1", "Received", 2)])
    assert not link.state.conflicts

    # The flag goes up from either side and never down again.
    link.crm.execute("UPDATE \"right\" SET sellable = 'yes'")
    wait_until(lambda: erp(link, "sellable") == [("1", True)])
    link.erp.execute('UPDATE "left" SET sellable = false, quantity = 3')
    wait_until(lambda: crm(link, "sellable, quantity") == [("1", "yes", 3)])
    assert not link.state.conflicts

    # A discount and a date both ways.
    link.crm.execute("UPDATE \"right\" SET discount = 10, replaced = '2026-03-01'")
    money = "unitdiscount::text, charge::text, replaced::text"
    wait_until(lambda: erp(link, money) == [("1", "3.33", "-0.01", "2026-03-01")])
    link.erp.execute("UPDATE \"left\" SET charge = -0.02, replaced = '1900-01-01'")
    wait_until(
        lambda: crm(link, "discount::text, replaced") == [("1", "10.01", None)],
        message=lambda: f"{crm(link, '*')} {link.state.errors}",
    )
    assert not link.state.errors
    assert not link.state.conflicts


def test_a_record_that_no_rule_fits_waits_as_an_error(link: Link) -> None:
    link.start()
    link.erp.execute(
        "INSERT INTO \"left\" (number, salesorderstatus) VALUES ('1', 'Strange')"
    )
    wait_until(lambda: len(link.state.errors) == 1)
    failure = next(iter(link.state.errors.values())).failure
    assert (failure.code, failure.column) == (
        "no_rule_matches",
        "msdyn_processingstatus",
    )
    assert 'salesorderstatus "Strange", documentstatus blank' in failure.message
    link.erp.execute(
        "UPDATE \"left\" SET salesorderstatus = 'Open', documentstatus = 'None'"
    )
    wait_until(lambda: crm(link, "statecode") == [("1", "Active")])


def test_a_preview_names_the_rule_and_what_stays(link: Link) -> None:
    fill(link)
    found = preview(link.finops, link.dataverse, leg(link, FORWARD), key="2")[0]
    columns = {column.column: column for column in found.columns}
    status = columns["msdyn_processingstatus"]
    assert (status.rule, status.source, status.value, status.result) == (
        Rule.DECISION,
        "salesorderstatus, documentstatus",
        "Invoiced / Invoice",
        "192350005",
    )
    kept = columns["purchase"]
    assert (kept.rule, kept.result, kept.differs) == (
        Rule.KEPT,
        "Products received",
        False,
    )
    assert columns["sellable"].rule is Rule.KEPT
    assert columns["discount"].rule is Rule.EXPRESSION
    assert columns["discount"].value == "1.00 / 1.00 / 0.00"
    first = preview(link.finops, link.dataverse, leg(link, FORWARD), key="1")[0]
    rules = {column.column: column.rule for column in first.columns}
    assert rules["kind"] is Rule.VALUE_MAP
    assert rules["purchase"] is Rule.DECISION
