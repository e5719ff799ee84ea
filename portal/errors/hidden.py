"""The values that the text of a cause hides: which, and how many records have each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from portal.accounts.scope import EVERYTHING, Scope
from portal.errors import mending
from portal.errors.models import OPEN_ERROR_STATES, ErrorGroup, SyncError
from portal.pages import sharing
from syncengine.mapping.causes import hidden_value

SAMPLED = 1_000
"""So many of a cause's newest open errors are looked at."""

REACH = 10_000
"""How far back they are looked for, open or closed: what bounds the reading."""

SHOWN = 10


@dataclass(frozen=True)
class Hidden:
    """A value, how many of the sampled records have it, and the newest of them."""

    value: str
    records: int
    newest: int
    edit_query: str = ""


@dataclass(frozen=True)
class HiddenValues:
    """The commonest values, `more` others, and the number of sampled records."""

    sampled: int
    values: Sequence[Hidden]
    more: int


def hidden_values(cause: ErrorGroup, scope: Scope = EVERYTHING) -> HiddenValues:
    """The commonest hidden values among the cause's newest open errors; where a value
    map still misses one, with what opens the editor to add it."""
    found = _sample(cause.pk, scope)
    numbers = Counter(value for _, value in found if value)
    newest: dict[str, int] = {}
    for pk, value in found:
        newest.setdefault(value, pk)
    shown = numbers.most_common(SHOWN)
    queries = _edit_queries(cause, [newest[value] for value, _ in shown])
    values = [
        Hidden(value, records, newest[value], queries.get(newest[value], ""))
        for value, records in shown
    ]
    return HiddenValues(len(found), values, len(numbers) - len(values))


def errors_with(cause_id: int, value: str, scope: Scope = EVERYTHING) -> list[int]:
    """The sampled errors of a cause that have this value."""
    return [pk for pk, hidden in _sample(cause_id, scope) if hidden == value]


def document(found: HiddenValues) -> dict[str, Any]:
    """As `dw errors --by-cause --cause` gives them."""
    return {
        "sampled": found.sampled,
        "values": [
            {"value": one.value, "records": one.records} for one in found.values
        ],
        "more": found.more,
    }


def _sample(cause_id: int, scope: Scope) -> list[tuple[int, str]]:
    """The newest open errors, newest first, with what their messages hide."""
    rows = sharing(SyncError.objects.within(scope), "cause_id", cause_id)
    rows = rows.filter(state__in=OPEN_ERROR_STATES, pk__gte=_since(cause_id))
    newest = rows.order_by("cause_id", "-id")[:SAMPLED]
    return [
        (pk, hidden_value(message, remote))
        for pk, message, remote in newest.values_list("pk", "message", "remote")
    ]


def _since(cause_id: int) -> Any:
    """The oldest error within reach."""
    rows: QuerySet[SyncError] = sharing(SyncError.objects.all(), "cause_id", cause_id)
    oldest = rows.order_by("cause_id", "-id").values("pk")[REACH - 1 : REACH]
    return Coalesce(Subquery(oldest), Value(0))


def _edit_queries(cause: ErrorGroup, newest: Sequence[int]) -> dict[int, str]:
    """By error, what opens the editor with the missing value begun as a pair."""
    if cause.code != mending.CODE:
        return {}
    errors = list(SyncError.objects.filter(pk__in=newest))
    missed = mending.missed_values(cause.table_map, errors)
    return {
        one.pk: mending.editor_query(one, missed[one.pk])
        for one in errors
        if one.pk in missed
    }
