"""Trying a filter on the rows that are there: what matches, what does not, and where a
text is wrong. Reads only, and gives up rather than take long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from syncengine.connectors.base import Connector, Reader, ReadRequest
from syncengine.errors import SetupError, TransientError
from syncengine.mapping import filters
from syncengine.mapping.compiled import Row
from syncengine.mapping.dependencies import lookup_tables
from syncengine.mapping.endpoints import Endpoint, SideSchema, side_schema
from syncengine.mapping.filters import Expression, FilterError
from syncengine.mapping.filters.expression import Not
from syncengine.mapping.model import Side, TableMap
from syncengine.mapping.problems import Problems

SECONDS = 5.0
SAMPLES = 5
COUNTED = 10_000
"""So far rows are counted where counting all of them takes too long."""

LEAST_SECONDS = 0.05

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class RowCount:
    """How many rows. With `more` not all could be counted in time: there are at least
    so many."""

    rows: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class FilterTrial:
    """What a filter does on one side of a map. With an `error` the text cannot be used
    and nothing was asked of the system.

    `columns` (the key, then what the filter tests) is the layout of the samples.
    `query` asks for the matching rows in the system's own words, `odata` is the filter
    as OData. `notes` say where nulls may be missed.
    """

    side: Side
    table: str
    text: str
    error: FilterError | None = None
    notes: tuple[str, ...] = ()
    query: str = ""
    odata: str = ""
    columns: tuple[str, ...] = ()
    matching: RowCount = RowCount(0)
    other: RowCount = RowCount(0)
    matching_sample: tuple[Row, ...] = ()
    other_sample: tuple[Row, ...] = ()


def try_filter(
    connector: Connector,
    table_map: TableMap,
    side: Side,
    text: str,
    companies: Sequence[str],
    *,
    seconds: float = SECONDS,
    samples: int = SAMPLES,
) -> FilterTrial:
    """Try `text` as the filter of one side, on the rows of the linked `companies` where
    the table belongs to companies. Takes about `seconds` at most, once connected.

    Raises SetupError `table_missing`, and what the connector raises when the system
    cannot be asked.
    """
    refused = FilterTrial(side, table_map.table(side), text)
    try:
        expression = filters.parse_filter(side, text)
        schema = _schema(connector, table_map, side)
        if expression is not None:
            expression = filters.bind_types(expression, schema.table, text)
    except FilterError as error:
        return replace(refused, error=error)
    request = _request(schema, table_map, expression, companies)
    in_scope = schema.company is None or bool(companies)
    with connector.reader() as reader:
        query = reader.query_text(request) if in_scope else ""
        patience = _Patience(reader, seconds)
        without = _without(request) if in_scope else None
        within = patience.find(request if in_scope else None, samples)
        outside = patience.find(without, samples)
    return FilterTrial(
        side=side,
        table=schema.table.name,
        text=text,
        notes=tuple(_notes(side, expression, schema, in_scope=in_scope)),
        query=query,
        odata=filters.to_odata(expression) if expression else "",
        columns=request.columns,
        matching=within.count,
        other=outside.count,
        matching_sample=within.sample,
        other_sample=outside.sample,
    )


def _schema(connector: Connector, table_map: TableMap, side: Side) -> SideSchema:
    names = {table_map.table(side)} | lookup_tables(table_map, side)
    problems = Problems()
    schema = side_schema(
        side,
        connector.tables(sorted(names)),
        table_map.table(side),
        table_map.lookups,
        problems,
        is_source=True,
    )
    if schema is None:
        finding = problems.all[0]
        raise SetupError(f"{finding.message} {finding.cure}", code="table_missing")
    return schema


def _request(
    schema: SideSchema,
    table_map: TableMap,
    expression: Expression | None,
    companies: Sequence[str],
) -> ReadRequest:
    key = _key(schema, table_map)
    tested = filters.columns(expression) if expression else ()
    return ReadRequest(
        table=schema.table.name,
        columns=tuple(dict.fromkeys([*(end.path for end in key), *tested])),
        lookups=tuple(dict.fromkeys(end.lookup for end in key if end.lookup)),
        predicate=expression,
        company=schema.company,
        companies=tuple(companies) if schema.company else (),
    )


def _key(schema: SideSchema, table_map: TableMap) -> list[Endpoint]:
    """What tells the samples apart: the company, and the integration key as far as the
    table has it, else the table's own key."""
    problems = Problems()
    company = schema.company_endpoint(problems)
    paths: Sequence[str] = [pair.on(schema.side) for pair in table_map.key]
    found = [schema.resolve(path, problems) for path in paths]
    if not any(found):
        found = [schema.resolve(name, problems) for name in schema.table.primary_key]
    return [end for end in (company, *found) if end is not None]


def _without(request: ReadRequest) -> ReadRequest | None:
    """The rows in scope that do not match; None where all do."""
    if request.predicate is None:
        return None
    return replace(request, predicate=Not(request.predicate))


def _notes(
    side: Side, expression: Expression | None, schema: SideSchema, *, in_scope: bool
) -> Iterator[str]:
    """What an administrator may not expect of this filter."""
    if not in_scope:
        yield "No legal entity is linked, so no row is in scope."
    if expression is None:
        return
    test = "== null" if side is Side.FINOPS else "eq null"
    for name in filters.empty_text_tests(expression):
        if _nullable(schema, name):
            yield (
                f'{name} is compared with "", which a null is not; rows without a '
                f"value are found with {name} {test}."
            )
    for name in filters.no_date_tests(expression) if side is Side.FINOPS else ():
        if _nullable(schema, name):
            yield (
                f"{name} is compared with 1900-01-01, which a null is not; rows "
                f"without a date are found with {name} {test}."
            )


def _nullable(schema: SideSchema, name: str) -> bool:
    column = schema.table.column(name)
    return column is not None and column.nullable


@dataclass(frozen=True, slots=True)
class _Found:
    count: RowCount = RowCount(0)
    sample: tuple[Row, ...] = ()


class _Patience:
    """Asks a reader within a time, of which no single question may take over half of
    what is left."""

    def __init__(self, reader: Reader, seconds: float) -> None:
        self._reader = reader
        self._deadline = time.monotonic() + seconds

    def find(self, request: ReadRequest | None, samples: int) -> _Found:
        """The count and some of the rows; nothing of no request."""
        if request is None:
            return _Found()
        reader = self._reader
        found = self._ask(lambda: reader.sample(request, samples))
        sample = tuple(found or ())
        if found is not None and len(found) < samples:
            return _Found(RowCount(len(found)), sample)
        count = self._ask(lambda: reader.count(request))
        if count is None:
            count = self._ask(lambda: reader.count(request, COUNTED))
            if count is None or count == COUNTED:
                return _Found(RowCount(count or len(sample), more=True), sample)
        return _Found(RowCount(count), sample)

    def _ask(self, question: Callable[[], _Answer]) -> _Answer | None:
        """The answer, or None when it did not come in time."""
        left = (self._deadline - time.monotonic()) / 2
        self._reader.limit(max(left, LEAST_SECONDS))
        try:
            return question()
        except TransientError as error:
            if error.code != "cancelled":
                raise
            return None
