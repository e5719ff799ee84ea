"""The versions of a map: writing the next one, going back to an earlier one."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F

from portal.activity import services as activity
from portal.activity.changes import changes
from portal.environments.models import ConnectionSet
from portal.maps import conversion, shared_values
from portal.maps.models import MapState, MapVersion, TableMap
from portal.refusals import ActionForbidden, NotFound, Refusal
from syncengine.mapping.model import TableMap as Definition

if TYPE_CHECKING:
    from portal.accounts.models import User


@transaction.atomic
def create_version(
    table_map: TableMap,
    definition: Definition,
    *,
    user: User | None = None,
    states: Collection[MapState] = (MapState.NOT_RUNNING,),
) -> MapVersion:
    """Write `definition` as a new version and make it the current one.

    Lines that name a shared value map without giving its pairs get them; one that
    brings pairs under an unknown name makes it known. Refused while the map is
    in none of the `states` (Not running; `growing` says what else may be), and when
    the version is not higher, number by number, than every stored one of the same
    publisher.
    """
    refuse_unstorable(definition)
    definition = shared_values.resolved(definition)
    table_map = _lock_stopped(table_map, states)
    if problem := _not_rising(table_map, definition):
        raise Refusal(problem, code="version_not_higher")
    for name, pairs in shared_values.unknown_names(definition):
        shared_values.make(name, pairs, user=user, why=f" for map {table_map.name}")
    version = conversion.from_engine(
        table_map, definition, user_id=user.pk if user else None
    )
    previous = table_map.version
    _make_current(
        table_map,
        version,
        f"{table_map.name}: version {version} is now current"
        + (f" (was {previous})." if previous else "."),
        user,
    )
    return version


@transaction.atomic
def use_version(
    table_map: TableMap, version: MapVersion, *, user: User | None = None
) -> bool:
    """Make an earlier version of the map the current one; False when it is already.

    Refused while the map is anything but Not running.
    """
    if version.table_map_id != table_map.pk:
        raise NotFound(f"{table_map.name} has no such version.")
    if table_map.version_id == version.pk:
        return False
    table_map = _lock_stopped(table_map)
    previous = table_map.version
    if previous == version:
        return False
    way = "back to" if previous and version.pk < previous.pk else "to"
    _make_current(
        table_map,
        version,
        f"{table_map.name}: went {way} version {version} (from {previous}).",
        user,
    )
    return True


def find_version(table_map: TableMap, text: str) -> MapVersion:
    """The version of this number; with its publisher before it where several
    publishers have used the number."""
    known = list(table_map.versions.select_related("table_map", "created_by"))
    wanted = " ".join(text.split())
    found = [one for one in known if wanted in (one.version, str(one))]
    if len(found) > 1:
        names = ", ".join(f'"{one}"' for one in found)
        raise Refusal(
            f"{table_map.name} has several versions {wanted}: say which of {names}.",
            code="ambiguous",
        )
    if not found:
        names = ", ".join(str(one) for one in known[:20]) or "none"
        raise NotFound(
            f"{table_map.name} has no version {wanted}. Its versions are: {names}."
        )
    return found[0]


def refuse_unstorable(definition: Definition) -> None:
    """Refuse what the rows of a version cannot hold, with every reason."""
    if reasons := conversion.unstorable(definition):
        raise Refusal(
            f"Map {definition.name[:80]} cannot be stored.",
            code="definition_invalid",
            reasons=reasons,
        )


def _lock_stopped(
    table_map: TableMap, states: Collection[MapState] = (MapState.NOT_RUNNING,)
) -> TableMap:
    locked = (
        TableMap.objects.select_for_update(of=("self",), no_key=True)
        .select_related("connection_set", "version")
        .get(pk=table_map.pk)
    )
    if locked.state not in states:
        raise ActionForbidden(why_fixed(locked))
    return locked


def why_fixed(table_map: TableMap) -> str:
    """Why the map's definition cannot change now; empty when it can."""
    if table_map.state == MapState.NOT_RUNNING:
        return ""
    return (
        f"{table_map.name} is {table_map.get_state_display()}, so its definition "
        "cannot change: stop it first."
    )


def next_number(table_map: TableMap, publisher: str) -> str:
    """The highest version of the publisher with its last number raised."""
    taken = table_map.versions.filter(publisher=publisher)
    highest = max(map(_numbers, taken.values_list("version", flat=True)))
    return ".".join(map(str, (*highest[:-1], highest[-1] + 1)))


def _not_rising(table_map: TableMap, definition: Definition) -> str:
    """Why `definition` cannot be the next version of its publisher, or nothing."""
    stored = table_map.versions.filter(publisher=definition.publisher)
    taken = list(stored.values_list("version", flat=True))
    highest = max(taken, key=_numbers, default=None)
    if highest is None or _numbers(definition.version) > _numbers(highest):
        return ""
    name, wanted = table_map.name, definition.version
    publisher = definition.publisher or "no publisher"
    present = str(table_map.version or "none")
    raise_it = f"raise the version above {highest}"
    if wanted not in taken:
        return (
            f"Map {name}: version {wanted} is lower than {highest}, the highest of "
            f"{publisher} (the present version is {present}): {raise_it}."
        )
    if f"{definition.publisher} {wanted}".strip() == present:
        return (
            f"Map {name} is at version {wanted} of {publisher} with other content: "
            f"{raise_it}."
        )
    return (
        f"Map {name} has a version {wanted} of {publisher} already (the present "
        f"version is {present}): {raise_it}, or go to that one with 'dw versions "
        f'"{name}" --use {wanted}\'.'
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _make_current(
    table_map: TableMap, version: MapVersion, message: str, user: User | None
) -> None:
    previous = table_map.version
    table_map.version = version
    table_map.save(update_fields=["version"])
    activity.record(
        "map.version",
        message,
        user=user,
        table_map=table_map,
        details={
            "version": str(version),
            "previous": str(previous or ""),
            "changes": changes(
                {"version": str(previous or "")}, {"version": str(version)}
            ),
        },
    )
    ConnectionSet.objects.filter(pk=table_map.connection_set_id).update(
        revision=F("revision") + 1
    )
