"""The initial copy, between two real databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from syncengine.connectors.base import ChunkRange
from syncengine.errors import OutageError, TransientError
from syncengine.initial import (
    ChunkResult,
    _one_ahead,
    copy_chunk,
    plan_leg,
    source_companies,
)
from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.model import Direction, Side, TableMap
from tests.engine.pair import CUSTOMERS_MAP, GROUPS_MAP, LINK, MemoryJournal, Pair

FORWARD = Direction.FINOPS_TO_DATAVERSE
BACKWARD = Direction.DATAVERSE_TO_FINOPS


def counts(result: ChunkResult) -> tuple[int, int, int, int]:
    there = result.unchanged + result.skipped
    assert result.exported == result.inserted + result.updated + there + result.failed
    return result.inserted, result.updated, result.unchanged, result.failed


def copy(
    pair: Pair,
    leg: CompiledLeg,
    journal: MemoryJournal,
    chunk: ChunkRange | None = None,
    **options: object,
) -> ChunkResult:
    direction = leg.direction
    writer = pair.connectors[direction.target].writer(LINK)
    try:
        return copy_chunk(
            pair.connectors[direction.source],
            writer,
            leg,
            chunk,
            map_id=1,
            journal=journal,  # type: ignore[arg-type]
            **options,  # type: ignore[arg-type]
        )
    finally:
        writer.close()


def test_every_row_in_scope_arrives(pair: Pair, journal: MemoryJournal) -> None:
    pair.add_groups("10")
    pair.add_groups("10", company="dat")
    pair.add_customer("C1", customergroupid="10", onholdstatus="All")
    pair.add_customer("C1", "dat", customergroupid="10", creditlimit="12.5")
    pair.add_customer("C2", "zzzz")
    pair.add_customer("C3", partytype="Person")
    result = copy(pair, pair.leg(CUSTOMERS_MAP, FORWARD), journal)
    assert counts(result) == (2, 0, 0, 0)
    rows = pair.accounts()
    assert rows.keys() == {("USMF", "C1"), ("DAT", "C1")}
    assert rows["USMF", "C1"] == ("Name of C1", "10", 2, None, 3)
    assert journal.failures == {}


def test_a_second_copy_writes_nothing(pair: Pair, journal: MemoryJournal) -> None:
    for number in range(50):
        pair.add_customer(f"C{number}", creditlimit=number)
    leg = pair.leg(CUSTOMERS_MAP, FORWARD)
    assert counts(copy(pair, leg, journal)) == (50, 0, 0, 0)
    versions = pair.crm.execute("SELECT xmin FROM accounts").fetchall()
    assert counts(copy(pair, leg, journal)) == (0, 0, 50, 0)
    assert pair.crm.execute("SELECT xmin FROM accounts").fetchall() == versions


def test_the_master_s_values_win_over_what_is_there(
    pair: Pair, journal: MemoryJournal
) -> None:
    pair.add_customer("C1", organizationname="Ours")
    pair.add_account("C1", name="Theirs")
    result = copy(pair, pair.leg(CUSTOMERS_MAP, FORWARD), journal)
    assert counts(result) == (0, 1, 0, 0)
    assert pair.accounts()["USMF", "C1"][0] == "Ours"


def test_the_second_leg_only_brings_rows_that_lack(
    pair: Pair, journal: MemoryJournal
) -> None:
    pair.add_customer("C1", organizationname="Ours")
    pair.add_account("C1", name="Theirs")
    pair.add_account("C2", name="New")
    leg = pair.leg(CUSTOMERS_MAP, BACKWARD)
    result = copy(pair, leg, journal, insert_only=True)
    assert (counts(result), result.skipped) == ((1, 0, 0, 0), 1)
    rows = pair.erp.execute(
        "SELECT customeraccount, organizationname, partytype FROM customersv3"
        " ORDER BY 1"
    ).fetchall()
    assert rows == [("C1", "Ours", "Organization"), ("C2", "New", "Organization")]


def test_records_with_an_error_are_left_alone_when_only_new_rows_are_wanted(
    pair: Pair, journal: MemoryJournal
) -> None:
    pair.add_customer("BAD", onholdstatus="Perhaps")
    leg = pair.leg(CUSTOMERS_MAP, FORWARD)
    copy(pair, leg, journal)
    pair.add_account("C1", name="Theirs")
    pair.add_customer("C1", organizationname="Ours")
    pair.add_customer("C2")
    pair.add_customer("WORSE", onholdstatus="Perhaps")
    journal.failures["usmf", "BAD"] = replace(
        journal.failures["usmf", "BAD"], message="as it was"
    )
    result = copy(pair, leg, journal, insert_only=True, ignore_failed=True)
    assert (counts(result), result.skipped) == ((1, 0, 0, 1), 2)
    assert pair.accounts()["USMF", "C1"][0] == "Theirs"
    assert set(journal.failures) == {("usmf", "BAD"), ("usmf", "WORSE")}
    assert journal.failures["usmf", "BAD"].message == "as it was"


def test_bad_rows_are_told_with_column_and_reason_and_the_rest_arrives(
    pair: Pair, journal: MemoryJournal
) -> None:
    pair.add_groups("10")
    pair.add_customer("GOOD", customergroupid="10")
    pair.add_customer("HOLD", onholdstatus="Perhaps")
    pair.add_customer("LONG", organizationname="n" * 41)
    pair.add_customer("GROUP", customergroupid="99")
    result = copy(pair, pair.leg(CUSTOMERS_MAP, FORWARD), journal)
    assert counts(result) == (1, 0, 0, 3)
    assert journal.codes == {
        ("usmf", "HOLD"): "value_not_in_map",
        ("usmf", "LONG"): "value_too_long",
        ("usmf", "GROUP"): "lookup_not_found",
    }
    group = journal.failures["usmf", "GROUP"]
    assert group.phase == "initial"
    assert group.source_row["customergroupid"] == "99"
    assert group.mapped_row["name"] == "Name of GROUP"
    assert "99" in group.message
    hold = journal.failures["usmf", "HOLD"]
    assert hold.column == "msdyn_onholdstatus"
    assert hold.mapped_row["name"] == "Name of HOLD"
    assert hold.column not in hold.mapped_row


def test_what_the_target_refuses_is_told_with_its_own_words(
    pair: Pair, journal: MemoryJournal
) -> None:
    pair.crm.execute("ALTER TABLE accounts ADD CHECK (name <> 'Name of BAD')")
    pair.add_customer("BAD")
    for number in range(20):
        pair.add_customer(f"C{number}")
    result = copy(pair, pair.leg(CUSTOMERS_MAP, FORWARD), journal)
    assert counts(result) == (20, 0, 0, 1)
    (failure,) = journal.failures.values()
    assert failure.key == ("usmf", "BAD")
    assert "check" in (failure.message + failure.remote).lower()


def test_an_error_is_closed_when_its_record_arrives(
    pair: Pair, journal: MemoryJournal
) -> None:
    pair.add_customer("C1", onholdstatus="Perhaps")
    pair.add_customer("C2", onholdstatus="Perhaps")
    leg = pair.leg(CUSTOMERS_MAP, FORWARD)
    copy(pair, leg, journal)
    pair.erp.execute(
        "UPDATE customersv3 SET onholdstatus = 'No' WHERE customeraccount = 'C1'"
    )
    copy(pair, leg, journal)
    assert journal.closed == [("usmf", "C1")]
    assert set(journal.failures) == {("usmf", "C2")}


def test_chunks_cover_every_row_once(pair: Pair, journal: MemoryJournal) -> None:
    for number in range(97):
        pair.add_customer(f"C{number}", "usmf" if number % 3 else "dat")
    leg = pair.leg(CUSTOMERS_MAP, FORWARD)
    total = ChunkResult()
    for company in ("usmf", "dat"):
        chunks = plan_leg(pair.finops, leg, company, chunk_rows=10)
        assert len(chunks) > 2
        for chunk in chunks:
            result = copy(pair, leg, journal, chunk, legal_entity=company)
            assert result.exported == chunk.rows
            total.inserted += result.inserted
    assert (total.inserted, len(pair.accounts())) == (97, 97)


def test_chunks_of_the_crm_are_planned_by_the_erp_s_company_code(
    pair: Pair, journal: MemoryJournal
) -> None:
    pair.add_account("C1", "USMF")
    pair.add_account("C2", "DAT")
    leg = pair.leg(CUSTOMERS_MAP, BACKWARD)
    assert source_companies(leg, "usmf") == ("USMF",)
    (chunk,) = plan_leg(pair.dataverse, leg, "usmf")
    assert chunk.rows == 1
    assert copy(pair, leg, journal, chunk, legal_entity="usmf").inserted == 1


def test_a_company_that_is_not_linked_is_never_read(
    pair: Pair, journal: MemoryJournal
) -> None:
    pair.add_customer("C1")
    leg = pair.leg(CUSTOMERS_MAP, FORWARD, ())
    assert list(plan_leg(pair.finops, leg)) == []
    assert copy(pair, leg, journal).exported == 0
    linked = pair.leg(CUSTOMERS_MAP, FORWARD)
    assert list(plan_leg(pair.finops, linked, "gone")) == []


def test_progress_adds_up_and_may_end_the_copy(
    pair: Pair, journal: MemoryJournal
) -> None:
    for number in range(25):
        pair.add_customer(f"C{number:02}")
    leg = pair.leg(CUSTOMERS_MAP, FORWARD)
    seen: list[int] = []

    def stop_at_twenty(result: ChunkResult) -> None:
        seen.append(result.exported)
        if result.exported >= 20:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        copy(pair, leg, journal, batch_rows=10, progress=stop_at_twenty)
    assert (seen, len(pair.accounts())) == ([10, 20], 20)
    assert counts(copy(pair, leg, journal)) == (5, 0, 20, 0)


def test_a_lost_connection_is_an_outage_and_no_error_of_a_record(
    pair: Pair, journal: MemoryJournal
) -> None:
    for number in range(30):
        pair.add_customer(f"C{number:02}")
    leg = pair.leg(CUSTOMERS_MAP, FORWARD)

    def cut(result: ChunkResult) -> None:
        pair.crm.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    with pytest.raises((OutageError, TransientError)):
        copy(pair, leg, journal, batch_rows=10, progress=cut)
    assert journal.failures == {}
    result = copy(pair, leg, journal)
    assert (result.exported, len(pair.accounts())) == (30, 30)


@pytest.mark.parametrize("table_map", [GROUPS_MAP, CUSTOMERS_MAP])
def test_both_legs_make_both_sides_equal(
    pair: Pair, journal: MemoryJournal, table_map: TableMap
) -> None:
    from syncengine.reconcile import compare

    pair.add_groups("10")
    pair.erp.execute("INSERT INTO customergroups VALUES ('dat', '7', 'Only here')")
    pair.add_customer("C1", customergroupid="10")
    pair.add_account("C2")
    for direction in (FORWARD, BACKWARD):
        insert_only = direction.source is Side.DATAVERSE
        copy(pair, pair.leg(table_map, direction), journal, insert_only=insert_only)
    assert journal.failures == {}
    assert compare(pair.finops, pair.dataverse, *pair.legs(table_map)).in_step


def test_reading_ahead_keeps_order_and_passes_failures_on() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2, 3)
        raise ValueError("broken")

    ahead = _one_ahead(items())
    assert [next(ahead) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="broken"):
        next(ahead)
