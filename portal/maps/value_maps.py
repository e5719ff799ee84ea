"""What administrators do with shared value maps: make, change, delete.

A version keeps the pairs it was made with, so a map never changes under way: changing
a shared value map writes new versions of the stopped maps that use it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from django.db import transaction

from portal.activity import services as activity
from portal.maps import shared_values
from portal.maps.conversion import to_engine
from portal.maps.models import (
    MapState,
    MapVersion,
    SharedValueMap,
    TableMap,
)
from portal.maps.versions import create_version, next_number
from portal.refusals import ActionForbidden, NotFound, Refusal
from syncengine.catalog import value_maps as ready_made
from syncengine.mapping.value_pairs import MAX_PAIRS, Pairs

if TYPE_CHECKING:
    from portal.accounts.models import User


@dataclass
class Saved:
    """What saving did. `versions` are the new versions of maps that use the value
    map; `changes` say what differs from before, a line each."""

    value_map: SharedValueMap
    created: bool
    changes: tuple[str, ...] = ()
    versions: list[MapVersion] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """False when it was like that before."""
        return self.created or bool(self.changes)


@transaction.atomic
def save(
    name: str,
    pairs: Sequence[tuple[str, str]],
    *,
    user: User | None = None,
    leave: Collection[int] = (),
) -> Saved:
    """Make the shared value map `name` have exactly these pairs, in this order.

    Stopped maps that use it get a new version each, with the last number raised; the
    earlier one is kept. Refused, naming them, while one of them is anything but Not
    running. Maps whose ids are in `leave` are left to the caller.
    """
    wanted = tuple(pairs)
    name = _checked(name, wanted)
    stored = SharedValueMap.objects.select_for_update().filter(name=name).first()
    if stored is None:
        return Saved(shared_values.make(name, wanted, user=user), created=True)
    before = shared_values.as_pairs(stored.pairs.all())
    changes = _changes(before, wanted)
    if before == wanted:
        return Saved(stored, created=False)
    users = _lock_users(name, leave)
    stored.pairs.all().delete()
    shared_values.write_pairs(stored, wanted)
    stored.save()
    result = Saved(
        stored, created=False, changes=changes or ("order of pairs changed",)
    )
    correlation_id = activity.new_correlation_id()
    activity.record(
        "value_map.changed",
        f"Value map {name} changed: {_told(result.changes)}.",
        user=user,
        correlation_id=correlation_id,
        details={"value_map": name, "changes": list(result.changes)},
    )
    for table_map in users:
        result.versions.append(_new_version(table_map, name, wanted, user))
    return result


def _checked(name: str, pairs: Pairs) -> str:
    name = " ".join(name.split())
    limit = SharedValueMap._meta.get_field("name").max_length
    reasons = []
    if not name:
        reasons.append("Give it a name.")
    if limit and len(name) > limit:
        reasons.append(f"The name has {len(name)} characters, {limit} are possible.")
    if not pairs:
        reasons.append("Give a pair of values at least.")
    if len(pairs) > MAX_PAIRS:
        reasons.append(f"{len(pairs)} pairs are too many; {MAX_PAIRS} are possible.")
    if "\0" in name or any("\0" in text for pair in pairs for text in pair):
        reasons.append("A text holds a NUL character, which no database keeps.")
    alike = SharedValueMap.objects.filter(name__iexact=name).exclude(name=name).first()
    if alike is not None:
        reasons.append(f"There is one named {alike.name} already.")
    if reasons:
        raise Refusal(
            f"The value map {name[:40]} cannot be saved.".replace("  ", " "),
            code="value_map_invalid",
            reasons=reasons,
        )
    return name


def _lock_users(name: str, leave: Collection[int]) -> list[TableMap]:
    """The maps that use it, locked; refused while one of them is not stopped."""
    ids = shared_values.users_of(name).exclude(pk__in=leave).values_list("pk")
    users = list(
        TableMap.objects.select_for_update(of=("self",), no_key=True)
        .filter(pk__in=[pk for (pk,) in ids])
        .select_related("connection_set", "version__table_map")
        .order_by("pk")
    )
    busy = [one for one in users if one.state != MapState.NOT_RUNNING]
    if busy:
        raise ActionForbidden(
            f"Value map {name} cannot change while maps that use it are running.",
            reasons=[
                f"{one.connection_set.name}/{one.name} is "
                f"{one.get_state_display()}: stop it first."
                for one in busy
            ],
        )
    return users


def _new_version(
    table_map: TableMap, name: str, pairs: Pairs, user: User | None
) -> MapVersion:
    if table_map.version is None:
        raise Refusal(f"{table_map.name} has no version.", code="no_version")
    definition = to_engine(table_map.version)
    return create_version(
        table_map,
        replace(
            definition,
            version=next_number(table_map, definition.publisher),
            columns=tuple(
                replace(line, values=pairs) if line.value_map == name else line
                for line in definition.columns
            ),
        ),
        user=user,
    )


def _changes(before: Pairs, after: Pairs) -> tuple[str, ...]:
    old, new = dict(before), dict(after)
    if len(old) < len(before) or len(new) < len(after):
        gone, come = set(before) - set(after), set(after) - set(before)
        lines = [
            f"{left} = {right} removed"
            for left, right in before
            if (left, right) in gone
        ]
        lines += [
            f"{left} = {right} added" for left, right in after if (left, right) in come
        ]
        return tuple(lines)
    lines = [f"{left} = {old[left]} removed" for left in old if left not in new]
    lines += [f"{left} = {new[left]} added" for left in new if left not in old]
    lines += [
        f"{left}: {old[left]} -> {new[left]}"
        for left in new
        if left in old and old[left] != new[left]
    ]
    return tuple(lines)


def _told(changes: Sequence[str]) -> str:
    more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
    return ", ".join(changes[:5]) + more


@transaction.atomic
def delete(value_map: SharedValueMap, *, user: User | None = None) -> None:
    """Forget a shared value map. Refused while a map's current version uses it."""
    users = list(shared_values.users_of(value_map.name))
    if users:
        raise ActionForbidden(
            f"Value map {value_map.name} is in use, so it cannot be deleted.",
            reasons=[f"{one.connection_set.name}/{one.name} uses it." for one in users],
        )
    activity.record(
        "value_map.deleted",
        f"Value map {value_map.name} was deleted.",
        user=user,
        details={
            "value_map": value_map.name,
            "values": [
                list(pair) for pair in shared_values.as_pairs(value_map.pairs.all())
            ],
        },
    )
    value_map.delete()


@transaction.atomic
def add_ready_made(name: str, *, user: User | None = None) -> SharedValueMap:
    """Take over a value map of the catalog. Refused when the name is taken."""
    wanted = name.strip().casefold()
    for one in ready_made():
        if one.value_map.name.casefold() != wanted:
            continue
        if SharedValueMap.objects.filter(name__iexact=one.value_map.name).exists():
            raise Refusal(
                f"There is a value map {one.value_map.name} already.", code="duplicate"
            )
        return shared_values.make(
            one.value_map.name,
            one.value_map.values,
            user=user,
            why=" from the ready-made one",
        )
    known = ", ".join(one.value_map.name for one in ready_made())
    raise NotFound(f"There is no ready-made value map {name}. There are {known}.")
