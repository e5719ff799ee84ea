"""Configuration as a file: the difference to what is stored, applying it, exporting.

A file adds and changes; what it does not mention stays. The companies of a
connection set it mentions become exactly those it lists. A map whose definition
differs needs a higher version than the one stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.db import transaction

from portal.environments import services as environments
from portal.environments.connectors import company_rule
from portal.environments.models import ConnectionSet, Environment
from portal.maps import services as maps
from portal.maps import shared_values, value_maps
from portal.maps.conversion import WITH_LINES, to_engine
from portal.maps.models import TableMap
from portal.maps.preparation import maps_of
from portal.maps.versions import create_version
from portal.refusals import ConfigurationRefused, Refusal
from portal.runs import joining
from syncengine.mapping.comparison import compare_maps
from syncengine.mapping.files import (
    ConnectionSetFile,
    Document,
    EnvironmentFile,
    MapFile,
    dump_document,
)
from syncengine.mapping.model import ValueMap
from syncengine.mapping.value_pairs import Pairs

if TYPE_CHECKING:
    from portal.accounts.models import User


class Kind(StrEnum):
    """What a change is about."""

    ENVIRONMENT = "environment"
    CONNECTION_SET = "connection_set"
    VALUE_MAP = "value_map"
    MAP = "map"


class Operation(StrEnum):
    """What applying does."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Difference:
    """What applying does (or would do) to one object. `details` are lines like
    `version: 1.0.0.0 -> 1.0.0.1`; secrets are named, never shown."""

    kind: Kind
    name: str
    operation: Operation
    details: tuple[str, ...] = ()


@dataclass
class _Plan:
    differences: list[Difference] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(
        self, kind: Kind, name: str, exists: bool, details: Sequence[str] = ()
    ) -> None:
        operation = Operation.CREATE
        if exists:
            operation = Operation.UPDATE if details else Operation.UNCHANGED
        self.differences.append(Difference(kind, name, operation, tuple(details)))

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """What a service refuses is one problem among others."""
        try:
            with transaction.atomic():
                yield
        except Refusal as refusal:
            self.problems += [refusal.message, *refusal.reasons]


def apply_document(
    document: Document, *, plan: bool = False, user: User | None = None
) -> list[Difference]:
    """Make the portal say what `document` says; gives every object with what was done
    to it. With `plan` nothing changes.

    All or nothing: raises ConfigurationRefused with all reasons found, and then
    nothing was changed. Needs none of the systems to be reachable.
    """
    with transaction.atomic():
        made = _Plan()
        for environment in document.environments:
            with made.collecting():
                _environment(environment, made, user)
        for connection_set in document.connection_sets:
            with made.collecting():
                _connection_set(connection_set, made, user)
        stored = _Stored(document.maps)
        for value_map in document.value_maps:
            with made.collecting():
                _value_map(value_map, stored, made, user)
        stored.shared = shared_values.pairs_of()
        for entry in document.maps:
            with made.collecting():
                _map(entry, stored, made, user)
        if made.problems:
            raise ConfigurationRefused(
                "The file cannot be applied; nothing was changed.",
                reasons=made.problems,
            )
        if plan:
            transaction.set_rollback(True)
    return made.differences


def _line(name: str, old: object, new: object) -> str:
    def shown(value: object) -> str:
        return "none" if value in (None, "") else str(value)

    return f"{name}: {shown(old)} -> {shown(new)}"


def _environment(entry: EnvironmentFile, plan: _Plan, user: User | None) -> None:
    company = entry.company
    values = {
        "connector": entry.connector,
        "dsn": entry.dsn,
        "schema": entry.schema,
        "company_column": company.column if company else "",
        "company_lookup_table": (company.lookup_table or "") if company else "",
        "company_lookup_column": (company.lookup_column or "") if company else "",
        "company_also": ", ".join(company.also) if company else "",
    }
    present = Environment.objects.filter(name=entry.name).first()
    if present is None:
        environments.create_environment(
            name=entry.name, role=entry.role.value, user=user, **values
        )
        plan.add(Kind.ENVIRONMENT, entry.name, False)
        return
    if present.role != entry.role.value:
        plan.problems.append(
            f"Environment {entry.name} is stored with role {present.role}; a role "
            "cannot change."
        )
        return
    before = {name: getattr(present, name) for name in values}
    changed = environments.update_environment(present, user=user, **values)
    plan.add(
        Kind.ENVIRONMENT,
        entry.name,
        True,
        [
            "connection string changed"
            if name == "dsn"
            else _line(name, before[name], values[name])
            for name in changed
        ],
    )


def _connection_set(entry: ConnectionSetFile, plan: _Plan, user: User | None) -> None:
    sides: dict[str, Environment] = {}
    for side, name in (("finops", entry.finops), ("dataverse", entry.dataverse)):
        found = Environment.objects.filter(name=name).first()
        if found is None:
            plan.problems.append(
                f"Connection set {entry.name}: there is no environment {name}."
            )
        else:
            sides[side] = found
    if len(sides) < 2:
        return
    present = ConnectionSet.objects.filter(name=entry.name).first()
    if present is None:
        environments.create_connection_set(
            name=entry.name,
            finops=sides["finops"],
            dataverse=sides["dataverse"],
            legal_entities=entry.legal_entities,
            user=user,
        )
        plan.add(Kind.CONNECTION_SET, entry.name, False)
        return
    for side, environment in sides.items():
        linked = present.environment(side)
        if linked.pk != environment.pk:
            plan.problems.append(
                f"Connection set {entry.name} links {linked.name}, not "
                f"{environment.name}; make a new connection set instead."
            )
            return
    before = set(present.legal_entity_pairs())
    wanted = set(entry.legal_entities)
    details = [
        f"company {pair.finops} / {pair.dataverse} {word}"
        for word, pairs in (("linked", wanted - before), ("unlinked", before - wanted))
        for pair in sorted(pairs, key=lambda pair: pair.finops)
    ]
    change = joining.set_companies(present, entry.legal_entities, user=user)
    details += [
        f"map {table_map.name} copies the rows of the added companies"
        for table_map in change.joining
    ]
    plan.add(Kind.CONNECTION_SET, entry.name, True, details)


class _Stored:
    """The connection sets and maps that files name, read at once."""

    def __init__(self, entries: Sequence[MapFile]) -> None:
        names = {entry.connection_set for entry in entries}
        self.sets = {
            one.name: one for one in ConnectionSet.objects.filter(name__in=names)
        }
        maps = (
            TableMap.objects.filter(
                connection_set__in=self.sets.values(),
                name__in={entry.table_map.name for entry in entries},
            )
            .select_related("connection_set", "version__table_map")
            .prefetch_related(*(f"version__{name}" for name in WITH_LINES))
        )
        self.maps = {(one.connection_set.name, one.name): one for one in maps}
        self.shared: dict[str, Pairs] = {}


def _value_map(
    entry: ValueMap, stored: _Stored, plan: _Plan, user: User | None
) -> None:
    """Maps of the file are left alone: the file itself says their next version."""
    saved = value_maps.save(
        entry.name,
        entry.values,
        user=user,
        leave=[table_map.pk for table_map in stored.maps.values()],
    )
    details = [
        *saved.changes,
        *(f"map {one.table_map.name}: version {one.version}" for one in saved.versions),
    ]
    plan.add(Kind.VALUE_MAP, saved.value_map.name, not saved.created, details)


def _map(entry: MapFile, stored: _Stored, plan: _Plan, user: User | None) -> None:
    wanted = shared_values.resolved(entry.table_map, stored.shared)
    connection_set = stored.sets.get(entry.connection_set)
    if connection_set is None:
        plan.problems.append(
            f"Map {wanted.name}: there is no connection set {entry.connection_set}."
        )
        return
    name = f"{connection_set.name}/{wanted.name}"
    present = stored.maps.get((connection_set.name, wanted.name))
    if present is None:
        maps.create_map(connection_set, wanted, user=user)
        plan.add(Kind.MAP, name, False)
        return
    before = to_engine(present.version) if present.version else None
    if before == wanted:
        plan.add(Kind.MAP, name, True)
        return
    create_version(present, wanted, user=user)
    details = compare_maps(before, wanted).lines() if before else ["first version"]
    plan.add(Kind.MAP, name, True, details)


def dsn_variable(environment_name: str) -> str:
    """The variable an exported file takes a connection string from."""
    return re.sub(r"[^A-Z0-9]+", "_", environment_name.upper()).strip("_") + "_DSN"


def stored_document(maps_wanted: Sequence[TableMap] | None = None) -> Document:
    """All that is stored; with `maps_wanted`, those maps and what they stand on."""
    sets = ConnectionSet.objects.select_related("finops", "dataverse")
    if maps_wanted is not None:
        sets = sets.filter(maps__in=maps_wanted).distinct()
    chosen = {table_map.pk for table_map in maps_wanted or ()}
    connection_sets = list(sets.prefetch_related("legal_entities"))
    systems = (
        list(Environment.objects.all())
        if maps_wanted is None
        else [
            environment
            for connection_set in connection_sets
            for environment in (connection_set.finops, connection_set.dataverse)
        ]
    )
    definitions = tuple(
        MapFile(connection_set.name, to_engine(table_map.version))
        for connection_set in connection_sets
        for table_map in maps_of(connection_set)
        if table_map.version is not None
        and (maps_wanted is None or table_map.pk in chosen)
    )
    named = None if maps_wanted is None else _named_value_maps(definitions)
    return Document(
        environments=tuple(
            EnvironmentFile(
                name=environment.name,
                role=environment.side,
                connector=environment.connector,
                dsn=environment.dsn,
                schema=environment.schema,
                company=company_rule(environment),
            )
            for environment in systems
        ),
        connection_sets=tuple(
            ConnectionSetFile(
                name=connection_set.name,
                finops=connection_set.finops.name,
                dataverse=connection_set.dataverse.name,
                legal_entities=connection_set.legal_entity_pairs(),
            )
            for connection_set in connection_sets
        ),
        maps=definitions,
        value_maps=tuple(
            ValueMap(name, pairs)
            for name, pairs in shared_values.pairs_of(named).items()
        ),
    )


def _named_value_maps(entries: Sequence[MapFile]) -> set[str]:
    return {
        line.value_map
        for entry in entries
        for line in entry.table_map.columns
        if line.value_map is not None
    }


def export_document(maps_wanted: Sequence[TableMap] | None = None) -> str:
    """What is stored as YAML that `apply_document` takes back. Connection strings are
    written as `${NAME_DSN}`, so that no secret leaves."""
    document = stored_document(maps_wanted)
    return dump_document(
        document,
        dsn_variables={
            environment.name: dsn_variable(environment.name)
            for environment in document.environments
        },
    )


def as_rows(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """Differences as plain data."""
    return [
        {
            "kind": difference.kind.value,
            "name": difference.name,
            "operation": difference.operation.value,
            "details": list(difference.details),
        }
        for difference in differences
    ]
