"""The ready-made maps as the wizard offers them: by package, with what each needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from portal.environments.connectors import connector_for
from portal.maps.preparation import naming
from portal.maps.ready_made_list import DIRECTIONS
from portal.refusals import Refusal
from portal.setup.models import SetupDraft
from portal.setup.needs import packages_needed
from syncengine import catalog
from syncengine.mapping.model import Side
from syncengine.mapping.schema import EnvironmentSchema


@dataclass(frozen=True)
class OfferedMap:
    """A map to tick. `lacking` says which tables it would need that are not there;
    `needs` are the maps it refers to, each with whether its tables are there."""

    name: str
    tables: str
    direction: str
    chosen: bool
    needs: Sequence[str]
    lacking: str


@dataclass(frozen=True)
class OfferedPackage:
    """A package. `fitting` maps find their tables on both sides; `needs` are the other
    packages its maps refer to."""

    name: str
    maps: Sequence[OfferedMap]
    needs: Sequence[str]

    @property
    def fitting(self) -> int:
        """How many of its maps fit."""
        return sum(not one.lacking for one in self.maps)

    @property
    def chosen(self) -> int:
        """How many are chosen."""
        return sum(one.chosen for one in self.maps)


def read_tables(draft: SetupDraft) -> Mapping[Side, EnvironmentSchema]:
    """Those tables of both systems that ready-made maps are about. Refuses when one
    cannot be asked."""
    schemas = {}
    for side in Side:
        environment = draft.environment(side)
        assert environment is not None  # noqa: S101 - the step is not reached before
        names = sorted({_table(entry, side) for entry in catalog.entries()})
        with naming(environment.name):
            schemas[side] = connector_for(environment).tables(names)
    return schemas


def _table(entry: catalog.CatalogEntry, side: Side) -> str:
    return entry.finops_table if side is Side.FINOPS else entry.dataverse_table


def lacking(
    entry: catalog.CatalogEntry, schemas: Mapping[Side, EnvironmentSchema]
) -> str:
    """Which tables of the map are missing, in words; empty when it fits."""
    missing = [
        f"{'the ERP' if side is Side.FINOPS else 'the CRM'} has no table "
        f"{_table(entry, side)}"
        for side in Side
        if schemas[side].table(_table(entry, side)) is None
    ]
    return " and ".join(missing)


def offered(
    draft: SetupDraft, schemas: Mapping[Side, EnvironmentSchema]
) -> list[OfferedPackage]:
    """All packages; those with maps that fit come first."""
    chosen = {one.name for one in draft.maps.all()}
    found = [
        OfferedPackage(
            package,
            [
                OfferedMap(
                    entry.name,
                    f"{entry.finops_table} and {entry.dataverse_table}",
                    DIRECTIONS[entry.direction],
                    entry.name in chosen,
                    entry.related,
                    lacking(entry, schemas),
                )
                for entry in catalog.entries()
                if entry.package == package
            ],
            packages_needed(package),
        )
        for package in catalog.packages()
    ]
    return sorted(found, key=lambda one: not one.fitting)


def with_needed(
    names: Collection[str], schemas: Mapping[Side, EnvironmentSchema]
) -> list[str]:
    """The chosen maps that fit, and those they refer to, as far as they fit."""
    chosen = [
        entry
        for entry in catalog.entries()
        if entry.name in set(names) and not lacking(entry, schemas)
    ]
    return [
        entry.name
        for entry in catalog.with_prerequisites(chosen)
        if not lacking(entry, schemas)
    ]


@dataclass(frozen=True)
class PlannedMap:
    """A chosen map in its place. `late` are maps it refers to that come after it."""

    name: str
    copies: bool
    master: str
    needs: Sequence[str]
    late: Sequence[str]


def planned(draft: SetupDraft) -> list[PlannedMap]:
    """The chosen maps in the order in which they copy."""
    chosen = list(draft.maps.all())
    places = {one.name: place for place, one in enumerate(chosen)}
    rows = []
    for one in chosen:
        needs = [name for name in catalog.find(one.name).related if name in places]
        rows.append(
            PlannedMap(
                one.name,
                one.copies,
                one.master,
                needs,
                [name for name in needs if places[name] > places[one.name]],
            )
        )
    return rows


def named(names: Collection[str]) -> list[str]:
    """The maps of these names, each a map's or a package's. Raises CatalogError."""
    return [entry.name for entry in catalog.select(names)]


def refuse_lacking(
    names: Collection[str], schemas: Mapping[Side, EnvironmentSchema]
) -> None:
    """Refuse maps whose tables are not there, naming each."""
    reasons = [
        f"{entry.name}: {missing}."
        for entry in catalog.select(names)
        if (missing := lacking(entry, schemas))
    ]
    if reasons:
        raise Refusal(
            "Some maps do not find their tables.",
            code="table_missing",
            reasons=reasons,
        )
