"""Makes believable customers, the same ones for the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from portal.sample import words
from portal.sample.words import Market

FIRST_DAY = datetime(2019, 1, 7, 8, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Customer:
    """One row of the ERP's customer table, field by column in table order."""

    dataareaid: str
    customeraccount: str
    partytype: str
    organizationname: str | None
    personfirstname: str | None
    personlastname: str | None
    customergroupid: str
    salescurrencycode: str
    paymentterms: str | None
    paymenttermsbasedays: int
    creditlimit: Decimal
    creditlimitismandatory: str
    creditrating: str | None
    invoiceaccount: str | None
    isonetimecustomer: str
    onholdstatus: str
    salesmemo: str | None
    identificationnumber: str | None
    taxexemptnumber: str | None
    partycountry: str | None
    partystate: str | None
    addressstreet: str | None
    addresszipcode: str | None
    addresscity: str | None
    primarycontactphone: str | None
    primarycontactemail: str | None
    createddatetime: datetime
    modifieddatetime: datetime


def is_organization(random: Random) -> bool:
    """Whether the next customer is an organization: three in five are."""
    return random.random() < 0.6


def make_customer(
    random: Random,
    market: Market,
    account: str,
    *,
    organization: bool,
    invoice_account: str | None = None,
) -> Customer:
    """One new customer of `market` under the account number `account`."""
    first = random.choice(market.first_names)
    last = random.choice(market.last_names)
    trade = f"{random.choice(market.trades)} {last} {random.choice(market.forms)}"
    place = random.choice(market.places)
    created = FIRST_DAY + timedelta(minutes=random.randrange(60 * 24 * 365 * 6))
    foreign = random.random() < 0.1
    group = random.choice(words.GROUPS)[0] if organization else "80"
    return Customer(
        dataareaid=market.company,
        customeraccount=account,
        partytype="Organization" if organization else "Person",
        organizationname=trade if organization else None,
        personfirstname=None if organization else first,
        personlastname=None if organization else last,
        customergroupid=group,
        salescurrencycode=(
            random.choice(market.currencies) if foreign else market.currency
        ),
        paymentterms=some(random, 0.85, random.choice(words.TERMS)[0]),
        paymenttermsbasedays=random.choice((0, 0, 0, 5, 15)),
        creditlimit=credit_limit(random) if organization else Decimal(0),
        creditlimitismandatory="yes" if random.random() < 0.15 else "no",
        creditrating=some(random, 0.5, random.choice(words.RATINGS)),
        invoiceaccount=invoice_account,
        isonetimecustomer="yes" if random.random() < 0.03 else "no",
        onholdstatus=hold_status(random),
        salesmemo=some(random, 0.3, random.choice(words.MEMOS)),
        identificationnumber=some(random, 0.4, digits(random, "#########")),
        taxexemptnumber=(
            some(random, 0.7, digits(random, market.tax_number))
            if organization
            else None
        ),
        partycountry=some(random, 0.97, market.country),
        partystate=place.state,
        addressstreet=f"{random.randrange(1, 400)} {random.choice(market.streets)}",
        addresszipcode=digits(random, place.zip_pattern),
        addresscity=place.city,
        primarycontactphone=some(random, 0.8, digits(random, market.phone)),
        primarycontactemail=some(random, 0.6, f"kontakt-{account.lower()}@example.com"),
        createddatetime=created,
        modifieddatetime=created + timedelta(hours=random.randrange(2000)),
    )


def credit_limit(random: Random) -> Decimal:
    """Round amounts mostly, odd cents now and then, zero for one in eight."""
    if random.random() < 0.125:
        return Decimal(0)
    if random.random() < 0.15:
        return Decimal(random.randrange(100, 50_000_000)) / 100
    return Decimal(random.choice((1, 2, 5, 10, 25, 50, 100, 250)) * 1000)


def hold_status(random: Random) -> str:
    """A hold status in the shares of `words.HOLDS`."""
    statuses = [status for status, _ in words.HOLDS]
    weights = [weight for _, weight in words.HOLDS]
    return random.choices(statuses, weights)[0]


def digits(random: Random, pattern: str) -> str:
    """`pattern` with a digit for each `#`."""
    return "".join(
        str(random.randrange(10)) if sign == "#" else sign for sign in pattern
    )


def some(random: Random, share: float, value: str | None) -> str | None:
    """`value` in `share` of all cases, else None."""
    return value if random.random() < share else None
