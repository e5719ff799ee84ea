"""Pausing with the other side away, and the ways to go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portal.embedded import launch
from tests.jobs.pair import Pair
from tests.waiting import wait_until


def map_of(pair: Pair, name: str) -> dict[str, Any]:
    """A map of `dw status`."""
    found = next(one for one in pair.status()["maps"] if one["name"] == name)
    return dict(found)


def add(pair: Pair, group: str) -> None:
    pair.erp.execute("INSERT INTO groups VALUES ('usmf', %s, '')", [group])


def queued(pair: Pair, name: str, number: int) -> None:
    wait_until(
        lambda: map_of(pair, name)["queued"] == number,
        60,
        lambda: f"{number} queued: {pair.seen()}",
        poll=0.2,
    )


def test_a_paused_map_queues_with_the_other_side_away_and_goes_on_in_three_ways(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair()
    name = f"groups {pair.name}"
    there = "SELECT count(*) FROM crmgroups WHERE groupid = %s"
    pair.portal.must("run", name, "--skip-initial-sync")
    add(pair, "A")
    pair.wait_value(there, 1, "A", side="crm")

    # Saves go on and each is queued, though the other side cannot be reached.
    pair.portal.must("pause", "--connection-set", pair.name)
    port = launch.free_port()
    pair.dsn("crm", f"postgresql://{pair.role}:secret@127.0.0.1:{port}/crm")
    for at, group in enumerate(("B", "C"), start=1):
        add(pair, group)
        queued(pair, name, at)
    pair.erp.execute("UPDATE groups SET description = 'x' WHERE groupid = 'B'")
    queued(pair, name, 3)
    assert map_of(pair, name)["queued_bytes"] > 0
    assert pair.errors() == []
    pair.dsn("crm")
    pair.portal.must("resume", "--connection-set", pair.name)
    pair.wait_value(there, 1, "C", side="crm")
    pair.wait_for("running", name)

    # Skip to live and keep the queue: carried over later.
    pair.portal.must("pause", name)
    add(pair, "D")
    queued(pair, name, 1)
    pair.portal.must("resume", name, "--skip-to-live", "preserve")
    pair.wait_for("running", name)
    add(pair, "E")
    pair.wait_value(there, 1, "E", side="crm")
    assert pair.value(there, "D", side="crm") == 0
    assert map_of(pair, name)["set_aside"] == 1
    pair.portal.must("queue", name, "--replay")
    pair.wait_value(there, 1, "D", side="crm")
    wait_until(lambda: map_of(pair, name)["set_aside"] == 0, 60, pair.seen, poll=0.2)

    # Skip to live and discard: kept as a file, and compared by itself.
    pair.portal.must("pause", name)
    add(pair, "F")
    queued(pair, name, 1)
    pair.portal.must("resume", name, "--skip-to-live", "discard")
    pair.wait_for("running", name)
    saved = pair.portal.must("queue", name)["saved"]
    assert [one["changes"] for one in saved] == [1]
    assert "thrown away" in map_of(pair, name)["reconcile_needed"]
    wait_until(
        lambda: any(
            one["kind"] == "drift" or "not in step" in one["message"]
            for one in pair.portal.must("alerts")["alerts"]
            if one["map"] == name
        ),
        60,
        lambda: f"{pair.portal.must('alerts')} {pair.seen()}",
        poll=0.2,
    )
    pair.portal.must("compare", name, "--repair", "finops")
    assert pair.value(there, "F", side="crm") == 1
    pair.equal(name)
    assert map_of(pair, name)["reconcile_needed"] is None


def test_a_slot_dropped_under_a_running_stream_is_never_green(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair()
    name = f"groups {pair.name}"
    pair.portal.must("run", name, "--skip-initial-sync")
    add(pair, "A")
    pair.wait_value("SELECT count(*) FROM crmgroups WHERE groupid = 'A'", 1, side="crm")
    slot = pair.value(
        "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"
    )

    def dropped() -> bool:
        pair.admin.execute(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
            " WHERE slot_name = %s AND active_pid IS NOT NULL",
            [slot],
        )
        return bool(
            pair.admin.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                " WHERE slot_name = %s AND active_pid IS NULL",
                [slot],
            ).fetchall()
        )

    wait_until(dropped, 30, pair.seen)
    add(pair, "B")
    # Compared by itself; what was lost is said or, if nothing was, all is well again.
    wait_until(
        lambda: any(
            one["kind"] == "log-gap" and one["connection_set"] == pair.name
            for one in pair.portal.must("alerts", "--all")["alerts"]
        ),
        60,
        pair.seen,
        poll=0.2,
    )
    # From when the stream reads again, changes are known again.
    wait_until(
        lambda: pair.admin.execute(
            "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND active",
            [slot],
        ).fetchone(),
        60,
        pair.seen,
    )
    add(pair, "C")
    pair.wait_value("SELECT count(*) FROM crmgroups WHERE groupid = 'C'", 1, side="crm")
    # The comparison that the gap asked for may be under way still.
    wait_until(
        lambda: pair.portal.ask("compare", name, "--repair", "finops").code == 0,
        60,
        pair.seen,
    )
    pair.equal(name)
    assert map_of(pair, name)["reconcile_needed"] is None
