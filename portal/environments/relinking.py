"""Making a link anew, after one of its systems was copied, restored or moved.

The connection set keeps its companies and its maps. What the link left on both sides
is taken away, and it gets a new name there, so that nothing of before is taken for
its own. The maps must be run again: nobody knows what the other system missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.db.models import F

from portal.activity import services as activity
from portal.environments.connectors import connector_for
from portal.environments.copies import origin_of, remove_links
from portal.environments.models import (
    ConnectionSet,
    Environment,
    Stream,
    StreamState,
    new_link_id,
)
from portal.environments.services import refresh
from portal.environments.unlinking import (
    retire,
    set_retired,
    streams_ended,
    units_ended,
)
from portal.maps.preparation import naming, one_at_a_time
from portal.refusals import Refusal

if TYPE_CHECKING:
    from portal.accounts.models import User


@dataclass(frozen=True)
class Relinked:
    """What was done. `moved` environments answered as other databases than before;
    `scripts` says for each how its former database is cleaned up by hand."""

    moved: tuple[str, ...]
    scripts: tuple[tuple[str, str], ...]
    correlation_id: str


def relink(
    connection_set: ConnectionSet,
    *,
    stop: Callable[[], object] = lambda: None,
    user: User | None = None,
) -> Relinked:
    """Clean both sides up and begin the link anew with the systems that answer now;
    companies and maps stay, and no map runs.

    `stop` is called first to stop the maps. Refused while a map runs, while a worker
    holds a stream, and where a system cannot be reached or cleaned up: relinking
    again then goes on. Must not run inside a transaction.
    """
    if connection.in_atomic_block:
        raise RuntimeError("relink must not run inside a transaction.")
    stop()
    with one_at_a_time(connection_set):
        newly_retired = retire(connection_set)
        try:
            result = _relink(connection_set, user)
        except BaseException:
            if newly_retired:
                set_retired(connection_set, retired=False)
            raise
        set_retired(connection_set, retired=False)
        return result


def _relink(connection_set: ConnectionSet, user: User | None) -> Relinked:
    name = connection_set.name
    if not streams_ended(connection_set):
        raise Refusal(
            f"A worker still runs a stream of {name}. Try again when it has ended.",
            code="stream_busy",
        )
    if not units_ended(connection_set):
        raise Refusal(
            f"Atomic writes of {name} are in doubt. Resolve them ('dw units resolve') "
            "and try again.",
            code="units_in_doubt",
        )
    moved = [
        environment
        for environment in (connection_set.finops, connection_set.dataverse)
        if _clean(environment, connection_set.link_id)
    ]
    return _begin_anew(connection_set, moved, user)


def _clean(environment: Environment, link: str) -> bool:
    """Take away the link's own set-up and, from a copy, what it brought along; True
    when another database answers than before."""
    with naming(environment.name):
        origin = origin_of(environment, connector_for(environment).describe())
        brought = origin.links if origin.moved else ()
        remove_links(environment, sorted({link, *brought}))
    refresh(environment)
    return origin.moved is not None


@transaction.atomic
def _begin_anew(
    connection_set: ConnectionSet, moved: list[Environment], user: User | None
) -> Relinked:
    former = connection_set.link_id
    connection_set.link_id = new_link_id()
    ConnectionSet.objects.filter(pk=connection_set.pk).update(
        link_id=connection_set.link_id, revision=F("revision") + 1
    )
    Stream.objects.filter(connection_set=connection_set).update(
        state=StreamState.STOPPED,
        message="",
        position="",
        confirmed_position="",
        acknowledged_position="",
        doubtful=None,
        canary_at=None,
        canary_seconds=None,
        canary_problem="",
        lag_seconds=None,
        lag_bytes=None,
        retained_bytes=None,
    )
    result = Relinked(
        tuple(environment.name for environment in moved),
        tuple(
            (environment.name, connector_for(environment).removal_script(former))
            for environment in moved
        ),
        activity.new_correlation_id(),
    )
    names = ", ".join(result.moved)
    activity.record(
        "connection_set.relinked",
        f"{connection_set.name} was cleaned up and linked anew"
        + (f"; {names} answered as another database than before." if names else "."),
        user=user,
        connection_set=connection_set,
        correlation_id=result.correlation_id,
        details={
            "former_link": former,
            "link": connection_set.link_id,
            "scripts": dict(result.scripts),
        },
    )
    return result
