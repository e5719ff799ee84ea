"""A large transaction does not have to fit into a worker's memory."""

from __future__ import annotations

from collections.abc import Callable

from syncengine.mapping.model import Side
from tests.bench.cluster import execute
from tests.bench.engine import LiveProcess
from tests.bench.load import accounts, customers
from tests.bench.maps import LINK, MAPPED, Link
from tests.bench.peak import peak_megabytes
from tests.bench.tables import CUSTOMERS, SOURCE, TARGET

ROWS = 100_000
MEGABYTES = 110
"""Decoded and mapped at once the rows alone take some 200."""


def test_a_stream_stays_small_under_a_transaction_of_many_rows(
    make_database: Callable[..., str],
) -> None:
    erp, crm = make_database(prefix="erp"), make_database(prefix="crm")
    execute(erp, SOURCE + CUSTOMERS)
    execute(crm, TARGET)
    link = Link(MAPPED, erp, crm)
    link.install()
    stream = LiveProcess(link, Side.FINOPS)
    try:
        stream.enable()
        source, target = customers(erp), accounts(crm)
        source.large("L", ROWS)
        source.mark("L")
        target.wait_for_mark("L", 90)
        peak = peak_megabytes(stream.pid)
    finally:
        stream.end()
        for side in Side:
            link.connector(side).uninstall(LINK)
    assert len(target.keys("L")) == ROWS + 1
    assert peak < MEGABYTES
