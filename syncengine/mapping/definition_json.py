"""Definitions of maps as plain data and back, unfinished ones too: what a draft is
kept as. Files for people are `files`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from syncengine.mapping.decisions import DecisionRule, DecisionTable
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    ConflictPolicy,
    Direction,
    KeyPair,
    LookupDeclaration,
    MapExample,
    OnError,
    OnFilterExit,
    Side,
    TableMap,
)


def definition_to_json(table_map: TableMap) -> dict[str, Any]:
    """A JSON document that `definition_from_json` turns into an equal definition."""
    return asdict(table_map)


def definition_from_json(document: dict[str, Any]) -> TableMap:
    """The definition a document was made of."""
    return TableMap(
        name=document["name"],
        finops_table=document["finops_table"],
        dataverse_table=document["dataverse_table"],
        columns=tuple(_column(one) for one in document["columns"]),
        key=tuple(KeyPair(**one) for one in document["key"]),
        publisher=document["publisher"],
        version=document["version"],
        finops_filter=document["finops_filter"],
        dataverse_filter=document["dataverse_filter"],
        conflict=ConflictPolicy(document["conflict"]),
        on_error=OnError(document["on_error"]),
        on_filter_exit=OnFilterExit(document["on_filter_exit"]),
        lookups=tuple(
            LookupDeclaration(**{**one, "side": Side(one["side"])})
            for one in document["lookups"]
        ),
        examples=examples_from_json(document.get("examples", [])),
    )


def examples_to_json(examples: Sequence[MapExample]) -> list[dict[str, Any]]:
    """Examples as plain data that `examples_from_json` turns back."""
    return [asdict(one) for one in examples]


def examples_from_json(documents: Sequence[dict[str, Any]]) -> tuple[MapExample, ...]:
    """The examples that the documents were made of."""
    return tuple(
        MapExample(
            **{
                **one,
                "direction": Direction(one["direction"]),
                "given": tuple((path, value) for path, value in one["given"]),
                "expect": tuple((path, value) for path, value in one["expect"]),
            }
        )
        for one in documents
    )


def _column(document: dict[str, Any]) -> ColumnMap:
    values, decision = document["values"], document["decision"]
    return ColumnMap(
        **{
            **document,
            "type": ColumnMapType(document["type"]),
            "values": None if values is None else _pairs(values),
            "decision": None if decision is None else _decision(decision),
        }
    )


def _pairs(values: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((left, right) for left, right in values)


def _decision(document: dict[str, Any]) -> DecisionTable:
    return DecisionTable(
        tuple(document["sources"]),
        tuple(
            DecisionRule(
                tuple(tuple(condition) for condition in rule["when"]),
                rule["then"],
                None if rule["present"] is None else tuple(rule["present"]),
            )
            for rule in document["rules"]
        ),
    )
