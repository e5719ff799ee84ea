"""A wrong password, an unreachable host, a dropped table: said, mended and over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portal.embedded import launch
from tests.engine.link import CRM
from tests.jobs.pair import Pair
from tests.waiting import wait_until


def stream_says(pair: Pair, source: str, words: str, *states: str) -> None:
    """Wait until a stream of `dw status` is in one of `states` and says `words`."""

    def seen() -> dict[str, Any]:
        return dict(pair.streams()[source])

    wait_until(
        lambda: seen()["state"] in states and words in seen()["message"],
        60,
        lambda: f"{source} says {words!r}: {seen()}\n{pair.seen()}",
        poll=0.2,
    )


def add_group(pair: Pair, group: str) -> None:
    """A group on each side that is to arrive on the other."""
    pair.erp.execute("INSERT INTO groups VALUES ('usmf', %s, '')", [f"E{group}"])
    pair.crm.execute(
        "INSERT INTO crmgroups (company, groupid)"
        " SELECT id, %s FROM companies WHERE code = 'USMF'",
        [f"C{group}"],
    )


def arrives(pair: Pair, group: str) -> None:
    pair.wait_value(
        "SELECT 1 FROM crmgroups WHERE groupid = %s", 1, f"E{group}", side="crm"
    )
    pair.wait_value("SELECT 1 FROM groups WHERE groupid = %s", 1, f"C{group}")


def test_a_wrong_password_and_an_unreachable_host_stop_only_their_own_link(
    make_pair: Callable[..., Pair],
) -> None:
    locked, gone, good = pairs = [make_pair() for _ in range(3)]
    for pair in pairs:
        pair.portal.must("run", f"groups {pair.name}", "--skip-initial-sync")
        add_group(pair, "1")
    for pair in pairs:
        arrives(pair, "1")

    locked.password("changed by somebody")
    locked.cut("erp", "crm")
    port = launch.free_port()
    gone.dsn("crm", f"postgresql://{gone.role}:secret@127.0.0.1:{port}/crm")
    for pair in pairs:
        add_group(pair, "2")
    arrives(good, "2")
    refused = "refuses the user name or password"
    stream_says(locked, "finops", refused, "down")
    stream_says(locked, "dataverse", refused, "down")
    stream_says(gone, "finops", f"{gone.name}-crm cannot be reached", "retrying")
    stream_says(gone, "dataverse", f"{gone.name}-crm cannot be reached", "retrying")
    # An outage holds the position; it fills no error list and stops no map.
    for pair in pairs:
        assert pair.states()[f"groups {pair.name}"] == ("running", "")
        assert pair.errors() == []

    ran = locked.portal.dw("run", f"customers {locked.name}", "--json")
    assert ran.code == 1
    assert ran.json["error"]["code"] == "wrong_password"
    assert refused in ran.err
    ran = gone.portal.dw("compare", f"groups {gone.name}", "--json")
    assert ran.code == 1
    assert ran.json["error"]["code"] == "unreachable"
    assert ran.err.strip() == f"{gone.name}-crm cannot be reached."
    assert "secret" not in ran.out + ran.err
    add_group(good, "3")
    arrives(good, "3")

    locked.dsn("erp", password="changed by somebody")
    locked.dsn("crm", password="changed by somebody")
    gone.dsn("crm")
    for pair in (locked, gone):
        arrives(pair, "2")
        pair.quiet()
        pair.equal(f"groups {pair.name}")
        for source in ("finops", "dataverse"):
            stream_says(pair, source, "", "running")


def test_a_copy_waits_for_a_host_that_is_unreachable_for_a_while(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair()
    name = f"groups {pair.name}"
    pair.portal.must("run", name, "--skip-initial-sync")
    pair.portal.must("stop", name)
    add_group(pair, "1")
    with pair.crm.transaction():
        pair.crm.execute("LOCK TABLE crmgroups IN SHARE ROW EXCLUSIVE MODE")
        pair.run(name, wait=False)
        # Before it stands at the lock it may still connect by what it read earlier.
        wait_until(lambda: pair.blocked("crm"), 60, pair.seen)
        port = launch.free_port()
        pair.dsn("crm", f"postgresql://{pair.role}:secret@127.0.0.1:{port}/crm")
        pair.cut("erp", "crm")
    words = f"{pair.name}-crm cannot be reached"
    wait_until(
        lambda: any(words in leg["message"] for leg in pair.runs()), 60, pair.seen
    )
    assert pair.states()[name][0] == "initializing"
    pair.dsn("crm")
    pair.wait_for("running", name, seconds=120)
    pair.equal(name)
    assert all(leg["run"] == "completed" for leg in pair.runs())


def test_a_table_dropped_under_a_running_map_is_named_and_waited_for(
    make_pair: Callable[..., Pair],
) -> None:
    pair = make_pair()
    groups, customers = pair.maps
    pair.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES"
        " ('usmf', 'OLD', 'Old'), ('usmf', 'KEPT', 'Kept')"
    )
    pair.run()
    pair.equal()
    pair.crm.execute("DROP TABLE accounts")
    pair.erp.execute("UPDATE customers SET name = 'Newer' WHERE account = 'OLD'")
    pair.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES"
        " ('usmf', 'NEW', 'New')"
    )
    wait_until(lambda: "accounts" in trouble(pair, customers), 60, pair.seen)
    add_group(pair, "1")
    arrives(pair, "1")
    assert pair.states()[groups] == ("running", "")

    start = CRM.index("CREATE TABLE accounts")
    pair.crm.execute(CRM[start : CRM.index(";", start)])  # type: ignore[arg-type]
    pair.wait_for("running", customers)
    if pair.errors():
        pair.portal.must("retry", "--map", customers)
    pair.wait_value(
        "SELECT name FROM accounts WHERE accountnumber = 'NEW'", "New", side="crm"
    )
    wait_until(lambda: not pair.errors(), 60, pair.seen)
    # What did not change since the table went is found by a comparison.
    ran = pair.portal.dw("compare", customers, "--repair", "finops", "--json")
    assert ran.code == 0, ran
    pair.equal(customers)
    pair.crm.execute("UPDATE accounts SET name = 'Back' WHERE accountnumber = 'KEPT'")
    pair.wait_value("SELECT name FROM customers WHERE account = 'KEPT'", "Back")
    assert pair.states()[customers] == ("running", "")


def trouble(pair: Pair, name: str) -> str:
    """Why the map is in trouble: its reason, or its errors."""
    said = [pair.states()[name][1]]
    said += [f"{e['code']}: {e['message']}" for e in pair.errors() if e["map"] == name]
    return " ".join(said)
