"""One customer of the sample on both sides: change it on one, see it on the other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg

from portal.activity import services as activity
from portal.activity.changes import changes
from portal.environments.models import ConnectionSet
from portal.refusals import NotFound, Refusal
from portal.sample.databases import SampleError
from portal.sample.services import SMALL
from syncengine.mapping.model import Side

if TYPE_CHECKING:
    from portal.accounts.models import User

MAP = "Customers V3 (accounts)"
COMPANY = "usmf"
LONGEST_NAME = 100
MOST_CREDIT = Decimal(10**12)
PATIENCE_SECONDS = 8.0
POLL_SECONDS = 0.005
CONNECT_SECONDS = 5

# The organizations of one company, as each side tells them.
READ: Mapping[Side, LiteralString] = {
    Side.FINOPS: "SELECT customeraccount, organizationname, creditlimit"
    " FROM customersv3 WHERE dataareaid = 'usmf' AND partytype = 'Organization'"
    " AND customeraccount = %s",
    Side.DATAVERSE: "SELECT a.accountnumber, a.name, a.creditlimit FROM accounts a"
    " JOIN cdm_companies c ON c.cdm_companyid = a.msdyn_company"
    " WHERE c.cdm_companycode = 'USMF' AND a.customertypecode = 3"
    " AND a.accountnumber = %s",
}
WRITE: Mapping[Side, LiteralString] = {
    Side.FINOPS: "UPDATE customersv3 SET organizationname = %s, creditlimit = %s"
    " WHERE dataareaid = 'usmf' AND partytype = 'Organization'"
    " AND customeraccount = %s",
    Side.DATAVERSE: "UPDATE accounts a SET name = %s, creditlimit = %s"
    " FROM cdm_companies c WHERE c.cdm_companyid = a.msdyn_company"
    " AND c.cdm_companycode = 'USMF' AND a.customertypecode = 3"
    " AND a.accountnumber = %s",
}
FIRST: LiteralString = (
    "SELECT customeraccount FROM customersv3 WHERE dataareaid = 'usmf'"
    " AND partytype = 'Organization'"
    " ORDER BY starts_with(customeraccount, 'CRM'), customeraccount LIMIT 1"
)
NEXT: LiteralString = (
    "SELECT customeraccount FROM customersv3 WHERE dataareaid = 'usmf'"
    " AND partytype = 'Organization' AND customeraccount > %s"
    " ORDER BY customeraccount LIMIT 1"
)


@dataclass(frozen=True)
class Fields:
    """What can be changed of a customer."""

    name: str
    credit_limit: Decimal


@dataclass(frozen=True)
class Customer:
    """A customer as both sides hold it, None where a side does not; and the account
    number after it, empty after the last."""

    account: str
    sides: Mapping[Side, Fields | None]
    following: str = ""

    @property
    def equal(self) -> bool:
        """Whether both sides say the same."""
        return self.sides[Side.FINOPS] == self.sides[Side.DATAVERSE]


@dataclass(frozen=True)
class Crossing:
    """A change made on `side`. `seconds` went by from its commit until the other side
    had it; None when it was not there in time."""

    account: str
    side: Side
    seconds: float | None


def is_sample(connection_set: ConnectionSet) -> bool:
    """Whether this is the link between the small sample's two databases."""
    return connection_set.name == SMALL.connection_set and SMALL.environments == {
        side.value: connection_set.environment(side).name for side in Side
    }


def linked_sample() -> ConnectionSet:
    """The sample's link. Raises NotFound where there is none."""
    try:
        found = SMALL.linked()
    except SampleError as error:
        raise NotFound(str(error)) from error
    if found is None:
        raise NotFound(
            "There are no sample companies: make them with 'manage.py sample'."
        )
    return found


def customer(connection_set: ConnectionSet, account: str = "") -> Customer:
    """The customer on both sides; the first one where none is named."""
    with _open(connection_set, Side.FINOPS) as erp:
        account = account or _text(erp, FIRST)
        following = _text(erp, NEXT, account)
        finops = _read(erp, Side.FINOPS, account)
    with _open(connection_set, Side.DATAVERSE) as crm:
        dataverse = _read(crm, Side.DATAVERSE, account)
    if finops is None and dataverse is None:
        raise NotFound(f"The sample has no organization {account} in its company usmf.")
    sides = {Side.FINOPS: finops, Side.DATAVERSE: dataverse}
    return Customer(account, sides, following)


def fields(name: str, credit_limit: str) -> Fields:
    """What was filled in. Refuses what neither database would take."""
    try:
        limit = Decimal(credit_limit.replace(",", "").strip() or "0")
    except InvalidOperation as error:
        raise Refusal("The credit limit is a number, like 2500.00.") from error
    if not limit.is_finite() or not 0 <= limit < MOST_CREDIT:
        raise Refusal("The credit limit is between 0 and 999,999,999,999.")
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or "\0" in name:
        raise Refusal(f"A name has 1 to {LONGEST_NAME} characters.")
    return Fields(name, limit.quantize(Decimal("0.01")))


def change(
    connection_set: ConnectionSet,
    side: Side,
    account: str,
    wanted: Fields,
    *,
    user: User | None = None,
) -> Crossing:
    """Write the customer on one side, as an application there would, and wait a little
    until the other side has it."""
    with (
        _open(connection_set, side) as source,
        _open(connection_set, side.other) as target,
    ):
        before = _read(source, side, account)
        if before is None:
            raise NotFound(f"There is no organization {account} on this side.")
        source.execute(WRITE[side], [wanted.name, wanted.credit_limit, account])
        committed = time.perf_counter()
        activity.record(
            "sample.changed",
            f"Customer {account} of the sample was changed in "
            f"{connection_set.environment(side).name}.",
            user=user,
            connection_set=connection_set,
            details={
                "record": [COMPANY, account],
                "changes": changes(asdict(before), asdict(wanted)),
            },
        )
        seconds = _arrival(target, side.other, account, wanted, committed)
    return Crossing(account, side, seconds)


def _arrival(
    target: psycopg.Connection[Any],
    side: Side,
    account: str,
    wanted: Fields,
    committed: float,
) -> float | None:
    while True:
        there = _read(target, side, account) == wanted
        passed = time.perf_counter() - committed
        if there:
            return passed
        if passed > PATIENCE_SECONDS:
            return None
        time.sleep(POLL_SECONDS)


def _open(connection_set: ConnectionSet, side: Side) -> psycopg.Connection[Any]:
    environment = connection_set.environment(side)
    try:
        return psycopg.connect(
            environment.dsn,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name="sample",
        )
    except psycopg.OperationalError as error:
        raise Refusal(
            f"{environment.name} does not answer.", code="unreachable", retryable=True
        ) from error


def _read(
    connection: psycopg.Connection[Any], side: Side, account: str
) -> Fields | None:
    row = connection.execute(READ[side], [account]).fetchone()
    if row is None:
        return None
    return Fields(row[1] or "", Decimal(row[2] or 0).quantize(Decimal("0.01")))


def _text(
    connection: psycopg.Connection[Any], query: LiteralString, *values: str
) -> str:
    row = connection.execute(query, values).fetchone()
    return str(row[0]) if row else ""
