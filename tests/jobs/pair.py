"""Two environments of a test, linked in the portal: databases, maps and judgement."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, LiteralString, cast

import psycopg
import yaml
from psycopg import sql

from portal.sample.seed import seed_crm, seed_erp
from tests.engine.link import CRM, ERP
from tests.jobs.documents import BLOCKING, COUNTING, SMALL, named
from tests.jobs.portal import ROOT, Portal
from tests.servers import PostgresServer, database_name
from tests.waiting import wait_until

SECONDS = 60.0
"""How long anything may take on a machine that is busy with other things."""

PASSWORD = "of-the-product"

_numbers = itertools.count(1)


class Pair:
    """An ERP and a CRM database that the portal reaches as an ordinary role.

    `erp` and `crm` are the test's own sessions: what they write counts as made by
    users, not by the product.
    """

    templates: dict[str, str] = {}

    def __init__(
        self,
        portal: Portal,
        *,
        sample: bool = False,
        server: PostgresServer | None = None,
    ) -> None:
        self.portal = portal
        self.server = server or portal.server
        self.name = f"set{next(_numbers)}"
        self.role = f"product_{database_name(portal.dsn)[-6:]}_{self.name}"
        self.admin = psycopg.connect(self.server.dsn(), autocommit=True)
        self._command("CREATE ROLE {} LOGIN REPLICATION PASSWORD {}", PASSWORD)
        self.databases = {
            side: self.server.create_database(
                f"{side}_{self.name}", self._template(side) if sample else ""
            )
            for side in ("erp", "crm")
        }
        self.erp, self.crm = (self._session(side) for side in ("erp", "crm"))
        if not sample:
            self.erp.execute(cast(LiteralString, ERP))
            self.crm.execute(cast(LiteralString, CRM))
        self.document = named(
            (ROOT / "portal/sample/maps.yaml").read_text() if sample else SMALL,
            self.name,
            self._dsns(),
        )
        self.maps = [entry["name"] for entry in self.document["maps"]]
        self.tables = {
            "erp": list(dict.fromkeys(m["finops"] for m in self.document["maps"])),
            "crm": list(dict.fromkeys(m["dataverse"] for m in self.document["maps"])),
        }

    # -- making and unmaking --------------------------------------------------------

    def _command(self, text: LiteralString, *literals: str) -> None:
        parts = [sql.Literal(literal) for literal in literals]
        self.admin.execute(sql.SQL(text).format(sql.Identifier(self.role), *parts))

    def _session(self, side: str) -> psycopg.Connection[tuple[Any, ...]]:
        """The test's own session, with the rights of the tables' owner."""
        name = database_name(self.databases[side])
        role = sql.Identifier(self.role)
        self.admin.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(name), role)
        )
        session = psycopg.connect(self.databases[side], autocommit=True)
        owned = session.execute(
            "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class "
            "WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        ).fetchall()
        for (owner,) in owned:
            session.execute(
                sql.SQL("REASSIGN OWNED BY {} TO {}").format(
                    sql.Identifier(owner), role
                )
            )
        session.execute(sql.SQL("SET ROLE {}").format(role))
        return session

    def _template(self, side: str) -> str:
        """A database seeded once with a sample company."""
        known = Pair.templates.get(side)
        if known is None:
            owner = sql.Identifier(f"seeder_{database_name(self.portal.dsn)}_{side}")
            self.admin.execute(sql.SQL("CREATE ROLE {}").format(owner))
            dsn = self.server.create_database(f"template_{side}")
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(
                    sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(owner)
                )
                connection.execute(sql.SQL("SET ROLE {}").format(owner))
                (seed_erp if side == "erp" else seed_crm)(connection)
            known = Pair.templates[side] = database_name(dsn)
        return known

    def _dsns(self, password: str = PASSWORD) -> dict[str, str]:
        return {
            side: self.server.dsn(database_name(dsn), self.role, password)
            for side, dsn in self.databases.items()
        }

    def file(self, document: Mapping[str, Any] | None = None) -> str:
        """The path of a file for `dw apply`."""
        path = self.portal.data / f"{self.name}.yaml"
        path.write_text(yaml.safe_dump(document or self.document, sort_keys=False))
        return str(path)

    def apply(self) -> None:
        """Make environments, link and maps known to the portal."""
        self.portal.must("apply", self.file())

    def dsn(self, side: str, dsn: str | None = None, password: str = PASSWORD) -> None:
        """Change how the portal reaches a side, as an administrator would."""
        role = {"erp": "finops", "crm": "dataverse"}[side]
        for environment in self.document["environments"]:
            if environment["role"] == role:
                environment["dsn"] = dsn or self._dsns(password)[side]
        self.apply()

    def close(self) -> None:
        """Have the portal forget the pair, end its streams and drop the databases."""
        self.portal.forget(self.name)
        for session in (self.erp, self.crm):
            session.close()
        for dsn in self.databases.values():
            self.server.drop_database(dsn)
        self._command("DROP ROLE {}")
        self.admin.close()

    # -- running --------------------------------------------------------------------

    def run(self, *maps: str, master: str = "finops", wait: bool = True) -> None:
        """Run maps (all, by default) with an initial sync, up to Running."""
        chosen = maps or tuple(self.maps)
        self.portal.must("run", *chosen, "--master", master)
        if wait:
            self.wait_for("running", *chosen)

    def states(self) -> dict[str, tuple[str, str]]:
        """State and reason by map."""
        return {
            name: (state, reason)
            for name, state, reason in self.portal.rows(
                "SELECT m.name, m.state, m.state_reason FROM maps_tablemap m JOIN"
                " environments_connectionset s ON s.id = m.connection_set_id"
                " WHERE s.name = %s ORDER BY m.id",
                self.name,
            )
        }

    def wait_for(self, state: str, *maps: str, seconds: float = SECONDS) -> None:
        """Wait until maps (all, by default) are in `state`."""
        chosen = maps or tuple(self.maps)
        wait_until(
            lambda: all(self.states()[name][0] == state for name in chosen),
            seconds,
            lambda: f"{chosen} are {state}: {self.seen()}",
        )

    def status(self) -> dict[str, Any]:
        """This pair's part of `dw status`."""
        document = self.portal.must("status")
        return next(s for s in document["connection_sets"] if s["name"] == self.name)

    def streams(self) -> dict[str, Any]:
        """The streams of `dw status` by source."""
        return {stream["source"]: stream for stream in self.status()["streams"]}

    def errors(self) -> list[dict[str, Any]]:
        """This pair's part of `dw errors`."""
        document = self.portal.must("errors")
        return [error for error in document["errors"] if error["map"] in self.maps]

    def runs(self) -> list[dict[str, Any]]:
        """All leg runs, oldest first, with what was planned and counted."""
        columns = ["total", "exported", "inserted", "updated", "unchanged", "skipped"]
        columns.append("failed")
        rows = self.portal.rows(
            f"SELECT m.name, r.state, r.message, l.direction, l.legal_entity, l.state,"
            f" {', '.join(f'l.{column}' for column in columns)}"
            " FROM runs_legrun l JOIN runs_initialsyncrun r ON r.id = l.run_id"
            " JOIN maps_tablemap m ON m.id = r.table_map_id"
            " JOIN environments_connectionset s ON s.id = m.connection_set_id"
            ' WHERE s.name = %s ORDER BY r.id, l."order", l.legal_entity',
            self.name,
        )
        names = ["map", "run", "message", "direction", "entity", "state", *columns]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def seen(self) -> str:
        """What a failed wait found."""
        return (
            f"{self.portal.tails()}\n"
            f"{self.status()}\nruns: {self.runs()[-12:]}\nerrors: {self.errors()[:5]}"
        )

    # -- judging --------------------------------------------------------------------

    def compare(self, name: str) -> dict[str, Any]:
        """`dw compare` of a map."""
        ran = self.portal.ask("compare", name, "--json")
        assert ran.code in (0, 1), ran.err
        document = ran.json
        assert "error" not in document, (document, self.portal.must("alerts", "--all"))
        assert (ran.code == 0) == (document["equal"] == document["compared"]), document
        return dict(document)

    def equal(self, *maps: str, seconds: float = SECONDS) -> None:
        """Wait until `dw compare` finds no difference in the maps (all, by default)."""
        for name in maps or tuple(self.maps):
            wait_until(
                lambda name=name: _in_step(self.compare(name)),  # type: ignore[misc]
                seconds,
                lambda name=name: (  # type: ignore[misc]
                    f"{name} equal: {self.compare(name)}\n{self.seen()}"
                ),
                poll=0.2,
            )

    def quiet(self) -> None:
        """Wait until both streams have passed all that both sides hold, echoes too."""
        for _ in range(2):
            wanted = {
                side: str(self.value("SELECT pg_current_wal_insert_lsn()", side=side))
                for side in ("erp", "crm")
            }
            aims = {
                "finops": _position(wanted["erp"]),
                "dataverse": _position(wanted["crm"]),
            }
            wait_until(
                lambda aims=aims: all(  # type: ignore[misc]
                    self._positions().get(source, "") >= aim
                    for source, aim in aims.items()
                ),
                SECONDS,
                lambda aims=aims: f"{aims} passed: {self._positions()} {self.seen()}",  # type: ignore[misc]
            )

    def _positions(self) -> dict[str, str]:
        return dict(
            self.portal.rows(
                "SELECT t.source, t.position FROM environments_stream t JOIN"
                " environments_connectionset s ON s.id = t.connection_set_id"
                " WHERE s.name = %s",
                self.name,
            )
        )

    def acknowledged(self) -> None:
        """Wait until both streams work by what was configured last."""
        wait_until(
            lambda: (
                self.portal.rows(
                    "SELECT bool_and(t.acknowledged_revision = s.revision)"
                    " FROM environments_stream t JOIN environments_connectionset s"
                    " ON s.id = t.connection_set_id WHERE s.name = %s",
                    self.name,
                )
                == [(True,)]
            ),
            SECONDS,
            lambda: f"the configuration is taken in: {self.seen()}",
        )

    def value(self, query: str, *parameters: object, side: str = "erp") -> Any:
        """The first column of the first row; None when there is no row."""
        session = self.erp if side == "erp" else self.crm
        row = session.execute(cast(LiteralString, query), parameters).fetchone()
        return None if row is None else row[0]

    def wait_value(
        self,
        query: str,
        wanted: object,
        *parameters: object,
        side: str = "erp",
        seconds: float = SECONDS,
    ) -> None:
        """Wait until a query gives a value."""
        wait_until(
            lambda: self.value(query, *parameters, side=side) == wanted,
            seconds,
            lambda: (
                f"{query} {parameters} on {side} gives {wanted!r}, not "
                f"{self.value(query, *parameters, side=side)!r}\n{self.seen()}"
            ),
        )

    def count_writes(self) -> None:
        """From now on note every row that is written to a mapped table, and by whom."""
        for side, session in (("erp", self.erp), ("crm", self.crm)):
            session.execute(COUNTING)
            for table in self.tables[side]:
                session.execute(
                    sql.SQL(
                        "CREATE TRIGGER test_note AFTER INSERT OR UPDATE OR DELETE"
                        " ON {} FOR EACH ROW EXECUTE FUNCTION test_note()"
                    ).format(sql.Identifier(table))
                )

    def writes(self, side: str) -> list[tuple[str, str, str]]:
        """Table, operation and key of what the product wrote since `count_writes`."""
        session = self.erp if side == "erp" else self.crm
        return cast(
            list[tuple[str, str, str]],
            session.execute(
                "SELECT relation, operation, key FROM test_writes"
                " WHERE by_product ORDER BY id"
            ).fetchall(),
        )

    # -- making trouble -------------------------------------------------------------

    def block(
        self, table: str, condition: str, side: str = "crm"
    ) -> Callable[[], None]:
        """Have the product's writes of rows that satisfy `condition` wait in the
        middle of their transaction; gives what lets them go on."""
        session = self.erp if side == "erp" else self.crm
        session.execute(BLOCKING)
        session.execute(
            cast(
                LiteralString,
                f"CREATE TRIGGER test_block BEFORE INSERT OR UPDATE ON {table}"
                f" FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION test_block()",
            )
        )
        holder = psycopg.connect(self.databases[side], autocommit=True)
        holder.execute("SELECT pg_advisory_lock(4711)")

        def release() -> None:
            holder.close()

        return release

    def wait_blocked(self, seconds: float = SECONDS) -> None:
        """Wait until a write of the product is held by `block`."""
        wait_until(
            lambda: self.admin.execute(
                "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711"
                " AND NOT granted AND database IN (SELECT oid FROM pg_database"
                " WHERE datname = ANY(%s))",
                [[database_name(dsn) for dsn in self.databases.values()]],
            ).fetchone(),
            seconds,
            lambda: f"a write is held: {self.seen()}",
        )

    def cut(self, *sides: str) -> int:
        """Terminate every connection the product has to these sides."""
        names = [database_name(self.databases[side]) for side in sides]
        return len(
            self.admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = %s AND datname = ANY(%s)",
                [self.role, names],
            ).fetchall()
        )

    def blocked(self, side: str) -> bool:
        """True while a connection of the product waits for a lock on this side."""
        found = self.admin.execute(
            "SELECT 1 FROM pg_stat_activity WHERE usename = %s AND datname = %s"
            " AND wait_event_type = 'Lock'",
            [self.role, database_name(self.databases[side])],
        )
        return found.fetchone() is not None

    def password(self, password: str) -> None:
        """Change the password of the product's role on the server."""
        self._command("ALTER ROLE {} PASSWORD {}", password)


def _in_step(document: Mapping[str, Any]) -> bool:
    return bool(document["equal"] == document["compared"])


def _position(lsn: str) -> str:
    high, _, low = lsn.partition("/")
    return f"{high:0>8}/{low:0>8}".upper()
