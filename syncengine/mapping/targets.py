"""What one target column is made of: one line, or several parts of a natural key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from syncengine.mapping.compiled import KeyPath, Lookup
from syncengine.mapping.endpoints import Endpoint, SideSchema
from syncengine.mapping.lines import Line
from syncengine.mapping.model import Severity
from syncengine.mapping.problems import Problems
from syncengine.mapping.schema import TableSchema


@dataclass(frozen=True)
class TargetColumn:
    """A column that is written, with the lines that fill it in the order of the map:
    one, or one for each part of the natural key that a composite lookup takes."""

    endpoint: Endpoint
    lines: tuple[Line, ...]

    @property
    def composite(self) -> bool:
        """True when several lines give the parts of one natural key."""
        return len(self.lines) > 1


def target_columns(lines: Sequence[Line]) -> list[TargetColumn]:
    """The columns that `lines` write, in the order of their first lines."""
    groups: dict[object, list[Line]] = {}
    for line in lines:
        lookup = line.target.lookup
        mergeable = lookup is not None and len(lookup.targets) == 1
        place: object = line.target.column.name if mergeable else id(line)
        groups.setdefault(place, []).append(line)
    return [TargetColumn(_merged(group), tuple(group)) for group in groups.values()]


def _merged(lines: Sequence[Line]) -> Endpoint:
    first = lines[0].target
    if len(lines) == 1 or first.lookup is None:
        return first
    keys: list[KeyPath] = []
    for line in lines:
        if line.target.lookup is not None:
            keys += line.target.lookup.keys
    target = replace(first.lookup.targets[0], keys=tuple(keys))
    return replace(first, lookup=Lookup(first.lookup.column, (target,)))


def check_lookups(
    columns: Sequence[TargetColumn],
    key: Sequence[TargetColumn],
    side: SideSchema,
    problems: Problems,
) -> None:
    """Note lookups that may find several rows: parts of the natural key that are not
    mapped (DIPV1015, 1027), an unknown company (DIPV1017), or no unique key at all (a
    warning)."""
    for column in columns:
        lookup = column.endpoint.lookup
        if lookup is None:
            continue
        for target in lookup.targets:
            table = side.environment.table(target.table)
            names = {
                part.hops[0].column if part.hops else part.column
                for part in target.keys
            }
            if target.company is not None:
                names.add(target.company.column)
            if table is None or table.is_unique(frozenset(names)):
                continue
            company = side.environment.company_of(table)
            if (
                target.company is None
                and company is not None
                and table.is_unique(frozenset(names | {company.column}))
            ):
                _note_company(column, table.name, side.table.name, problems)
                continue
            _note(column, target.table, table, names, column in key, problems)


def _note_company(
    column: TargetColumn, table: str, own: str, problems: Problems
) -> None:
    path = column.endpoint.path
    problems.add(
        "DIPV1017",
        f"The lookup {path} leads to {table}, which belongs to companies, but {own} "
        "is shared by all: in which company to look is not known.",
        place=path,
        cure="Map a column of a shared table, or make the key of the referenced table "
        "unique without the company.",
        subject=("wide-key", path),
    )


def _note(
    column: TargetColumn,
    name: str,
    table: TableSchema,
    names: set[str],
    in_key: bool,
    problems: Problems,
) -> None:
    path = column.endpoint.path
    wider: list[set[str]] = [
        set(key.columns) - names for key in table.keys if names < set(key.columns)
    ]
    if wider:
        nearest = min(wider, key=len)
        missing = ", ".join(sorted(nearest))
        problems.add(
            "DIPV1015" if in_key else "DIPV1027",
            f"The lookup {path} gives only a part of the natural key of {name}: "
            f"{missing} is not mapped.",
            place=path,
            cure=f"Map a column to {column.endpoint.column.name}.{missing} as well.",
            subject=("wide-key", path),
        )
        return
    shown = ", ".join(sorted(names))
    problems.add(
        "VMAP101",
        f"{path} may find several rows: no key of {name} makes {shown} unique.",
        place=path,
        cure=f"Create a unique key on {shown}.",
        severity=Severity.WARNING,
    )
