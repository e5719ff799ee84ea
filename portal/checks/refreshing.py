"""Reading the tables of maps anew, after somebody changed them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portal.activity import services as activity
from portal.checks.services import check_map
from portal.maps.models import MapState, TableMap
from portal.maps.services import bump_revision
from syncengine.mapping.model import HealthFinding, Severity

if TYPE_CHECKING:
    from portal.accounts.models import User


@dataclass(frozen=True)
class Refreshed:
    """A map and what keeps it from going on; nothing when it fits its tables."""

    table_map: TableMap
    blocking: tuple[HealthFinding, ...]

    @property
    def words(self) -> str:
        """What was found, in a sentence or two."""
        name = self.table_map.name
        if self.blocking:
            first = self.blocking[0]
            more = len(self.blocking) - 1
            also = f" And {more} more: see its health." if more else ""
            return (
                f"{name} does not fit its tables: {first.code}: {first.message} "
                f"{first.cure}{also}"
            )
        if self.table_map.state == MapState.RESUMING:
            return f"{name} fits its tables and goes on with what was queued."
        return f"{name} fits its tables."


def refresh(maps: Sequence[TableMap], *, user: User | None = None) -> list[Refreshed]:
    """Read the tables of these maps now and have the streams do the same: a map that
    waits goes on at once if it fits them again. Keeps the report of each check."""
    results = []
    correlation_id = activity.new_correlation_id()
    for table_map in maps:
        check = check_map(table_map)
        blocking = tuple(f for f in check.findings if f.severity is Severity.ERROR)
        result = Refreshed(table_map, blocking)
        activity.record(
            "map.refreshed",
            f"The tables of {table_map.name} were read anew. {result.words}",
            user=user,
            table_map=table_map,
            correlation_id=correlation_id,
        )
        results.append(result)
    bump_revision([table_map.connection_set_id for table_map in maps])
    return results
