"""Which kind of value each column holds.

A plain line carries values as they are, so both of its ends, and the key that a
lookup leads to, are of one kind. The names decide, the FinOps one first; where a line
has a value map or a constant, its values do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import cache

from portal.sample.ready_made.paths import ends
from syncengine.catalog import CatalogEntry, entries
from syncengine.mapping.model import ColumnMap, Side


class Kind(StrEnum):
    """Kinds of values, each with its type in PostgreSQL."""

    CODE = "varchar(60)"
    TEXT = "varchar(255)"
    LONG_TEXT = "text"
    WORD = "varchar(80)"
    INTEGER = "integer"
    BIG_INTEGER = "bigint"
    DECIMAL = "numeric(32,6)"
    RATE = "numeric(32,16)"
    BOOLEAN = "boolean"
    DATE = "date"
    MOMENT = "timestamp with time zone"
    TIME = "time without time zone"
    GUID = "uuid"


Node = tuple[Side, str, str]
"""A side, a table and a column, in lower case."""

_BY_NAME: tuple[tuple[Kind, str], ...] = (
    (Kind.GUID, "documentid|guideid"),
    (Kind.BIG_INTEGER, ".*recordid"),
    (Kind.TIME, "available(from|to)time"),
    (Kind.DECIMAL, "totaldiscountcustomergroupcode|withholdingtaxroundoff|roundoff"),
    (
        Kind.INTEGER,
        "line|.*linenumber|linecreationsequencenumber|aislenumber|referenceid"
        "|displayorder|displaysequencenumber|modelyear|person(birth|anniversary)day"
        "|person(birth|anniversary)year|organizationnumofemployees|companysize"
        "|organizationemployeeamount|dayofmonth|cutoffdayofmonth|numberof.*"
        "|maximumnumberofpositions|.*days|.*seconds|.*decimalprecision"
        "|warehouseworkpriority|redeemranking|.*timevalue|paymentfrequency"
        "|periodsafterduedate|schemaversion|.*sortordercode|numerator|denominator"
        "|maximumloyaltyrewardpoints",
    ),
    (
        Kind.MOMENT,
        "valid(from|to)|.*(effective|expiration)|activation|retirement|active(from|to)"
        "|availableforassignment|.*datetime|createdon|lastmodifiedon",
    ),
    (
        Kind.DATE,
        ".*date|receiptdaterequested|loyaltyenrollmentdatelocal|.*datefromvend",
    ),
    (Kind.RATE, "rate|factor|inneroffset|outeroffset"),
    (
        Kind.DECIMAL,
        ".*(amount|price|cost|quantity|percentage|charges|factor|ratio|weight|volume"
        "|height|width|depth|latitude|longitude|multiples|precision|equivalent|distance"
        "|aboveground)|creditlimit|percentoramountvalue|replacementvalue"
        "|potencybaseattibutetargetvalue|.*ruleweight",
    ),
    (
        Kind.LONG_TEXT,
        "notes|salesmemo|comments|formatted.*address|jobdescription|reasoncomment"
        "|attentioninformation|categorydescription|productdescription|personhobbies",
    ),
    (Kind.TEXT, ".*(name|description|street|url|address|email|alias|title|locator)"),
)
_PATTERNS = tuple((kind, re.compile(pattern)) for kind, pattern in _BY_NAME)
_DATE = re.compile(r"\d+/\d+/\d{4}")
_BOOLEANS = frozenset({"true", "false"})

_FILTERED: dict[Node, Kind] = {
    (Side.FINOPS, "prospects", "isb2bprospect"): Kind.BOOLEAN,
    (Side.DATAVERSE, "contacts", "msdyn_sellable"): Kind.BOOLEAN,
    (Side.DATAVERSE, "quotes", "statecode"): Kind.INTEGER,
}
"""Columns whose kind a filter asks for, most of which no line names."""


class UnclearKind(Exception):
    """Two lines of the catalog ask for different kinds of one column."""


@cache
def kinds() -> dict[Node, Kind]:
    """The kind of each mapped column that is no reference."""
    groups = _Groups()
    told: dict[Node, Kind] = {}
    for entry in entries():
        for line in entry.columns:
            finops, dataverse = _nodes(entry, line)
            for node in (*finops, *dataverse):
                groups.root(node)
            if finops and dataverse and not line.values:
                groups.join(finops[0], dataverse)
            for nodes, words in (
                (finops, _words(line, Side.FINOPS)),
                (dataverse, _words(line, Side.DATAVERSE)),
            ):
                if words:
                    for node in nodes:
                        _tell(told, node, _of_words(words))
    found: dict[Node, Kind] = {}
    for members in groups.members():
        kinds_told = {told[node] for node in members if node in told}
        if len(kinds_told) > 1:
            raise UnclearKind(f"{sorted(members)}: {sorted(kinds_told)}")
        kind = kinds_told.pop() if kinds_told else _of_names(members)
        found.update(dict.fromkeys(members, kind))
    return found | _FILTERED


def _nodes(entry: CatalogEntry, line: ColumnMap) -> tuple[list[Node], list[Node]]:
    finops = (
        [(Side.FINOPS, entry.finops_table, line.finops.lower())]
        if (line.finops)
        else []
    )
    dataverse = [
        (Side.DATAVERSE, table, column.lower())
        for table, column in (ends(entry, line.dataverse) if line.dataverse else ())
    ]
    return finops, dataverse


def _words(line: ColumnMap, side: Side) -> list[str]:
    """The values the line itself writes down for a side."""
    if line.values:
        return [pair[side is Side.DATAVERSE] for pair in line.values]
    if line.default is not None and line.on(side) and not line.on(side.other):
        return [line.default]
    return []


def _tell(told: dict[Node, Kind], node: Node, kind: Kind) -> None:
    if told.setdefault(node, kind) is not kind:
        raise UnclearKind(f"{node}: {told[node].name} and {kind.name}")


def _of_words(words: Iterable[str]) -> Kind:
    given = [word.lower() for word in words if word.lower() != "blank"]
    if not given or all(_DATE.fullmatch(word) for word in given):
        return Kind.DATE
    if all(word.lstrip("-").isdigit() for word in given):
        return Kind.INTEGER
    if all(re.fullmatch(r"-?\d+\.\d+", word) for word in given):
        return Kind.RATE
    return Kind.BOOLEAN if set(given) <= _BOOLEANS else Kind.WORD


def _of_names(members: Iterable[Node]) -> Kind:
    ordered = sorted(members, key=lambda node: (node[0] is not Side.FINOPS, node))
    for _, _, name in ordered:
        for kind, pattern in _PATTERNS:
            if pattern.fullmatch(name):
                return kind
    return Kind.CODE


class _Groups:
    """Columns that must be of one kind."""

    def __init__(self) -> None:
        self._parent: dict[Node, Node] = {}

    def root(self, node: Node) -> Node:
        self._parent.setdefault(node, node)
        while self._parent[node] != node:
            node = self._parent[node]
        return node

    def join(self, node: Node, others: Iterable[Node]) -> None:
        for other in others:
            self._parent[self.root(node)] = self.root(other)

    def members(self) -> list[set[Node]]:
        found: dict[Node, set[Node]] = {}
        for node in self._parent:
            found.setdefault(self.root(node), set()).add(node)
        return list(found.values())
