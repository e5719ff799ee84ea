"""What the live measures write, and how they see that it has arrived."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg

from tests.bench.cluster import execute, fetch
from tests.bench.tables import COLUMNS, FILL_TARGET, GENERATED, ROW
from tests.waiting import wait_until

UPDATED_FROM = {"L": 0, "R": 100_000}
"""Each direction updates rows of its own, each row once."""
LAST_MARK = 999_999_999

_NUMBER = "(SELECT nextval('{sequence}') AS n) AS number"
_ACCOUNT = "'C' || lpad(n::text, 9, '0')"
_COMPANY = "(ARRAY['usmf', 'demf', 'frrt'])[1 + n % 3]"


@dataclass(frozen=True)
class Table:
    """One side's table under load: how to change it and how to find what arrived."""

    dsn: str
    insert: str
    update: str
    written: str
    marker: str

    def prepare(self, prefix: str) -> None:
        """The sequences that number what `prefix` writes."""
        first = UPDATED_FROM[prefix] + 1
        execute(self.dsn, f"CREATE SEQUENCE inserted_{prefix} CACHE 20")
        execute(self.dsn, f"CREATE SEQUENCE updated_{prefix} CACHE 20 START {first}")

    def scripts(self, prefix: str) -> tuple[str, str]:
        """One single-row insert and one single-row update, for pgbench."""
        return (
            self._insert(prefix, f"nextval('inserted_{prefix}')") + ";\n",
            self.update.format(
                number=_NUMBER.format(sequence=f"updated_{prefix}"), prefix=prefix
            )
            + ";\n",
        )

    def backlog(self, prefix: str, transactions: int) -> None:
        """Transactions of 100 rows each: 50 inserted, 50 updated."""
        insert = self._insert(prefix, "generate_series(i * 50 + 1, i * 50 + 50)")
        first = UPDATED_FROM[prefix]
        update = self.update.format(
            number=f"(SELECT {first} + i * 50 + k AS n FROM generate_series(1, 50) k)"
            " AS number",
            prefix=prefix,
        )
        execute(
            self.dsn,
            f"DO $$ BEGIN FOR i IN 0..{transactions - 1} LOOP"
            f" {insert}; {update}; COMMIT; END LOOP; END $$",
        )

    def large(self, prefix: str, rows: int) -> None:
        """One transaction that inserts many rows."""
        execute(self.dsn, self._insert(prefix, f"generate_series(1, {rows})"))

    def mark(self, prefix: str, number: int = LAST_MARK) -> None:
        """Write one row with a number of its own (a multiple of three)."""
        execute(self.dsn, self.mark_statement(prefix, number))

    def mark_statement(self, prefix: str, number: int) -> str:
        """The insert of one row whose arrival can be watched."""
        return self._insert(prefix, f"generate_series({number}, {number})")

    def seen_statement(self, prefix: str, number: int) -> str:
        """Gives a row once the row of that number is here."""
        return self.marker.format(account=f"{prefix}{number:09d}")

    def wait_for_mark(self, prefix: str, timeout: float) -> float:
        """Wait until the last row is here, and with it all before it; the time."""
        query = self.seen_statement(prefix, LAST_MARK)
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            wait_until(
                lambda: connection.execute(query).fetchone(),
                timeout,
                "all changes arrived",
                0.02,
            )
        return time.time()

    def keys(self, prefix: str) -> set[str]:
        """The keys of all rows that `prefix` wrote and that are here."""
        return {key for (key,) in fetch(self.dsn, self.written.format(prefix=prefix))}

    def _insert(self, prefix: str, numbers: str) -> str:
        return self.insert.format(
            row=ROW.format(prefix=prefix),
            generated=GENERATED.format(prefix=prefix, numbers=numbers),
            numbers=numbers,
        )


def customers(dsn: str) -> Table:
    """The ERP's table."""
    return Table(
        dsn=dsn,
        insert=f"INSERT INTO customers ({', '.join(COLUMNS)})"
        " SELECT {row} FROM {numbers} AS n",
        update="UPDATE customers SET creditlimit = n % 1000 + 0.5,"
        " salesmemo = 'changed {prefix} ' || n FROM {number}"
        f" WHERE dataareaid = {_COMPANY} AND customeraccount = {_ACCOUNT}",
        written="SELECT dataareaid || '/' || customeraccount FROM customers"
        " WHERE customeraccount LIKE '{prefix}%'"
        " OR salesmemo LIKE 'changed {prefix} %'",
        marker="SELECT 1 FROM customers WHERE customeraccount = '{account}'"
        " AND dataareaid = 'usmf'",
    )


def accounts(dsn: str) -> Table:
    """The CRM's table."""
    return Table(
        dsn=dsn,
        insert=FILL_TARGET.format(staged="{generated}"),
        update="UPDATE accounts SET creditlimit = n % 1000 + 0.5,"
        " description = 'changed {prefix} ' || n FROM {number}, companies c"
        f" WHERE c.code = upper({_COMPANY}) AND accounts.company = c.companyid"
        f" AND accountnumber = {_ACCOUNT}",
        written="SELECT lower(c.code) || '/' || accountnumber"
        " FROM accounts JOIN companies c ON c.companyid = accounts.company"
        " WHERE accountnumber LIKE '{prefix}%'"
        " OR description LIKE 'changed {prefix} %'",
        marker="SELECT 1 FROM accounts WHERE accountnumber = '{account}'",
    )
