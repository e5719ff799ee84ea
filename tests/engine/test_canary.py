"""Signs of life: through the stream, to the target, and what is said without them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from syncengine.connectors.base import ConnectionSettings
from syncengine.connectors.postgres.names import slot_name
from syncengine.connectors.registry import connector_for
from syncengine.errors import SetupError
from syncengine.live import LiveStream
from syncengine.mapping.model import Side
from syncengine.ports import CanaryState
from tests.engine.link import QUICK, Link
from tests.engine.memory import MemoryStream
from tests.waiting import wait_until

OFTEN = replace(QUICK, canary_every=0.1)


class WatchedLink(Link):
    """Sends a sign every tenth of a second."""

    def stream(self, source: Side) -> LiveStream:
        connectors = {Side.FINOPS: self.finops, Side.DATAVERSE: self.dataverse}
        port = MemoryStream(self.state, source)
        return LiveStream(
            self.name, connectors[source], connectors[source.other], port, port, OFTEN
        )

    def canary(self) -> CanaryState:
        report = self.state.reports.get(Side.FINOPS)
        return (report and report.canary) or CanaryState()


@pytest.fixture
def watched(make_database: Callable[..., str]) -> Iterator[WatchedLink]:
    link = WatchedLink(make_database(), make_database())
    yield link
    link.close()


def passed_after(link: WatchedLink, moment: datetime) -> bool:
    passed = link.canary().passed_at
    return passed is not None and passed > moment


def test_a_sign_tells_the_latency_from_end_to_end(watched: WatchedLink) -> None:
    watched.start(sides=(Side.FINOPS,))
    now = datetime.now(UTC)
    wait_until(lambda: passed_after(watched, now))
    seconds = watched.canary().seconds
    assert seconds is not None
    assert 0 < seconds < 5


def test_an_idle_source_lets_go_of_its_log(watched: WatchedLink) -> None:
    watched.start(sides=(Side.FINOPS,))
    here = watched.erp.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    assert here is not None
    wait_until(
        lambda: (
            watched.erp.execute(
                "SELECT confirmed_flush_lsn > %s::pg_lsn FROM pg_replication_slots "
                "WHERE slot_name = %s",
                [here[0], slot_name("t1", Side.FINOPS)],
            ).fetchone()
            == (True,)
        )
    )


def test_nothing_comes_through_while_the_target_is_held(watched: WatchedLink) -> None:
    watched.start(sides=(Side.FINOPS,))
    wait_until(lambda: watched.canary().passed_at is not None)
    info = watched.crm.info
    with psycopg.connect(info.dsn, password=info.password) as holder:
        holder.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
        watched.erp.execute(
            "INSERT INTO customers (dataareaid, account, name) "
            "VALUES ('usmf', 'C1', 'One')"
        )
        wait_until(lambda: bool(_waiting(watched)))
        held = watched.canary().passed_at
        # The stream is stuck behind the lock: not even its reports go on.
        assert _waiting(watched)
        assert watched.canary().passed_at == held
        holder.rollback()
    released = datetime.now(UTC)
    wait_until(lambda: passed_after(watched, released))
    assert "usmf/C1" in watched.accounts()


def _waiting(link: Link) -> list[tuple[object, ...]]:
    return link.erp.execute(
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    ).fetchall()


def test_an_account_that_may_not_send_signs_is_told_so(
    make_database: Callable[..., str],
) -> None:
    dsn = make_database()
    role = f"mute_{dsn.rsplit('_', 1)[-1]}"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(
            "REVOKE EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text, "
            "boolean) FROM PUBLIC"
        )
        admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'mute'")
        try:
            connector = connector_for(
                ConnectionSettings(
                    "erp",
                    Side.FINOPS,
                    "postgres",
                    psycopg.conninfo.make_conninfo(dsn, user=role, password="mute"),
                )
            )
            with pytest.raises(SetupError) as refused:
                connector.send_sign("t1", "sign")
        finally:
            admin.execute(f"DROP ROLE {role}")
    assert refused.value.code == "sign_refused"
    assert "latency" in refused.value.message
