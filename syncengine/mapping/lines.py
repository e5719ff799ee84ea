"""One column map in one direction: its ends, its default and its value map."""

from __future__ import annotations

from dataclasses import dataclass

from syncengine.errors import RecordError
from syncengine.mapping.endpoints import Endpoint
from syncengine.mapping.model import ColumnMap, Direction, Severity, Side
from syncengine.mapping.problems import Problems
from syncengine.mapping.schema import TypeFamily
from syncengine.mapping.types import compatible, parse_literal


@dataclass(frozen=True)
class Line:
    """A column map that flows in this direction. `default` and `values` are
    canonical texts; without a `source` the line is a constant."""

    column_map: ColumnMap
    source: Endpoint | None
    target: Endpoint
    default: str | None
    values: dict[str, str] | None

    @property
    def missing_value_possible(self) -> bool:
        """True when a null may reach a column that takes none."""
        return (
            self.source is not None
            and self.source.nullable
            and self.default is None
            and not self.target.column.nullable
        )


def names_of(column_map: ColumnMap) -> tuple[str, str]:
    """Both paths of a line, to tell it from others in either direction."""
    return (column_map.finops or "none", column_map.dataverse or "none")


def make_line(
    problems: Problems,
    direction: Direction,
    column_map: ColumnMap,
    source: Endpoint | None,
    target: Endpoint,
) -> Line | None:
    """The line with its default and value map read as canonical texts; None after
    noting what cannot be carried."""
    default = column_map.default
    if not target.column.writable:
        problems.add(
            "DIPV1011",
            f"The destination column {target.path} is read-only.",
            place=target.path,
            cure="Remove the line or let it flow the other way only.",
        )
    sound = True
    if default is not None:
        try:
            default = parse_literal(default, target.value_type)
        except RecordError as error:
            message = f"The default does not fit: {error}"
            _mismatch(problems, column_map, target.path, message)
            sound = False
    values = None
    if source is not None and column_map.values is not None:
        values = _values(problems, direction, column_map, source, target)
        sound = sound and values is not None
    elif source is not None and not compatible(source.value_type, target.value_type):
        _mismatch(
            problems,
            column_map,
            target.path,
            f"{source.path} ({source.value_type.name}) cannot be carried into "
            f"{target.path} ({target.value_type.name}).",
        )
        sound = False
    if not sound:
        return None
    line = Line(column_map, source, target, default, values)
    _warn(problems, line)
    return line


def _mismatch(
    problems: Problems, column_map: ColumnMap, place: str, message: str
) -> None:
    problems.add(
        "DIPV1030",
        message,
        place=place,
        cure="Change the column, its type, or the transform.",
        subject=("types", *names_of(column_map)),
    )


def _values(
    problems: Problems,
    direction: Direction,
    column_map: ColumnMap,
    source: Endpoint,
    target: Endpoint,
) -> dict[str, str] | None:
    """The value map of this direction; the first pair wins where one value has two.

    None after noting values that their columns cannot hold.
    """
    values: dict[str, str] = {}
    sound = True
    both_ways = all(column_map.type.flows(way) for way in Direction)
    for pair in column_map.values or ():
        texts = []
        for side, end in (
            (direction.source, source),
            (direction.target, target),
        ):
            text = pair[0] if side is Side.FINOPS else pair[1]
            try:
                texts.append(parse_literal(text, end.value_type))
            except RecordError as error:
                message = f"The value map does not fit {end.path}: {error}"
                _mismatch(problems, column_map, end.path, message)
                sound = False
        if len(texts) < 2:
            continue
        given, mapped = texts
        if values.setdefault(given, mapped) != mapped:
            way = "Read backwards, the" if both_ways else "The"
            problems.add(
                "VMAP100",
                f"{way} value map of {source.path} is ambiguous: {given} stands for "
                f"{values[given]} and {mapped}; the first is used.",
                place=source.path,
                cure="Keep one pair for each value, or let the column flow one way.",
                subject=("VMAP100", source.path, given),
                severity=Severity.WARNING,
            )
    return values if sound else None


def _warn(problems: Problems, line: Line) -> None:
    """Note what may fail for some records only."""
    source, target = line.source, line.target
    if source is None:
        return
    if line.missing_value_possible and target.column.required:
        problems.add(
            "DIPV1031",
            f"{target.path} must have a value, but {source.path} may be empty; such "
            "records will fail.",
            place=target.path,
            cure="Give the line a default.",
            severity=Severity.WARNING,
        )
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
