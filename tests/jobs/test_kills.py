"""Workers and connections are killed in the middle: nothing is lost or doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Event

import pytest

from tests.jobs.pair import Pair
from tests.jobs.portal import Portal
from tests.jobs.test_two_ways import check_written_once, prepare, users_of, work
from tests.waiting import wait_until

ROWS = 3000
SECONDS = 5
COPIED = """
INSERT INTO customers (dataareaid, account, name)
SELECT (array['usmf', 'demf'])[1 + n %% 2], 'C' || n, 'Name ' || n
FROM generate_series(1, %s) n
"""


def kill_worker(portal: Portal, pairs: list[Pair]) -> None:
    """Twice: all processes of the worker at once, then the main process alone."""
    portal.worker.kill_group()
    portal.start()
    pauses = Event()
    pauses.wait(1)  # let the new worker take up its work: this is the fault's rhythm
    portal.worker.kill_main()
    portal.start()


def cut_connections(portal: Portal, pairs: list[Pair]) -> None:
    """Five times: every connection the product has to either target."""
    pauses = Event()
    total = 0
    for _ in range(5):
        total += sum(pair.cut("erp", "crm") for pair in pairs)
        pauses.wait(1)
    assert total > 10


@pytest.mark.parametrize("fault", [kill_worker, cut_connections])
def test_nothing_is_lost_or_doubled_when(
    make_pair: Callable[..., Pair],
    portal: Portal,
    fault: Callable[[Portal, list[Pair]], None],
) -> None:
    """One pair is in the middle of its copy, another in live traffic both ways."""
    copied, live = make_pair(), make_pair()
    prepare(live)
    live.run()
    live.equal()
    live.count_writes()

    copied.erp.execute(COPIED, [ROWS])
    copied.count_writes()
    release = copied.block("accounts", f"NEW.accountnumber = 'C{ROWS // 2}'")
    name = f"customers {copied.name}"
    copied.run(name, wait=False)
    copied.wait_blocked()

    users = users_of(live)

    def strike() -> None:
        wait_until(lambda: min(one.done for one in users) > 20, 30, "traffic")
        fault(portal, [copied, live])
        release()

    work(users, SECONDS, strike)

    copied.wait_for("running", name, seconds=120)
    copied.quiet()
    copied.equal(name)
    counts = copied.runs()
    for leg in counts:
        parts = ("inserted", "updated", "unchanged", "skipped", "failed")
        assert leg["exported"] == sum(leg[part] for part in parts), leg
        assert leg["exported"] == leg["total"] == ROWS // 2, leg
        assert leg["failed"] == leg["updated"] == 0, leg
        assert leg["run"] == leg["state"] == "completed", leg
    assert len(counts) == 4  # two companies, two directions
    written = Counter(copied.writes("crm"))
    assert len(written) == ROWS
    assert set(written.values()) == {1}
    assert copied.writes("erp") == []
    assert not copied.errors()

    live.quiet()
    live.equal(seconds=120)
    assert not live.errors()
    check_written_once(live)
    assert {state for state, _ in live.states().values()} == {"running"}


def test_an_unfinished_live_batch_is_written_once_after_a_kill(
    make_pair: Callable[..., Pair], portal: Portal
) -> None:
    pair = make_pair()
    name = f"customers {pair.name}"
    pair.portal.must("run", name, "--skip-initial-sync")
    pair.count_writes()
    release = pair.block("accounts", "NEW.accountnumber = 'C77'")
    pair.erp.execute(COPIED, [100])
    pair.wait_blocked()
    portal.worker.kill_group()
    pair.erp.execute("UPDATE customers SET name = 'Meanwhile' WHERE account = 'C77'")
    release()
    portal.start()
    pair.quiet()
    pair.equal(name)
    written = Counter(key for _, _, key in pair.writes("crm"))
    assert set(written) == {f"C{n}" for n in range(1, 101)}
    assert {number for key, number in written.items() if key != "C77"} == {1}
    assert written["C77"] <= 2
    assert pair.writes("erp") == []
