"""What one direction of a map means on two real schemas, and all that is wrong with it.

`analyse` never raises: it returns resolved lines, the key and every problem found.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from syncengine.errors import EngineError
from syncengine.mapping import filters
from syncengine.mapping.computed import check_shape
from syncengine.mapping.endpoints import Endpoint, SideSchema, side_schema
from syncengine.mapping.filters import Expression
from syncengine.mapping.lines import Line, make_line
from syncengine.mapping.model import (
    ColumnMap,
    Direction,
    HealthFinding,
    KeyPair,
    LegalEntityPair,
    Severity,
    Side,
    TableMap,
)
from syncengine.mapping.paths import column_of
from syncengine.mapping.problems import Problems, names_of
from syncengine.mapping.schema import EnvironmentSchema
from syncengine.mapping.targets import TargetColumn, check_lookups, target_columns


@dataclass
class Analysis:
    """The resolved direction. Usable for a leg only when it has no errors."""

    table_map: TableMap
    direction: Direction
    problems: Problems
    source: SideSchema | None = None
    target: SideSchema | None = None
    company: tuple[Endpoint, Endpoint] | None = None
    columns: list[TargetColumn] = field(default_factory=list)
    key: list[TargetColumn] = field(default_factory=list)
    predicate: Expression | None = None


def analyse(
    table_map: TableMap,
    direction: Direction,
    source: EnvironmentSchema,
    target: EnvironmentSchema,
) -> Analysis:
    """Resolve one direction of a map."""
    problems = Problems()
    result = Analysis(table_map, direction, problems)
    declared = table_map.lookups
    for side, environment in ((direction.source, source), (direction.target, target)):
        is_source = side is direction.source
        found = side_schema(
            side,
            environment,
            table_map.table(side),
            declared,
            problems,
            is_source=is_source,
        )
        if is_source:
            result.source = found
        else:
            result.target = found
    _share_mapped_company(result)
    own = _without_company_columns(result)
    _check_pairs(own, problems)
    lines = _lines(result, own)
    _check_key(result, lines)
    if result.source and result.target:
        _resolve_company(result, result.source, result.target)
        _check_targets(result, result.source, result.target, own)
        check_lookups(result.columns, result.key, result.target, problems)
        _read_filter(result, result.source)
    return result


def _share_mapped_company(result: Analysis) -> None:
    """A map between a shared table and one that has a company, which is mapped as a
    part of the key, treats the company as any other reference (so does `Ledger`)."""
    source, target = result.source, result.target
    if source is None or target is None:
        return
    if (source.company is None) == (target.company is None):
        return
    owner = source if source.company else target
    if any(_is_company(owner, pair.on(owner.side)) for pair in result.table_map.key):
        shared = replace(owner, company=None)
        if owner is source:
            result.source = shared
        else:
            result.target = shared


def _is_company(schema: SideSchema, path: str) -> bool:
    rule = schema.company
    return rule is not None and column_of(path).casefold() == rule.column.casefold()


def _without_company_columns(result: Analysis) -> list[ColumnMap]:
    """The column maps less those that map the company, which is noted."""
    own = []
    for column_map in result.table_map.columns:
        mapped = [
            path
            for schema in (result.source, result.target)
            if schema
            and (path := column_map.on(schema.side))
            and _is_company(schema, path)
        ]
        if not mapped:
            own.append(column_map)
            continue
        result.problems.add(
            "DIPV1002",
            f"{mapped[0]} is the company of the row, which is part of every key by "
            "itself.",
            place=mapped[0],
            cure="Remove this line; linked legal entities are translated without it.",
            subject=("company-column", *names_of(column_map)),
        )
    return own


def _check_pairs(columns: Sequence[ColumnMap], problems: Problems) -> None:
    seen: set[tuple[str, str]] = set()
    for column_map in columns:
        if column_map.finops is None or column_map.dataverse is None:
            continue
        pair = (column_map.finops.casefold(), column_map.dataverse.casefold())
        if pair in seen:
            problems.add(
                "DIPV1029",
                f"{column_map.finops} and {column_map.dataverse} are mapped to each "
                "other more than once.",
                place=column_map.finops,
                cure="Remove the second line; one line can flow both ways.",
                subject=("pair", *pair),
            )
        seen.add(pair)


def _lines(
    result: Analysis, columns: Sequence[ColumnMap]
) -> list[tuple[ColumnMap, Line | None]]:
    """Every column map with its line; None where it does not flow or is faulty."""
    return [
        (
            column_map,
            _line(result, column_map)
            if column_map.type.flows(result.direction)
            else None,
        )
        for column_map in columns
    ]


def _line(result: Analysis, column_map: ColumnMap) -> Line | None:
    direction, problems = result.direction, result.problems
    source_path = column_map.on(direction.source)
    target_path = column_map.on(direction.target)
    place = target_path or source_path or result.table_map.name
    if column_map.computed and not check_shape(column_map, problems, place):
        return None
    if target_path is None:
        problems.add(
            "DIPV1024",
            f"The line of {source_path or 'none'} has no destination column.",
            place=place,
            cure="Choose a destination column, or turn the line the other way.",
        )
    target = (
        result.target.resolve(target_path, problems)
        if result.target and target_path
        else None
    )
    constant = source_path is None and not column_map.computed
    if constant and column_map.default is None:
        required = target is not None and target.column.required
        problems.add(
            "DIPV1031" if required else "DIPV1021",
            f"The destination column {target_path or 'none'} has neither a source "
            "column nor a default value.",
            place=place,
            cure="Choose a source column or give a default.",
        )
    source = (
        result.source.resolve(source_path, problems)
        if result.source and source_path
        else None
    )
    if column_map.value_map is not None and column_map.values is None:
        problems.add(
            "VMAP125",
            f"There is no value map {column_map.value_map}.",
            place=place,
            cure="Create the value map, or name another.",
            subject=("value-map", *names_of(column_map)),
        )
        return None
    if target is None or (source is None and source_path is not None):
        return None
    if result.source is None or (constant and column_map.default is None):
        return None
    return make_line(problems, direction, column_map, source, target, result.source)


def _check_key(
    result: Analysis, lines: Sequence[tuple[ColumnMap, Line | None]]
) -> None:
    table_map, problems = result.table_map, result.problems
    if not table_map.key:
        problems.add(
            "DIPV1003",
            f"Map {table_map.name} has no integration key.",
            place=table_map.dataverse_table,
            cure="Choose the columns that identify a record on both sides.",
        )
    two_way = all(table_map.flows(direction) for direction in Direction)
    keyed: list[Line] = []
    for pair in dict.fromkeys(table_map.key):
        found = next((entry for entry in lines if _is_pair(entry[0], pair)), None)
        if found is None:
            problems.add(
                "DIPV1014",
                f"The key column pair {pair.finops} / {pair.dataverse} is not mapped.",
                place=pair.dataverse,
                cure="Map both columns to each other.",
            )
            continue
        column_map, line = found
        ways = [column_map.type.flows(direction) for direction in Direction]
        if two_way and not all(ways):
            problems.add(
                "DIPV1004",
                f"The key column {pair.dataverse} flows one way only, but the map "
                "flows both ways.",
                place=pair.dataverse,
                cure="Let the key column flow both ways.",
            )
        elif not column_map.type.flows(result.direction):
            problems.add(
                "DIPV1014",
                f"The key column {pair.dataverse} does not flow in the direction of "
                "the map.",
                place=pair.dataverse,
                cure="Let the key column flow the way the map does.",
            )
        elif line is not None:
            keyed.append(line)
    for line in keyed:
        if line.guard is not None:
            problems.add(
                "VMAP124",
                f"{line.target.path} is a key column, so what is written cannot depend "
                "on its present value.",
                place=line.target.path,
                cure="Leave out sticky and present for key columns.",
                subject=("guard", *names_of(line.column_map)),
            )
    result.columns = target_columns([line for _, line in lines if line is not None])
    for line in keyed:
        filled = next(column for column in result.columns if line in column.lines)
        if filled not in result.key:
            result.key.append(filled)


def _is_pair(column_map: ColumnMap, pair: KeyPair) -> bool:
    return all(
        (column_map.on(side) or "").casefold() == pair.on(side).casefold()
        for side in Side
    )


def _resolve_company(result: Analysis, source: SideSchema, target: SideSchema) -> None:
    if (source.company is None) != (target.company is None):
        owner, other = (source, target) if source.company else (target, source)
        result.problems.add(
            "DIPV1002",
            f"{owner.table.name} belongs to single companies, {other.table.name} is "
            "shared by all.",
            place=result.table_map.table(owner.side),
            cure="Map tables of the same kind: both by company or both shared.",
            subject=("company-mix",),
        )
        return
    ends = [side.company_endpoint(result.problems) for side in (source, target)]
    if ends[0] and ends[1]:
        result.company = (ends[0], ends[1])


def _check_targets(
    result: Analysis,
    source: SideSchema,
    target: SideSchema,
    columns: Sequence[ColumnMap],
) -> None:
    """Columns used twice, and mandatory columns nobody fills."""
    problems = result.problems
    flowing = [c for c in columns if c.type.flows(result.direction)]
    for schema, code in ((target, "DIPV1026"), (source, "DIPV1023")):
        seen: list[tuple[str, str | None]] = []
        for column_map in flowing:
            backwards = column_map.type.flows(result.direction.reverse)
            path = column_map.on(schema.side)
            other = column_map.on(schema.side.other)
            if path is None or (schema.is_source and (not backwards or other is None)):
                continue
            partner = other.casefold() if other else None
            if any(
                _clash(path, former) and (partner is None or partner != its_partner)
                for former, its_partner in seen
            ):
                problems.add(
                    code,
                    f"The {schema.word} column {path} is mapped more than once.",
                    place=path,
                    cure="Keep one line for the column.",
                    subject=("twice", schema.side, path.casefold()),
                )
            seen.append((path, partner))
    named = {
        column_of(path).casefold()
        for column_map in flowing
        if (path := column_map.on(result.direction.target))
    }
    named.update(
        column_of(pair.on(target.side)).casefold() for pair in result.table_map.key
    )
    if rule := target.company:
        named.add(rule.column.casefold())
    for column in target.table.columns:
        if column.required and column.writable and column.name.casefold() not in named:
            problems.add(
                "DIPV1010",
                f"The mandatory destination column {column.name} is not mapped.",
                place=column.name,
                cure="Map it, or write a constant into it.",
            )


def _clash(path: str, other: str) -> bool:
    """True when two lines cannot both stand: they name the same column, and not
    different parts of the natural key it refers to."""
    if column_of(path).casefold() != column_of(other).casefold():
        return False
    parts = all("." in each and "(" not in each for each in (path, other))
    return not parts or path.casefold() == other.casefold()


def _read_filter(result: Analysis, source: SideSchema) -> None:
    text = result.table_map.filter(source.side)
    try:
        expression = filters.parse_filter(source.side, text)
        if expression is not None:
            result.predicate = filters.bind_types(expression, source.table, text)
            _warn_of_missed_nulls(result, source, result.predicate)
    except EngineError as error:
        result.problems.add(
            "900" if source.side is Side.FINOPS else "DIPV1012",
            error.message,
            place=source.table.name,
            cure="Correct the filter.",
            subject=("filter", source.side),
        )


def _warn_of_missed_nulls(
    result: Analysis, source: SideSchema, predicate: Expression
) -> None:
    blanks = [(name, '""') for name in filters.empty_text_tests(predicate)]
    if source.side is Side.FINOPS:
        dates = filters.no_date_tests(predicate)
        blanks += [(name, "1 January 1900 (no date)") for name in dates]
    for name, blank in blanks:
        column = source.table.column(name)
        if column is not None and column.nullable:
            result.problems.add(
                "VMAP103",
                f"The filter compares {name} with {blank}, which a null is not; rows "
                "without a value may be missed.",
                place=name,
                cure=f"Test {name} for null as well.",
                severity=Severity.WARNING,
            )


def key_findings(result: Analysis) -> list[HealthFinding]:
    """Whether the target's own keys support the integration key, and whether columns
    of it may be empty on either side (spec sync 12.1)."""
    found: list[HealthFinding] = []
    target = result.target
    if target is None or not result.key or result.problems.errors:
        return found
    names = [column.endpoint.column.name for column in result.key]
    if result.company:
        names.insert(0, result.company[1].column.name)
    if not target.table.is_unique(frozenset(names)):
        found.append(
            HealthFinding(
                "5100",
                Severity.ERROR,
                f"No unique key of {target.table.name} consists of {', '.join(names)}.",
                target.table.name,
                "Create a unique key on these columns, or choose another integration "
                "key.",
            )
        )
    for key in result.key:
        ends: list[tuple[SideSchema | None, Endpoint]] = [(target, key.endpoint)]
        ends += [(result.source, line.source) for line in key.lines if line.source]
        for schema, end in ends:
            if schema and end.column.nullable:
                text = result.table_map.filter(schema.side)
                found += _may_be_empty(schema, end, text)
    return found


def _may_be_empty(
    schema: SideSchema, end: Endpoint, filter_text: str
) -> list[HealthFinding]:
    """Nothing where the filter passes over records without the key."""
    empty = filters.is_null(end.column.name)
    with suppress(EngineError):
        expression = filters.parse_filter(schema.side, filter_text)
        if filters.exclude_each_other(expression, empty):
            return []
    return [
        HealthFinding(
            "5200" if schema.side is Side.DATAVERSE else "2000",
            Severity.WARNING,
            f"The key column {end.column.name} of {schema.table.name} may be empty; "
            "such records cannot be carried over.",
            end.path,
            "Make the column mandatory.",
        )
    ]


def companies(
    legal_entities: Sequence[LegalEntityPair], direction: Direction
) -> dict[str, str]:
    """Linked company codes, source -> target."""
    return {
        pair.on(direction.source): pair.on(direction.target) for pair in legal_entities
    }
