"""One column map in one direction: its ends, its default and its value map."""

from __future__ import annotations

from dataclasses import dataclass, replace

from syncengine.errors import RecordError
from syncengine.mapping.computed import Computed, make_computed
from syncengine.mapping.endpoints import Endpoint, SideSchema
from syncengine.mapping.guards import Guard, Values, folded, sticky_rule
from syncengine.mapping.model import ColumnMap, Direction, Severity, Side
from syncengine.mapping.problems import Problems, mismatch, names_of
from syncengine.mapping.schema import TypeFamily
from syncengine.mapping.types import TEMPORAL_FAMILIES, compatible, parse_literal
from syncengine.mapping.value_tables import (
    BLANK,
    read_value,
    spellings,
    written_blank,
)


@dataclass(frozen=True)
class Line:
    """A column map that flows in this direction. `default` and `values` are canonical
    texts, None in `values` for no value; with `exceptions` these are not all values
    but those that are not carried as they are. Without `sources` the line is a
    constant. `guard` says over which present values a result may be written; `blanks`
    are values of the target that all mean none, folded as guards do."""

    column_map: ColumnMap
    source: Endpoint | None
    target: Endpoint
    default: str | None
    values: dict[str | None, str | None] | None = None
    exceptions: bool = False
    computed: Computed | None = None
    guard: Guard | None = None
    blanks: Values = frozenset()

    @property
    def sources(self) -> tuple[Endpoint, ...]:
        """Every end on the source that goes into the value."""
        if self.computed is not None:
            return self.computed.sources
        return () if self.source is None else (self.source,)

    @property
    def missing_value_possible(self) -> bool:
        """True when a null may reach a column that takes none."""
        if self.target.column.nullable or self.column_map.decision is not None:
            return False
        if self.values is not None and None in self.values:
            return False
        return self.default is None and any(end.nullable for end in self.sources)


def make_line(
    problems: Problems,
    direction: Direction,
    column_map: ColumnMap,
    source: Endpoint | None,
    target: Endpoint,
    source_side: SideSchema,
) -> Line | None:
    """The line with its default and its transform read as canonical texts; None
    after noting what cannot be carried."""
    if not target.column.writable:
        problems.add(
            "DIPV1011",
            f"The destination column {target.path} is read-only.",
            place=target.path,
            cure="Remove the line or let it flow the other way only.",
        )
    default = column_map.default
    if default is not None:
        try:
            default = parse_literal(default, target.value_type)
        except RecordError as error:
            message = f"The default does not fit: {error}"
            mismatch(problems, column_map, target.path, message)
            return None
    plain = Line(column_map, source, target, default)
    line: Line | None = plain
    if column_map.computed:
        computed = make_computed(column_map, source_side, target, default, problems)
        line = replace(plain, computed=computed) if computed else None
    elif column_map.values is not None and source is not None:
        line = _mapped(problems, direction, plain, source)
    elif source is not None and not compatible(source.value_type, target.value_type):
        _incompatible(problems, column_map, source, target)
        line = None
    if line is not None:
        line = _guarded(problems, direction, line)
    if line is not None:
        _warn(problems, line)
    return line


def _incompatible(
    problems: Problems, column_map: ColumnMap, source: Endpoint, target: Endpoint
) -> None:
    mismatch(
        problems,
        column_map,
        target.path,
        f"{source.path} ({source.value_type.name}) cannot be carried into "
        f"{target.path} ({target.value_type.name}).",
    )


def _mapped(
    problems: Problems, direction: Direction, line: Line, source: Endpoint
) -> Line | None:
    """The line with the value map of this direction; the first pair wins where one
    value has two. None after noting values that their columns cannot hold."""
    column_map, target = line.column_map, line.target
    values: dict[str | None, str | None] = {}
    sound = True
    for left, right in column_map.values or ():
        given, mapped = _in_order(direction, left, right)
        try:
            key = read_value(given, source.value_type)
        except RecordError as error:
            message = f"The value map does not fit {source.path}: {error}"
            mismatch(problems, column_map, source.path, message)
            sound = False
            continue
        try:
            value = read_value(mapped, target.value_type)
            value = written_blank(target.column) if value is None else value
        except RecordError as error:
            message = f"The value map does not fit {target.path}: {error}"
            mismatch(problems, column_map, target.path, message)
            sound = False
            continue
        if values.setdefault(key, value) != value:
            _ambiguous(problems, column_map, source, (key, values[key], value))
    if not sound:
        return None
    temporal = all(
        end.value_type.family in TEMPORAL_FAMILIES for end in (source, target)
    )
    exceptions = temporal and (None in values or None in values.values())
    if exceptions and not compatible(source.value_type, target.value_type):
        _incompatible(problems, column_map, source, target)
        return None
    return replace(
        line, values=values, exceptions=exceptions, blanks=_blanks(values, target)
    )


def _blanks(values: dict[str | None, str | None], target: Endpoint) -> Values:
    """What stands for no value on the target, when the value map speaks of none."""
    type_ = target.value_type
    none = spellings(None, type_)
    found = {value for key, value in values.items() if key is None or value in none}
    if not found or target.lookup is not None:
        return frozenset()
    return folded(type_, {*found, *none})


def _in_order(direction: Direction, left: str, right: str) -> tuple[str, str]:
    return (left, right) if direction.source is Side.FINOPS else (right, left)


def _ambiguous(
    problems: Problems,
    column_map: ColumnMap,
    source: Endpoint,
    found: tuple[str | None, str | None, str | None],
) -> None:
    both_ways = all(column_map.type.flows(way) for way in Direction)
    way = "Read backwards, the" if both_ways else "The"
    given, first, second = (BLANK if text is None else text for text in found)
    problems.add(
        "VMAP100",
        f"{way} value map of {source.path} is ambiguous: {given} stands for "
        f"{first} and {second}; the first is used.",
        place=source.path,
        cure="Keep one pair for each value, or let the column flow one way.",
        subject=("VMAP100", source.path, given),
        severity=Severity.WARNING,
    )


def _guarded(problems: Problems, direction: Direction, line: Line) -> Line | None:
    """The line with its guard; None after noting why it cannot have one."""
    column_map, target = line.column_map, line.target
    rules = line.computed.guards if line.computed else ()
    if target.lookup is not None and (rules or column_map.sticky):
        problems.add(
            "VMAP124",
            f"{target.path} is a lookup, so what is written cannot depend on its "
            "present value.",
            place=target.path,
            cure="Write into a plain column, or leave out sticky and present.",
            subject=("guard", *names_of(column_map)),
        )
        return None
    if column_map.sticky:
        sticky = sticky_rule(
            target.column.type,
            [
                (given, mapped, read_value(mapped, target.value_type))
                for left, right in (column_map.values or () if line.values else ())
                for given, mapped in [_in_order(direction, left, right)]
            ],
        )
        if sticky is None:
            problems.add(
                "VMAP123",
                f"The sticky column {target.path} ({target.value_type.name}) holds no "
                "yes and no that could be told apart.",
                place=target.path,
                cure="Give the line a value map of yes and no, or make it not sticky.",
                subject=("sticky", *names_of(column_map)),
            )
            return None
        rules = (*rules, sticky)
    if not rules:
        return line
    return replace(line, guard=Guard(target.column.type, rules))


def _warn(problems: Problems, line: Line) -> None:
    """Note what may fail for some records only."""
    source, target = line.source, line.target
    if line.missing_value_possible and target.column.required:
        origin = ", ".join(end.path for end in line.sources)
        problems.add(
            "DIPV1031",
            f"{target.path} must have a value, but {origin} may be empty; such "
            "records will fail.",
            place=target.path,
            cure="Give the line a default.",
            severity=Severity.WARNING,
        )
    if source is None:
        return
    have, want = source.value_type, target.value_type
    if (
        line.values is None
        and have.family is want.family is TypeFamily.DECIMAL
        and want.precision is not None
        and (have.precision is None or (have.scale or 0) > (want.scale or 0))
    ):
        problems.add(
            "PRECISION_MISMATCH",
            f"{source.path} has more decimals ({have.name}) than {target.path} "
            f"({want.name}); values that use them will fail.",
            place=target.path,
            cure="Give both columns the same number of decimals.",
            severity=Severity.WARNING,
        )
