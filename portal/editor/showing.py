"""A draft as the editor shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from portal.access import may
from portal.accounts.roles import Right
from portal.editor import services
from portal.editor.checking import Checked, check
from portal.editor.content import Draft, draft_of
from portal.editor.models import MapDraft
from portal.editor.tables import SideTables, tables_of
from portal.maps.conversion import to_engine
from portal.maps.models import ColumnMapTypeChoices, TableMap
from portal.maps.preparation import definition
from portal.maps.versions import why_fixed
from syncengine.mapping.model import ColumnMap, HealthFinding, Side

PARTS = {
    "columns": "Columns",
    "filters": "Filters",
    "settings": "Key and settings",
    "preview": "Preview",
    "try": "Try",
    "examples": "Examples",
    "text": "As text",
}


@dataclass(frozen=True)
class ShownLine:
    """A line of the grid. `state` is `added` or `changed` against the map's present
    version, else empty; `rule` says what makes the value, where it is not copied."""

    id: int
    number: int
    line: ColumnMap
    key: bool
    state: str
    findings: Sequence[HealthFinding]

    @property
    def rule(self) -> str:
        """The transform in a few words."""
        return rule_text(self.line)

    @property
    def worst(self) -> str:
        """The severity of the worst finding."""
        return self.findings[0].severity.value if self.findings else ""


def rule_text(line: ColumnMap) -> str:
    """What makes a line's value, in a few words; empty where it is copied."""
    told = []
    if line.expression is not None:
        told.append(f"= {line.expression}")
    if line.decision is not None:
        count = len(line.decision.rules)
        told.append(f"{count} rule{'' if count == 1 else 's'}")
    if line.values is not None or line.value_map:
        count = len(line.values or ())
        told.append(
            f"{line.value_map or 'values'}: {count} pair{'' if count == 1 else 's'}"
        )
    if line.default is not None:
        told.append(f"default {line.default or 'empty text'}")
    if line.sticky:
        told.append("sticky")
    return ", ".join(told)


@dataclass(frozen=True)
class Desk:
    """All that the pages of the editor share: the map, its draft if there is one, and
    whether this user may change it now (`why_not` says why not)."""

    table_map: TableMap
    row: MapDraft | None
    draft: Draft
    why_not: str
    held: bool
    fixed: str

    @property
    def editable(self) -> bool:
        """True when changes are taken."""
        return self.row is not None and not self.why_not


def desk(request: HttpRequest, table_map: TableMap) -> Desk:
    """The draft as this user meets it; without one, the present version."""
    user = request.user
    row = services.draft_row(table_map)
    draft = services.read(row) if row else draft_of(definition(table_map))
    fixed = why_fixed(table_map)
    held = services.why_held(row, user) if row else ""  # type: ignore[arg-type]
    why_not = fixed or held
    if not may(request, Right.EDIT_MAPS):
        why_not = "Changing a map needs the right to change table maps."
    return Desk(table_map, row, draft, why_not, bool(held), fixed)


def checked(one: Desk) -> tuple[dict[Side, SideTables], Checked]:
    """The tables of both sides, and what is wrong with the draft."""
    tables = tables_of(one.table_map.connection_set, one.draft.definition)
    return tables, check(one.table_map, one.draft, tables)


def shown_lines(one: Desk, found: Checked) -> list[ShownLine]:
    """The lines as the grid shows them."""
    present = one.table_map.version
    before = {
        (line.finops, line.dataverse): line
        for line in (draft_of(to_engine(present)).definition.columns if present else ())
    }
    return [
        ShownLine(
            id=line_id,
            number=number,
            line=line,
            key=one.draft.is_key(line),
            state=_state(before.get((line.finops, line.dataverse)), line),
            findings=found.lines.get(line_id, ()),
        )
        for number, (line_id, line) in enumerate(one.draft.lines, 1)
    ]


def _state(before: ColumnMap | None, line: ColumnMap) -> str:
    if before is None:
        return "added"
    return "" if before == line else "changed"


def summary(one: Desk, lines: Sequence[ShownLine], found: Checked) -> dict[str, Any]:
    """The line above the grid: how much is changed, and how much is wrong."""
    present = one.table_map.version
    same = present is not None and draft_of(to_engine(present)).definition == (
        one.draft.definition
    )
    return {
        "changed": sum(bool(each.state) for each in lines),
        "same": same,
        "errors": found.errors,
        "warnings": found.warnings,
        "checked": not found.troubles,
        "undo": one.row is not None and one.row.steps.exists(),
    }


def frame(one: Desk, part: str) -> dict[str, Any]:
    """What the head of every page of the editor shows."""
    base = one.row.base if one.row else None
    present = one.table_map.version
    return {
        "map": one.table_map,
        "desk": one,
        "draft": one.row,
        "definition": one.draft.definition,
        "editable": one.editable,
        "part": part,
        "parts": PARTS.items(),
        "moved_on": one.row is not None and present is not None and base != present,
        "types": ColumnMapTypeChoices.choices,
    }
