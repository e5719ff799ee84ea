"""Writing the activity log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from portal.activity.models import ActivityEvent

if TYPE_CHECKING:
    from portal.accounts.models import User
    from portal.environments.models import ConnectionSet
    from portal.maps.models import TableMap


def new_correlation_id() -> str:
    """Binds all events of one action, and the runs it started."""
    return uuid4().hex


def record(
    kind: str,
    message: str,
    *,
    user: User | None = None,
    connection_set: ConnectionSet | None = None,
    table_map: TableMap | None = None,
    old_state: str = "",
    new_state: str = "",
    correlation_id: str = "",
    details: dict[str, Any] | None = None,
) -> ActivityEvent:
    """Write one event, in the caller's transaction."""
    if connection_set is None and table_map is not None:
        connection_set = table_map.connection_set
    return ActivityEvent.objects.create(
        kind=kind,
        message=message,
        user=user,
        connection_set=connection_set,
        table_map=table_map,
        old_state=old_state,
        new_state=new_state,
        correlation_id=correlation_id or new_correlation_id(),
        details=details or {},
    )
