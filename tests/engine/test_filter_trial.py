"""Trying a filter on the rows that are there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from syncengine import filter_trial
from syncengine.connectors.registry import connector_for
from syncengine.errors import OutageError, SetupError
from syncengine.filter_trial import FilterTrial, RowCount, try_filter
from syncengine.mapping.model import KeyPair, Side
from tests.engine.pair import CUSTOMERS_MAP, LINKED, Pair


def tried(pair: Pair, side: Side, text: str, **options: Any) -> FilterTrial:
    companies = options.pop("companies", tuple(each.on(side) for each in LINKED))
    table_map = options.pop("table_map", CUSTOMERS_MAP)
    return try_filter(
        pair.connectors[side], table_map, side, text, companies, **options
    )


def test_it_counts_and_shows_rows_on_either_side_of_a_filter(pair: Pair) -> None:
    for number in range(8):
        pair.add_customer(f"C{number}", partytype="Person" if number < 2 else "Org")
    pair.add_customer("D1", company="dat", partytype="Person")
    trial = tried(pair, Side.FINOPS, '(PARTYTYPE == "Person")', samples=4)
    assert trial.error is None
    assert trial.columns == ("dataareaid", "customeraccount", "partytype")
    assert (trial.matching, trial.other) == (RowCount(3), RowCount(6))
    assert sorted(trial.matching_sample) == [
        ("dat", "D1", "Person"),
        ("usmf", "C0", "Person"),
        ("usmf", "C1", "Person"),
    ]
    assert len(trial.other_sample) == 4
    assert {row[2] for row in trial.other_sample} == {"Org"}
    assert trial.odata == "partytype eq 'Person'"
    rows = pair.erp.execute(trial.query.encode()).fetchall()
    assert sorted(rows) == sorted(trial.matching_sample)


def test_only_linked_companies_count(pair: Pair) -> None:
    pair.add_account("A1", name="a")
    pair.add_account("A2", company="XXXX", name="a")
    trial = tried(pair, Side.DATAVERSE, "startswith(name,'a')")
    assert trial.matching == RowCount(1)
    assert trial.other == RowCount(0)
    assert trial.columns == ("msdyn_company.cdm_companycode", "accountnumber", "name")
    assert trial.matching_sample == (("USMF", "A1", "a"),)


def test_without_linked_companies_nothing_is_in_scope(pair: Pair) -> None:
    pair.add_customer("C1")
    trial = tried(pair, Side.FINOPS, "", companies=())
    assert trial.matching == trial.other == RowCount(0)
    assert trial.notes == ("No legal entity is linked, so no row is in scope.",)


def test_a_blank_filter_takes_every_row(pair: Pair) -> None:
    pair.add_customer("C1")
    trial = tried(pair, Side.FINOPS, "  ")
    assert (trial.matching, trial.other) == (RowCount(1), RowCount(0))
    assert trial.odata == ""
    assert trial.notes == ()


def test_null_and_empty_are_told_apart_and_pointed_out(pair: Pair) -> None:
    pair.add_customer("C1", onholdstatus=None)
    pair.add_customer("C2", onholdstatus="")
    trial = tried(pair, Side.FINOPS, 'onholdstatus == ""')
    assert trial.matching_sample == (("usmf", "C2", ""),)
    assert trial.other_sample == (("usmf", "C1", None),)
    (note,) = trial.notes
    assert "a null is not" in note
    assert note.endswith("found with onholdstatus == null.")
    assert tried(pair, Side.FINOPS, 'partytype == ""').notes == ()
    (note,) = tried(pair, Side.DATAVERSE, "name eq ''").notes
    assert note.endswith("name eq null.")


def test_a_date_that_means_none_is_pointed_out(pair: Pair) -> None:
    pair.erp.execute("ALTER TABLE customersv3 ADD closed date")
    (note,) = tried(pair, Side.FINOPS, "closed == 1\\1\\1900").notes
    assert note.endswith("found with closed == null.")


def test_the_key_of_a_sample_may_lie_behind_a_lookup(pair: Pair) -> None:
    pair.add_groups("10")
    pair.add_account("A1")
    pair.crm.execute(
        "UPDATE accounts SET msdyn_customergroupid = g.msdyn_customergroupid"
        " FROM msdyn_customergroups g"
    )
    key = (*CUSTOMERS_MAP.key, KeyPair("x", "msdyn_customergroupid.msdyn_groupid"))
    trial = tried(pair, Side.DATAVERSE, "", table_map=replace(CUSTOMERS_MAP, key=key))
    assert trial.matching_sample == (("USMF", "A1", "10"),)


def test_where_the_key_is_wrong_the_table_s_own_key_is_shown(pair: Pair) -> None:
    pair.add_customer("C1")
    wrong = replace(CUSTOMERS_MAP, key=(KeyPair("nothing", "nothing"),))
    trial = tried(pair, Side.FINOPS, "score == null", table_map=wrong)
    assert trial.columns == ("dataareaid", "customeraccount", "score")


def test_a_wrong_text_comes_back_with_its_place(pair: Pair) -> None:
    for text, code, position in (
        ("partytype = 'x'", "filter_syntax", 10),
        ("partytyp == 'x'", "filter_column", 0),
        ("score == 'x'", "filter_type", 9),
    ):
        trial = tried(pair, Side.FINOPS, text)
        assert trial.error is not None
        assert (trial.error.code, trial.error.position) == (code, position)
        assert trial.error.details["place"].startswith(text)
        assert trial.query == ""


def test_a_missing_table_and_a_system_that_is_down_are_no_mistakes_of_the_text(
    pair: Pair,
) -> None:
    gone = replace(CUSTOMERS_MAP, finops_table="gone")
    with pytest.raises(SetupError, match="table gone is not in environment") as caught:
        tried(pair, Side.FINOPS, "", table_map=gone)
    assert caught.value.code == "table_missing"
    settings = pair.connectors[Side.FINOPS].settings
    nobody = replace(settings, dsn="postgresql://127.0.0.1:1/none")
    with pytest.raises(OutageError):
        try_filter(connector_for(nobody), CUSTOMERS_MAP, Side.FINOPS, "", ("usmf",))


@contextmanager
def locked(pair: Pair, table: str) -> Iterator[None]:
    with psycopg.connect(pair.dsns[Side.FINOPS]) as connection:
        connection.execute(f"LOCK TABLE {table}".encode())
        yield


def test_a_table_that_does_not_answer_is_given_up(pair: Pair) -> None:
    pair.add_customer("C1")
    with locked(pair, "customersv3"):
        trial = tried(pair, Side.FINOPS, 'partytype == "x"', seconds=0.4)
    assert trial.matching == trial.other == RowCount(0, more=True)
    assert trial.matching_sample == ()


def test_what_cannot_be_counted_in_time_is_more_than_was_counted(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.erp.execute(
        "CREATE TABLE slow (id int PRIMARY KEY, words text);"
        "INSERT INTO slow SELECT n, repeat('ab', 500000) FROM generate_series(1, 200) n"
    )
    slow = replace(CUSTOMERS_MAP, finops_table="slow", key=(KeyPair("id", "id"),))
    text = '!(words like "*ab*ba*c")'
    monkeypatch.setattr(filter_trial, "COUNTED", 3)
    trial = tried(pair, Side.FINOPS, text, table_map=slow, seconds=0.3, samples=2)
    assert trial.matching == RowCount(3, more=True)
    assert len(trial.matching_sample) == 2
    assert trial.other == RowCount(0, more=True)
