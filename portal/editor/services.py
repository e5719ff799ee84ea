"""What is done with drafts: begin, change, undo, take over, discard, publish."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from portal.activity import services as activity
from portal.editor import content
from portal.editor.content import Draft, Edit
from portal.editor.models import DraftStep, MapDraft
from portal.maps import conversion
from portal.maps.models import MapVersion, TableMap
from portal.maps.preparation import definition
from portal.maps.versions import create_version, next_number, why_fixed
from portal.refusals import ActionForbidden, NotFound, Refusal

if TYPE_CHECKING:
    from portal.accounts.models import User

STEPS = 50
"""How many changes can be undone."""
ONE_STEP = timedelta(seconds=10)
"""Typing on in one place within this time is one step."""


def draft_row(table_map: TableMap) -> MapDraft | None:
    """The map's draft, if somebody has begun one."""
    rows = MapDraft.objects.select_related("user", "base__table_map")
    return rows.filter(table_map=table_map).first()


def draft_or_refuse(table_map: TableMap) -> MapDraft:
    """The map's draft. Raises NotFound when there is none."""
    row = draft_row(table_map)
    if row is None:
        raise NotFound(f"{table_map.name} has no draft: begin to edit it.")
    return row


def read(row: MapDraft) -> Draft:
    """What the draft says."""
    return content.from_json(row.content)


@transaction.atomic
def begin(table_map: TableMap, *, user: User | None = None) -> MapDraft:
    """Begin a draft from the map's present version, or give the one there is.

    Refused while the map is anything but Not running.
    """
    table_map = TableMap.objects.select_for_update(of=("self",), no_key=True).get(
        pk=table_map.pk
    )
    present = draft_row(table_map)
    if present is not None:
        return present
    _refuse_fixed(table_map)
    row = MapDraft.objects.create(
        table_map=table_map,
        user=user,
        base=table_map.version,
        content=content.to_json(content.draft_of(definition(table_map))),
    )
    activity.record(
        "map.draft_begun",
        f"{table_map.name}: a draft was begun from version {table_map.version}.",
        user=user,
        table_map=table_map,
    )
    return row


def why_held(row: MapDraft, user: User | None) -> str:
    """Why `user` cannot change the draft: somebody else holds it; empty when not."""
    if row.user_id == (user.pk if user else None):
        return ""
    holder = str(row.user) if row.user else "The command line"
    return (
        f"{holder} edits this draft (last at {row.changed_at:%Y-%m-%d %H:%M} UTC): "
        "take it over to change it yourself."
    )


@transaction.atomic
def take_over(table_map: TableMap, *, user: User | None = None) -> MapDraft:
    """Hold the draft that somebody else has begun, with all they have written."""
    row = _lock(table_map)
    if row.user_id == (user.pk if user else None):
        return row
    before = str(row.user) if row.user else "the command line"
    row.user = user
    row.save(update_fields=["user", "changed_at"])
    activity.record(
        "map.draft_taken_over",
        f"{table_map.name}: the draft of {before} was taken over.",
        user=user,
        table_map=table_map,
        details={"before": before},
    )
    return row


@transaction.atomic
def change(
    table_map: TableMap, edit: Edit, subject: str, *, user: User | None = None
) -> Draft:
    """Make one change and keep what was before for `undo`.

    Refused while somebody else holds the draft, and while the map is anything but Not
    running.
    """
    row = _lock_own(table_map, user)
    before = read(row)
    after = edit(before)
    if after != before:
        _remember(row, subject)
        row.content = content.to_json(after)
        row.save(update_fields=["content", "changed_at"])
    return after


def _remember(row: MapDraft, subject: str) -> None:
    last = row.steps.order_by("-id").first()
    now = timezone.now()
    if last and last.subject == subject and now - last.made_at < ONE_STEP:
        last.save(update_fields=["made_at"])
        return
    row.steps.create(subject=subject[:60], content=row.content)
    kept = row.steps.order_by("-id").values_list("pk", flat=True)[:STEPS]
    row.steps.exclude(pk__in=list(kept)).delete()


@transaction.atomic
def undo(table_map: TableMap, *, user: User | None = None) -> str:
    """Take the last change back; gives what it was about, nothing when there is
    none."""
    row = _lock_own(table_map, user)
    last: DraftStep | None = row.steps.order_by("-id").first()
    if last is None:
        return ""
    row.content = last.content
    row.save(update_fields=["content", "changed_at"])
    last.delete()
    return last.subject


@transaction.atomic
def discard(table_map: TableMap, *, user: User | None = None) -> None:
    """Throw the draft away. It goes to the activity log, whoever held it."""
    row = _lock(table_map)
    activity.record(
        "map.draft_discarded",
        f"{table_map.name}: the draft was discarded.",
        user=user,
        table_map=table_map,
        details={"held_by": str(row.user or ""), "draft": row.content["map"]},
    )
    row.delete()


@transaction.atomic
def publish(
    table_map: TableMap,
    *,
    publisher: str,
    version: str,
    user: User | None = None,
) -> MapVersion:
    """Make the draft the map's next version under this publisher and number, and the
    current one. Refused as `create_version` refuses, when a line or a part of the key
    is unfinished, and when nothing differs."""
    row = _lock_own(table_map, user)
    wanted = ready(read(row).definition)
    wanted = replace(wanted, publisher=publisher.strip(), version=version.strip())
    refuse_number(wanted.version)
    present = row.table_map.version
    if present is not None:
        before = conversion.to_engine(present)
        numbers = {"publisher": wanted.publisher, "version": wanted.version}
        if replace(before, **numbers) == wanted:
            raise Refusal(
                f"The draft says what version {present} says: there is nothing to "
                "publish.",
                code="nothing_changed",
            )
    made = create_version(row.table_map, wanted, user=user)
    row.delete()
    return made


def refuse_number(version: str) -> None:
    """Refuse what is no version number."""
    parts = version.split(".")
    if len(parts) != 4 or not all(
        part.isascii() and part.isdecimal() and len(part) <= 9 for part in parts
    ):
        raise Refusal(
            f"{version or 'Nothing'} is no version: it has four numbers, like 1.0.0.0.",
            code="version_invalid",
        )


def ready(wanted: content.TableMap) -> content.TableMap:
    """The definition without empty lines; refuses one that is unfinished."""
    lines = tuple(
        line
        for line in wanted.columns
        if line.finops or line.dataverse or line.computed
    )
    wanted = replace(wanted, columns=lines)
    reasons = [
        f"Line {number} names no column on either side."
        for number, line in enumerate(lines, 1)
        if not (line.finops or line.dataverse)
    ]
    if not lines:
        reasons.append("There is no line left.")
    reasons += [
        f"The key part {pair.finops or 'none'} / {pair.dataverse or 'none'} lacks a "
        "column."
        for pair in wanted.key
        if not (pair.finops and pair.dataverse)
    ]
    reasons += [
        f"The decision table of line {number} asks a column without a name."
        for number, line in enumerate(lines, 1)
        if line.decision is not None and not all(line.decision.sources)
    ]
    if reasons:
        raise Refusal(
            "The draft is not finished.", code="draft_unfinished", reasons=reasons
        )
    return wanted


def offered_number(table_map: TableMap, publisher: str) -> str:
    """The version number to offer for the next version of a publisher."""
    if table_map.versions.filter(publisher=publisher).exists():
        return next_number(table_map, publisher)
    return "1.0.0.0"


def _lock(table_map: TableMap) -> MapDraft:
    row = (
        MapDraft.objects.select_for_update(of=("self",))
        .select_related("user", "table_map__version__table_map")
        .filter(table_map=table_map)
        .first()
    )
    if row is None:
        raise NotFound(f"{table_map.name} has no draft: begin to edit it.")
    return row


def _lock_own(table_map: TableMap, user: User | None) -> MapDraft:
    row = _lock(table_map)
    if held := why_held(row, user):
        raise ActionForbidden(held, code="draft_held")
    _refuse_fixed(row.table_map)
    return row


def _refuse_fixed(table_map: TableMap) -> None:
    if reason := why_fixed(table_map):
        raise ActionForbidden(reason)
