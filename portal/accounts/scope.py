"""Which connection sets and companies a user is limited to, and rows of those only.

Every model that belongs to a connection set has `objects = ScopedManager(path)`, and
so `Model.objects.visible_to(user)`. Who is not limited is not slowed down: no query
and no condition is added.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import models
from django.db.models import Count, F, Func, IntegerField, Q

if TYPE_CHECKING:
    from portal.accounts.models import User


@dataclass(frozen=True)
class Companies:
    """The companies of one connection set, by their codes on each side."""

    finops: frozenset[str]
    dataverse: frozenset[str]


@dataclass(frozen=True)
class Scope:
    """What a user may see: everything, or these connection sets (by id), each whole
    (None) or only records of some companies."""

    everything: bool = True
    sets: Mapping[int, Companies | None] = field(default_factory=dict)

    @property
    def whole_sets(self) -> list[int]:
        """The sets of which all records may be seen."""
        return [pk for pk, companies in self.sets.items() if companies is None]

    @property
    def parts(self) -> dict[int, Companies]:
        """The sets of which the records of some companies may be seen."""
        return {pk: found for pk, found in self.sets.items() if found is not None}

    def sees_company(self, connection_set: int, company: str) -> bool:
        """Whether records of a company of a set may be seen; those of none may."""
        found = self.parts.get(connection_set)
        return (
            not company
            or found is None
            or company in found.finops
            or company in found.dataverse
        )


EVERYTHING = Scope()
NOTHING = Scope(everything=False)


def scope_of(user: Any) -> Scope:
    """The limits of a user, read once for each request. Administrators have none."""
    if user is None:
        return EVERYTHING
    if not getattr(user, "limited", False) or user.is_superuser:
        return EVERYTHING if user.is_authenticated else NOTHING
    kept: Scope | None = getattr(user, "_scope", None)
    if kept is None:
        kept = user._scope = _read(user)
    return kept


def _read(user: User) -> Scope:
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    rows = user.accesses.values_list(  # type: ignore[attr-defined]
        "connection_set", "finops_company", "dataverse_company"
    )
    for connection_set, finops, dataverse in rows:
        found[connection_set].append((finops, dataverse))
    return Scope(
        everything=False,
        sets={
            pk: None
            if ("", "") in pairs
            else Companies(
                frozenset(finops for finops, _ in pairs),
                frozenset(dataverse for _, dataverse in pairs),
            )
            for pk, pairs in found.items()
        },
    )


def sees_key(scope: Scope, key: str, connection_set: int | None = None) -> bool:
    """Whether a key as people write it (`usmf / C-001`), of this or of any set, is one
    that may be seen: it names a company within the limits."""
    sets = list(scope.sets) if connection_set is None else [connection_set]
    company, slash, _ = key.partition("/")
    parts = [found for pk, found in scope.parts.items() if pk in sets]
    known = [company.strip() in one.finops | one.dataverse for one in parts]
    return not parts or (bool(slash) and all(known))


class ScopedQuerySet(models.QuerySet[Any]):
    """Rows that belong to connection sets."""

    def visible_to(self, user: Any) -> ScopedQuerySet:
        """Those that this user may see; all of them without a user (commands)."""
        return self.within(scope_of(user))

    def within(self, scope: Scope) -> ScopedQuerySet:
        """Those within the limits."""
        if scope.everything:
            return self
        manager: Any = self.model._default_manager
        if len(manager.paths) > 1:
            either = Q()
            for path in manager.paths:
                either |= Q(**{f"{path}__in": list(scope.sets)})
            return self.filter(either)
        rows = _narrowed(self, manager.paths[0], manager.key, manager.some, scope)
        if manager.told_by and scope.parts:
            model, column = manager.told_by
            seen = apps.get_model(model)._default_manager.within(scope)
            rows = rows.filter(pk__in=seen.order_by().values(column))
        return rows


class ScopedManager(models.Manager.from_queryset(ScopedQuerySet)):  # type: ignore[misc]
    """`paths` lead from the model to its connection set (or to either of several).
    Where rows are records, `key` leads to their integration key, whose first part is
    the company; where only some rows tell of a record, `some` is true, and rows without
    a key are there for all. Where rows are groups of records, `told_by` names the model
    of these and their column: who is limited to companies sees a group when they see
    one."""

    def __init__(
        self,
        *paths: str,
        key: str = "",
        some: bool = False,
        told_by: tuple[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.paths = paths or ("connection_set",)
        self.key = key
        self.some = some
        self.told_by = told_by


def _narrowed(rows: Any, path: str, key: str, some: bool, scope: Scope) -> Any:
    parts = scope.parts
    if not (key and parts):
        return rows.filter(**{f"{path}__in": list(scope.sets)})
    condition = Q(**{f"{path}__in": scope.whole_sets})
    length = Func(F(key), function="jsonb_array_length", output_field=IntegerField())
    rows = rows.alias(parts_of_key=length)
    before, _, _ = path.rpartition("__")
    map_path = before or "table_map"
    for pk, companies in parts.items():
        if some:
            condition |= Q(**{path: pk, f"{key}__isnull": True})
        codes = sorted(companies.finops | companies.dataverse)
        condition |= Q(**{path: pk, f"{key}__0__in": codes})
        for number, maps in _maps_by_key_parts(pk).items():
            condition |= Q(**{f"{map_path}__in": maps, "parts_of_key": number})
    return rows.filter(condition)


def _maps_by_key_parts(connection_set: int) -> dict[int, list[int]]:
    """Maps by how many parts their key has without a company: records with just so
    many belong to none, and are there for all."""
    found: dict[int, list[int]] = defaultdict(list)
    counted = (
        apps.get_model("maps", "TableMap")
        .objects.filter(connection_set=connection_set)
        .order_by()
        .values_list("pk")
        .annotate(number=Count("version__key_pairs"))
    )
    for map_id, number in counted:
        found[number].append(map_id)
    return found
