"""An earlier change of a record, written late, leaves the error of a later one open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from syncengine.errors import TransientError
from syncengine.live import LiveStream
from syncengine.mapping.causes import HELD
from syncengine.mapping.model import OnError, Side
from syncengine.ports import LegMode
from tests.engine.link import CUSTOMERS, GROUPS, Link
from tests.engine.memory import MemoryStream
from tests.waiting import wait_until


class ForgetfulStream(MemoryStream):
    """Does not hear the first word of what was settled: its server just went away."""

    def close_failures(self, *arguments: Any, **options: Any) -> None:
        if not self.state.closes_lost:  # type: ignore[attr-defined]
            self.state.closes_lost = True  # type: ignore[attr-defined]
            raise TransientError("The journal does not answer.")
        super().close_failures(*arguments, **options)


class ForgetfulLink(Link):
    """A link whose journal loses one closing."""

    def stream(self, source: Side) -> LiveStream:
        sides = {Side.FINOPS: self.finops, Side.DATAVERSE: self.dataverse}
        self.state.closes_lost = False  # type: ignore[attr-defined]
        port = ForgetfulStream(self.state, source)
        return LiveStream(
            self.name, sides[source], sides[source.other], port, port, self.settings
        )


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    made = Link(
        make_database(prefix="erp"),
        make_database(prefix="crm"),
        maps=(GROUPS, replace(CUSTOMERS, on_error=OnError.TRANSACTION)),
    )
    yield made
    made.close()


def test_a_change_that_is_held_back_is_not_taken_for_done(link: Link) -> None:
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', 'C1', 'a')"
    )
    wait_until(link.accounts)
    link.stop()
    link.erp.execute("UPDATE customers SET credit = 1 WHERE account = 'C1'")
    with link.erp.transaction():
        link.erp.execute("UPDATE customers SET credit = 2 WHERE account = 'C1'")
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name)"
            " VALUES ('usmf', 'C2', repeat('x', 50))"
        )
    link.start(None)
    wait_until(lambda: len(link.state.errors) == 2)
    credit = "SELECT credit FROM accounts WHERE accountnumber = 'C1'"
    wait_until(lambda: link.crm.execute(credit).fetchone() == (1,))
    assert len(link.state.errors) == 2
    link.erp.execute("UPDATE customers SET name = 'short' WHERE account = 'C2'")
    wait_until(lambda: not link.state.errors, message=lambda: f"{link.state.errors}")
    assert link.crm.execute(credit).fetchone() == (2,)


def test_what_is_held_back_by_a_record_that_waits_goes_on_by_itself(
    link: Link,
) -> None:
    """The one that waits may wait for it: a parent held back because of its child."""
    link.start()
    link.set_mode(1, LegMode.QUEUE)
    with link.erp.transaction():
        link.erp.execute("INSERT INTO groups VALUES ('usmf', '10', '')")
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name, groupid)"
            " VALUES ('usmf', 'C1', 'a', NULL), ('usmf', 'C2', 'b', '10')"
        )
    wait_until(lambda: len(link.state.errors) == 2)
    failures = {e.failure.key[1]: e.failure for e in link.state.errors.values()}
    assert failures["C2"].code == "lookup_not_found"
    assert (failures["C1"].code, failures["C1"].polled) == (HELD, True)


def test_an_error_whose_closing_was_lost_closes_all_the_same(
    make_database: Callable[..., str],
) -> None:
    """The change is on the target before the journal hears of it."""
    link = ForgetfulLink(make_database(prefix="erp"), make_database(prefix="crm"))
    try:
        link.start(sides=(Side.FINOPS,))
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name)"
            " VALUES ('usmf', 'C1', repeat('x', 60)), ('usmf', 'C2', repeat('x', 60))"
        )
        wait_until(lambda: len(link.state.errors) == 2)
        link.erp.execute("DELETE FROM customers WHERE account = 'C1'")
        link.erp.execute("UPDATE customers SET name = 'two' WHERE account = 'C2'")
        wait_until(lambda: link.accounts())
        wait_until(lambda: not link.state.errors, 15, lambda: f"{link.state.errors}")
        assert link.state.closes_lost  # type: ignore[attr-defined]
    finally:
        link.close()
