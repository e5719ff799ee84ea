"""The two maps of the benchmark, and the connectors of its databases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from syncengine.connectors.base import ConnectionSettings, Connector
from syncengine.connectors.registry import connector_for
from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.compiler import compile_leg
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    Direction,
    KeyPair,
    LegalEntityPair,
    Side,
    TableMap,
)
from syncengine.mapping.schema import CompanyRule
from tests.bench.tables import COLUMNS

LINK = "dwbe0c4a11fe77"
LINKED = tuple(LegalEntityPair(code, code.upper()) for code in ("usmf", "demf", "frrt"))


def _same(finops: str, dataverse: str) -> ColumnMap:
    return ColumnMap(finops, dataverse, ColumnMapType.BOTH)


def _valued(finops: str, dataverse: str, values: Mapping[str, str]) -> ColumnMap:
    return ColumnMap(
        finops,
        dataverse,
        ColumnMapType.BOTH_TRANSFORM,
        values=tuple(values.items()),
    )


PLAIN = TableMap(
    name="plain",
    finops_table="customers",
    dataverse_table="customers",
    columns=tuple(_same(name, name) for name in COLUMNS),
    key=(
        KeyPair("dataareaid", "dataareaid"),
        KeyPair("customeraccount", "customeraccount"),
    ),
)
MAPPED = TableMap(
    name="mapped",
    finops_table="customers",
    dataverse_table="accounts",
    columns=(
        _same("customeraccount", "accountnumber"),
        _same("organizationname", "name"),
        _same("customergroupid", "groupid.name"),
        _same("salescurrencycode", "currency"),
        _same("creditlimit", "creditlimit"),
        _valued(
            "creditlimitismandatory", "limitmandatory", {"no": "False", "yes": "True"}
        ),
        _valued(
            "onholdstatus",
            "onholdstatus",
            {"no": "0", "invoice": "1", "all": "2", "payment": "3"},
        ),
        _same("salesmemo", "description"),
        _same("partycountry", "country"),
        _same("paymenttermsbasedays", "basedays"),
        _same("createddatetime", "createdon"),
    ),
    key=(KeyPair("customeraccount", "accountnumber"),),
)
COMPANIES = {
    Side.FINOPS: CompanyRule("dataareaid"),
    Side.DATAVERSE: CompanyRule("company", "companies", "code"),
}


@dataclass(frozen=True)
class Link:
    """Two databases and the map between them; travels to other processes."""

    table_map: TableMap
    finops: str
    dataverse: str
    legal_entities = LINKED

    @property
    def maps(self) -> tuple[TableMap, ...]:
        """The one map."""
        return (self.table_map,)

    def connector(self, side: Side) -> Connector:
        """The connector of one side; the plain map knows no companies."""
        return connector_for(
            ConnectionSettings(
                name=side.value,
                side=side,
                connector="postgres",
                dsn=self.finops if side is Side.FINOPS else self.dataverse,
                company=None if self.table_map == PLAIN else COMPANIES[side],
            )
        )

    def leg(self, direction: Direction) -> CompiledLeg:
        """The map compiled for one direction."""
        schemas = {
            side: self.connector(side).tables([self.table_map.table(side)])
            for side in Side
        }
        return compile_leg(
            self.table_map,
            direction,
            schemas[direction.source],
            schemas[direction.target],
            LINKED,
        )

    def install(self) -> None:
        """Everything both sides need."""
        for side in Side:
            self.connector(side).install(LINK, [self.table_map.table(side)])
