"""Undoing a link, so that nothing of it stays in the customers' databases.

A connection set holds a replication slot in each of its databases, and a slot keeps
the whole log of its server until somebody reads it. So a set is never just deleted:
its streams end first, then capture is removed on both sides, then our rows go.

Nothing here may run inside a transaction of the portal's database, which may share
its server with an environment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from portal.activity import services as activity
from portal.environments.connectors import connector_for
from portal.environments.models import ConnectionSet, Environment
from portal.maps.models import MapState
from portal.maps.preparation import one_at_a_time
from portal.maps.removal import remove_maps
from portal.refusals import ActionForbidden, NotFound, Refusal
from portal.sync.leases import held_streams
from portal.units import services as units
from syncengine.errors import EngineError, SetupError
from syncengine.mapping.model import Side

if TYPE_CHECKING:
    from portal.accounts.models import User

STREAMS_END_SECONDS = 20.0
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Remains:
    """What could not be removed from an environment: why, and the statements with
    which its administrator removes it."""

    environment: str
    problem: str
    code: str
    script: str


@dataclass(frozen=True)
class Unlinked:
    """What an unlink did. `left_behind` is empty unless it was forced."""

    name: str
    maps: tuple[str, ...]
    left_behind: tuple[Remains, ...]
    correlation_id: str

    @property
    def message(self) -> str:
        """What happened, in one or two sentences."""
        text = f"{self.name} was unlinked; {_count(len(self.maps), 'map')} deleted."
        if self.left_behind:
            names = ", ".join(remains.environment for remains in self.left_behind)
            text += (
                f" Left behind on {names}: a replication slot, which keeps the "
                "server's log until it is dropped, a publication and our schema. Let "
                "a database administrator run the script there."
            )
        return text


def unlink(
    connection_set: ConnectionSet, *, user: User | None = None, force: bool = False
) -> Unlinked:
    """Remove capture from both environments, then the set with its maps, versions,
    errors, queued changes and runs. Records stay as they are on both sides, and so
    does the activity log.

    Refused, with nothing changed, while a map is not Not running, while a worker
    still holds a stream, and while an environment cannot be reached. Where only the
    removal itself fails (rights), the set stays retired until unlinking again
    succeeds. `force` removes the set here anyway and tells what was left behind.
    """
    if connection.in_atomic_block:
        raise RuntimeError("unlink must not run inside a transaction.")
    with one_at_a_time(connection_set):
        newly_retired = retire(connection_set)
        try:
            left_behind = _leave(connection_set, force=force)
        except _Undone as undone:
            if newly_retired:
                set_retired(connection_set, retired=False)
            raise undone.refusal from undone
        return _delete(connection_set, left_behind, user)


class _Undone(Exception):
    """Nothing was removed anywhere; the set may go on as before."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@transaction.atomic
def retire(connection_set: ConnectionSet) -> bool:
    """Have the streams end and nothing begin; True unless that was so already."""
    # First the maps, as everyone who changes their states does, then the set.
    maps = connection_set.maps.select_for_update(no_key=True).order_by("pk")
    active = [one for one in maps if one.state != MapState.NOT_RUNNING]
    present = ConnectionSet.objects.select_for_update().filter(pk=connection_set.pk)
    stored = present.first()
    if stored is None:
        raise NotFound(f"{connection_set.name} has been unlinked already.")
    if active:
        raise ActionForbidden(
            f"{connection_set.name} cannot be unlinked now: stop these maps first.",
            reasons=[f"{m.name} is {m.get_state_display()}." for m in active],
        )
    if stored.retired_at is None:
        set_retired(connection_set, retired=True)
        return True
    return False


def set_retired(connection_set: ConnectionSet, *, retired: bool) -> None:
    """Let nothing begin in the set, or everything again."""
    ConnectionSet.objects.filter(pk=connection_set.pk).update(
        retired_at=timezone.now() if retired else None, revision=F("revision") + 1
    )


def _leave(connection_set: ConnectionSet, *, force: bool) -> tuple[Remains, ...]:
    """Remove capture from both sides; gives what could not be removed."""
    if not streams_ended(connection_set) and not force:
        raise _Undone(
            Refusal(
                f"A worker still runs a stream of {connection_set.name}; nothing was "
                "removed. Try again when it has ended.",
                code="stream_busy",
            )
        )
    unreachable = _failures(connection_set, list(Side), _reach)
    if unreachable and not force:
        raise _Undone(
            _refusal(connection_set, unreachable, "; nothing was removed anywhere.")
        )
    if not units_ended(connection_set) and not force:
        raise _Undone(
            Refusal(
                f"Atomic writes of {connection_set.name} are in doubt; nothing was "
                "removed. Resolve them ('dw units resolve') and try again.",
                code="units_in_doubt",
            )
        )
    missed = {remains.environment for remains in unreachable}
    reached = [
        side for side in Side if connection_set.environment(side).name not in missed
    ]
    refused = _failures(connection_set, reached, _remove)
    if refused and not force:
        raise _refusal(
            connection_set,
            refused,
            ", so the link is undone only in part: its maps cannot run any more. "
            "Unlink again to finish.",
        )
    return (*unreachable, *refused)


def streams_ended(connection_set: ConnectionSet) -> bool:
    """Wait a while until no worker holds a stream of the set."""
    streams = set(connection_set.streams.values_list("pk", flat=True))
    deadline = time.monotonic() + STREAMS_END_SECONDS
    while streams & held_streams():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def units_ended(connection_set: ConnectionSet) -> bool:
    """End every unit as it was decided, now that none can begin: the decisions go
    with the set."""
    if not connection_set.units.exists():
        return True
    resolved = units.resolve_set(connection_set, older_than=timedelta(0))
    return not (resolved.waiting or resolved.unreachable)


def _failures(
    connection_set: ConnectionSet,
    sides: Sequence[Side],
    act: Callable[[Environment, str], None],
) -> tuple[Remains, ...]:
    """Do something on these sides; what could not be done."""
    failed = []
    for side in sides:
        environment = connection_set.environment(side)
        try:
            act(environment, connection_set.link_id)
        except EngineError as error:
            script = error.details.get("script") or _removal_script(
                environment, connection_set.link_id
            )
            failed.append(
                Remains(
                    environment.name,
                    _problem(environment, error),
                    error.code,
                    str(script),
                )
            )
    return tuple(failed)


def _problem(environment: Environment, error: EngineError) -> str:
    """What went wrong, with the environment's name, and its own words where it has
    some."""
    text = error.message
    if environment.name not in text:
        text = f"{environment.name}: {text}"
    words = error.remote.strip().splitlines()
    return f"{text} ({words[0]})" if words else text


def _reach(environment: Environment, link: str) -> None:
    """An environment that now answers as another database counts as out of reach."""
    found = connector_for(environment).describe()
    if environment.fingerprint and environment.fingerprint != found.fingerprint:
        raise SetupError(
            f"{environment.name} now answers as another database than the one that "
            "was linked.",
            code="other_database",
        )


def _remove(environment: Environment, link: str) -> None:
    connector_for(environment).uninstall(link)


def _removal_script(environment: Environment, link: str) -> str:
    try:
        return connector_for(environment).removal_script(link)
    except EngineError:
        # No connector of this name any more: there is nothing to say in its language.
        return ""


def _refusal(
    connection_set: ConnectionSet, failed: tuple[Remains, ...], outcome: str
) -> Refusal:
    names = " and ".join(remains.environment for remains in failed)
    return Refusal(
        f"{connection_set.name} cannot be unlinked from {names} now{outcome}",
        code=failed[0].code,
        reasons=[
            *(remains.problem for remains in failed),
            f"Try again when that is mended, or force it: the link is then removed "
            f"here, and what remains on {names} (replication slot and publication, "
            "whose slot keeps the server's log) must be removed there with the "
            "script.",
        ],
        script="".join(
            f"-- {remains.environment}\n{remains.script}" for remains in failed
        ),
    )


@transaction.atomic
def _delete(
    connection_set: ConnectionSet, left_behind: tuple[Remains, ...], user: User | None
) -> Unlinked:
    # Who adds a map to the set meanwhile waits for this lock, and then finds no set.
    ConnectionSet.objects.select_for_update().get(pk=connection_set.pk)
    maps = dict(connection_set.maps.values_list("pk", "name"))
    result = Unlinked(
        connection_set.name,
        tuple(maps.values()),
        left_behind,
        activity.new_correlation_id(),
    )
    remove_maps(list(maps))
    activity.record(
        "connection_set.unlinked",
        result.message,
        user=user,
        correlation_id=result.correlation_id,
        details={
            "connection_set": connection_set.name,
            "link": connection_set.link_id,
            "environments": [connection_set.environment(side).name for side in Side],
            "maps": list(result.maps),
            "left_behind": [
                {
                    "environment": remains.environment,
                    "problem": remains.problem,
                    "script": remains.script,
                }
                for remains in left_behind
            ],
        },
    )
    ConnectionSet.objects.filter(pk=connection_set.pk).delete()
    Environment.objects.filter(
        pk__in=[connection_set.finops_id, connection_set.dataverse_id]
    ).update(local_commits=False)
    return result


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
