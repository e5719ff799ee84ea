"""What people do in the sample CRM all day."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from portal.sample import words
from portal.sample.customers import credit_limit, make_customer, some
from portal.sample.traffic_side import Action, SideTraffic

HOLD_CODES = (806380000, 806380001, 806380002, 806380003)
_COMPANY = "(SELECT cdm_companyid FROM cdm_companies WHERE cdm_companycode = %s)"
_INSERT_ACCOUNT = (
    "INSERT INTO accounts (msdyn_company, accountnumber, name, customertypecode,"
    " creditlimit, transactioncurrencyid, description, msdyn_customergroupid,"
    " msdyn_paymenttermsbasedays, msdyn_onholdstatus, msdyn_partycountry)"
    " SELECT c.cdm_companyid, %s, %s, 3, %s, u.transactioncurrencyid, %s,"
    " g.msdyn_customergroupid, 0, %s, %s"
    " FROM cdm_companies c JOIN msdyn_customergroups g"
    " ON g.msdyn_company = c.cdm_companyid AND g.msdyn_groupid = 'WEB',"
    " transactioncurrencies u"
    " WHERE c.cdm_companycode = %s AND u.isocurrencycode = %s"
)


class CrmTraffic(SideTraffic):
    """Descriptions, limits, holds, names, new accounts; deletes of what it made."""

    def prepare(self) -> None:
        """Pick the customers to edit: those with an odd number."""
        companies = [market.company.upper() for market in words.MARKETS]
        self._accounts = self._odd(
            "SELECT a.accountid, a.accountnumber FROM accounts a"
            " JOIN cdm_companies c ON c.cdm_companyid = a.msdyn_company"
            " WHERE a.customertypecode = 3 AND c.cdm_companycode = ANY(%s)"
            " AND a.accountnumber ~ '^[A-Z]{2}-[0-9]+$' ORDER BY 2",
            companies,
        )
        self._contacts = self._odd(
            "SELECT a.contactid, a.msdyn_contactpersonid FROM contacts a"
            " JOIN cdm_companies c ON c.cdm_companyid = a.msdyn_company"
            " WHERE a.msdyn_sellable AND c.cdm_companycode = ANY(%s)"
            " AND a.msdyn_contactpersonid ~ '^[A-Z]{2}-[0-9]+$' ORDER BY 2",
            companies,
        )
        self._made: list[tuple[str, str]] = []
        self._next = 1 + self.number(
            "SELECT max(substr(accountnumber, 5)::int) FROM accounts"
            " WHERE accountnumber ~ '^TRC-[0-9]+$'"
        )

    def actions(self) -> Sequence[Action]:
        """Mostly edits; a few new accounts."""
        return (
            (28, self.change_description),
            (22, self.change_limit),
            (12, self.change_hold),
            (14, self.change_contact),
            (8, self.change_staff),
            (10, self.create_account),
            (5, self.delete_account),
        )

    def change_description(self) -> str | None:
        """A description written or cleared."""
        memo = some(self.random, 0.85, self.random.choice(words.MEMOS))
        return self._edit("descriptions changed", "description = %s", memo)

    def change_limit(self) -> str | None:
        """A new credit limit."""
        return self._edit(
            "limits changed", "creditlimit = %s", credit_limit(self.random)
        )

    def change_hold(self) -> str | None:
        """Put on hold or released."""
        code = self.random.choice(HOLD_CODES)
        return self._edit("holds changed", "msdyn_onholdstatus = %s", code)

    def change_staff(self) -> str | None:
        """Something the map does not carry: nothing may happen on the other side."""
        staff = self.random.randrange(1, 5000)
        return self._edit("staff changed", "numberofemployees = %s", staff)

    def change_contact(self) -> str | None:
        """A person takes another name."""
        if not self._contacts:
            return None
        market = self.random.choice(words.MARKETS)
        self.connection.execute(
            "UPDATE contacts SET lastname = %s, modifiedon = now()"
            " WHERE contactid = %s",
            (self.random.choice(market.last_names), self.random.choice(self._contacts)),
        )
        return "contacts renamed"

    def create_account(self) -> str | None:
        """A new customer from the sales people."""
        market = self.random.choice(words.MARKETS)
        account = f"TRC-{self._next:07d}"
        self._next += 1
        code = market.company.upper()
        made = make_customer(self.random, market, account, organization=True)
        self.connection.execute(
            _INSERT_ACCOUNT,
            (
                *(account, made.organizationname, made.creditlimit, made.salesmemo),
                *(HOLD_CODES[0], made.partycountry, code, market.currency),
            ),
        )
        self._made.append((code, account))
        return "accounts created"

    def delete_account(self) -> str | None:
        """An account made by this traffic goes again."""
        if not self._made:
            return None
        code, account = self._made.pop(self.random.randrange(len(self._made)))
        self.connection.execute(
            f"DELETE FROM accounts WHERE msdyn_company = {_COMPANY}"  # noqa: S608
            " AND accountnumber = %s",
            (code, account),
        )
        return "accounts deleted"

    def _odd(self, query: str, companies: list[str]) -> list[UUID]:
        rows = self.fetch(query, companies)
        return [identity for identity, number in rows if int(number[3:]) % 2 == 1]

    def _edit(self, kind: str, setting: str, value: object) -> str | None:
        if not self._accounts:
            return None
        self.connection.execute(
            f"UPDATE accounts SET {setting}, modifiedon = now()"  # noqa: S608
            " WHERE accountid = %s",
            (value, self.random.choice(self._accounts)),
        )
        return kind
