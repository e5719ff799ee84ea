"""Whether the integration key tells records apart where they come from."""

from __future__ import annotations

from collections.abc import Iterator

from syncengine.mapping.health.registry import check
from syncengine.mapping.health.subject import Subject
from syncengine.mapping.model import HealthFinding, Severity
from syncengine.mapping.paths import column_of


@check
def has_one_record_for_each_key(subject: Subject) -> Iterator[HealthFinding]:
    """VMAP106: several source records may have one key. Where the map flows both ways
    the source is a destination too, and 5100 says so."""
    if len(subject.directions) != 1 or not subject.definition.key:
        return
    side = subject.directions[0].source
    schema, table = subject.schemas[side], subject.table(side)
    if table is None or table.unfit or not table.keys:
        return
    paths = [column_of(pair.on(side)) for pair in subject.definition.key]
    if (company := schema.company_of(table)) is not None:
        paths.insert(0, company.column)
    columns = [column.name for path in paths if (column := table.column(path))]
    if table.is_unique(frozenset(columns)):
        return
    yield HealthFinding(
        "VMAP106",
        Severity.WARNING,
        f"No unique key of {table.name} consists of {', '.join(columns)}: two records "
        "with the same key would become one on the other side.",
        table.name,
        "Create a unique key on these columns, or choose another integration key.",
    )
