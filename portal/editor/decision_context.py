"""What the grid of a decision table shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portal.editor.decision_form import Grid, marks, rows_of
from portal.editor.pickers import facts
from portal.editor.showing import Desk
from portal.editor.tables import SideTables
from syncengine.mapping.model import ColumnMap, Direction, HealthFinding, Side
from syncengine.mapping.paths import parse_path


def decision_context(
    one: Desk,
    line: ColumnMap,
    tables: dict[Side, SideTables],
    findings: Sequence[HealthFinding],
    grid: Grid | None = None,
) -> dict[str, Any]:
    """The grid with what each column may hold, and the rules that findings are about;
    without a table, what one may be begun for."""
    if line.decision is None:
        return {"beginnings": _beginnings(one, line)}
    target = Side.DATAVERSE if line.dataverse else Side.FINOPS
    found: dict[int, list[HealthFinding]] = {}
    for number, finding in marks(findings):
        found.setdefault(number, []).append(finding)
    asked = [
        (path, _values(one, tables, target.other, path))
        for path in line.decision.sources
    ]
    return {
        "decision": {
            "asks": target.other.value,
            "sources": asked,
            "target": line.on(target),
            "results": _values(one, tables, target, line.on(target) or ""),
            "rows": [
                (
                    row,
                    list(zip(line.decision.sources, row.when, strict=False)),
                    found.get(row.number, []),
                )
                for row in rows_of(line.decision)
            ],
            "focus": grid.focus if grid else "",
            "notes": grid.notes if grid else (),
            "findings": findings,
        }
    }


def _beginnings(one: Desk, line: ColumnMap) -> list[str]:
    """The sides that a decision table of the line could write; a part of the key is
    carried as it is."""
    if one.draft.is_key(line) or line.expression is not None:
        return []
    return [
        direction.target.value
        for direction in Direction
        if line.type.flows(direction) and line.on(direction.target)
    ]


def _values(
    one: Desk, tables: dict[Side, SideTables], side: Side, path: str
) -> list[str]:
    """Labels and samples of a column, to choose from."""
    known = facts(tables[side], one.draft.definition, side, path)
    parsed = parse_path(path) if path else None
    if known is None or parsed is None or "." in path:
        return []
    table = tables[side].table(one.draft.definition.table(side))
    column = table.column(parsed.column) if table else None
    labels = column.type.labels if column else ()
    return list(dict.fromkeys([*labels, *known.samples]))
