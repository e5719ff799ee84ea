"""When the changes of a map are held: its guard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F

from portal.activity import services as activity
from portal.activity.changes import changes
from portal.environments.models import ConnectionSet
from portal.maps.models import TableMap
from portal.refusals import Refusal

if TYPE_CHECKING:
    from portal.accounts.models import User


@dataclass(frozen=True)
class GuardValues:
    """The guard of a map; None leaves a value as it is."""

    enabled: bool | None = None
    deletes_percent: int | None = None
    updates_percent: int | None = None
    rows: int | None = None
    window_seconds: int | None = None

    def refuse_unfit(self) -> None:
        """Raises Refusal for what makes no sense."""
        for percent in (self.deletes_percent, self.updates_percent):
            if percent is not None and not 0 <= percent <= 100:
                raise Refusal(
                    "A share is a whole number from 0 (never held) to 100.",
                    code="bad_guard",
                )
        if self.rows is not None and self.rows < 1:
            raise Refusal("Give at least 1 row.", code="bad_guard")
        if self.window_seconds is not None and not 1 <= self.window_seconds <= 86_400:
            raise Refusal(
                "The window is from 1 second to 86,400 (a day).", code="bad_guard"
            )


@transaction.atomic
def change(
    table_map: TableMap, values: GuardValues, *, user: User | None = None
) -> TableMap:
    """Set the guard of a map; it counts at once. Raises Refusal."""
    values.refuse_unfit()
    locked = TableMap.objects.select_for_update(no_key=True).get(pk=table_map.pk)
    wanted = {
        "guard_enabled": values.enabled,
        "guard_deletes_percent": values.deletes_percent,
        "guard_updates_percent": values.updates_percent,
        "guard_rows": values.rows,
        "guard_window_seconds": values.window_seconds,
    }
    changed = {
        name: value
        for name, value in wanted.items()
        if value is not None and value != getattr(locked, name)
    }
    if changed:
        before = {name: getattr(locked, name) for name in changed}
        TableMap.objects.filter(pk=locked.pk).update(**changed)
        ConnectionSet.objects.filter(pk=locked.connection_set_id).update(
            revision=F("revision") + 1
        )
        locked.refresh_from_db()
        activity.record(
            "map.guard_changed",
            f"{locked.name}: {sentence(locked)}",
            user=user,
            table_map=locked,
            details={**changed, "changes": changes(before, changed)},
        )
    return locked


def sentence(table_map: TableMap) -> str:
    """The guard in words."""
    if not table_map.guard_enabled:
        return "Mass changes are not held."
    parts = [
        f"{word} of more than {percent} % of the table"
        for word, percent in (
            ("deletes", table_map.guard_deletes_percent),
            ("updates", table_map.guard_updates_percent),
        )
        if percent
    ]
    if not parts:
        return "Mass changes are not held."
    return (
        f"{' and '.join(parts).capitalize()} within {table_map.guard_window_seconds} "
        f"seconds are held, from {table_map.guard_rows:,} rows on."
    )
