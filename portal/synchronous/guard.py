"""The guard of synchronous mode: arms it, and lets users go when it takes too long.

It runs as a thread in every worker and in beat, one of them at a time: whatever single
process dies, another looks after the commits that wait. It never trusts the stream to
do so, which may be the process that died.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import psycopg
import structlog
from django.db import DatabaseError, close_old_connections, connection
from django.db.models import Q
from django.utils import timezone

from portal.environments.connectors import connection_settings, connector_for
from portal.environments.models import Environment
from portal.synchronous import services
from portal.synchronous.models import GateState, SynchronousMode
from syncengine.connectors.base import ConnectionSettings
from syncengine.connectors.gate import CommitGate, GateView
from syncengine.errors import EngineError

log = structlog.get_logger(__name__)

LOCK = (0x6477, -1)
"""Advisory lock of the portal's database; the stream leases have positive ids."""

LOOK_SECONDS = 0.5
IDLE_SECONDS = 2.0
PATIENCE_SECONDS = 1.0
"""A server that answers later is looked at when it does; the others cannot wait."""

MOST_LOOKS = 32
HEALTHY_SECONDS = 1.5
"""For so long all that was written must have come through before commits wait."""

UNSEEN = "unseen"


@dataclass
class _Watched:
    """What the guard remembers of one source between two looks."""

    gate: CommitGate
    settings: ConnectionSettings
    waits: dict[str, tuple[float, int]] = field(default_factory=dict)
    crossed: frozenset[str] = frozenset()
    looking: Future[GateView] | None = None
    written: int | None = None
    healthy_since: float | None = None


class Guard:
    """Looks at every source in synchronous mode; used by one thread."""

    def __init__(self) -> None:
        self._watched: dict[int, _Watched] = {}
        self._modes: list[SynchronousMode] = []
        self._looks = ThreadPoolExecutor(MOST_LOOKS, "dualwrite look")

    @property
    def busy(self) -> bool:
        """Whether there is anything to look after."""
        return bool(self._modes)

    def step(self) -> None:
        """One look at everything. Where the portal's own database does not answer,
        goes on with what it knew last."""
        try:
            self._modes = _modes()
        except DatabaseError:
            close_old_connections()
        known = {mode.pk for mode in self._modes}
        for pk in [pk for pk in self._watched if pk not in known]:
            if self._watched[pk].looking is None:
                self._watched.pop(pk).gate.close()
        for mode in self._modes:
            watched = self._watch(mode)
            if watched.looking is None:
                watched.looking = self._looks.submit(watched.gate.look)
        pending = [one.looking for one in self._watched.values() if one.looking]
        wait(pending, PATIENCE_SECONDS)
        for mode in self._modes:
            looking = self._watched[mode.pk].looking
            if looking is None or not looking.done():
                continue
            self._watched[mode.pk].looking = None
            try:
                self._look_after(mode, looking.result())
            except EngineError as error:
                self._forget_health(mode)
                log.info("synchronous.unseen", mode=mode.pk, reason=error.code)
            except DatabaseError as error:
                log.warning("synchronous.unnoted", mode=mode.pk, reason=str(error))
                close_old_connections()

    def close(self) -> None:
        """Give all connections back."""
        self._looks.shutdown()
        for watched in self._watched.values():
            watched.gate.close()
        self._watched.clear()

    def _look_after(self, mode: SynchronousMode, view: GateView) -> None:
        watched = self._watched[mode.pk]
        now = time.monotonic()
        _remember(watched, view, now)
        if not (mode.wanted and mode.stream.connection_set.retired_at is None):
            watched.gate.disarm()
            if not mode.wanted:
                services.settled_off(mode)
        elif mode.state == GateState.ON:
            self._while_on(mode, watched, view, now)
        elif view.armed:
            # Somebody was killed between the two steps of arming or disarming.
            watched.gate.disarm()
        elif _may_arm(mode, watched, now):
            watched.gate.arm()
            if not services.armed(mode):
                watched.gate.disarm()

    def _while_on(
        self, mode: SynchronousMode, watched: _Watched, view: GateView, now: float
    ) -> None:
        if not view.armed:
            services.fallen_back(
                mode, "somebody changed synchronous_standby_names on the server."
            )
        elif _stuck(watched, view, now, mode.timeout_seconds):
            watched.gate.disarm()
            watched.waits.clear()
            self._forget_health(mode)
            services.fallen_back(mode, _why(mode, view))
        else:
            crossed = frozenset(view.crossed)
            again = crossed & watched.crossed
            watched.crossed = crossed
            if again:
                watched.gate.release(sorted(again))
                log.info("synchronous.crossed", mode=mode.pk, released=len(again))

    def _watch(self, mode: SynchronousMode) -> _Watched:
        environment = _environment(mode)
        settings = connection_settings(environment)
        watched = self._watched.get(mode.pk)
        if watched is None or (watched.settings != settings and not watched.looking):
            if watched is not None:
                watched.gate.close()
            link = mode.stream.connection_set.link_id
            watched = _Watched(connector_for(environment).gate(link), settings)
            self._watched[mode.pk] = watched
        return watched

    def _forget_health(self, mode: SynchronousMode) -> None:
        if (watched := self._watched.get(mode.pk)) is not None:
            watched.healthy_since = watched.written = None


def _modes() -> list[SynchronousMode]:
    return list(
        SynchronousMode.objects.select_related(
            "stream__connection_set__finops", "stream__connection_set__dataverse"
        ).filter(Q(wanted=True) | ~Q(state=GateState.OFF))
    )


def _environment(mode: SynchronousMode) -> Environment:
    return mode.stream.connection_set.environment(mode.stream.source)


def _remember(watched: _Watched, view: GateView, now: float) -> None:
    """Since when commits wait, up to which place; since when all goes through."""
    through = -1 if view.through is None else view.through
    waiting: Iterable[str]
    if view.waiting is not None:
        waiting = view.waiting
    else:
        waiting = [UNSEEN] if through < view.written else []
    watched.waits = {
        one: watched.waits.get(one, (now, view.written)) for one in waiting
    }
    if view.waiting is None and through >= watched.waits.get(UNSEEN, (0.0, -1))[1]:
        # What could not be seen waiting has come through: count anew.
        watched.waits.pop(UNSEEN, None)
    moves = view.streaming and (watched.written is None or through >= watched.written)
    if not moves:
        watched.healthy_since = None
    elif watched.healthy_since is None:
        watched.healthy_since = now
    watched.written = view.written


def _stuck(watched: _Watched, view: GateView, now: float, timeout: float) -> bool:
    """A commit has waited for us too long; one that waits for somebody else's standby
    is through here already."""
    through = -1 if view.through is None else view.through
    return any(
        now - since >= timeout and through < place
        for since, place in watched.waits.values()
    )


def _may_arm(mode: SynchronousMode, watched: _Watched, now: float) -> bool:
    ready = SynchronousMode.objects.get(pk=mode.pk).ready
    return (
        ready
        and (mode.arm_after is None or timezone.now() >= mode.arm_after)
        and watched.healthy_since is not None
        and now - watched.healthy_since >= HEALTHY_SECONDS
    )


def _why(mode: SynchronousMode, view: GateView) -> str:
    other = mode.stream.connection_set.environment(
        "dataverse" if mode.stream.source == "finops" else "finops"
    )
    if view.through is None:
        return (
            f"a commit waited {mode.timeout_seconds:g} s and no worker reads the "
            "changes."
        )
    return (
        f"a commit waited {mode.timeout_seconds:g} s and was not written to "
        f"{other.name}."
    )


# -- the thread ------------------------------------------------------------------


def start() -> threading.Thread:
    """Stand guard in a thread of this process, for as long as it lives."""
    thread = threading.Thread(target=_stand, name="dualwrite guard", daemon=True)
    thread.start()
    return thread


def _stand() -> None:
    ended = threading.Event()
    while True:
        try:
            stand(ended)
        except Exception:
            log.exception("synchronous.guard_failed")
        time.sleep(IDLE_SECONDS)  # before another try, not for a result


def stand(ended: threading.Event) -> None:
    """Wait for our turn, then look after everything until `ended`."""
    guard = Guard()
    try:
        while not ended.is_set():
            try:
                with psycopg.connect(**_parameters(), autocommit=True) as turn:
                    _stand_while(guard, turn, ended)
            except psycopg.OperationalError:
                # No portal database: nobody else can have our turn either.
                if guard.busy:
                    guard.step()
            ended.wait(LOOK_SECONDS if guard.busy else IDLE_SECONDS)
    finally:
        guard.close()
        connection.close()


def _stand_while(
    guard: Guard,
    turn: psycopg.Connection[tuple[object, ...]],
    ended: threading.Event,
) -> None:
    ours = False
    while not ended.is_set():
        if not ours:
            row = turn.execute("SELECT pg_try_advisory_lock(%s, %s)", LOCK).fetchone()
            ours = row is not None and bool(row[0])
        else:
            turn.execute("SELECT 1")
        if ours:
            guard.step()
        ended.wait(LOOK_SECONDS if ours and guard.busy else IDLE_SECONDS)


def _parameters() -> dict[str, object]:
    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context", "pool"):
        parameters.pop(name, None)
    return {**parameters, "connect_timeout": 3}
