"""What is wrong with a draft, and which line of it each finding is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from portal.editor.content import Draft
from portal.editor.tables import Tables
from portal.maps.health import member_of, ready_made_by_table
from portal.maps.models import MapState, TableMap
from portal.maps.preparation import definition, maps_of
from syncengine.mapping.health import Subject, examine
from syncengine.mapping.model import ColumnMap, HealthFinding, Severity, Side
from syncengine.mapping.paths import column_of

log = structlog.get_logger(__name__)

FILTER_CODES = {
    "900": Side.FINOPS,
    "1600": Side.FINOPS,
    "1800": Side.FINOPS,
    "DIPV1012": Side.DATAVERSE,
}
KEY_CODES = {"DIPV1003", "DIPV1004", "DIPV1014", "5100", "5200", "2000"}
EMPTY_VALUE_TEST = "VMAP103"
NOT_MAPPED = "DIPV1010"


@dataclass(frozen=True)
class Checked:
    """All findings of a draft, each where it belongs; `troubles` say which system
    could not be asked, and then nothing was checked."""

    lines: dict[int, list[HealthFinding]] = field(default_factory=dict)
    filters: dict[Side, list[HealthFinding]] = field(default_factory=dict)
    key: list[HealthFinding] = field(default_factory=list)
    others: list[HealthFinding] = field(default_factory=list)
    troubles: tuple[str, ...] = ()

    @property
    def all(self) -> list[HealthFinding]:
        """Every finding once."""
        found = [one for each in self.lines.values() for one in each]
        found += [one for each in self.filters.values() for one in each]
        return list(dict.fromkeys([*found, *self.key, *self.others]))

    @property
    def blocking(self) -> bool:
        """True when something about the map as a whole keeps it from running."""
        return any(one.severity is Severity.ERROR for one in self.others)

    @property
    def errors(self) -> int:
        """How many keep the map from running."""
        return sum(one.severity is Severity.ERROR for one in self.all)

    @property
    def warnings(self) -> int:
        """How many only warn."""
        return sum(one.severity is Severity.WARNING for one in self.all)


def check(table_map: TableMap, draft: Draft, tables: Tables) -> Checked:
    """Everything the health check finds about the draft, as if it were the map's
    present version."""
    troubles = tuple(one.trouble for one in tables.values() if one.trouble)
    schemas = {side: one.schema for side, one in tables.items() if one.schema}
    if troubles or len(schemas) < len(Side):
        return Checked(troubles=troubles)
    others = tuple(
        member_of(definition(row), row.state != MapState.NOT_RUNNING)
        for row in maps_of(table_map.connection_set)
        if row.pk != table_map.pk
    )
    listed = {side: one.companies for side, one in tables.items()}
    found = examine(
        Subject(
            member_of(draft.definition, table_map.state != MapState.NOT_RUNNING),
            schemas,
            table_map.connection_set.legal_entity_pairs(),
            others,
            {side: codes for side, codes in listed.items() if codes is not None},
            ready_made_by_table(),
        ),
        on_failure=lambda error: log.error("check_failed", exc_info=error),
    )
    return placed(draft, found)


def placed(draft: Draft, findings: Sequence[HealthFinding]) -> Checked:
    """Each finding at the lines it names, else at the filter or the key, else among
    the others."""
    result = Checked()
    places = _Places(draft)
    for finding in findings:
        side = FILTER_CODES.get(finding.code)
        if finding.code == EMPTY_VALUE_TEST:
            side = _filtering_side(draft, finding.place)
        if side is not None:
            result.filters.setdefault(side, []).append(finding)
            continue
        named = places.lines(finding)
        for line_id in named:
            result.lines.setdefault(line_id, []).append(finding)
        if finding.code in KEY_CODES:
            result.key.append(finding)
        elif not named:
            result.others.append(finding)
    return result


def _filtering_side(draft: Draft, column: str) -> Side:
    wanted = column.casefold()
    for side in Side:
        if wanted in draft.definition.filter(side).casefold():
            return side
    return Side.FINOPS


class _Places:
    """The lines by the paths they name, and by the columns these start from."""

    def __init__(self, draft: Draft) -> None:
        self._paths: dict[str, list[int]] = {}
        self._columns: dict[str, list[int]] = {}
        for line_id, line in draft.lines:
            names = _names(line)
            for name in names:
                self._paths.setdefault(name, []).append(line_id)
            for name in {column_of(name) for name in names}:
                self._columns.setdefault(name, []).append(line_id)

    def lines(self, finding: HealthFinding) -> list[int]:
        """The lines that a finding names."""
        if finding.code == NOT_MAPPED:
            return []
        place = finding.place.casefold()
        return self._paths.get(place) or self._columns.get(place, [])


def _names(line: ColumnMap) -> set[str]:
    return {path.casefold() for side in Side if (path := line.on(side))}
