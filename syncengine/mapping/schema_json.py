"""Table schemas as JSON and back: what was last seen of a system that is away."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from syncengine.mapping.schema import (
    Column,
    ColumnType,
    ForeignKey,
    TableSchema,
    TypeFamily,
    UniqueKey,
)


def table_to_json(table: TableSchema) -> dict[str, Any]:
    """A JSON document that `table_from_json` turns into an equal table."""
    return asdict(table)


def table_from_json(document: dict[str, Any]) -> TableSchema:
    """The table a document was made of."""
    return TableSchema(
        name=document["name"],
        columns=tuple(_column(one) for one in document["columns"]),
        keys=tuple(
            UniqueKey(one["name"], tuple(one["columns"]), one["primary"])
            for one in document["keys"]
        ),
        foreign_keys=tuple(
            ForeignKey(
                one["name"],
                tuple(one["columns"]),
                one["table"],
                tuple(one["target_columns"]),
            )
            for one in document["foreign_keys"]
        ),
        full_identity=document["full_identity"],
        unfit=document["unfit"],
        triggers=tuple(document["triggers"]),
    )


def _column(document: dict[str, Any]) -> Column:
    kind = document["type"]
    return Column(
        name=document["name"],
        type=ColumnType(
            **{
                **kind,
                "family": TypeFamily(kind["family"]),
                "labels": tuple(kind["labels"]),
            }
        ),
        nullable=document["nullable"],
        has_default=document["has_default"],
        writable=document["writable"],
        computed=document["computed"],
    )
