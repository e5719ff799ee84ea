"""Records in doubt: looked at again, and settled only after waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from syncengine.live.agreeing import Memory
from syncengine.live.outages import Outage
from syncengine.live.workbench import Workbench
from syncengine.mapping.model import Side
from tests.engine.link import QUICK, Link
from tests.engine.memory import MemoryStream
from tests.waiting import wait_until

RECORD = (2, ("usmf", "C1"))


@pytest.fixture
def link(make_database: Callable[..., str]) -> Iterator[Link]:
    made = Link(make_database(prefix="erp"), make_database(prefix="crm"))
    yield made
    made.close()


@contextmanager
def forward(link: Link, memory: Memory) -> Iterator[Workbench]:
    """What a stream from the ERP works with, while none runs."""
    port = MemoryStream(link.state, Side.FINOPS)
    with ExitStack() as stack:
        bench = Workbench(
            *(link.name, link.finops, link.dataverse, port, port, QUICK, stack),
            Outage(port),
            memory,
        )
        bench.reconfigure()
        yield bench


def test_a_record_that_was_changed_since_is_looked_at_again_before_it_is_settled(
    link: Link,
) -> None:
    link.start()
    link.erp.execute(
        "INSERT INTO customers (dataareaid, account, name) VALUES ('usmf', 'C1', 'a')"
    )
    wait_until(link.accounts)
    link.stop()
    memory = Memory()
    link.erp.execute("UPDATE customers SET name = 'b'")
    link.start(None, sides=(Side.DATAVERSE,))
    with forward(link, memory) as bench:

        def look() -> None:
            bench.agreement.look(bench.configuration, "FFFFFFFF/FFFFFFFF")

        memory.doubtful[RECORD] = None
        look()
        first = memory.doubts[RECORD]
        # Users change it once more, and this stream has written it again.
        link.erp.execute("UPDATE customers SET name = 'c'")
        wait_until(lambda: link.dataverse.confirmed(link.name, first.there))
        memory.doubtful[RECORD] = None

        def looked() -> bool:
            look()
            return memory.doubts.get(RECORD) is not first

        wait_until(looked)
        assert memory.doubts[RECORD].rows != first.rows
        assert not link.state.conflicts
        assert link.accounts()["usmf/C1"][0] == "a"
    link.stop()
    # The change itself is what carries it over.
    link.start(None)
    link.equal()
    assert not link.state.conflicts
