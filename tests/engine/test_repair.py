"""Repairing what a comparison found, in either direction."""

from __future__ import annotations

import pytest

from syncengine.errors import SetupError
from syncengine.mapping.model import Side, TableMap
from syncengine.reconcile import compare
from syncengine.repair import RepairResult, repair
from tests.engine.pair import CUSTOMERS_MAP, LINK, Pair


def mend(
    pair: Pair, winner: Side, table_map: TableMap = CUSTOMERS_MAP, **options: object
) -> RepairResult:
    writer = pair.connectors[winner.other].writer(LINK)
    try:
        return repair(
            pair.finops,
            pair.dataverse,
            *pair.legs(table_map),
            winner=winner,
            writer=writer,
            **options,  # type: ignore[arg-type]
        )
    finally:
        writer.close()


def in_step(pair: Pair) -> bool:
    return compare(pair.finops, pair.dataverse, *pair.legs(CUSTOMERS_MAP)).in_step


def numbers(result: RepairResult) -> tuple[int, int, int, int, int]:
    return (
        result.inserted,
        result.updated,
        result.deleted,
        result.extra,
        len(result.failures),
    )


@pytest.fixture
def uneven(pair: Pair) -> Pair:
    """One equal record, one different, one missing on each side."""
    pair.add_customer("EQUAL")
    pair.add_account("EQUAL")
    pair.add_customer("OTHER", organizationname="Ours")
    pair.add_account("OTHER", name="Theirs")
    pair.add_customer("ERP")
    pair.add_account("CRM")
    return pair


def test_the_erp_s_rows_are_written_and_extra_ones_stay(uneven: Pair) -> None:
    result = mend(uneven, Side.FINOPS)
    assert numbers(result) == (1, 1, 0, 1, 0)
    assert (result.found.compared, result.found.equal) == (4, 1)
    assert {key: row[0] for key, row in uneven.accounts().items()} == {
        ("USMF", "EQUAL"): "Name of EQUAL",
        ("USMF", "OTHER"): "Ours",
        ("USMF", "ERP"): "Name of ERP",
        ("USMF", "CRM"): "Name of CRM",
    }


def test_the_crm_s_rows_are_written_when_it_wins(uneven: Pair) -> None:
    result = mend(uneven, Side.DATAVERSE)
    assert numbers(result) == (1, 1, 0, 1, 0)
    rows = dict(
        uneven.erp.execute(
            "SELECT customeraccount, organizationname FROM customersv3"
        ).fetchall()
    )
    assert rows["OTHER"] == "Theirs"
    assert rows.keys() == {"EQUAL", "OTHER", "ERP", "CRM"}


@pytest.mark.parametrize("winner", Side)
def test_extra_rows_are_deleted_only_when_asked_for(uneven: Pair, winner: Side) -> None:
    result = mend(uneven, winner, delete_extra=True)
    assert numbers(result) == (1, 1, 1, 1, 0)
    assert in_step(uneven)


def test_repairing_again_writes_nothing(uneven: Pair) -> None:
    mend(uneven, Side.FINOPS)
    result = mend(uneven, Side.FINOPS)
    assert numbers(result) == (0, 0, 0, 1, 0)


def test_only_the_chosen_records_are_repaired(uneven: Pair) -> None:
    result = mend(uneven, Side.FINOPS, keys=[("USMF", "ERP")])
    assert numbers(result) == (1, 0, 0, 0, 0)
    assert uneven.accounts()["USMF", "OTHER"][0] == "Theirs"


def test_records_that_cannot_be_written_are_told_with_the_reason(pair: Pair) -> None:
    pair.add_customer("HOLD", onholdstatus="Perhaps")
    pair.add_customer("GROUP", customergroupid="99")
    pair.add_customer("GOOD")
    result = mend(pair, Side.FINOPS)
    assert numbers(result) == (1, 0, 0, 0, 2)
    assert {(failure.key[-1], failure.code) for failure in result.failures} == {
        ("HOLD", "value_not_in_map"),
        ("GROUP", "lookup_not_found"),
    }


def test_a_record_that_may_not_be_deleted_stays_with_the_reason(pair: Pair) -> None:
    pair.crm.execute("CREATE TABLE orders (account uuid NOT NULL REFERENCES accounts)")
    pair.add_account("KEPT")
    pair.add_account("GONE")
    pair.crm.execute(
        "INSERT INTO orders SELECT accountid FROM accounts WHERE accountnumber = 'KEPT'"
    )
    result = mend(pair, Side.FINOPS, delete_extra=True)
    assert numbers(result) == (0, 0, 1, 2, 1)
    assert result.failures[0].key == ("USMF", "KEPT")
    assert list(pair.accounts()) == [("USMF", "KEPT")]


def test_a_side_from_which_nothing_flows_cannot_win(pair: Pair) -> None:
    forward, _ = pair.legs(CUSTOMERS_MAP)
    writer = pair.finops.writer(LINK)
    with pytest.raises(SetupError) as refusal:
        repair(
            pair.finops,
            pair.dataverse,
            forward,
            None,
            winner=Side.DATAVERSE,
            writer=writer,
        )
    writer.close()
    assert refusal.value.code == "direction_not_mapped"
