"""Retrying and dismissing errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from portal.activity import services as activity
from portal.environments.models import ConnectionSet
from portal.errors.models import OPEN_ERROR_STATES, ErrorState, SyncError
from portal.maps.models import TableMap
from portal.refusals import NotFound

if TYPE_CHECKING:
    from portal.accounts.models import User


def choose(
    *,
    ids: Iterable[int] | None = None,
    table_map: TableMap | None = None,
    everything: bool = False,
) -> QuerySet[SyncError]:
    """Open errors by id, of one map, or all. Raises NotFound when an id is unknown or
    its error is closed."""
    errors = SyncError.objects.filter(state__in=OPEN_ERROR_STATES)
    if ids is not None:
        wanted = set(ids)
        chosen = errors.filter(pk__in=wanted)
        missing = wanted - set(chosen.values_list("pk", flat=True))
        if missing:
            names = ", ".join(str(pk) for pk in sorted(missing))
            raise NotFound(f"There is no open error with id {names}.")
        return chosen
    if table_map is not None:
        return errors.filter(table_map=table_map)
    return errors if everything else errors.none()


@transaction.atomic
def retry(errors: QuerySet[SyncError], *, user: User | None = None) -> int:
    """Ask the streams to try these records again from their present source rows;
    gives their number. Errors that were closed meanwhile are left alone."""
    chosen = errors.filter(state__in=OPEN_ERROR_STATES)
    sets = _connection_sets(chosen)
    number = chosen.update(state=ErrorState.RETRYING, not_before=timezone.now())
    if number:
        _tell(sets)
        activity.record(
            "errors.retry",
            f"Retry of {number} {'error' if number == 1 else 'errors'} asked for.",
            user=user,
            connection_set=_only(sets),
            details={"errors": number},
        )
    return number


@transaction.atomic
def dismiss(errors: QuerySet[SyncError], *, user: User | None = None) -> int:
    """Close errors without writing anything; gives their number. The record stays
    different on both sides until it changes again."""
    chosen = errors.filter(state__in=OPEN_ERROR_STATES)
    sets = _connection_sets(chosen)
    number = chosen.update(state=ErrorState.DISMISSED, not_before=None)
    if number:
        _tell(sets)
        activity.record(
            "errors.dismiss",
            f"{number} {'error' if number == 1 else 'errors'} dismissed.",
            user=user,
            connection_set=_only(sets),
            details={"errors": number},
        )
    return number


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
