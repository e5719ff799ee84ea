"""Comparisons, repairs and held changes with a real worker, over running streams."""

from __future__ import annotations

from collections.abc import Callable

from tests.jobs.pair import Pair
from tests.waiting import wait_until

ROWS = 400


def test_a_worker_compares_and_repairs_and_mass_deletes_wait(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair()
    portal, groups = pair.portal, f"groups {pair.name}"
    pair.erp.execute(
        "INSERT INTO groups SELECT 'usmf', 'G' || n, 'Group' "
        "FROM generate_series(1, %s) n",
        [ROWS],
    )
    portal.must("run", groups, "--wait")
    # A write that no stream carries over: it bears the mark of our own.
    found = portal.sql.execute(
        "SELECT link_id FROM environments_connectionset WHERE name = %s", [pair.name]
    ).fetchone()
    assert found is not None
    with pair.crm.transaction():
        pair.crm.execute(
            "SELECT pg_logical_emit_message(true, 'dualwrite', %s)", [found[0]]
        )
        pair.crm.execute("UPDATE crmgroups SET description = 'x' WHERE groupid = 'G7'")
    portal.must("compare-schedule", "--map", groups, "--at", "00:00")
    portal.sql.execute(
        "UPDATE comparisons_comparisonschedule SET started_at = NULL, "
        "hour = extract(hour FROM now() AT TIME ZONE 'UTC')"
    )
    wait_until(
        lambda: (
            portal.sql.execute(
                "SELECT different FROM comparisons_comparison c JOIN maps_tablemap m "
                "ON m.id = c.table_map_id WHERE m.name = %s AND c.state = 'completed' "
                "AND c.trigger = 'scheduled'",
                [groups],
            ).fetchone()
            == (1,)
        ),
        60,
    )
    portal.must("compare-schedule", "--map", groups, "--off")
    assert any(
        alert["kind"] == "drift" and alert["map"] == groups
        for alert in portal.must("alerts")["alerts"]
    )
    repaired = portal.must("compare", groups, "--repair", "finops")
    assert repaired["repaired"]["updated"] == 1
    assert portal.must("compare", groups)["equal"] == ROWS

    pair.erp.execute("DELETE FROM groups WHERE groupid LIKE 'G1%'")
    waiting: list[dict[str, object]] = []

    def held() -> bool:
        found = portal.must("approvals")["approvals"]
        waiting[:] = [one for one in found if one["map"] == groups]
        return bool(waiting)

    wait_until(held, 60)
    assert waiting[0]["count"] == 111
    pair.wait_value("SELECT count(*) FROM crmgroups", ROWS, side="crm")
    portal.must("approvals", "--approve", str(waiting[0]["id"]))
    pair.wait_value("SELECT count(*) FROM crmgroups", ROWS - 111, side="crm")
