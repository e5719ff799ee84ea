"""What the reference of filters says holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncengine.mapping.filters import bind_types, parse_finops, parse_odata
from syncengine.mapping.schema import Column, ColumnType, TableSchema, TypeFamily

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "filters.md"
TABLE = TableSchema(
    name="customers",
    columns=(
        Column("PartyType", ColumnType(TypeFamily.TEXT, "text")),
        Column("Name", ColumnType(TypeFamily.TEXT, "text")),
        Column("CreditLimit", ColumnType(TypeFamily.DECIMAL, "numeric")),
        Column("Status", ColumnType(TypeFamily.INTEGER, "integer", bits=32)),
        Column("OnHold", ColumnType(TypeFamily.BOOLEAN, "boolean")),
        Column("Kind", ColumnType(TypeFamily.ENUM, "kind", labels=("Net", "Gross"))),
        Column("Opened", ColumnType(TypeFamily.DATE, "date")),
        Column("Changed", ColumnType(TypeFamily.TIMESTAMPTZ, "timestamptz")),
        Column("Id", ColumnType(TypeFamily.UUID, "uuid")),
    ),
)


def examples() -> Iterator[tuple[str, str]]:
    """The two texts of each row of the first table."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = re.split(r"(?<!\\)\|", line.strip("|"))
        texts = [re.fullmatch(r" `(.*)` ?", cell) for cell in cells[1:]]
        if len(texts) == 2 and all(texts):
            finops, dataverse = (t[1].replace(r"\|", "|") for t in texts if t)
            yield finops, dataverse


@pytest.mark.parametrize(("finops", "dataverse"), list(examples()))
def test_both_texts_of_an_example_are_filters_and_mean_the_same(
    finops: str, dataverse: str
) -> None:
    ours = bind_types(parse_finops(finops), TABLE, finops)
    theirs = bind_types(parse_odata(dataverse), TABLE, dataverse)
    assert ours == theirs


def test_there_are_examples() -> None:
    assert len(list(examples())) == 25
