"""Writing the activity log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from portal.activity.models import ActivityEvent
from portal.correlation import current_id, current_operator, new_id

if TYPE_CHECKING:
    from portal.accounts.models import User
    from portal.environments.models import ConnectionSet
    from portal.maps.models import TableMap


log = structlog.get_logger(__name__)


def new_correlation_id() -> str:
    """Binds all events of one action, and the runs it started: that of the request or
    command that is going on, else a new one."""
    return current_id() or new_id()


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
    """Write one event, in the caller's transaction, and a line to the log."""
    if connection_set is None and table_map is not None:
        connection_set = table_map.connection_set
    event = ActivityEvent.objects.create(
        kind=kind,
        message=message,
        user=user,
        operator="" if user is not None else current_operator()[:100],
        connection_set=connection_set,
        table_map=table_map,
        old_state=old_state,
        new_state=new_state,
        correlation_id=correlation_id or new_correlation_id(),
        details=details or {},
    )
    log.info(
        "activity",
        kind=kind,
        connection_set=connection_set.name if connection_set is not None else None,
        map=table_map.name if table_map is not None else None,
        state=new_state or None,
        correlation_id=event.correlation_id,
    )
    return event
