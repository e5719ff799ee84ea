"""Finds a map's integration key in the original product's description of tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from syncengine.mapping.json_nodes import JsonObject, JsonReader
from syncengine.mapping.model import ColumnMap, KeyPair


def integration_key(
    reader: JsonReader,
    environments: Any,
    environment: str,
    table: str,
    columns: Sequence[ColumnMap],
) -> tuple[KeyPair, ...]:
    """The key of `table` as pairs of mapped columns, without the company, which is
    part of every key by itself. Empty when nothing is said, or, noted as left over,
    when a column of the key is not mapped."""
    lines = {
        line.dataverse.casefold(): line
        for line in columns
        if line.dataverse and line.finops
    }
    for schema, place in _schemas(environments, environment, table):
        company = {
            name.casefold()
            for name in (
                schema.get("primaryCompanyContextField"),
                *_list(schema.get("companyContextFields")),
            )
            if isinstance(name, str)
        }
        for i, key in enumerate(_list(schema.get("keys"))):
            if (
                not isinstance(key, JsonObject)
                or key.get("isIntegrationKey") is not True
            ):
                continue
            at = f"{place}.keys[{i}].fields"
            names = [
                name
                for name in (reader.text(f, at) for f in _list(key.get("fields")))
                if name.partition(".")[0].casefold() not in company
            ]
            missing = [name for name in names if name.casefold() not in lines]
            if missing:
                reason = f"The map has no line for {', '.join(missing)}."
                reader.leftover(at, key.get("fields"), reason)
                return ()
            found = [lines[name.casefold()] for name in names]
            return tuple(
                KeyPair(line.finops or "", line.dataverse or "") for line in found
            )
    return ()


def _schemas(
    environments: Any, environment: str, table: str
) -> Iterator[tuple[JsonObject, str]]:
    for i, system in enumerate(_list(environments)):
        if not isinstance(system, JsonObject):
            continue
        if environment and system.get("name") != environment:
            continue
        for j, schema in enumerate(_list(system.get("schemas"))):
            if isinstance(schema, JsonObject) and (
                str(schema.get("name")).casefold() == table.casefold()
            ):
                yield schema, f"environments[{i}].schemas[{j}]"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
