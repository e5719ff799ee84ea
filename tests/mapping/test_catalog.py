"""The ready-made maps: they equal the published facts, and each is a usable map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from syncengine import catalog
from syncengine.catalog.entries import read_facts
from syncengine.mapping import filters
from syncengine.mapping.files import (
    Document,
    MapFile,
    dump_document,
    parse_document,
)
from syncengine.mapping.model import ColumnMapType, Direction, Side

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference"
MAPS, COLUMNS, VALUE_PAIRS, KEY_PAIRS = 135, 1691, 1610, 193
SYMBOLS = {"=": 844, ">": 421, "><": 306, ">>": 99, "<": 12, "<<": 9}


@pytest.mark.parametrize(
    ("shipped", "published"),
    [("maps.json", "table_maps.json"), ("keys.json", "table_map_keys.json")],
)
def test_the_shipped_facts_equal_the_published_ones(
    shipped: str, published: str
) -> None:
    facts = read_facts(shipped)
    path = REFERENCE / published
    if path.exists():
        assert facts == json.loads(path.read_text(encoding="utf-8"))
    assert len(facts) == MAPS


def test_nothing_of_the_published_facts_is_lost() -> None:
    maps, keys = read_facts("maps.json"), read_facts("keys.json")
    lines = [line for fact in maps for line in fact["columns"]]
    symbols = [line["type"] for line in lines]
    assert len(lines) == COLUMNS
    assert sum(len(line["value_map"]) for line in lines) == VALUE_PAIRS
    assert {symbol: symbols.count(symbol) for symbol in SYMBOLS} == SYMBOLS
    assert sum(len(fact["integration_key"]) for fact in keys) == KEY_PAIRS


def test_entries_say_what_the_facts_say_but_for_the_corrections() -> None:
    keys_of = {_ends(fact): fact for fact in read_facts("keys.json")}
    corrected = {
        (*_ends(fact), fact["place"], tuple(fact.get("column", ()))): fact["corrected"]
        for fact in read_facts("corrections.json")
    }
    by_ends = {(e.finops_entity, e.dataverse_table): e for e in catalog.entries()}
    for fact in read_facts("maps.json"):
        ends = _ends(fact)
        entry, keys = by_ends[ends], keys_of[ends]
        assert entry.finops_filter == corrected.get(
            (*ends, "source_filter", ()), fact["source_filter"]
        )
        assert entry.dataverse_filter == corrected.get(
            (*ends, "reversed_source_filter", ()), fact["reversed_source_filter"]
        )
        assert [(c.finops or "none", c.dataverse or "none") for c in entry.columns] == [
            (line["finops"], line["dataverse"]) for line in fact["columns"]
        ]
        assert [c.type for c in entry.columns] == [
            corrected.get(
                (*ends, "columns", (line["finops"], line["dataverse"])), line["type"]
            )
            for line in fact["columns"]
        ]
        assert [(c.default or "", c.values or ()) for c in entry.columns] == [
            (line["default"], tuple(map(tuple, line["value_map"])))
            for line in fact["columns"]
        ]
        assert [[p.finops, p.dataverse] for p in entry.key] == keys["integration_key"]
        assert entry.package == keys["package"]
        assert entry.direction == keys["direction"]
        assert entry.company_specific is keys["company_specific"]


def _ends(fact: dict[str, Any]) -> tuple[str, str]:
    return fact["finops_entity"], fact["dataverse_table"]


def test_every_correction_is_used_and_gives_its_reason() -> None:
    used = [c for entry in catalog.entries() for c in entry.corrections]
    assert len(used) == len(read_facts("corrections.json"))
    for correction in used:
        assert correction.reason
        assert correction.corrected != correction.reference


def test_every_name_is_used_once_and_is_no_package() -> None:
    names = [entry.name.casefold() for entry in catalog.entries()]
    assert len(set(names)) == len(names)
    assert not set(names) & set(catalog.packages())


@pytest.mark.parametrize("entry", catalog.entries(), ids=lambda entry: entry.name)
def test_every_entry_is_a_whole_map(entry: catalog.CatalogEntry) -> None:
    table_map = catalog.table_map(entry)
    document = Document(maps=(MapFile("contoso", table_map),))
    assert parse_document(dump_document(document)) == document
    for side in Side:
        filters.parse_filter(side, table_map.filter(side))
    pairs = {
        ((c.finops or "").casefold(), (c.dataverse or "").casefold()): c
        for c in table_map.columns
    }
    assert len(pairs) == len(table_map.columns)
    ways = [way for way in Direction if table_map.flows(way)]
    for pair in table_map.key:
        line = pairs[pair.finops.casefold(), pair.dataverse.casefold()]
        assert all(line.type.flows(way) for way in ways)
    for way in ways:
        targets = [
            path.casefold()
            for c in table_map.columns
            if c.type.flows(way) and (path := c.on(way.target))
        ]
        assert len(set(targets)) == len(targets)


def test_maps_that_share_an_entity_are_named_with_their_table() -> None:
    for table in ("accounts", "contacts"):
        entry = catalog.find(f"customers v3 ({table})")
        assert entry.name == f"Customers V3 ({table})"
        assert entry.dataverse_table == table
        assert entry.finops_table == "customersv3"
    with pytest.raises(catalog.CatalogError, match="say which of") as caught:
        catalog.find("Customers V3")
    assert caught.value.code == "ambiguous"


def test_a_map_is_found_by_its_entity_in_either_form() -> None:
    assert catalog.find("units") is catalog.find("UnitsOfMeasure")
    assert catalog.find_entity("CUSTOMERS V3", "Accounts") is catalog.find(
        "Customers V3 (accounts)"
    )
    assert catalog.find_entity("Customers V3", "nothing") is None


def test_an_unknown_name_tells_what_is_close() -> None:
    with pytest.raises(catalog.CatalogError, match="Customer groups") as caught:
        catalog.find("Customer grops")
    assert caught.value.code == "not_in_catalog"


def test_a_package_stands_for_its_maps_each_once() -> None:
    chosen = catalog.select(["notes", "Customer Attachments", "notes"])
    assert {entry.package for entry in chosen} == {"notes"}
    assert len(chosen) == 4


def test_maps_that_are_referred_to_come_first() -> None:
    ordered = catalog.with_prerequisites([catalog.find("Customer groups")])
    names = [entry.name for entry in ordered]
    assert names[-1] == "Customer groups"
    assert names.index("Payment schedule") < names.index("Terms of payment")
    assert set(names) == {
        "Customer groups",
        "Terms of payment",
        "Payment days CDS",
        "Payment schedule",
    }


def test_every_map_can_be_ordered_with_all_it_needs() -> None:
    everything = catalog.with_prerequisites(catalog.entries())
    assert len(everything) == len(set(everything)) == MAPS
    for entry in catalog.entries():
        chosen = set(catalog.with_prerequisites([entry]))
        assert all(set(map(catalog.find, each.related)) <= chosen for each in chosen)


def test_constants_and_symbols_are_read_as_the_columns_say() -> None:
    entry = catalog.find("Customers V3 (accounts)")
    constant = next(c for c in entry.columns if c.dataverse == "customertypecode")
    assert (constant.finops, constant.type, constant.default) == (
        None,
        ColumnMapType.TO_DATAVERSE_TRANSFORM,
        "3",
    )
