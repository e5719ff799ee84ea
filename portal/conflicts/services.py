"""What administrators decide about conflicts: which side's version both sides get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from portal.activity import services as activity
from portal.conflicts import keeping
from portal.errors.models import Conflict, ConflictState
from portal.labels import SIDES
from portal.maps.models import MapState
from portal.maps.services import bump_revision
from portal.refusals import ActionForbidden, NotFound, Refusal
from portal.runs.legs import load_legs, with_legs
from syncengine.connectors.base import Writer, WriteRefused
from syncengine.deciding import ChangedSinceError, Decision, Versions, decide
from syncengine.errors import EngineError
from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.model import Side

if TYPE_CHECKING:
    from portal.accounts.models import User

CARRY_OUT_LOCK = 0x6479
"""First half of an advisory lock's key."""

DECIDABLE = (ConflictState.UNDECIDED, ConflictState.SETTLED, ConflictState.DECIDED)


class ConflictChanged(Refusal):
    """The record was changed since; `present` has the contested values now."""

    code = "conflict_changed"

    def __init__(self, message: str, present: Versions) -> None:
        super().__init__(message)
        self.present = present


@dataclass
class Decided:
    """What became of several conflicts: ids done, and why the others were not."""

    done: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Ground:
    """A map's legs and writers to both systems, by side."""

    legs: Mapping[Side, CompiledLeg]
    writers: Mapping[Side, Writer]


def in_force(conflict: Conflict) -> str:
    """The side whose version holds on both sides; empty while undecided."""
    if conflict.state == ConflictState.DECIDED:
        return conflict.side
    return conflict.winner if conflict.state == ConflictState.SETTLED else ""


def sides_to_use(conflict: Conflict) -> list[str]:
    """The sides that may be chosen now."""
    if conflict.state not in DECIDABLE or not conflict.finops_key:
        return []
    return [side.value for side in Side if side.value != in_force(conflict)]


def use_side(
    conflict: Conflict | int,
    side: Side | str,
    *,
    user: User | None = None,
    seen: Versions | None = None,
) -> Conflict:
    """Give both sides the version that `side` had when they conflicted (while
    undecided: has now).

    Raises ConflictChanged when the column or record was changed since; with `seen`,
    the values that ConflictChanged showed, it is written all the same unless they
    changed again. Raises Refusal when a system cannot take it or be reached.
    """
    pk = conflict if isinstance(conflict, int) else conflict.pk
    found = Conflict.objects.filter(pk=pk).first()
    if found is None:
        raise NotFound(f"There is no conflict with id {pk}.")
    with _ground(found.table_map_id) as ground:
        return _use(found, Side(side), ground, user, seen)


def use_side_for_all(
    conflicts: QuerySet[Conflict] | Sequence[int],
    side: Side | str,
    *,
    user: User | None = None,
) -> Decided:
    """`use_side` for several, oldest first; those that are refused are left as they
    are and named."""
    rows = (
        conflicts
        if isinstance(conflicts, QuerySet)
        else Conflict.objects.filter(pk__in=list(conflicts))
    )
    result = Decided()
    by_map: dict[int, list[int]] = {}
    for pk, map_id in rows.order_by("table_map_id", "pk").values_list(
        "pk", "table_map_id"
    ):
        by_map.setdefault(map_id, []).append(pk)
    for map_id, ids in by_map.items():
        try:
            with _ground(map_id) as ground:
                for pk in ids:
                    _one_of_many(pk, Side(side), ground, user, result)
        except (Refusal, EngineError) as refusal:
            text = str(getattr(refusal, "message", refusal))
            left = [pk for pk in ids if pk not in result.done]
            result.refused.update(dict.fromkeys(left, text))
    return result


def _one_of_many(
    pk: int, side: Side, ground: _Ground, user: User | None, result: Decided
) -> None:
    conflict = Conflict.objects.filter(pk=pk).first()
    if conflict is None:
        return
    try:
        _use(conflict, side, ground, user, None)
    except Refusal as refusal:
        result.refused[pk] = refusal.message
    else:
        result.done.append(pk)


@contextmanager
def _ground(map_id: int) -> Iterator[_Ground]:
    table_map = with_legs(map_id)
    if table_map.state == MapState.INITIALIZING:
        raise ActionForbidden(
            f"{table_map.name} is being copied: decide about its conflicts when the "
            "copy is done."
        )
    try:
        loaded = load_legs(table_map)
    except EngineError as error:
        raise Refusal(
            error.message, code=error.code, retryable=error.retryable
        ) from error
    to_dataverse, to_finops = loaded.to_dataverse, loaded.to_finops
    if to_dataverse is None or to_finops is None:
        raise ActionForbidden(
            f"{table_map.name} flows one way only now, so neither side can be chosen."
        )
    with ExitStack() as stack:
        writers: dict[Side, Writer] = {}
        for side, connector in loaded.connectors.items():
            writers[side] = connector.writer(loaded.link)
            stack.callback(writers[side].close)
        yield _Ground({Side.DATAVERSE: to_dataverse, Side.FINOPS: to_finops}, writers)


def _use(
    conflict: Conflict,
    side: Side,
    ground: _Ground,
    user: User | None,
    seen: Versions | None,
) -> Conflict:
    name = SIDES[side.value]
    if side.value not in sides_to_use(conflict):
        raise ActionForbidden(_why_not(conflict, name))
    was = conflict.state
    decision = _decision(conflict, side, ground, seen)
    try:
        decide(decision, ground.writers)
    except ChangedSinceError as changed:
        raise ConflictChanged(
            f"{conflict.key_text} was changed since, so nothing was written.",
            changed.present,
        ) from changed
    except WriteRefused as refused:
        raise Refusal(refused.outcome.message, code=refused.outcome.code) from refused
    except EngineError as error:
        raise Refusal(
            error.message, code=error.code, retryable=error.retryable
        ) from error
    with transaction.atomic():
        Conflict.objects.filter(pk=conflict.pk).update(
            state=ConflictState.DECIDED,
            side=side.value,
            decided_at=timezone.now(),
            decided_by=user,
            wanted_side="",
            refusal="",
        )
        table_map = conflict.table_map
        what = conflict.key_text
        if conflict.column:
            what = f"{conflict.column} of {what}"
        activity.record(
            "conflict.decided",
            f"{table_map.name}: both sides got {name}'s version of {what}.",
            user=user,
            table_map=table_map,
            details={
                "conflict": conflict.pk,
                "record": conflict.finops_key
                or conflict.dataverse_key
                or [conflict.key_text],
                "side": side.value,
                "column": conflict.column,
                "finops": _contested(conflict, "finops"),
                "dataverse": _contested(conflict, "dataverse"),
            },
        )
        if was == ConflictState.UNDECIDED:
            bump_revision([table_map.connection_set_id])
            keeping.show_waiting([table_map.pk])
    conflict.refresh_from_db()
    return conflict


def _contested(conflict: Conflict, side: str) -> dict[str, str | None] | None:
    row = getattr(conflict, f"{side}_row")
    columns = getattr(conflict, f"{side}_columns") or []
    return None if row is None else {name: row.get(name) for name in columns}


def _why_not(conflict: Conflict, name: str) -> str:
    if conflict.state == ConflictState.CLOSED:
        return "Both sides agree again: there is nothing to decide."
    if not conflict.finops_key:
        return "Nothing but the values was kept of this conflict: change the record."
    return f"Both sides already have {name}'s version."


def _decision(
    conflict: Conflict, side: Side, ground: _Ground, seen: Versions | None
) -> Decision:
    force = in_force(conflict)
    return Decision(
        map_id=conflict.table_map_id,
        legs=ground.legs,
        keys={
            Side.FINOPS: tuple(conflict.finops_key or ()),
            Side.DATAVERSE: tuple(conflict.dataverse_key or ()),
        },
        columns={
            Side.FINOPS: tuple(conflict.finops_columns or ()),
            Side.DATAVERSE: tuple(conflict.dataverse_columns or ()),
        },
        logged={
            Side.FINOPS: conflict.finops_row,
            Side.DATAVERSE: conflict.dataverse_row,
        },
        in_force=Side(force) if force else None,
        side=side,
        seen=seen,
    )


# -- many at once, by a worker --------------------------------------------------------


def ask_for(
    conflicts: QuerySet[Conflict], side: Side | str, *, user: User | None = None
) -> int:
    """Have a worker carry this out for many conflicts; gives their number. What is
    refused says so in the list."""
    chosen = Side(side)
    number = conflicts.filter(state__in=DECIDABLE, finops_key__isnull=False).update(
        wanted_side=chosen.value, decided_by=user, refusal=""
    )
    if number:
        activity.record(
            "conflict.asked",
            f"{SIDES[chosen.value]}'s version asked for {number:,} conflicts.",
            user=user,
            details={"conflicts": number, "side": chosen.value},
        )
        from portal.conflicts.tasks import carry_out

        transaction.on_commit(lambda: carry_out.delay())
    return number


def carry_out_asked(limit: int = 200) -> int:
    """Carry out what was asked for, a portion at a time; gives how many were looked
    at. Of several workers one does it. No transaction of the portal stays open while
    the systems are written."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, 0)", [CARRY_OUT_LOCK])
        if not cursor.fetchone()[0]:
            return 0
    try:
        return _carry_out(limit)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, 0)", [CARRY_OUT_LOCK])


def _carry_out(limit: int) -> int:
    rows = list(
        Conflict.objects.exclude(wanted_side="")
        .select_related("decided_by")
        .only("pk", "wanted_side", "decided_by")
        .order_by("pk")[:limit]
    )
    groups: dict[tuple[str, int | None], list[Conflict]] = {}
    for row in rows:
        groups.setdefault((row.wanted_side, row.decided_by_id), []).append(row)
    for (side, _), members in groups.items():
        ids = [row.pk for row in members]
        result = use_side_for_all(ids, side, user=members[0].decided_by)
        by_text: dict[str, list[int]] = {}
        for pk, text in result.refused.items():
            by_text.setdefault(text, []).append(pk)
        for text, refused in by_text.items():
            Conflict.objects.filter(pk__in=refused).update(refusal=text)
        Conflict.objects.filter(pk__in=ids).update(wanted_side="")
    return len(rows)
