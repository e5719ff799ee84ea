"""One worker runs each stream; another takes over when it dies, and it can be asked
to leave."""

from __future__ import annotations

import os
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
    assert {s["state"] for s in pair.streams().values()} == {"running"}

    took = second.terminate(60)
    assert took <= LEAVING_SECONDS * patience(), second.tail()
    assert second.popen.returncode == 0, second.tail()
    assert {s["state"] for s in pair.streams().values()} == {"stopped"}
    portal.start()
    change(pair, "by the third")
