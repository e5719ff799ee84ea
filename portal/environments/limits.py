"""The limits of a connection set: its queues, and the log its sources keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import transaction

from portal.activity import services as activity
from portal.activity.changes import changes
from portal.environments.models import ConnectionSet
from portal.refusals import Refusal

if TYPE_CHECKING:
    from portal.accounts.models import User

FIELDS = (
    "queue_warn_minutes",
    "queue_warn_bytes",
    "queue_policy",
    "spool_after_seconds",
    "spool_bytes",
    "log_limit_bytes",
    "after_gap",
)


def limits_of(connection_set: ConnectionSet) -> dict[str, Any]:
    """The limits by name."""
    return {name: getattr(connection_set, name) for name in FIELDS}


@transaction.atomic
def set_limits(
    connection_set: ConnectionSet, values: dict[str, Any], *, user: User | None = None
) -> ConnectionSet:
    """Change some of the limits; streams and queues go by them at once. Refuses what
    makes no sense, with every reason."""
    present = ConnectionSet.objects.select_for_update().get(pk=connection_set.pk)
    before = limits_of(present)
    for name, value in values.items():
        setattr(present, name, value)
    _refuse(present)
    changed = {n: v for n, v in limits_of(present).items() if v != before[n]}
    if changed:
        present.save(update_fields=list(changed))
        words = ", ".join(f"{name} {value}" for name, value in changed.items())
        activity.record(
            "connection_set.limits",
            f"{present.name}: limits changed: {words}.",
            user=user,
            connection_set=present,
            details={
                "changes": changes({name: before[name] for name in changed}, changed)
            },
        )
    return present


def _refuse(present: ConnectionSet) -> None:
    reasons: list[str] = []
    try:
        present.clean_fields(
            exclude=[f.name for f in present._meta.fields if f.name not in FIELDS]
        )
    except ValidationError as error:
        reasons = [
            f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items()
        ]
    else:
        for name in ("queue_warn_bytes", "spool_bytes", "log_limit_bytes"):
            if getattr(present, name) <= 0:
                reasons.append(f"{name} must be above zero.")
        if present.log_limit_bytes < present.spool_bytes:
            reasons.append(
                "log_limit_bytes must not be below spool_bytes: the log would be "
                "released before anything is spooled."
            )
    if reasons:
        raise Refusal(
            "The limits were not changed.", code="bad_limits", reasons=reasons
        )
