"""The dashboard around the maps: figures at a glance, what went wrong, what happened.

Each part is one or two queries that go by an index and end at a limit, so that the page
costs the same with a million errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from portal.accounts.scope import scope_of
from portal.activity.models import ActivityEvent
from portal.activity.queries import ActivityFilter, activity_list
from portal.environments.models import ConnectionSet
from portal.errors.causes import causes, counted
from portal.errors.models import Conflict, ConflictState, ErrorGroup
from portal.errors.queries import ErrorFilter
from portal.overview.status import MapStatus, SetStatus, StreamStatus
from portal.pages import COUNT_LIMIT
from portal.runs.figures import RunFigures, figures, runs_of
from portal.trends.charts import Chart, lag, throughput
from portal.trends.queries import WINDOWS, window

MAPS_SHOWN = 12
CAUSES_SHOWN = 5
RUNS_SHOWN = 5
EVENTS_SHOWN = 8

TROUBLE = ("needs_you", "late", "incomplete", "paused", "on_time", "off")
"""Health words, what needs somebody first."""


@dataclass(frozen=True)
class Shown:
    """A connection set as the dashboard lists it: maps in trouble first, and no more
    of them than fit. `hidden` is how many are left out, `hidden_trouble` how many of
    those need somebody."""

    status: SetStatus
    maps: Sequence[MapStatus]

    @property
    def hidden(self) -> int:
        """Maps that are not listed."""
        return len(self.status.maps) - len(self.maps)

    @property
    def hidden_trouble(self) -> int:
        """Maps that need somebody and are not listed."""
        listed = {one.map.pk for one in self.maps}
        return sum(
            one.health == "needs_you" and one.map.pk not in listed
            for one in self.status.maps
        )


@dataclass(frozen=True)
class Glance:
    """The figures at the top. Counts end at the limit of lists."""

    worst: MapStatus | None
    open_errors: int
    queued: int
    queued_bytes: int
    kept: StreamStatus | None
    copying: int
    undecided: int

    @property
    def worst_lag(self) -> float | None:
        """The longest lag of any map that is not stopped."""
        return self.worst.worst_lag if self.worst else None

    @property
    def kept_bytes(self) -> int | None:
        """The most log that a source keeps for its stream."""
        return self.kept.retained_bytes if self.kept else None


@dataclass(frozen=True)
class Trends:
    """Both charts, and what may be chosen instead."""

    charts: Sequence[Chart]
    span: str
    spans: Sequence[str]
    connection_set: int | None
    sets: Sequence[tuple[int, str]]

    @property
    def query(self) -> str:
        """The chosen window as a query string."""
        return self.query_of(self.span)

    def query_of(self, span: str) -> str:
        """A window as a query string."""
        values = QueryDict(mutable=True)
        values["span"] = span
        if self.connection_set is not None:
            values["set"] = str(self.connection_set)
        return values.urlencode()

    @property
    def choices(self) -> list[tuple[str, str]]:
        """The windows with their query strings."""
        return [(span, self.query_of(span)) for span in self.spans]


def shown(
    sets: Sequence[SetStatus], listed: Sequence[int] | None = None
) -> list[Shown]:
    """The sets as they are listed at first, or with the maps a page lists already."""
    found = []
    for one in sets:
        if listed is None:
            worst_first = sorted(one.maps, key=lambda row: TROUBLE.index(row.health))
            maps = worst_first[:MAPS_SHOWN]
        else:
            maps = [row for row in one.maps if row.map.pk in listed]
        found.append(Shown(one, maps))
    return found


def glance(sets: Sequence[SetStatus], user: Any = None) -> Glance:
    """The figures of all sets, in one query."""
    maps = [one for each in sets for one in each.maps]
    moving = [one for one in maps if one.map.state != "not_running"]
    streams = [one for each in sets for one in each.streams]
    return Glance(
        worst=max(moving, key=lambda one: one.worst_lag or 0.0, default=None),
        open_errors=sum(one.open_errors for one in maps),
        queued=sum(one.queued for one in maps),
        queued_bytes=sum(one.queued_bytes for one in maps),
        kept=max(streams, key=lambda one: one.retained_bytes or 0, default=None),
        copying=sum(one.map.state == "initializing" for one in maps),
        undecided=Conflict.objects.visible_to(user)
        .filter(state=ConflictState.UNDECIDED)
        .order_by()[: COUNT_LIMIT + 1]
        .count(),
    )


def trends(values: Mapping[str, str], user: Any = None) -> Trends:
    """The charts a query string asks for; what is unknown is ignored."""
    span = values.get("span", "")
    if span not in WINDOWS:
        span = "hour"
    sets = list(
        ConnectionSet.objects.visible_to(user)
        .filter(retired_at=None)
        .order_by("name")
        .values_list("pk", "name")
    )
    wanted = values.get("set", "")
    chosen = next((pk for pk, _ in sets if str(pk) == wanted), None)
    found = window(span, chosen, scope=scope_of(user))
    # Of who sees only companies of every set no chart can be drawn.
    whole = scope_of(user).everything or bool(scope_of(user).whole_sets)
    charts = [throughput(found), lag(found)] if whole else []
    return Trends(charts, span, tuple(WINDOWS), chosen, sets)


def recent(user: Any = None) -> dict[str, Any]:
    """Causes of open errors, last initial syncs and last events."""
    return {
        "causes": _causes(user),
        "runs": _runs(user),
        "events": _events(user),
    }


def _causes(user: Any) -> list[ErrorGroup]:
    filters = ErrorFilter(scope=scope_of(user))
    return counted(causes(filters)[:CAUSES_SHOWN], filters.scope)


def _runs(user: Any) -> list[RunFigures]:
    return figures(runs_of().visible_to(user)[:RUNS_SHOWN], scope=scope_of(user))


def _events(user: Any) -> list[ActivityEvent]:
    filters = ActivityFilter(scope=scope_of(user))
    return list(activity_list(filters)[:EVENTS_SHOWN])
