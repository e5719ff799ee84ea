"""Reading the activity log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib.postgres.search import SearchQuery
from django.db.models import QuerySet
from django.utils.http import urlencode

from portal.accounts.models import User
from portal.accounts.scope import EVERYTHING, Scope, scope_of
from portal.activity.models import SUBJECT, WORDS, ActivityEvent
from portal.environments.models import ConnectionSet
from portal.maps.models import TableMap
from portal.pages import sharing

SUBJECTS = (
    ("map", "Maps"),
    ("value_map", "Value maps"),
    ("run", "Initial syncs"),
    ("errors", "Errors"),
    ("conflict", "Conflicts"),
    ("stream", "Streams"),
    ("synchronous", "Synchronous mode"),
    ("units", "Transactions in doubt"),
    ("connection_set", "Connection sets"),
    ("environment", "Environments"),
    ("setup", "Set-up"),
    ("alert", "Alerts"),
    ("alert_rule", "Alert rules"),
    ("delivery", "Messages"),
    ("webhook", "Webhooks"),
    ("mail", "Mail settings"),
    ("sign_in", "Signing in"),
    ("user", "Users"),
)
SYSTEM = "system"
"""Stands for what the portal did by itself, where a user is asked for."""

SINGULAR = {
    "map": "Map",
    "value_map": "Value map",
    "run": "Initial sync",
    "errors": "Errors",
    "sign_in": "Sign-in",
    "units": "Transaction in doubt",
    "synchronous": "Synchronous mode",
}


def kind_words(kind: str) -> str:
    """A kind as a person reads it: `alert_rule.changed` is `Alert rule: changed`."""
    subject, _, what = kind.partition(".")
    first = SINGULAR.get(subject) or subject.replace("_", " ").capitalize()
    return f"{first}: {what.replace('_', ' ')}" if what else first


@dataclass(frozen=True)
class ActivityFilter:
    """What the log is narrowed to. `fixed_map` when it is a map's own tab."""

    map_id: int | None = None
    connection_set: int | None = None
    subject: str = ""
    correlation: str = ""
    user: str = ""
    text: str = ""
    since: date | None = None
    until: date | None = None
    fixed_map: bool = False
    scope: Scope = EVERYTHING

    @staticmethod
    def read(
        values: Mapping[str, str], *, map_id: int | None = None, user: Any = None
    ) -> ActivityFilter:
        """From a query string; what is unknown is ignored."""
        return ActivityFilter(
            map_id=map_id if map_id is not None else _whole(values.get("map", "")),
            connection_set=_whole(values.get("set", "")),
            subject=values.get("kind", "").strip(),
            correlation=values.get("correlation", "").strip(),
            user=_user(values.get("user", "")),
            text=values.get("q", "").strip()[:200],
            since=_date(values.get("from", "")),
            until=_date(values.get("to", "")),
            fixed_map=map_id is not None,
            scope=scope_of(user),
        )

    @property
    def narrowed(self) -> bool:
        """True when a filter is set."""
        map_chosen = self.map_id is not None and not self.fixed_map
        return bool(map_chosen or self.query_values)

    @property
    def shared(self) -> str:
        """The column all events of the list share, with an index before the id."""
        if self.map_id is not None:
            return "table_map_id"
        if self.connection_set is not None:
            return "connection_set_id"
        return "user_id" if self.user.isdecimal() else ""

    @property
    def query_values(self) -> dict[str, Any]:
        """What is set, without the map."""
        values = {
            "set": self.connection_set,
            "kind": self.subject,
            "user": self.user,
            "q": self.text,
            "from": self.since,
            "to": self.until,
            "correlation": self.correlation,
        }
        return {name: value for name, value in values.items() if value}

    @property
    def query(self) -> str:
        """As a query string, for links."""
        chosen = {"map": self.map_id} if self.map_id else {}
        return urlencode({**chosen, **self.query_values})


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _user(text: str) -> str:
    return text if text == SYSTEM or _whole(text) is not None else ""


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _matching(text: str) -> SearchQuery | None:
    """All words of a text, each perhaps only begun; None where it has no word."""
    words = re.findall(r"[^\W_]+", text)
    if not words:
        return None
    wanted = " & ".join(f"{word}:*" for word in words)
    return SearchQuery(wanted, search_type="raw", config="simple")


def activity_list(filters: ActivityFilter) -> QuerySet[ActivityEvent]:
    """The events a filter selects, with who and which map."""
    rows = ActivityEvent.objects.within(filters.scope).select_related(
        "user", "table_map", "connection_set"
    )
    if filters.map_id is not None:
        rows = sharing(rows, "table_map_id", filters.map_id)
    if filters.connection_set is not None:
        rows = sharing(rows, "connection_set_id", filters.connection_set)
    if filters.subject:
        rows = rows.alias(subject=SUBJECT).filter(subject=filters.subject)
    if filters.correlation:
        rows = rows.filter(correlation_id=filters.correlation)
    if filters.user == SYSTEM:
        rows = rows.filter(user=None)
    elif filters.user:
        rows = sharing(rows, "user_id", int(filters.user))
    wanted = _matching(filters.text)
    if wanted is not None:
        rows = rows.alias(words=WORDS).filter(words=wanted)
    if filters.since is not None:
        rows = rows.filter(created_at__gte=_midnight(filters.since))
    if filters.until is not None:
        after = _midnight(filters.until) + timedelta(days=1)
        rows = rows.filter(created_at__lt=after)
    return rows


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _people(scope: Scope) -> QuerySet[User]:
    """Whom the filter offers: to who is limited, only those who did what they see."""
    people = User.objects.order_by("username")
    if scope.everything:
        return people
    seen = ActivityEvent.objects.within(scope).order_by()
    return people.filter(pk__in=seen.values("user"))


def choices(user: Any = None) -> dict[str, Any]:
    """What the filter offers."""
    return {
        "maps": list(
            TableMap.objects.visible_to(user).order_by("name").values_list("pk", "name")
        ),
        "sets": list(
            ConnectionSet.objects.visible_to(user)
            .order_by("name")
            .values_list("pk", "name")
        ),
        "subjects": SUBJECTS,
        "users": list(_people(scope_of(user)).values_list("pk", "username")),
    }
