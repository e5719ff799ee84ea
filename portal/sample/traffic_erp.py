"""What people do in the sample ERP all day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields, replace

from psycopg import sql

from portal.sample import words
from portal.sample.customers import (
    Customer,
    credit_limit,
    hold_status,
    is_organization,
    make_customer,
    some,
)
from portal.sample.traffic_side import Action, SideTraffic

_COLUMNS = tuple(field.name for field in fields(Customer))
_INSERT = sql.SQL("INSERT INTO customersv3 ({}) VALUES ({})").format(
    sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)),
    sql.SQL(", ").join([sql.Placeholder()] * len(_COLUMNS)),
)
_KEY = "dataareaid = %s AND customeraccount = %s"


class ErpTraffic(SideTraffic):
    """New customers, limits, holds, memos, groups; deletes of what it made."""

    def prepare(self) -> None:
        """Pick the customers to edit: those with an even number."""
        companies = [market.company for market in words.MARKETS]
        rows = self.fetch(
            "SELECT dataareaid, customeraccount FROM customersv3"
            " WHERE dataareaid = ANY(%s) AND customeraccount ~ '^[A-Z]{2}-[0-9]+$'"
            " ORDER BY 1, 2",
            companies,
        )
        self._known = [row for row in rows if int(row[1][3:]) % 2 == 0]
        self._made: list[tuple[str, str]] = []
        self._next = 1 + self.number(
            "SELECT max(substr(customeraccount, 5)::int) FROM customersv3"
            " WHERE customeraccount ~ '^TRF-[0-9]+$'"
        )
        self._next_group = 1 + self.number(
            "SELECT max(substr(customergroupid, 2)::int) FROM customergroups"
            " WHERE customergroupid ~ '^G[0-9]+$'"
        )

    def actions(self) -> Sequence[Action]:
        """Mostly edits; a fifth new customers."""
        return (
            (24, self.change_limit),
            (16, self.change_hold),
            (12, self.change_memo),
            (10, self.change_address),
            (4, self.rate_customers),
            (20, self.create_customer),
            (7, self.delete_customer),
            (4, self.describe_group),
            (2, self.create_group),
        )

    def change_limit(self) -> str | None:
        """A new credit limit."""
        return self._edit(
            "limits changed", "creditlimit = %s", credit_limit(self.random)
        )

    def change_hold(self) -> str | None:
        """Put on hold or released."""
        return self._edit(
            "holds changed", "onholdstatus = %s", hold_status(self.random)
        )

    def change_memo(self) -> str | None:
        """A memo written or cleared."""
        memo = some(self.random, 0.8, self.random.choice(words.MEMOS))
        return self._edit("memos changed", "salesmemo = %s", memo)

    def change_address(self) -> str | None:
        """Something the map does not carry: nothing may happen on the other side."""
        street = f"{self.random.randrange(1, 400)} {self.random.choice(_STREETS)}"
        return self._edit("addresses changed", "addressstreet = %s", street)

    def rate_customers(self) -> str | None:
        """One transaction over several customers."""
        if len(self._known) < 5:
            return None
        rating = some(self.random, 0.9, self.random.choice(words.RATINGS))
        for key in self.random.sample(self._known, 5):
            self._update("creditrating = %s", rating, key)
        return "rating rounds"

    def create_customer(self) -> str | None:
        """A new customer, organization or person."""
        market = self.random.choice(words.MARKETS)
        account = f"TRF-{self._next:07d}"
        self._next += 1
        customer = make_customer(
            self.random,
            market,
            account,
            organization=is_organization(self.random),
        )
        customer = replace(customer, salescurrencycode=market.currency)
        self.connection.execute(_INSERT, astuple(customer))
        self._made.append((market.company, account))
        return "customers created"

    def delete_customer(self) -> str | None:
        """A customer made by this traffic goes again."""
        if not self._made:
            return None
        key = self._made.pop(self.random.randrange(len(self._made)))
        self.connection.execute(f"DELETE FROM customersv3 WHERE {_KEY}", key)  # noqa: S608
        return "customers deleted"

    def describe_group(self) -> str | None:
        """Another description for a customer group."""
        market = self.random.choice(words.MARKETS)
        group = self.random.choice(words.GROUPS)
        self.connection.execute(
            "UPDATE customergroups SET description = %s, modifieddatetime = now()"
            " WHERE dataareaid = %s AND customergroupid = %s",
            (
                f"{group[1] or 'Other'} ({self.random.choice(words.RATINGS).lower()})",
                market.company,
                group[0],
            ),
        )
        return "groups changed"

    def create_group(self) -> str | None:
        """A new customer group, and a customer moved into it in one transaction."""
        if not self._known:
            return None
        company, account = self.random.choice(self._known)
        group = f"G{self._next_group:06d}"
        self._next_group += 1
        self.connection.execute(
            "INSERT INTO customergroups (dataareaid, customergroupid, description,"
            " paymenttermid) VALUES (%s, %s, %s, %s)",
            (company, group, "Offre été", "Net30"),
        )
        self._update("customergroupid = %s", group, (company, account))
        return "groups created"

    def _edit(self, kind: str, setting: str, value: object) -> str | None:
        if not self._known:
            return None
        self._update(setting, value, self.random.choice(self._known))
        return kind

    def _update(self, setting: str, value: object, key: tuple[str, ...]) -> None:
        self.connection.execute(
            f"UPDATE customersv3 SET {setting}, modifieddatetime = now()"  # noqa: S608
            f" WHERE {_KEY}",
            (value, *key),
        )


_STREETS = tuple(street for market in words.MARKETS for street in market.streets)
