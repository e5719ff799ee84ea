"""Turning synchronous mode on and off; what streams and the guard note about it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from django.db import transaction
from django.utils import timezone

from portal.activity import services as activity
from portal.alerts.services import clear_alert, raise_alert
from portal.environments.connectors import connector_for
from portal.environments.models import ConnectionSet, Environment, Stream
from portal.refusals import Refusal
from portal.synchronous.models import (
    LONGEST_TIMEOUT,
    SHORTEST_TIMEOUT,
    GateState,
    SynchronousMode,
)
from syncengine.errors import EngineError
from syncengine.mapping.model import HealthFinding, Side

if TYPE_CHECKING:
    from portal.accounts.models import User

log = structlog.get_logger(__name__)

ALERT = "synchronous.fallen_back"

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)
STEADY = timedelta(minutes=10)
"""Armed for so long, an earlier fall counts no more."""


def findings(
    connection_set: ConnectionSet, sides: Sequence[Side]
) -> dict[Side, list[HealthFinding]]:
    """What each environment lacks for synchronous mode. Raises EngineError where one
    cannot be reached."""
    found = {}
    for side in sides:
        connector = connector_for(connection_set.environment(side))
        with closing(connector.gate(connection_set.link_id)) as gate:
            found[side] = list(gate.findings())
    return found


def turn_on(
    connection_set: ConnectionSet,
    sides: Sequence[Side] = tuple(Side),
    *,
    timeout: float | None = None,
    user: User | None = None,
) -> list[SynchronousMode]:
    """Have commits on these sides wait until they are through, as soon as the streams
    work so. Refused, with the administrator's script, where rights lack. On already:
    only the time-out changes."""
    if timeout is not None and not SHORTEST_TIMEOUT <= timeout <= LONGEST_TIMEOUT:
        raise Refusal(
            f"The time-out must be {SHORTEST_TIMEOUT:g} to {LONGEST_TIMEOUT:g} "
            "seconds.",
            code="timeout_out_of_range",
        )
    _refuse(connection_set, findings(connection_set, sides))
    with transaction.atomic():
        present = ConnectionSet.objects.select_for_update(of=("self",)).get(
            pk=connection_set.pk
        )
        if present.retired_at is not None:
            raise Refusal(f"{present.name} is being unlinked.", code="retired")
        modes = [_want(connection_set, side, timeout) for side in sides]
        _local_commits(connection_set, local=True)
        activity.record(
            "synchronous.on",
            f"Synchronous mode of {connection_set.name} was turned on for commits on "
            f"{_names(connection_set, sides)} (time-out "
            f"{modes[0].timeout_seconds:g} s).",
            user=user,
            connection_set=connection_set,
        )
    return modes


def _refuse(
    connection_set: ConnectionSet, found: dict[Side, list[HealthFinding]]
) -> None:
    lacking = [one for group in found.values() for one in group]
    if not lacking:
        return
    script = "".join(
        f"-- {connection_set.environment(side).name}\n{one.script}"
        for side, group in found.items()
        for one in group
        if one.script
    )
    raise Refusal(
        f"Synchronous mode of {connection_set.name} cannot be turned on yet.",
        code=lacking[0].code.lower(),
        reasons=[f"{one.place}: {one.message} {one.cure}" for one in lacking],
        script=script,
    )


def _want(
    connection_set: ConnectionSet, side: Side, timeout: float | None
) -> SynchronousMode:
    stream, _ = Stream.objects.get_or_create(
        connection_set=connection_set, source=side.value
    )
    mode, _ = SynchronousMode.objects.select_for_update(of=("self",)).get_or_create(
        stream=stream
    )
    if timeout is not None:
        mode.timeout_seconds = timeout
    if not mode.wanted:
        mode.wanted = True
        mode.state, mode.since = GateState.ARMING, timezone.now()
        mode.reason, mode.falls, mode.arm_after = "", 0, None
    mode.save()
    return mode


def turn_off(
    connection_set: ConnectionSet,
    sides: Sequence[Side] = tuple(Side),
    *,
    user: User | None = None,
) -> list[SynchronousMode]:
    """Have no commit on these sides wait any more, at once. An environment that
    cannot be reached now is let go by the guard as soon as it answers; its mode then
    says so."""
    with transaction.atomic():
        modes = list(
            SynchronousMode.objects.select_for_update(of=("self",))
            .select_related("stream")
            .filter(
                stream__connection_set=connection_set,
                stream__source__in=[side.value for side in sides],
                wanted=True,
            )
        )
        SynchronousMode.objects.filter(pk__in=[mode.pk for mode in modes]).update(
            wanted=False
        )
        if modes:
            activity.record(
                "synchronous.off",
                f"Synchronous mode of {connection_set.name} was turned off for commits "
                f"on {_names(connection_set, [Side(m.stream.source) for m in modes])}.",
                user=user,
                connection_set=connection_set,
            )
    for mode in modes:
        _let_go(connection_set, mode)
        mode.refresh_from_db()
    return modes


def _let_go(connection_set: ConnectionSet, mode: SynchronousMode) -> None:
    try:
        _disarm(connection_set, mode.stream)
    except EngineError as error:
        note(mode, GateState(mode.state), f"It is not off yet: {error.message}")
    else:
        settled_off(mode)


def _disarm(connection_set: ConnectionSet, stream: Stream) -> None:
    connector = connector_for(connection_set.environment(stream.source))
    with closing(connector.gate(connection_set.link_id)) as gate:
        gate.disarm()


def settled_off(mode: SynchronousMode) -> None:
    """Nobody waits any more because nobody wants it; our own commits need not be
    special either once that holds for both sides."""
    stream = mode.stream
    SynchronousMode.objects.filter(pk=mode.pk, wanted=False).update(
        state=GateState.OFF, since=timezone.now(), reason="", falls=0, arm_after=None
    )
    clear_alert(ALERT, connection_set=stream.connection_set, about=stream.source)
    left = SynchronousMode.objects.filter(
        stream__connection_set=stream.connection_set
    ).exclude(wanted=False, state=GateState.OFF)
    if not left.exists():
        _local_commits(stream.connection_set, local=False)


def note(mode: SynchronousMode, state: GateState, reason: str) -> None:
    """Write down where the mode stands and why."""
    mode.state, mode.reason = state, reason
    SynchronousMode.objects.filter(pk=mode.pk).update(state=state, reason=reason)


@transaction.atomic
def armed(mode: SynchronousMode) -> bool:
    """Commits wait from now on; False where that is not wanted any more, or the stream
    has begun to end."""
    stream = mode.stream
    changed = (
        SynchronousMode.objects.filter(pk=mode.pk, wanted=True, ready=True)
        .exclude(state=GateState.ON)
        .update(state=GateState.ON, since=timezone.now(), reason="", arm_after=None)
    )
    if changed:
        clear_alert(ALERT, connection_set=stream.connection_set, about=stream.source)
        activity.record(
            "synchronous.armed",
            f"Commits on {_environment(stream).name} wait until they are through.",
            connection_set=stream.connection_set,
        )
    return bool(changed)


@transaction.atomic
def fallen_back(mode: SynchronousMode, reason: str) -> None:
    """Commits wait no more, against what is wanted: alert, and say when it is tried
    again, later after each fall."""
    now = timezone.now()
    falls = 1 if now - mode.since > STEADY else mode.falls + 1
    pause = min(FIRST_PAUSE * 2 ** min(falls - 1, 10), LONGEST_PAUSE)
    stream = mode.stream
    changed = SynchronousMode.objects.filter(
        pk=mode.pk, wanted=True, state=GateState.ON
    ).update(
        state=GateState.FALLEN_BACK,
        since=now,
        reason=reason,
        falls=falls,
        arm_after=now + pause,
    )
    if changed:
        raise_alert(
            ALERT,
            f"Commits on {_environment(stream).name} do not wait for the other side "
            f"any more: {reason} It is armed again by itself when changes get "
            "through.",
            connection_set=stream.connection_set,
            about=stream.source,
            source=stream.source,
        )


def stream_works(stream: Stream, *, synchronous: bool) -> None:
    """A worker runs the stream now, in this way; or not at all."""
    SynchronousMode.objects.filter(stream=stream).update(ready=synchronous)


class Ending:
    """A stream that still runs and is about to be ended in order."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._done = False

    def hand_over(self) -> None:
        """Let its commits go first, so that nobody waits for the next worker."""
        if not self._done:
            self._done = True
            _hand_over(self._stream)


def _hand_over(stream: Stream) -> None:
    # First that nobody arms it again before the stream has ended, or while it is
    # being armed now; then the state: the guard must not take it for somebody else's
    # doing. It lets the commits go itself where we cannot.
    stream_works(stream, synchronous=False)
    handed_over = SynchronousMode.objects.filter(
        stream=stream, state=GateState.ON
    ).update(
        state=GateState.ARMING,
        since=timezone.now(),
        reason="Its worker was stopped; it goes on with the next one.",
    )
    if not handed_over:
        return
    try:
        _disarm(stream.connection_set, stream)
    except EngineError as error:
        log.warning("synchronous.not_released", stream=stream.pk, reason=error.code)


def _local_commits(connection_set: ConnectionSet, *, local: bool) -> None:
    ids = [connection_set.environment(side).pk for side in Side]
    Environment.objects.filter(pk__in=ids).update(local_commits=local)


def _environment(stream: Stream) -> Environment:
    return stream.connection_set.environment(stream.source)


def _names(connection_set: ConnectionSet, sides: Sequence[Side]) -> str:
    return " and ".join(connection_set.environment(side).name for side in sides)
