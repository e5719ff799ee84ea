"""Which maps must come first: lookups followed through foreign keys."""

from __future__ import annotations

import pytest

from syncengine.mapping.dependencies import (
    in_order,
    prerequisites,
    referenced_tables,
    with_prerequisites,
)
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    KeyPair,
    LookupDeclaration,
    Side,
    TableMap,
)
from syncengine.mapping.schema import (
    Column,
    ColumnType,
    EnvironmentSchema,
    ForeignKey,
    TableSchema,
    TypeFamily,
)

TEXT = ColumnType(TypeFamily.TEXT, "text")


def table(name: str, **references: str) -> TableSchema:
    return TableSchema(
        name=name,
        columns=tuple(Column(column, TEXT) for column in ("code", *references)),
        foreign_keys=tuple(
            ForeignKey(f"fk_{column}", (column,), target, ("id",))
            for column, target in references.items()
        ),
    )


def table_map(name: str, *paths: str, dataverse: str = "") -> TableMap:
    return TableMap(
        name=name,
        finops_table=name,
        dataverse_table=dataverse or name,
        columns=tuple(
            ColumnMap(path.replace(".", ""), path, ColumnMapType.BOTH)
            for path in ("code", *paths)
        ),
        key=(KeyPair("code", "code"),),
    )


SCHEMAS = {
    Side.FINOPS: EnvironmentSchema("erp", {}),
    Side.DATAVERSE: EnvironmentSchema(
        "crm",
        {
            "groups": table("groups", terms="terms"),
            "terms": table("terms"),
            "accounts": table("accounts", grp="groups", parent="accounts"),
        },
    ),
}


def test_a_lookup_leads_to_the_table_of_its_foreign_key() -> None:
    found = referenced_tables(
        table_map("accounts", "grp.code"), Side.DATAVERSE, SCHEMAS[Side.DATAVERSE]
    )
    assert found == {"groups"}


def test_a_declared_lookup_counts_like_a_foreign_key() -> None:
    declared = LookupDeclaration(Side.DATAVERSE, "owner", "Terms", "id")
    mapped = TableMap(
        name="accounts",
        finops_table="x",
        dataverse_table="accounts",
        columns=(ColumnMap("owner", "owner.code", ColumnMapType.BOTH),),
        key=(),
        lookups=(declared,),
    )
    found = referenced_tables(mapped, Side.DATAVERSE, SCHEMAS[Side.DATAVERSE])
    assert found == {"terms"}


def test_related_maps_come_first_and_transitively() -> None:
    maps = [
        table_map("accounts", "grp.code"),
        table_map("groups", "terms.code"),
        table_map("terms"),
        table_map("other"),
    ]
    needs = prerequisites(maps, SCHEMAS)
    assert needs["accounts"] == ("groups",)
    assert in_order(needs) == ["terms", "groups", "accounts", "other"]
    assert with_prerequisites(["accounts"], needs) == ["terms", "groups", "accounts"]
    assert with_prerequisites(["groups"], needs) == ["terms", "groups"]


def test_a_map_does_not_wait_for_itself_or_for_maps_of_its_own_table() -> None:
    maps = [
        table_map("organizations", "parent.code", dataverse="accounts"),
        table_map("people", "parent.code", dataverse="accounts"),
    ]
    assert prerequisites(maps, SCHEMAS) == {"organizations": (), "people": ()}


@pytest.mark.parametrize(
    "needs",
    [
        {"a": ("b",), "b": ("a",)},
        {"a": ("a",)},
        {"a": ("b",), "b": ("c",), "c": ("a",), "d": ("b",)},
        {"a": ("missing",)},
    ],
)
def test_a_cycle_still_gives_every_map_once(needs: dict[str, tuple[str, ...]]) -> None:
    assert sorted(in_order(needs)) == sorted(needs)
