"""One worker runs each stream; another takes over when it dies, and it can be asked
to leave."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.jobs.pair import Pair
from tests.jobs.portal import Portal
from tests.waiting import wait_until

TAKEOVER_SECONDS = 5.0
LEAVING_SECONDS = 10.0


def patience() -> float:
    """How much slower than promised a machine may be that is busy with others."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.fixture
def second(portal: Portal) -> Iterator[None]:
    yield
    portal.keep_one_worker()


def change(pair: Pair, text: str) -> None:
    """Change a record on each side and see it arrive on the other."""
    pair.erp.execute("UPDATE groups SET description = %s WHERE groupid = 'E'", [text])
    pair.crm.execute(
        "UPDATE crmgroups SET description = %s WHERE groupid = 'C'", [text]
    )
    wait_until(lambda: arrived(pair, text), 60, pair.seen)


def arrived(pair: Pair, text: str) -> bool:
    return (
        pair.value("SELECT description FROM groups WHERE groupid = 'C'"),
        pair.value("SELECT description FROM crmgroups WHERE groupid = 'E'", side="crm"),
    ) == (text, text)


@pytest.mark.usefixtures("second")
def test_another_worker_takes_streams_over_and_a_stopped_one_leaves(
    make_pair: Callable[..., Pair], portal: Portal
) -> None:
    pair = make_pair()
    name = f"groups {pair.name}"
    pair.erp.execute("INSERT INTO groups VALUES ('usmf', 'E', '')")
    pair.crm.execute(
        "INSERT INTO crmgroups (company, groupid)"
        " SELECT id, 'C' FROM companies WHERE code = 'USMF'"
    )
    pair.run(name)
    change(pair, "by the first")
    first = portal.worker
    second = portal.start_worker("w2")

    begun = time.monotonic()
    first.kill_main()
    change(pair, "by the second")
    took = time.monotonic() - begun
    assert took <= TAKEOVER_SECONDS * patience(), (took, pair.seen())
    wait_until(lambda: not first.members(), 20, lambda: f"{first.members()} ended")
    wait_until(lambda: states(pair) == {"running"}, 60, pair.seen)

    took = second.terminate(60)
    assert took <= LEAVING_SECONDS * patience(), second.tail()
    assert second.popen.returncode == 0, second.tail()
    assert {s["state"] for s in pair.streams().values()} == {"stopped"}
    portal.start()
    change(pair, "by the third")


@pytest.mark.usefixtures("second")
def test_a_worker_that_copies_hands_back_and_leaves_within_ten_seconds(
    make_pair: Callable[..., Pair], portal: Portal
) -> None:
    """SIGTERM in the middle of a chunk of 30,000 rows. Another worker does the whole of
    it, and each row is counted once."""
    pair = make_pair()
    name = f"customers {pair.name}"
    pair.erp.execute(
        "INSERT INTO customers (dataareaid, account, name)"
        " SELECT 'usmf', 'C' || n, 'n' FROM generate_series(1, 30000) n"
    )
    release = pair.block("accounts", "NEW.accountnumber = 'C5'")
    ran = pair.portal.must("run", name)
    pair.wait_blocked()
    worker = portal.worker
    worker.popen.send_signal(signal.SIGTERM)
    wait_until(lambda: "Warm shutdown" in worker.tail(20_000), 60, portal.tails)
    release()
    took = worker.terminate(60)
    assert took <= LEAVING_SECONDS * patience(), portal.tails()
    assert exported(pair) < 30_000, pair.seen()
    waiting = portal.rows("SELECT count(*) FROM runs_chunk WHERE state = 'running'")
    assert waiting == [(0,)]
    portal.start()
    pair.wait_for("running", name)
    rows = {
        leg["entity"]: (leg["exported"], leg["failed"])
        for leg in pair.runs()
        if leg["direction"] == "finops_to_dataverse"
    }
    assert rows == {"usmf": (30_000, 0), "demf": (0, 0)}
    assert pair.value("SELECT count(*) FROM accounts", side="crm") == 30_000
    _one_id_binds_it_all(pair, portal, name, ran["correlation_id"])


def _one_id_binds_it_all(pair: Pair, portal: Portal, name: str, action: str) -> None:
    """From the command to what the stream did about it, in rows and in log lines."""
    kinds = portal.rows(
        "SELECT kind FROM activity_activityevent WHERE correlation_id = %s", action
    )
    assert {"map.run", "map.running"} <= {kind for (kind,) in kinds}
    logs = "".join(path.read_text() for path in portal.data.glob("*.log"))
    mine = [line for line in logs.splitlines() if action in line]
    assert any('"map.running"' in line for line in mine), mine


def states(pair: Pair) -> set[str]:
    return {stream["state"] for stream in pair.streams().values()}


def exported(pair: Pair) -> int:
    return sum(leg["exported"] for leg in pair.runs())
