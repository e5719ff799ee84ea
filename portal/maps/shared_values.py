"""Shared value maps as rows: finding and making them, which maps use them, and the
pairs for definitions that name one.

They belong to the whole portal, not to a connection set: a value list is a fact about
the two products, and maps that move between sets keep the name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet

from portal.activity import services as activity
from portal.maps.models import ColumnMap, SharedValueMap, SharedValuePair, TableMap
from portal.refusals import NotFound, Refusal
from syncengine.mapping.model import TableMap as Definition
from syncengine.mapping.value_pairs import Pairs

if TYPE_CHECKING:
    from portal.accounts.models import User


def find_value_map(name: str) -> SharedValueMap:
    """The shared value map of this name (exact, else in any case)."""
    wanted = name.strip()
    found = SharedValueMap.objects.filter(name=wanted).first()
    found = found or SharedValueMap.objects.filter(name__iexact=wanted).first()
    if found is None:
        names = SharedValueMap.objects.order_by("name").values_list("name", flat=True)
        known = ", ".join(names[:20])
        hint = f" There are {known}." if known else " There are none yet."
        raise NotFound(f"There is no value map {wanted}.{hint}")
    return found


def pairs_of(names: Iterable[str] | None = None) -> dict[str, Pairs]:
    """The pairs of shared value maps by name; of all without `names`. Two queries."""
    maps = SharedValueMap.objects.order_by("name").prefetch_related("pairs")
    if names is not None:
        maps = maps.filter(name__in=set(names))
    return {one.name: as_pairs(one.pairs.all()) for one in maps}


def as_pairs(rows: Iterable[SharedValuePair]) -> Pairs:
    """Rows of pairs as values, in their order."""
    return tuple((row.finops_value, row.dataverse_value) for row in rows)


def users_of(name: str, user: Any = None) -> QuerySet[TableMap]:
    """The maps (that a user may see) whose current version names this value map."""
    return (
        TableMap.objects.visible_to(user)
        .filter(version__columns__value_map=name)
        .select_related("connection_set", "version__table_map")
        .order_by("connection_set__name", "name")
        .distinct()
    )


def users_by_name(user: Any = None) -> dict[str, list[TableMap]]:
    """The maps (that a user may see) that name a value map in their current version,
    by its name."""
    names: dict[int, set[str]] = {}
    lines = ColumnMap.objects.exclude(value_map="").filter(
        version__current_for__isnull=False
    )
    for pk, name in lines.values_list("version__current_for", "value_map").distinct():
        names.setdefault(pk, set()).add(name)
    found: dict[str, list[TableMap]] = {}
    for table_map in (
        TableMap.objects.visible_to(user)
        .filter(pk__in=names)
        .select_related("connection_set")
        .order_by("connection_set__name", "name")
    ):
        for name in names[table_map.pk]:
            found.setdefault(name, []).append(table_map)
    return found


def make(
    name: str, pairs: Pairs, *, user: User | None = None, why: str = ""
) -> SharedValueMap:
    """A new shared value map; `why` ends the sentence of the activity log."""
    made = SharedValueMap.objects.create(name=name)
    write_pairs(made, pairs)
    activity.record(
        "value_map.created",
        f"Value map {name} was made{why}.",
        user=user,
        details={"value_map": name, "pairs": len(pairs)},
    )
    return made


def write_pairs(value_map: SharedValueMap, pairs: Pairs) -> None:
    """The pairs of a value map that has none yet."""
    SharedValuePair.objects.bulk_create(
        SharedValuePair(
            value_map=value_map,
            position=position,
            finops_value=left,
            dataverse_value=right,
        )
        for position, (left, right) in enumerate(pairs, 1)
    )


def resolved(
    definition: Definition, shared: Mapping[str, Pairs] | None = None
) -> Definition:
    """The definition with the pairs of every value map that a line names without
    giving them. Refused when there is no such value map."""
    lacking = {
        line.value_map
        for line in definition.columns
        if line.value_map is not None and line.values is None
    }
    if not lacking:
        return definition
    known = pairs_of(lacking) if shared is None else shared
    if missing := sorted(lacking - known.keys()):
        raise Refusal(
            f"Map {definition.name}: there is no value map {', '.join(missing)}.",
            code="value_map_missing",
            reasons=["Create it, add it to the file, or give the line its values."],
        )
    return replace(
        definition,
        columns=tuple(
            replace(line, values=known[line.value_map])
            if line.value_map in lacking and line.values is None
            else line
            for line in definition.columns
        ),
    )


def unknown_names(definition: Definition) -> Sequence[tuple[str, Pairs]]:
    """Value maps that lines name and give, and that are not stored; each once, with
    the pairs of the first such line."""
    given: dict[str, Pairs] = {}
    for line in definition.columns:
        if line.value_map is not None and line.values is not None:
            given.setdefault(line.value_map, line.values)
    if not given:
        return []
    stored = set(
        SharedValueMap.objects.filter(name__in=given).values_list("name", flat=True)
    )
    return [(name, pairs) for name, pairs in given.items() if name not in stored]
