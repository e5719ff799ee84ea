"""Lookups over two hops, by several columns, and into one of several tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from syncengine.connectors.base import Connector
from syncengine.deciding import Decision, decide
from syncengine.initial import ChunkResult, copy_chunk
from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.dependencies import lookup_tables
from syncengine.mapping.model import ConflictPolicy, Direction, Side, TableMap
from syncengine.ports import ConflictRecord
from syncengine.preview import preview
from syncengine.reconcile import compare
from tests.engine.link import COMPANIES, Link
from tests.engine.lookups import CATEGORIES, CRM, ERP, HIERARCHIES, ITEMS, MAPS, PRICES
from tests.engine.pair import MemoryJournal
from tests.waiting import wait_until

FORWARD, BACKWARD = Direction.FINOPS_TO_DATAVERSE, Direction.DATAVERSE_TO_FINOPS


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    made = Link(
        make_database(prefix="erp"),
        make_database(prefix="crm"),
        maps=MAPS,
        tables=(ERP, CRM),
    )
    yield made
    made.close()


def leg(link: Link, table_map: TableMap, direction: Direction) -> CompiledLeg:
    connectors: dict[Side, Connector] = {
        Side.FINOPS: link.finops,
        Side.DATAVERSE: link.dataverse,
    }
    schemas = {
        side: connectors[side].tables(
            [table_map.table(side), *lookup_tables(table_map, side)]
        )
        for side in Side
    }
    return compile_leg(
        table_map,
        direction,
        schemas[direction.source],
        schemas[direction.target],
        COMPANIES,
    )


def copy(link: Link, table_map: TableMap, journal: MemoryJournal) -> ChunkResult:
    writer = link.dataverse.writer(link.name)
    try:
        return copy_chunk(
            link.finops,
            writer,
            leg(link, table_map, FORWARD),
            None,
            map_id=1,
            journal=journal,  # type: ignore[arg-type]
        )
    finally:
        writer.close()


def fill(link: Link) -> None:
    link.erp.execute(
        "INSERT INTO hierarchies VALUES ('Sales'), ('Buy');"
        "INSERT INTO categories VALUES ('Sales', 'Pens', 'Sales', 'Office', NULL),"
        " ('Sales', 'Office', NULL, NULL, 'All'), ('Buy', 'Pens', NULL, NULL, NULL);"
        "INSERT INTO items VALUES"
        " ('usmf', 'I1', 'Pens', 'Sales', 'A1', NULL),"
        " ('usmf', 'I2', 'Pens', 'Buy', 'P1', NULL),"
        " ('demf', 'I1', NULL, NULL, NULL, NULL);"
        "INSERT INTO prices VALUES ('Sales', 'Pens', 1), ('Buy', 'Pens', 2);"
    )


def items(link: Link) -> list[tuple]:
    """CRM items in ERP terms."""
    return link.crm.execute(
        "SELECT lower(c.code), i.item, k.name, h.name, a.accountnumber, p.personnumber"
        " FROM items i JOIN companies c ON c.id = i.company"
        " LEFT JOIN categories k ON k.categoryid = i.category"
        " LEFT JOIN hierarchies h ON h.hierarchyid = k.hierarchy"
        " LEFT JOIN accounts a ON a.accountid = i.customerid"
        "   AND a.company = i.company"
        " LEFT JOIN contacts p ON p.contactid = i.customerid"
        "   AND p.companyid = i.company ORDER BY 1, 2"
    ).fetchall()


FILLED = [
    ("demf", "I1", None, None, None, None),
    ("usmf", "I1", "Pens", "Sales", "A1", None),
    ("usmf", "I2", "Pens", "Buy", None, "P1"),
]


def test_a_copy_finds_references_of_every_kind_and_is_repeatable(link: Link) -> None:
    fill(link)
    journal = MemoryJournal()
    counts = [copy(link, table_map, journal) for table_map in MAPS]
    assert not journal.failures
    assert [each.inserted for each in counts] == [2, 3, 3, 2]
    assert items(link) == FILLED
    parent = link.crm.execute(
        "SELECT p.name, h.name FROM categories c JOIN categories p"
        " ON p.categoryid = c.parent JOIN hierarchies h ON h.hierarchyid = p.hierarchy"
    ).fetchall()
    assert parent == [("Office", "Sales")]
    again = [copy(link, table_map, journal) for table_map in MAPS]
    assert [each.unchanged for each in again] == [2, 3, 3, 2]


def test_both_sides_compare_equal_and_a_moved_reference_is_found(link: Link) -> None:
    fill(link)
    for table_map in MAPS:
        copy(link, table_map, MemoryJournal())
    link.crm.execute(
        "UPDATE items SET category = NULL WHERE item = 'I2';"
        "UPDATE prices SET price = 3 WHERE price = 2"
    )
    results = {}
    for table_map in MAPS:
        results[table_map.name] = compare(
            link.finops,
            link.dataverse,
            leg(link, table_map, FORWARD),
            leg(link, table_map, BACKWARD),
        )
    assert results["hierarchies"].in_step
    assert results["categories"].in_step
    (moved,) = results["items"].examples
    assert [(c.finops, c.dataverse) for c in moved.columns] == [("Pens / Buy", None)]
    (price,) = results["prices"].examples
    assert [(c.column, c.finops, c.dataverse) for c in price.columns] == [
        ("price", "2.00", "3.00")
    ]


def test_a_reference_that_leads_nowhere_names_all_its_parts(link: Link) -> None:
    fill(link)
    journal = MemoryJournal()
    for table_map in (HIERARCHIES, CATEGORIES):
        copy(link, table_map, journal)
    link.erp.execute(
        "UPDATE items SET category = 'Ink' WHERE item = 'I2';"
        "UPDATE items SET hierarchy = NULL WHERE item = 'I1' AND dataareaid = 'usmf';"
        "UPDATE items SET customer = 'X9' WHERE dataareaid = 'demf'"
    )
    copy(link, ITEMS, journal)
    failures = {failure.key: failure for failure in journal.failures.values()}
    assert {key: (f.code, f.column) for key, f in failures.items()} == {
        ("usmf", "I2"): ("lookup_not_found", "category.(name, hierarchy.name)"),
        ("usmf", "I1"): ("natural_key_incomplete", "category.(name, hierarchy.name)"),
        ("demf", "I1"): (
            "lookup_not_found",
            "customerid.Account(accountnumber).Contact(personnumber)",
        ),
    }
    message = failures[("usmf", "I2")].message
    assert "categories has name = 'Ink' and hierarchy.name = 'Buy'" in message
    message = failures[("demf", "I1")].message
    assert "accounts has accountnumber = 'X9' or of contacts has" in message
    mapped = failures[("usmf", "I2")].mapped_row
    assert (mapped["category.name"], mapped["category.hierarchy.name"]) == (
        "Ink",
        "Buy",
    )


def test_a_number_in_both_tables_is_ambiguous(link: Link) -> None:
    fill(link)
    link.crm.execute(
        "INSERT INTO contacts (companyid, personnumber)"
        " SELECT id, 'A1' FROM companies WHERE code = 'USMF'"
    )
    journal = MemoryJournal()
    for table_map in (HIERARCHIES, CATEGORIES, ITEMS):
        copy(link, table_map, journal)
    assert journal.codes == {("usmf", "I1"): "lookup_ambiguous"}


def test_changes_travel_both_ways_over_such_references(link: Link) -> None:
    link.start()
    fill(link)
    wait_until(lambda: items(link) == FILLED, message=lambda: f"{link.state.errors}")
    link.crm.execute(
        "UPDATE items SET category = (SELECT categoryid FROM categories c"
        " JOIN hierarchies h ON h.hierarchyid = c.hierarchy WHERE c.name = 'Pens'"
        " AND h.name = 'Buy'), customerid = (SELECT contactid FROM contacts p"
        " WHERE p.companyid = items.company) WHERE item = 'I1'"
    )
    wait_until(
        lambda: (
            link.erp.execute(
                "SELECT DISTINCT category, hierarchy, customer FROM items"
                " WHERE item = 'I1'"
            ).fetchall()
            == [("Pens", "Buy", "P1")]
        ),
        message=lambda: f"{link.state.errors}",
    )
    link.erp.execute(
        "UPDATE items SET customer = 'A2' WHERE item = 'I2';"
        "UPDATE prices SET price = 9 WHERE hierarchy = 'Buy';"
        "DELETE FROM prices WHERE hierarchy = 'Sales'"
    )
    wait_until(lambda: ("usmf", "I2", "Pens", "Buy", "A2", None) in items(link))
    wait_until(
        lambda: (
            link.crm.execute("SELECT price::text FROM prices").fetchall() == [("9.00",)]
        )
    )
    link.crm.execute("DELETE FROM prices")
    wait_until(lambda: not link.erp.execute("SELECT FROM prices").fetchall())
    assert not link.state.errors


def test_a_child_before_its_parent_in_one_transaction_arrives(link: Link) -> None:
    link.start()
    link.erp.execute(
        "BEGIN; INSERT INTO categories VALUES ('Sales', 'Pens', 'Sales', 'Office');"
        "INSERT INTO categories VALUES ('Sales', 'Office');"
        "INSERT INTO hierarchies VALUES ('Sales'); COMMIT"
    )
    wait_until(
        lambda: (
            link.crm.execute(
                "SELECT p.name FROM categories c"
                " JOIN categories p ON p.categoryid = c.parent"
            ).fetchall()
            == [("Office",)]
        ),
        message=lambda: f"{link.state.errors}",
    )
    assert not link.state.errors


def test_parts_that_two_users_edited_and_that_lead_nowhere_together_are_settled(
    link: Link,
) -> None:
    """One side moved the item to the other hierarchy, the other one to a category
    that is not in it: the reference that exists stands on both sides."""
    link.start()
    fill(link)
    wait_until(lambda: items(link) == FILLED)
    link.stop()
    link.erp.execute(
        "UPDATE items SET hierarchy = 'Buy' WHERE dataareaid = 'usmf' AND item = 'I1'"
    )
    link.crm.execute(
        "UPDATE items SET category = (SELECT categoryid FROM categories"
        " WHERE name = 'Office') WHERE customerid IS NOT NULL AND item = 'I1'"
    )

    def erp() -> object:
        return link.erp.execute(
            "SELECT category, hierarchy FROM items"
            " WHERE dataareaid = 'usmf' AND item = 'I1'"
        ).fetchone()

    def crm() -> object:
        return next(row[2:4] for row in items(link) if row[:2] == ("usmf", "I1"))

    link.start(mode=None, sides=[Side.DATAVERSE])
    wait_until(lambda: erp() == ("Office", "Buy"))
    link.stop()
    link.start(mode=None)
    wait_until(
        lambda: erp() == crm() == ("Office", "Sales"),
        message=lambda: f"{erp()} {crm()} {link.state.errors}",
    )
    link.erp.execute("UPDATE items SET note = 'on' WHERE item = 'I1'")
    wait_until(
        lambda: (
            link.crm.execute("SELECT count(*) FROM items WHERE note = 'on'").fetchone()
            == (2,)
        )
    )
    assert not link.state.errors
    (conflict,) = link.state.conflicts
    assert (conflict.winner, conflict.source_value, conflict.target_value) == (
        "dataverse",
        "Office / Buy",
        "Office / Sales",
    )


def test_a_plain_column_that_was_won_stays_when_a_reference_leads_nowhere(
    link: Link,
) -> None:
    link.start()
    fill(link)
    wait_until(lambda: items(link) == FILLED)
    link.stop()
    link.erp.execute(
        "UPDATE items SET hierarchy = 'Buy' WHERE dataareaid = 'usmf' AND item = 'I1'"
    )
    link.crm.execute(
        "UPDATE items SET category = (SELECT categoryid FROM categories"
        " WHERE name = 'Office') WHERE customerid IS NOT NULL AND item = 'I1'"
    )
    link.start(mode=None, sides=[Side.DATAVERSE])
    wait_until(
        lambda: (
            link.erp.execute(
                "SELECT category, hierarchy FROM items"
                " WHERE dataareaid = 'usmf' AND item = 'I1'"
            ).fetchone()
            == ("Office", "Buy")
        )
    )
    link.stop()
    link.crm.execute(
        "UPDATE items SET note = 'crm' WHERE customerid IS NOT NULL AND item = 'I1'"
    )
    link.erp.execute(
        "UPDATE items SET note = 'erp' WHERE dataareaid = 'usmf' AND item = 'I1'"
    )
    link.start(mode=None)

    def erp() -> object:
        return link.erp.execute(
            "SELECT category, hierarchy, note FROM items"
            " WHERE dataareaid = 'usmf' AND item = 'I1'"
        ).fetchone()

    def crm() -> object:
        return link.crm.execute(
            "SELECT c.name, h.name, i.note FROM items i"
            " JOIN categories c ON c.categoryid = i.category"
            " JOIN hierarchies h ON h.hierarchyid = c.hierarchy"
            " WHERE i.customerid IS NOT NULL AND i.item = 'I1'"
        ).fetchone()

    wait_until(
        lambda: erp() == crm() == ("Office", "Sales", "erp"),
        message=lambda: f"{erp()} {crm()} {link.state.conflicts} {link.state.errors}",
    )
    winners = {one.column: one.winner for one in link.state.conflicts}
    assert winners["note"] == "finops"
    link.state.retry_all()
    wait_until(lambda: not link.state.errors)


def test_a_preview_shows_the_parts_of_a_reference_one_by_one(link: Link) -> None:
    fill(link)
    for table_map in (HIERARCHIES, CATEGORIES, ITEMS):
        copy(link, table_map, MemoryJournal())
    link.erp.execute("UPDATE items SET hierarchy = 'Sales' WHERE item = 'I2'")
    (record,) = preview(
        link.finops, link.dataverse, leg(link, ITEMS, FORWARD), key="usmf / I2"
    )
    shown = {c.column: (c.source, c.result, c.present) for c in record.columns}
    assert shown["category.name"] == ("category", "Pens", "Pens")
    assert shown["category.hierarchy.name"] == ("hierarchy", "Sales", "Buy")
    assert set(record.differences) == {"category.name", "category.hierarchy.name"}


def test_the_reverse_leg_of_a_key_with_several_parts_finds_its_record(
    link: Link,
) -> None:
    fill(link)
    for table_map in (HIERARCHIES, CATEGORIES, PRICES):
        copy(link, table_map, MemoryJournal())
    (record,) = preview(
        link.dataverse, link.finops, leg(link, PRICES, BACKWARD), key="Buy / Pens"
    )
    assert {c.column: c.result for c in record.columns} == {
        "hierarchy": "Buy",
        "category": "Pens",
        "price": "2.00",
    }
    assert record.differences == ()


def test_a_preview_finds_references_over_hops_and_in_several_tables(
    link: Link,
) -> None:
    fill(link)
    for table_map in (HIERARCHIES, CATEGORIES):
        copy(link, table_map, MemoryJournal())
    link.erp.execute(
        "INSERT INTO items (dataareaid, item, category, hierarchy, customer) VALUES"
        " ('usmf', 'X1', 'Pens', 'Buy', 'A1'), ('usmf', 'X2', 'Pens', 'Buy', 'P1'),"
        " ('usmf', 'X3', 'Pens', 'Nowhere', 'A1'), ('usmf', 'X4', 'Pens', 'Buy', 'Q')"
    )

    def failing(item: str) -> tuple[str, str]:
        (record,) = preview(
            link.finops, link.dataverse, leg(link, ITEMS, FORWARD), key=f"usmf / {item}"
        )
        assert "\x1f" not in record.error
        return record.error_code, record.error_column

    assert failing("X1") == failing("X2") == ("", "")
    assert failing("X3") == ("lookup_not_found", "category.name")
    customer = "customerid.Account(accountnumber).Contact(personnumber)"
    assert failing("X4") == ("lookup_not_found", customer)
    link.crm.execute(
        "INSERT INTO contacts (companyid, personnumber)"
        " SELECT company, accountnumber FROM accounts WHERE accountnumber = 'A1'"
    )
    assert failing("X1") == ("lookup_ambiguous", customer)


def test_a_preview_takes_a_row_that_refers_to_itself_for_there(link: Link) -> None:
    fill(link)
    copy(link, HIERARCHIES, MemoryJournal())
    link.erp.execute(
        "INSERT INTO categories (hierarchy, name, parenthierarchy, parent) VALUES"
        " ('Buy', 'Own', 'Buy', 'Own'), ('Buy', 'Child', 'Buy', 'Own')"
    )
    records = {
        key: preview(
            link.finops, link.dataverse, leg(link, CATEGORIES, FORWARD), key=key
        )[0].error_code
        for key in ("Buy / Own", "Buy / Child")
    }
    assert records == {"Buy / Own": "", "Buy / Child": "lookup_not_found"}


def turn_round(link: Link, table_map: TableMap, record: ConflictRecord) -> None:
    """Use Dataverse's version of a conflict that FinOps won."""
    decision = Decision(
        map_id=record.map_id,
        legs={
            Side.DATAVERSE: leg(link, table_map, FORWARD),
            Side.FINOPS: leg(link, table_map, BACKWARD),
        },
        keys={Side.FINOPS: record.finops_key, Side.DATAVERSE: record.dataverse_key},
        columns={
            Side.FINOPS: record.finops_columns,
            Side.DATAVERSE: record.dataverse_columns,
        },
        logged={Side.FINOPS: record.finops_row, Side.DATAVERSE: record.dataverse_row},
        in_force=Side.FINOPS,
        side=Side.DATAVERSE,
    )
    with (
        closing(link.finops.writer(link.name)) as finops,
        closing(link.dataverse.writer(link.name)) as dataverse,
    ):
        decide(decision, {Side.FINOPS: finops, Side.DATAVERSE: dataverse})


@pytest.mark.parametrize("first", Side)
def test_conflicts_of_records_with_a_composite_reference_as_key_are_settled(
    make_database: Callable[..., str], first: Side
) -> None:
    """Whichever stream comes to them, and under the same key on each side."""
    prices = replace(PRICES, conflict=ConflictPolicy.FINOPS_WINS)
    link = Link(
        make_database(prefix="erp"),
        make_database(prefix="crm"),
        maps=(HIERARCHIES, CATEGORIES, ITEMS, prices),
        tables=(ERP, CRM),
    )

    def erp() -> object:
        return link.erp.execute(
            "SELECT hierarchy, price::text FROM prices ORDER BY 1"
        ).fetchall()

    def crm() -> object:
        return link.crm.execute(
            "SELECT h.name, p.price::text FROM prices p"
            " JOIN categories c ON c.categoryid = p.category"
            " JOIN hierarchies h ON h.hierarchyid = c.hierarchy ORDER BY 1"
        ).fetchall()

    try:
        link.start()
        fill(link)
        wait_until(lambda: crm() == [("Buy", "2.00"), ("Sales", "1.00")])
        link.stop()
        link.erp.execute(
            "UPDATE prices SET price = 5 WHERE hierarchy = 'Buy';"
            "DELETE FROM prices WHERE hierarchy = 'Sales'"
        )
        link.crm.execute("UPDATE prices SET price = 6")
        link.start(mode=None, sides=[first])
        wait_until(
            lambda: erp() == crm() == [("Buy", "5.00")],
            message=lambda: f"{erp()} {crm()} {link.state.errors}",
        )
        assert {
            (one.winner, one.finops_key, one.dataverse_key)
            for one in link.state.conflicts
        } == {("finops", (name, "Pens"), (name, "Pens")) for name in ("Buy", "Sales")}
        link.stop()
        turn_round(
            link, prices, next(one for one in link.state.conflicts if one.column)
        )
        assert erp() == crm() == [("Buy", "6.00")]
        link.start(mode=None)
        # To and fro: records that both streams wrote are looked at on both sides.
        for number in range(6, 12, 2):
            link.erp.execute("UPDATE prices SET price = %s", [number])
            wait_until(lambda n=number: crm() == [("Buy", f"{n}.00")])
            link.crm.execute("UPDATE prices SET price = %s", [number + 1])
            wait_until(lambda n=number: erp() == [("Buy", f"{n + 1}.00")])
        assert not link.state.errors
    finally:
        link.close()
