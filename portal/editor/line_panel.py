"""What the panel of one line shows."""

from __future__ import annotations

from typing import Any

from portal.editor.checking import check
from portal.editor.decision_context import decision_context
from portal.editor.decision_form import Grid
from portal.editor.forms import OWN, SHARED
from portal.editor.pickers import facts
from portal.editor.showing import Desk, frame
from portal.editor.tables import tables_of
from portal.maps.models import SharedValueMap
from syncengine.mapping.model import Side
from syncengine.mapping.value_pairs import ambiguities, write_pairs


def panel_context(one: Desk, line_id: int, grid: Grid | None = None) -> dict[str, Any]:
    """The columns of the line with types and samples, the keys its references can be
    looked up by, and its rule. Raises NotFound when the line is gone."""
    line = one.draft.line(line_id)
    definition = one.draft.definition
    tables = tables_of(one.table_map.connection_set, definition)
    found = check(one.table_map, one.draft, tables) if line.decision else None
    findings = found.lines.get(line_id, ()) if found else ()
    values = ""
    if line.value_map:
        values = f"{SHARED}{line.value_map}"
    elif line.values is not None:
        values = OWN
    pairs = line.values or ()
    names = list(SharedValueMap.objects.values_list("name", flat=True))
    if line.value_map and line.value_map not in names:
        names.append(line.value_map)
    return {
        **frame(one, "columns"),
        **decision_context(one, line, tables, findings, grid),
        "line_id": line_id,
        "line": line,
        "ends": [
            (
                side.value,
                line.on(side),
                facts(tables[side], definition, side, line.on(side)),
            )
            for side in Side
        ],
        "values": values,
        "pairs": write_pairs(pairs),
        "rows": min(max(len(pairs) + 2, 5), 16),
        "notes": ambiguities(pairs),
        "shared": [(f"{SHARED}{name}", name) for name in names],
    }
