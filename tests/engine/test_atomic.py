"""Atomic writes: a unit is on both sides or on neither, whatever dies when."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta

import pytest

from syncengine.atomic import (
    AtomicUnit,
    UnitRecord,
    UnitRefused,
    UnitResult,
    UnitState,
    resolve,
    write_unit,
)
from syncengine.atomic.resolving import Resolved
from syncengine.atomic.writing import STEPS
from syncengine.connectors.branch import WriteKind
from syncengine.mapping.model import Side
from syncengine.ports import LegMode
from tests.engine.atomic import (
    LINK,
    UNITS,
    SqlLog,
    connectors_of,
    crm_account,
    customer,
    legs_of,
    write_and_die,
)
from tests.engine.link import Link
from tests.waiting import wait_until


class Units:
    """A link with running streams, and units written to it."""

    def __init__(self, link: Link, log_dsn: str) -> None:
        self.link = link
        self.dsns = {
            "erp": link.finops.settings.dsn,
            "crm": link.dataverse.settings.dsn,
            "log": log_dsn,
        }
        self.connectors = connectors_of(self.dsns["erp"], self.dsns["crm"])
        self.legs = legs_of(self.connectors)
        self.log = SqlLog(log_dsn)
        self.number = 0

    def write(self, *records: UnitRecord) -> UnitResult:
        self.number += 1
        name = f"unit-{self.number}"
        self.log.begin(name)
        return write_unit(
            AtomicUnit(name, records), LINK, self.connectors, self.legs, self.log
        )

    def refused(self, *records: UnitRecord) -> UnitRefused:
        with pytest.raises(UnitRefused) as refused:
            self.write(*records)
        assert self.log.state(f"unit-{self.number}") is UnitState.ABORTED
        assert self.pending() == []
        return refused.value

    def resolve(self, seconds: float = 0) -> Resolved:
        return resolve(
            LINK,
            self.connectors,
            self.log,
            now=datetime.now(UTC) + timedelta(seconds=1),
            older_than=timedelta(seconds=seconds),
        )

    def pending(self) -> list[str]:
        found = []
        for side in Side:
            with closing(self.connectors[side].two_phase(LINK)) as phase:
                found += [part.name for part in phase.pending()]
        return found

    def close(self) -> None:
        for side in Side:
            with closing(self.connectors[side].two_phase(LINK)) as phase:
                for part in phase.pending():
                    phase.rollback(part.name)
        self.log.close()


@pytest.fixture
def units(make_database: Callable[..., str]) -> Iterator[Units]:
    with ExitStack() as stack:
        link = Link(make_database(), make_database(), name=LINK)
        stack.callback(link.close)
        log = make_database()
        made = Units(link, log)
        stack.callback(made.close)
        made.log._sql.execute(UNITS)
        link.crm.execute(
            "INSERT INTO crmgroups (company, groupid)"
            " SELECT id, 'G1' FROM companies WHERE code = 'USMF'"
        )
        link.erp.execute("INSERT INTO groups VALUES ('usmf', 'G1')")
        link.start()
        link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name, memo)"
            " VALUES ('usmf', 'OLD', 'Old', 'memo')"
        )
        link.equal()
        yield made
        assert made.link.state.conflicts == []
        assert made.link.state.errors == {}
        if link._threads:
            link.equal()


def quiet(units: Units) -> None:
    """Both streams have read past all that was written."""
    for key in ("QA", "QB"):
        units.link.erp.execute(
            "INSERT INTO customers (dataareaid, account, name)"
            " VALUES ('usmf', %s, 'quiet') ON CONFLICT DO NOTHING",
            [key],
        )
    wait_until(lambda: "usmf/QB" in units.link.accounts(), 20, "the stream went on")


def test_a_record_given_once_is_on_both_sides_when_the_call_returns(
    units: Units,
) -> None:
    result = units.write(
        customer("insert", "A1", name="One", groupid="G1", hold="All", credit="1.50"),
        customer("update", "OLD", name="New name"),
        crm_account("update", "OLD", description="from CRM"),
    )
    assert result.state is UnitState.COMMITTED
    assert result.written[Side.FINOPS] == {"inserted": 1, "updated": 2}
    accounts = units.link.accounts()
    assert accounts["usmf/A1"] == units.link.customers()["usmf/A1"]
    assert accounts["usmf/OLD"] == units.link.customers()["usmf/OLD"]
    assert accounts["usmf/OLD"][0] == "New name"
    assert accounts["usmf/OLD"][4] == "from CRM"
    units.write(customer("delete", "A1"))
    assert "usmf/A1" not in units.link.accounts()
    assert "usmf/A1" not in units.link.customers()
    quiet(units)


def test_the_streams_neither_echo_nor_contest_what_a_unit_wrote(units: Units) -> None:
    for number in range(5):
        units.write(customer("update", "OLD", name=f"Name {number}"))
        units.link.crm.execute(
            "UPDATE accounts SET description = %s WHERE accountnumber = 'OLD'",
            [f"memo {number}"],
        )
        units.link.equal()
    quiet(units)
    assert units.link.accounts()["usmf/OLD"][0] == "Name 4"
    assert units.link.accounts()["usmf/OLD"][4] == "memo 4"


def test_both_rows_may_be_given_as_they_are_to_be(units: Units) -> None:
    company = units.link.crm.execute(
        "SELECT id::text FROM companies WHERE code = 'USMF'"
    ).fetchone()
    assert company is not None
    units.write(
        customer("insert", "B1", carry=False, name="Both", hold="No"),
        UnitRecord(
            Side.DATAVERSE,
            WriteKind.INSERT,
            "accounts",
            values={
                "company": company[0],
                "accountnumber": "B1",
                "name": "Both",
                "customertype": "3",
                "hold": "0",
            },
        ),
    )
    assert units.link.accounts()["usmf/B1"] == units.link.customers()["usmf/B1"]
    quiet(units)


def test_nothing_is_written_where_one_record_is_refused(units: Units) -> None:
    refused = units.refused(
        customer("insert", "C1", name="Good"),
        customer("insert", "C2", name="x" * 60),
    )
    assert refused.record == 1
    assert refused.code == "value_too_long"
    assert not {"usmf/C1", "usmf/C2"} & set(units.link.customers())
    refused = units.refused(
        customer("insert", "C1", name="Good"),
        customer("update", "MISSING", name="x"),
    )
    assert (refused.code, refused.record) == ("record_missing", 1)
    refused = units.refused(customer("insert", "OLD", name="Twice"))
    assert refused.code == "duplicate_value"
    refused = units.refused(customer("update", "OLD", colour="red"))
    assert (refused.code, refused.column) == ("column_missing", "colour")
    refused = units.refused(customer("update", "OLD", groupid=None, hold="Never"))
    assert refused.record == 0
    assert units.link.accounts()["usmf/OLD"][0] == "Old"


def test_a_change_that_is_on_its_way_is_not_lost(units: Units) -> None:
    units.link.stop()
    units.link.crm.execute(
        "UPDATE accounts SET name = 'CRM' WHERE accountnumber = 'OLD'"
    )
    refused = units.refused(customer("update", "OLD", name="ERP"))
    assert (refused.code, refused.retryable) == ("unit_conflict", True)
    # Other columns of the record do not meet.
    units.write(customer("update", "OLD", memo="unit"))
    units.link.start(None)
    units.link.equal()
    assert units.link.customers()["usmf/OLD"][0] == "CRM"
    assert units.link.accounts()["usmf/OLD"][4] == "unit"


def test_a_thousand_records_are_the_most(units: Units) -> None:
    records = [customer("insert", f"T{n}", name="Many") for n in range(1001)]
    with pytest.raises(UnitRefused) as refused:
        write_unit(
            AtomicUnit("big", records), LINK, units.connectors, units.legs, units.log
        )
    assert refused.value.code == "unit_too_large"
    units.write(*records[:1000])
    assert len(units.link.accounts()) == len(units.link.customers()) == 1001
    quiet(units)


def test_a_process_killed_at_any_step_leaves_both_or_neither(units: Units) -> None:
    name = "Old"
    for step in STEPS:
        account = f"K{STEPS.index(step)}"
        assert write_and_die(step, units.dsns, account, account) != 0, step
        expected = "decided" in step or "committed" in step
        if step in ("first prepared", "both prepared"):
            # It may yet be decided: a young one is left alone.
            assert units.resolve(3600).waiting == (account,), step
        assert units.resolve().waiting == (), step
        assert units.pending() == [], step
        name = f"By {account}" if expected else name
        customers, accounts = units.link.customers(), units.link.accounts()
        assert (f"usmf/{account}" in customers) is expected, step
        assert (f"usmf/{account}" in accounts) is expected, step
        assert customers["usmf/OLD"][0] == accounts["usmf/OLD"][0] == name, step
        assert units.resolve() == Resolved((), (), (), 0.0, {}), step
        if expected:
            assert units.log.state(account) is UnitState.COMMITTED, step
    quiet(units)


def test_a_unit_given_up_meanwhile_is_written_nowhere(units: Units) -> None:
    def at(step: str) -> None:
        if step == "both prepared":
            assert set(units.resolve().undone) == {"late"}

    units.log.begin("late")
    with pytest.raises(UnitRefused) as refused:
        write_unit(
            AtomicUnit("late", [customer("insert", "L1", name="Late")]),
            LINK,
            units.connectors,
            units.legs,
            units.log,
            at=at,
        )
    assert refused.value.code == "unit_timed_out"
    assert "usmf/L1" not in {**units.link.customers(), **units.link.accounts()}
    assert units.log.state("late") is UnitState.ABORTED


def test_users_who_edit_the_same_records_meet_whole_units_only(units: Units) -> None:
    ended = threading.Event()

    def edit() -> None:
        number = 0
        while not ended.is_set():
            units.link.crm.execute(
                "UPDATE accounts SET description = %s WHERE accountnumber = 'OLD'",
                [f"user {number}"],
            )
            number += 1
            ended.wait(0.01)

    user = threading.Thread(target=edit, daemon=True)
    user.start()
    written = 0
    refusals: list[UnitRefused] = []
    for number in range(20):
        try:
            units.write(
                customer("update", "OLD", name=f"Unit {number}"),
                customer("insert", f"M{number}", name="Together"),
            )
        except UnitRefused as refused:
            refusals.append(refused)
        else:
            written += 1
    ended.set()
    user.join(20)
    assert written
    assert all(refused.retryable for refused in refusals), refusals
    units.link.equal()
    assert len(units.link.customers()) == 1 + written


def test_a_unit_needs_a_running_map_to_be_carried(units: Units) -> None:
    units.link.set_mode(next(iter(units.link.state.legs))[0], LegMode.LIVE)
    units.legs = [leg for leg in units.legs if leg.table_map.name == "groups"]
    assert units.refused(customer("insert", "N1", name="N")).code == "map_missing"
