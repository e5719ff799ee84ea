"""Changes that were set aside, as the engine reads them; and tables it remembers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from portal.environments.models import ConnectionSet
from portal.sync.models import RememberedTable, SetAsideChange
from syncengine.mapping.compiled import Row
from syncengine.ports import LegConfiguration

_REMEMBER = """
INSERT INTO sync_rememberedtable AS t (connection_set_id, side, name, document)
SELECT %(set)s, %(side)s, n.name, n.document
FROM jsonb_to_recordset(%(rows)s::jsonb) AS n(name text, document jsonb)
ON CONFLICT (connection_set_id, side, name) DO UPDATE SET document = excluded.document
WHERE t.document IS DISTINCT FROM excluded.document
"""


def keys(leg: LegConfiguration) -> set[Row]:
    """Keys of the leg that have changes set aside."""
    rows = SetAsideChange.objects.filter(
        table_map_id=leg.map_id, direction=leg.direction.value, scope=leg.scope
    ).order_by()
    return {tuple(key) for key in rows.values_list("key", flat=True).distinct()}


def changes(
    leg: LegConfiguration, key_texts: Sequence[str] | None, limit: int
) -> list[SetAsideChange]:
    """Changes of these keys, or of the first `limit` keys, grouped by key."""
    rows = SetAsideChange.objects.filter(
        table_map_id=leg.map_id, direction=leg.direction.value, scope=leg.scope
    )
    if key_texts is None:
        key_texts = list(
            rows.order_by("key_text")
            .values_list("key_text", flat=True)
            .distinct()[:limit]
        )
    return list(
        rows.filter(key_text__in=key_texts).order_by("key_text", "position", "ordinal")
    )


def forget(ids: Sequence[int]) -> None:
    """Forget changes that were carried over or recorded as failures."""
    SetAsideChange.objects.filter(pk__in=ids)._raw_delete("default")


def remember_tables(
    connection_set: ConnectionSet, side: str, tables: Mapping[str, Any]
) -> None:
    """Keep descriptions of tables."""
    rows = [{"name": name, "document": one} for name, one in tables.items()]
    with connection.cursor() as cursor:
        cursor.execute(
            _REMEMBER,
            {"set": connection_set.pk, "side": side, "rows": json.dumps(rows)},
        )


def remembered_tables(connection_set: ConnectionSet, side: str) -> dict[str, Any]:
    """What was kept."""
    return dict(
        RememberedTable.objects.filter(
            connection_set=connection_set, side=side
        ).values_list("name", "document")
    )
