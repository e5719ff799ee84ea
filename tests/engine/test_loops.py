"""Rules that undo each other are noticed, named, and paused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from syncengine.live.loops import TRIPS
from syncengine.ports import LegMode
from tests.engine.link import CUSTOMERS, GROUPS, Link
from tests.waiting import wait_until

CONTRARY = replace(
    CUSTOMERS,
    name="holds of the other kind",
    columns=tuple(
        replace(column, values=(("No", "0"), ("Invoice", "2"), ("All", "1")))
        if column.finops == "hold"
        else column
        for column in CUSTOMERS.columns
    ),
)
AUTOMATION = (
    "CREATE FUNCTION answer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "PERFORM pg_notify('answer', NEW.{key}); RETURN NULL; END $$;"
    "CREATE TRIGGER answer AFTER UPDATE ON {table} FOR EACH ROW "
    "WHEN (NEW.{column} = '{seen}') EXECUTE FUNCTION answer()"
)


@pytest.fixture
def make_link(make_database: Callable[..., str]) -> Iterator[Callable[..., Link]]:
    made: list[Link] = []

    def make(*maps: object) -> Link:
        link = Link(
            make_database(prefix="erp"),
            make_database(prefix="crm"),
            maps=maps,  # type: ignore[arg-type]
        )
        made.append(link)
        return link

    yield make
    for link in made:
        link.close()


@contextmanager
def automation(dsn: str, statement: str, script: str) -> Iterator[None]:
    """A workflow of a system: a trigger that calls a worker, which answers in a
    transaction of its own."""
    stop = threading.Event()

    def work() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("LISTEN answer")
            while not stop.is_set():
                for note in list(connection.notifies(timeout=0.05)):
                    connection.execute(statement, [note.payload])  # type: ignore[arg-type]

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(script)  # type: ignore[arg-type]
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join(10)


def dsn_of(connection: psycopg.Connection) -> str:
    return f"{connection.info.dsn} password={connection.info.password}"


def test_two_maps_with_contrary_value_maps_are_paused_and_named(
    make_link: Callable[..., Link],
) -> None:
    link = make_link(GROUPS, CUSTOMERS, CONTRARY)
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) "
        "SELECT 'usmf', 'L' || n, 'a' FROM generate_series(1, 5) n"
    )
    wait_until(lambda: len(link.accounts()) == 5)
    link.erp.execute("UPDATE customers SET memo = 'both maps write this alike'")
    wait_until(lambda: all(row[-1] for row in link.accounts().values()))
    assert not link.state.loops
    link.erp.execute("UPDATE customers SET hold = 'Invoice'")
    (loop,) = wait_until(lambda: link.state.loops)
    assert loop.map_ids == (2, 3)
    assert loop.column == "hold"
    assert loop.rules == (
        "map customers, hold >< hold (value map No = 0, Invoice = 1, All = 2)",
        "map holds of the other kind, hold >< hold "
        "(value map No = 0, Invoice = 2, All = 1)",
    )
    assert all(rule in loop.message for rule in loop.rules)
    modes = {key[0]: leg.mode for key, leg in link.state.legs.items()}
    assert modes == {1: LegMode.LIVE, 2: LegMode.QUEUE, 3: LegMode.QUEUE}


def test_automations_that_answer_each_other_pause_the_map(
    make_link: Callable[..., Link],
) -> None:
    link = make_link(GROUPS, CUSTOMERS)
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES "
        "('usmf', 'L1', 'a'), ('usmf', 'L2', 'a')"
    )
    link.equal()
    with (
        automation(
            dsn_of(link.erp),
            "UPDATE customers SET memo = 'no' WHERE account = %s",
            AUTOMATION.format(
                key="account", table="customers", column="memo", seen="yes"
            ),
        ),
        automation(
            dsn_of(link.crm),
            "UPDATE accounts SET description = 'yes' WHERE accountnumber = %s",
            AUTOMATION.format(
                key="accountnumber", table="accounts", column="description", seen="no"
            ),
        ),
    ):
        link.crm.execute(
            "UPDATE accounts SET description = 'yes' WHERE accountnumber = 'L1'"
        )
        (loop,) = wait_until(lambda: link.state.loops)
    assert (loop.map_ids, loop.key, loop.column) == ((2,), ("usmf", "L1"), "memo")
    assert "from no to yes" in loop.message
    assert loop.rules[0] == "map customers, memo = description"
    assert "an automation of FinOps" in loop.rules[1]
    modes = {key[0]: leg.mode for key, leg in link.state.legs.items()}
    assert modes == {1: LegMode.LIVE, 2: LegMode.QUEUE}
    link.set_mode(2, LegMode.DRAIN)
    link.equal()


def test_users_who_edit_a_record_in_turns_are_no_loop(
    make_link: Callable[..., Link],
) -> None:
    link = make_link(GROUPS, CUSTOMERS)
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', 'L1', 'a')"
    )
    link.equal()
    for number in range(12):
        link.crm.execute("UPDATE accounts SET description = %s", [f"crm {number}"])
        link.equal()
        link.erp.execute("UPDATE customers SET memo = %s", [f"erp {number}"])
        link.equal()
    assert not link.state.loops


@pytest.mark.parametrize("derives", [False, True])
def test_a_user_who_changes_a_value_to_and_fro_is_no_loop(
    make_link: Callable[..., Link], derives: bool
) -> None:
    """Nor where a trigger of the receiver sets the value back within our transaction:
    that does not travel."""
    link = make_link(GROUPS, CUSTOMERS)
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name, memo) VALUES "
        "('usmf', 'L1', 'a', 'no')"
    )
    link.equal()
    if derives:
        link.erp.execute(
            "CREATE FUNCTION derive() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "UPDATE customers SET memo = 'no' WHERE account = NEW.account; "
            "RETURN NULL; END $$;"
            "CREATE TRIGGER derive AFTER UPDATE ON customers FOR EACH ROW "
            "WHEN (NEW.memo = 'yes') EXECUTE FUNCTION derive()"
        )
    for number in range(2 * TRIPS + 2):
        value = "no" if number % 2 else "yes"
        link.crm.execute(
            "UPDATE accounts SET description = %s, name = %s", [value, str(number)]
        )
        wait_until(
            lambda n=number: (
                link.erp.execute("SELECT name FROM customers").fetchone() == (str(n),)
            )
        )
    for number in range(2 * TRIPS + 2):
        value = "no" if number % 2 else "yes"
        link.erp.execute("UPDATE customers SET memo = %s", [value])
    link.erp.execute("UPDATE customers SET name = 'last'")
    wait_until(
        lambda: link.crm.execute("SELECT name FROM accounts").fetchone() == ("last",)
    )
    # What the stream carries after all that it would have told of before.
    link.crm.execute("UPDATE accounts SET name = 'over'")
    wait_until(
        lambda: link.erp.execute("SELECT name FROM customers").fetchone() == ("over",)
    )
    assert not link.state.loops
    assert all(leg.mode is LegMode.LIVE for leg in link.state.legs.values())
