"""Configuration as a file (architecture section 10): strict to read, exact to write.

Scalars are taken as they are written, so `No`, `1.0` and `007` stay text; only plain
`true` and `false` become `True` and `False`, and an empty or `null` value is no value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from syncengine.mapping.file_columns import column_content, pairs_content, read_column
from syncengine.mapping.file_examples import example_content, read_example
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    ConflictPolicy,
    Direction,
    KeyPair,
    LegalEntityPair,
    LookupDeclaration,
    OnError,
    OnFilterExit,
    Side,
    TableMap,
    ValueMap,
)
from syncengine.mapping.nodes import FileError, FileProblem, NodeReader
from syncengine.mapping.schema import CompanyRule

__all__ = [
    "ConnectionSetFile",
    "Document",
    "EnvironmentFile",
    "FileError",
    "FileProblem",
    "MapFile",
    "dump_document",
    "parse_document",
]

_VERSION = re.compile(r"\d{1,9}(?:\.\d{1,9}){3}", re.ASCII)
_VARIABLE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_]\w*)\})?", re.ASCII)


@dataclass(frozen=True)
class EnvironmentFile:
    """An environment as a file describes it. `dsn` is secret."""

    name: str
    role: Side
    connector: str
    dsn: str = field(repr=False)
    schema: str = "public"
    company: CompanyRule | None = None


@dataclass(frozen=True)
class ConnectionSetFile:
    """A link of two environments by name, with its legal entities."""

    name: str
    finops: str
    dataverse: str
    legal_entities: tuple[LegalEntityPair, ...] = ()


@dataclass(frozen=True)
class MapFile:
    """A table map and the connection set it belongs to."""

    connection_set: str
    table_map: TableMap


@dataclass(frozen=True)
class Document:
    """All a file says."""

    environments: tuple[EnvironmentFile, ...] = ()
    connection_sets: tuple[ConnectionSetFile, ...] = ()
    maps: tuple[MapFile, ...] = ()
    value_maps: tuple[ValueMap, ...] = ()


def parse_document(text: str, variables: Mapping[str, str] | None = None) -> Document:
    """Read a configuration file; FileError lists everything wrong with it.

    `${NAME}` in a dsn is replaced by `variables[NAME]`; `$${` stands for `${`. A key
    pair of which no column is mapped gets a line of its own, first in the map. A line
    with `value_map` and no values takes those of the file's value map of that name;
    where the file has none, the line stays without.
    """
    reader = NodeReader(text)
    root = reader.compose()
    fields = reader.mapping(
        root, "", optional=("environments", "connection_sets", "value_maps", "maps")
    )
    value_maps = tuple(
        _value_map(reader, node, place)
        for node, place in reader.items(fields, "value_maps", "")
    )
    shared = {entry.name: entry.values for entry in value_maps}
    document = Document(
        tuple(
            _environment(reader, node, place, variables or {})
            for node, place in reader.items(fields, "environments", "")
        ),
        tuple(
            _connection_set(reader, node, place)
            for node, place in reader.items(fields, "connection_sets", "")
        ),
        tuple(
            _map(reader, node, place, shared)
            for node, place in reader.items(fields, "maps", "")
        ),
        value_maps,
    )
    _check_names(reader, document)
    reader.finish()
    return document


def _environment(
    reader: NodeReader, node: yaml.Node, place: str, variables: Mapping[str, str]
) -> EnvironmentFile:
    fields = reader.mapping(
        node,
        place,
        required=("name", "role", "connector", "dsn"),
        optional=("schema", "company"),
    )
    company = None
    if "company" in fields:
        company = _company(reader, fields["company"], f"{place}.company")
    return EnvironmentFile(
        name=reader.text(fields, "name", place),
        role=reader.choice(fields, "role", place, Side, Side.FINOPS),
        connector=reader.text(fields, "connector", place),
        dsn=_dsn(reader, fields, place, variables),
        schema=reader.text(fields, "schema", place, "public"),
        company=company,
    )


def _company(reader: NodeReader, node: yaml.Node, place: str) -> CompanyRule:
    fields = reader.mapping(
        node, place, required=("column",), optional=("lookup", "also")
    )
    also = tuple(
        reader.scalar(entry, at) or ""
        for entry, at in reader.items(fields, "also", place)
    )
    lookup = reader.text(fields, "lookup", place, "")
    if not lookup:
        return CompanyRule(reader.text(fields, "column", place), also=also)
    table, _, column = lookup.rpartition(".")
    if not table or not column:
        reader.problem(
            f"{place}.lookup",
            f"{lookup} must be written as table.column.",
            fields.get("lookup"),
        )
    return CompanyRule(reader.text(fields, "column", place), table, column, also)


def _dsn(
    reader: NodeReader,
    fields: Mapping[str, yaml.Node],
    place: str,
    variables: Mapping[str, str],
) -> str:
    def value(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        name = found[1]
        if name is None:
            reader.problem(
                f"{place}.dsn",
                "After ${ comes a variable's name and } (write $${ for the text ${).",
                fields["dsn"],
            )
        elif name not in variables:
            reader.problem(
                f"{place}.dsn",
                f"The environment variable {name} is not set.",
                fields["dsn"],
            )
        else:
            return variables[name]
        return ""

    return _VARIABLE.sub(value, reader.text(fields, "dsn", place))


def _connection_set(
    reader: NodeReader, node: yaml.Node, place: str
) -> ConnectionSetFile:
    fields = reader.mapping(
        node,
        place,
        required=("name", "finops", "dataverse"),
        optional=("legal_entities",),
    )
    pairs = []
    for entry, at in reader.items(fields, "legal_entities", place):
        codes = reader.mapping(entry, at, required=("finops", "dataverse"))
        pairs.append(
            LegalEntityPair(
                reader.text(codes, "finops", at), reader.text(codes, "dataverse", at)
            )
        )
    return ConnectionSetFile(
        name=reader.text(fields, "name", place),
        finops=reader.text(fields, "finops", place),
        dataverse=reader.text(fields, "dataverse", place),
        legal_entities=tuple(pairs),
    )


def _value_map(reader: NodeReader, node: yaml.Node, place: str) -> ValueMap:
    fields = reader.mapping(node, place, required=("name", "values"))
    return ValueMap(
        reader.text(fields, "name", place), reader.pairs(fields, "values", place) or ()
    )


def _map(
    reader: NodeReader,
    node: yaml.Node,
    place: str,
    shared: Mapping[str, tuple[tuple[str, str], ...]],
) -> MapFile:
    fields = reader.mapping(
        node,
        place,
        required=("name", "connection_set", "finops", "dataverse", "columns"),
        optional=(
            "publisher",
            "version",
            "key",
            "filter",
            "reversed_filter",
            "conflict",
            "on_error",
            "on_filter_exit",
            "lookups",
            "examples",
        ),
    )
    version = reader.text(fields, "version", place, "1.0.0.0")
    if not _VERSION.fullmatch(version):
        reader.problem(
            f"{place}.version",
            f"{version} must be four numbers with dots, like 1.0.0.0.",
            fields.get("version"),
        )
    keys = [
        KeyPair(*reader.pair(entry, at))
        for entry, at in reader.items(fields, "key", place)
    ]
    columns = [
        read_column(reader, entry, at, shared)
        for entry, at in reader.items(fields, "columns", place)
    ]
    table_map = TableMap(
        name=reader.text(fields, "name", place),
        finops_table=reader.text(fields, "finops", place),
        dataverse_table=reader.text(fields, "dataverse", place),
        columns=(*_key_lines(keys, columns), *columns),
        key=tuple(keys),
        publisher=reader.text(fields, "publisher", place, ""),
        version=version,
        finops_filter=reader.text(fields, "filter", place, ""),
        dataverse_filter=reader.text(fields, "reversed_filter", place, ""),
        conflict=reader.choice(
            fields,
            "conflict",
            place,
            ConflictPolicy,
            ConflictPolicy.LAST_WRITER_WINS,
        ),
        on_error=reader.choice(fields, "on_error", place, OnError, OnError.TRANSACTION),
        on_filter_exit=reader.choice(
            fields, "on_filter_exit", place, OnFilterExit, OnFilterExit.LEAVE
        ),
        lookups=tuple(
            _lookup(reader, entry, at)
            for entry, at in reader.items(fields, "lookups", place)
        ),
        examples=tuple(
            read_example(reader, entry, at)
            for entry, at in reader.items(fields, "examples", place)
        ),
    )
    return MapFile(reader.text(fields, "connection_set", place), table_map)


def _key_lines(
    keys: Sequence[KeyPair], columns: Sequence[ColumnMap]
) -> list[ColumnMap]:
    """Lines for key pairs of which a file maps neither column: naming them as the key
    is enough. They flow the ways the rest of the map flows."""
    mapped = {
        (side, path.casefold())
        for column_map in columns
        for side in Side
        if (path := column_map.on(side))
    }
    ways = {
        direction
        for column_map in columns
        for direction in Direction
        if column_map.has_source(direction)
    }
    type_ = ColumnMapType.BOTH
    if ways == {Direction.FINOPS_TO_DATAVERSE}:
        type_ = ColumnMapType.TO_DATAVERSE
    elif ways == {Direction.DATAVERSE_TO_FINOPS}:
        type_ = ColumnMapType.TO_FINOPS
    return [
        ColumnMap(pair.finops, pair.dataverse, type_)
        for pair in dict.fromkeys(keys)
        if not any((side, pair.on(side).casefold()) in mapped for side in Side)
    ]


def _lookup(reader: NodeReader, node: yaml.Node, place: str) -> LookupDeclaration:
    fields = reader.mapping(
        node, place, required=("side", "column", "table", "reference")
    )
    return LookupDeclaration(
        reader.choice(fields, "side", place, Side, Side.DATAVERSE),
        reader.text(fields, "column", place),
        reader.text(fields, "table", place),
        reader.text(fields, "reference", place),
    )


def _check_names(reader: NodeReader, document: Document) -> None:
    """Names are given once, and the sides of a link have their roles."""
    for what, names in (
        ("environments", [(entry.name,) for entry in document.environments]),
        ("connection_sets", [(entry.name,) for entry in document.connection_sets]),
        ("value_maps", [(entry.name,) for entry in document.value_maps]),
        (
            "maps",
            [(entry.table_map.name, entry.connection_set) for entry in document.maps],
        ),
    ):
        for i, name in enumerate(names):
            if name[0] and name in names[:i]:
                reader.problem(
                    f"{what}[{i}].name", f"The name {name[0]} is given twice."
                )
    roles = {entry.name: entry.role for entry in document.environments}
    for i, link in enumerate(document.connection_sets):
        for side, other in (
            (Side.FINOPS, link.finops),
            (Side.DATAVERSE, link.dataverse),
        ):
            if roles.get(other, side) is not side:
                reader.problem(
                    f"connection_sets[{i}].{side}",
                    f"The environment {other} has the role {roles[other]}.",
                )


class _Dumper(yaml.SafeDumper):
    """Writes texts with breaks or invisible characters with escapes."""


def _write_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)


def dump_document(
    document: Document, *, dsn_variables: Mapping[str, str] | None = None
) -> str:
    """The document as YAML; `parse_document` gives the same document back.

    For environments named in `dsn_variables` the dsn is written as `${VARIABLE}`, so
    that no secret leaves.
    """
    variables = dsn_variables or {}
    shared = {entry.name: entry.values for entry in document.value_maps}
    content: dict[str, Any] = {
        "environments": [
            _environment_content(entry, variables.get(entry.name))
            for entry in document.environments
        ],
        "connection_sets": [
            {
                "name": link.name,
                "finops": link.finops,
                "dataverse": link.dataverse,
                "legal_entities": [
                    {"finops": pair.finops, "dataverse": pair.dataverse}
                    for pair in link.legal_entities
                ],
            }
            for link in document.connection_sets
        ],
        "value_maps": [
            {"name": entry.name, "values": pairs_content(entry.values)}
            for entry in document.value_maps
        ],
        "maps": [_map_content(entry, shared) for entry in document.maps],
    }
    return yaml.dump(
        {name: entries for name, entries in content.items() if entries},
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=1_000,
    )


def _environment_content(
    entry: EnvironmentFile, variable: str | None
) -> dict[str, Any]:
    content: dict[str, Any] = {
        "name": entry.name,
        "role": str(entry.role),
        "connector": entry.connector,
        "dsn": f"${{{variable}}}" if variable else entry.dsn.replace("${", "$${"),
        "schema": entry.schema,
    }
    if entry.company:
        content["company"] = {"column": entry.company.column}
        if entry.company.lookup_table and entry.company.lookup_column:
            content["company"]["lookup"] = (
                f"{entry.company.lookup_table}.{entry.company.lookup_column}"
            )
        if entry.company.also:
            content["company"]["also"] = list(entry.company.also)
    return content


def _map_content(
    entry: MapFile, shared: Mapping[str, tuple[tuple[str, str], ...]]
) -> dict[str, Any]:
    table_map = entry.table_map
    content: dict[str, Any] = {
        "name": table_map.name,
        "connection_set": entry.connection_set,
        "finops": table_map.finops_table,
        "dataverse": table_map.dataverse_table,
        "publisher": table_map.publisher,
        "version": table_map.version,
        "key": [[pair.finops, pair.dataverse] for pair in table_map.key],
        "filter": table_map.finops_filter,
        "reversed_filter": table_map.dataverse_filter,
        "conflict": str(table_map.conflict),
        "on_error": str(table_map.on_error),
        "on_filter_exit": str(table_map.on_filter_exit),
        "lookups": [
            {
                "side": str(lookup.side),
                "column": lookup.column,
                "table": lookup.table,
                "reference": lookup.reference,
            }
            for lookup in table_map.lookups
        ],
        "columns": [
            column_content(column_map, shared) for column_map in table_map.columns
        ],
        "examples": [example_content(example) for example in table_map.examples],
    }
    silent = {"publisher", "filter", "reversed_filter", "lookups", "examples"}
    return {
        name: value for name, value in content.items() if value or name not in silent
    }
