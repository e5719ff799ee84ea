"""Retrying and dismissing errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from portal.activity import services as activity
from portal.environments.models import ConnectionSet
from portal.errors.models import OPEN_ERROR_STATES, ErrorGroup, ErrorState, SyncError
from portal.errors.owning import LONGEST
from portal.errors.waking import let_go
from portal.maps.models import TableMap
from portal.refusals import NotFound, Refusal
from syncengine.mapping.causes import HELD

if TYPE_CHECKING:
    from portal.accounts.models import User

PORTION = 10_000
"""So many errors are changed in one transaction."""


def choose(
    *,
    ids: Iterable[int] | None = None,
    table_map: TableMap | None = None,
    causes: Iterable[int] | None = None,
    everything: bool = False,
) -> QuerySet[SyncError]:
    """Open errors by id, of some causes, of one map, or all. Raises NotFound when an
    id is unknown or its error is closed, and for an unknown cause."""
    errors = SyncError.objects.filter(state__in=OPEN_ERROR_STATES)
    if ids is not None:
        wanted = set(ids)
        chosen = errors.filter(pk__in=wanted)
        missing = wanted - set(chosen.values_list("pk", flat=True))
        if missing:
            names = ", ".join(str(pk) for pk in sorted(missing))
            raise NotFound(f"There is no open error with id {names}.")
        return chosen
    if causes is not None:
        asked = set(causes)
        known = ErrorGroup.objects.filter(pk__in=asked).values_list("pk", flat=True)
        unknown = asked - set(known)
        if unknown:
            names = ", ".join(str(pk) for pk in sorted(unknown))
            raise NotFound(f"There is no cause with id {names}.")
        return errors.filter(cause__in=asked)
    if table_map is not None:
        return errors.filter(table_map=table_map)
    return errors if everything else errors.none()


def retry(errors: QuerySet[SyncError], *, user: User | None = None) -> int:
    """Ask the streams to try these records again from their present source rows;
    gives their number. Errors that were closed meanwhile are left alone.

    Many are marked in portions, each committed with its line of the activity log.
    """

    def mark(portion: QuerySet[SyncError]) -> int:
        return portion.update(state=ErrorState.RETRYING, not_before=timezone.now())

    return _in_portions(
        errors, mark, "errors.retry", "Retry of {} asked for.", user=user
    )


def dismiss(
    errors: QuerySet[SyncError], *, reason: str = "", user: User | None = None
) -> int:
    """Close errors without writing anything; gives their number. The record stays
    different on both sides until it changes again. Records that were held back with
    dismissed ones are tried again. Works in portions, like `retry`. The reason stays
    with the errors and in the activity log."""
    reason = reason.replace("\0", "").strip()
    if len(reason) > LONGEST:
        raise Refusal(
            f"The reason has {len(reason):,} characters, {LONGEST:,} are possible.",
            code="text_too_long",
        )

    def close(portion: QuerySet[SyncError]) -> int:
        culprits = (
            portion.exclude(group="")
            .exclude(code=HELD)
            .order_by()
            .values_list("group", flat=True)
            .distinct()
        )
        groups = list(culprits)
        sets = _connection_sets(portion) if groups else []
        number = portion.update(
            state=ErrorState.DISMISSED,
            not_before=None,
            closed_at=timezone.now(),
            dismiss_reason=reason,
            dismissed_by=user,
        )
        if groups:
            let_go(sets, groups)
        return number

    return _in_portions(
        errors,
        close,
        "errors.dismiss",
        "{} dismissed.",
        user=user,
        details={"reason": reason} if reason else {},
    )


def _in_portions(
    errors: QuerySet[SyncError],
    change: Callable[[QuerySet[SyncError]], int],
    kind: str,
    sentence: str,
    *,
    user: User | None,
    details: Mapping[str, str] | None = None,
) -> int:
    """Change open errors, so many in one transaction that no stream has to wait long
    for the counts of their causes."""
    chosen = errors.filter(state__in=OPEN_ERROR_STATES).order_by("pk")
    correlation = activity.new_correlation_id()
    total, last = 0, 0
    touched: set[int] = set()
    while True:
        with transaction.atomic():
            ids = list(
                chosen.filter(pk__gt=last).values_list("pk", flat=True)[:PORTION]
            )
            if not ids:
                break
            last = ids[-1]
            portion = SyncError.objects.filter(pk__in=ids, state__in=OPEN_ERROR_STATES)
            sets = _connection_sets(portion)
            number = change(portion)
            if number:
                words = f"{number:,} {'error' if number == 1 else 'errors'}"
                activity.record(
                    kind,
                    sentence.format(words),
                    user=user,
                    connection_set=_only(sets),
                    correlation_id=correlation,
                    details={"errors": number, **(details or {})},
                )
                total += number
                touched.update(sets)
    _tell(sorted(touched))
    return total


def _connection_sets(errors: QuerySet[SyncError]) -> list[int]:
    return list(
        errors.order_by()
        .values_list("table_map__connection_set_id", flat=True)
        .distinct()
    )


def _only(sets: list[int]) -> ConnectionSet | None:
    return ConnectionSet.objects.get(pk=sets[0]) if len(sets) == 1 else None


def _tell(sets: list[int]) -> None:
    ConnectionSet.objects.filter(pk__in=sets).update(revision=F("revision") + 1)
