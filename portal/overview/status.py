"""What the pages say of a connection set, its streams and maps, in health words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from portal.comparisons.models import Comparison
from portal.environments.models import ConnectionSet
from portal.maps.models import TableMap
from portal.maps.states import allowed_actions

LATE_AFTER_SECONDS = 30.0

MOVING_STATES = ("initializing", "running", "resuming")


@dataclass(frozen=True)
class StreamStatus:
    """One stream. `state` is what it reports, or `silent` when nothing has been
    heard from it though it should be working."""

    id: int
    source: str
    state: str
    message: str
    lag_seconds: float | None
    lag_bytes: int | None
    retained_bytes: int | None
    last_change_at: datetime | None
    heartbeat_at: datetime | None
    canary_at: datetime | None = None
    canary_seconds: float | None = None
    canary_problem: str = ""
    synchronous: str = "off"
    synchronous_reason: str = ""

    @property
    def needs_you(self) -> bool:
        """True when the stream will not mend by itself."""
        return self.state in ("down", "silent", "stalled")


@dataclass(frozen=True)
class LegStatus:
    """One direction of a map and the age of its oldest unapplied change."""

    direction: str
    mode: str
    lag_seconds: float | None


@dataclass(frozen=True)
class MapStatus:
    """One map as every list shows it."""

    map: TableMap
    connection_set: str
    legs: tuple[LegStatus, ...]
    open_errors: int
    retrying: int
    queued: int
    queued_bytes: int
    oldest_queued_at: datetime | None
    health: str
    reason: str
    compared: Comparison | None = None

    @property
    def version(self) -> str:
        """The current version, with its publisher."""
        return str(self.map.version) if self.map.version else ""

    @property
    def actions(self) -> tuple[str, ...]:
        """What an administrator can do with the map now."""
        return tuple(action.value for action in allowed_actions(self.map.state))

    @property
    def worst_lag(self) -> float | None:
        """The larger lag of both directions."""
        lags = [leg.lag_seconds for leg in self.legs if leg.lag_seconds is not None]
        return max(lags, default=None)


@dataclass(frozen=True)
class SetStatus:
    """One connection set with its streams and maps."""

    connection_set: ConnectionSet
    streams: tuple[StreamStatus, ...]
    maps: tuple[MapStatus, ...]

    @property
    def state(self) -> str:
        """The worst health word of the set's streams and maps."""
        words = {status.health for status in self.maps}
        if any(stream.needs_you for stream in self.streams):
            words.add("needs_you")
        for word in ("needs_you", "late", "incomplete", "on_time", "paused"):
            if word in words:
                return word
        return "off"


NAMED = 5


@dataclass(frozen=True)
class Verdict:
    """The whole in one sentence, with why, for the top of the dashboard. `needy` are
    the maps that the reason names; `more` how many are not named."""

    tone: str
    icon: str
    sentence: str
    why: str = ""
    needy: tuple[MapStatus, ...] = ()
    more: int = 0


def verdict(sets: list[SetStatus]) -> Verdict:
    """One sentence: does anything need a person, and what."""
    maps = [status for one in sets for status in one.maps]
    stuck = [
        (one, stream) for one in sets for stream in one.streams if stream.needs_you
    ]
    needy = [status for status in maps if status.health == "needs_you"]
    if not sets:
        return Verdict("off", "link_off", "Nothing is linked yet")
    if stuck:
        return Verdict(
            "bad",
            "error",
            _many(len(stuck), "stream needs you", "streams need you"),
            "; ".join(
                f"{one.connection_set.name}: "
                f"{stream.message or 'no worker has reported for a while'}"
                for one, stream in stuck
            ),
        )
    if needy:
        return Verdict(
            "bad",
            "error",
            _many(len(needy), "map needs you", "maps need you"),
            "; ".join(f"{one.map.name}: {one.reason}" for one in needy[:NAMED]),
            tuple(needy[:NAMED]),
            len(needy[NAMED:]),
        )
    if not maps:
        return Verdict("off", "account_tree", "There are no maps yet")
    moving = [status for status in maps if status.map.state in MOVING_STATES]
    late = [status for status in moving if status.health == "late"]
    if late:
        return Verdict(
            "wait",
            "schedule",
            _many(len(late), "map is late", "maps are late"),
            "Changes arrive, but more slowly than they are made.",
        )
    copying = sum(status.map.state == "initializing" for status in maps)
    paused = sum(status.map.state == "paused" for status in maps)
    if not moving:
        if paused:
            return Verdict(
                "wait",
                "pause_circle",
                _many(paused, "map is paused", "maps are paused"),
            )
        return Verdict("off", "stop_circle", "No map is running")
    parts = []
    if copying:
        parts.append(_many(copying, "map is being copied", "maps are being copied"))
    if paused:
        parts.append(_many(paused, "map is paused", "maps are paused"))
    idle = sum(status.map.state == "not_running" for status in maps)
    if idle:
        parts.append(_many(idle, "map is not running", "maps are not running"))
    return Verdict("good", "check_circle", "Everything is moving", _sentence(parts))


def judge(
    one: TableMap,
    streams: Iterable[StreamStatus],
    *,
    open_errors: int,
    retrying: int,
    worst_lag: float,
    failed_run: str,
) -> tuple[str, str]:
    """A health word of the pages, and why a person is needed."""
    if one.state == "not_running" and (one.state_reason or failed_run):
        return "needs_you", one.state_reason or failed_run
    if one.state != "not_running" and one.state_reason:
        return "needs_you", one.state_reason
    if one.reconcile_needed_at is not None:
        return "needs_you", f"must be compared: {one.reconcile_reason.rstrip('.')}"
    if open_errors > retrying:
        return "needs_you", _many(open_errors, "open error", "open errors")
    if one.state == "not_running":
        return "off", ""
    if one.state == "paused":
        return "paused", ""
    if retrying or one.state != "running":
        return "incomplete", ""
    if any(stream.state in ("retrying", "spooling") for stream in streams):
        return "incomplete", ""
    if worst_lag > LATE_AFTER_SECONDS:
        return "late", ""
    return "on_time", ""


def _many(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _sentence(parts: list[str]) -> str:
    return f"{', '.join(parts)}." if parts else ""
