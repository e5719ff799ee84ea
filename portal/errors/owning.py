"""Who takes care of a cause, and what people write about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import transaction

from portal.accounts.models import User as Account
from portal.accounts.people import who_may, who_sees, within_limits
from portal.accounts.roles import Right
from portal.activity import services as activity
from portal.activity.changes import changes
from portal.errors.models import CauseComment, ErrorGroup
from portal.refusals import NotFound, Refusal

if TYPE_CHECKING:
    from portal.accounts.models import User

LONGEST = 4_000
"""Characters of a comment or a reason."""


def people(cause: ErrorGroup | None = None) -> list[Account]:
    """Who can be given a cause, by name: whoever may see it."""
    return list(who_may(Right.SEE)) if cause is None else who_sees(cause)


def find_person(name: str, cause: ErrorGroup | None = None) -> Account:
    """The one with this user name, in any case. Raises NotFound."""
    wanted = name.strip()
    for one in people(cause):
        if one.get_username().casefold() == wanted.casefold():
            return one
    raise NotFound(f"There is no active user {wanted} who may sign in here.")


def find_causes(ids: Iterable[int]) -> list[ErrorGroup]:
    """These causes with their maps. Raises NotFound for unknown ones."""
    asked = set(ids)
    found = list(
        ErrorGroup.objects.filter(pk__in=asked)
        .select_related("table_map__connection_set", "assigned_to")
        .order_by("pk")
    )
    if missing := sorted(asked - {one.pk for one in found}):
        names = ", ".join(map(str, missing))
        raise NotFound(f"There is no cause with id {names}.")
    return found


@transaction.atomic
def assign(
    causes: Iterable[int], person: User | None, *, user: User | None = None
) -> int:
    """Give causes to a person, or to nobody; gives the number of those that were
    somebody else's before."""
    changed = [one for one in find_causes(causes) if one.assigned_to != person]
    for cause in changed:
        if person is not None and not within_limits(person, cause):
            raise Refusal(
                f"{person} may not see cause {cause.pk}.", code="beyond_limits"
            )
        former = cause.assigned_to
        cause.assigned_to = person
        cause.save(update_fields=["assigned_to"])
        whom = f"assigned to {person}" if person else "assigned to nobody any more"
        activity.record(
            "errors.assign",
            f"{cause.table_map.name}: cause {cause.pk} is {whom}.",
            user=user,
            table_map=cause.table_map,
            details={
                "cause": cause.pk,
                "assigned_to": person.get_username() if person else "",
                "changes": changes(
                    {"assigned_to": str(former or "")},
                    {"assigned_to": str(person or "")},
                ),
            },
        )
    return len(changed)


@transaction.atomic
def comment(
    causes: Iterable[int], text: str, *, user: User | None = None
) -> list[CauseComment]:
    """Write the same about each of these causes. Refused when it is empty."""
    words = checked_text(text, "comment")
    made = []
    for cause in find_causes(causes):
        made.append(CauseComment.objects.create(cause=cause, user=user, text=words))
        activity.record(
            "errors.comment",
            f"{cause.table_map.name}: comment on cause {cause.pk}.",
            user=user,
            table_map=cause.table_map,
            details={"cause": cause.pk, "text": words},
        )
    return made


def checked_text(text: str, noun: str) -> str:
    """The text without blanks around it; refused when it is empty or too long."""
    words = text.replace("\0", "").strip()
    if not words:
        raise Refusal(f"Write a {noun} first.", code="text_missing")
    if len(words) > LONGEST:
        raise Refusal(
            f"The {noun} has {len(words):,} characters, {LONGEST:,} are possible.",
            code="text_too_long",
        )
    return words
