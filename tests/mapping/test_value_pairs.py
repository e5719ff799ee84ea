"""Pairs of values pasted from spreadsheets, and written back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncengine import catalog
from syncengine.mapping.value_pairs import MAX_PAIRS, read_pairs, write_pairs

NO_YES = (("no", "False"), ("yes", "True"))


@pytest.mark.parametrize(
    "text",
    [
        "no\tFalse\nyes\tTrue\n",
        "no,False\r\nyes,True",
        "\n  no ; False  \n\nyes;True\n",
        '"no","False"\n"yes","True"',
    ],
)
def test_two_columns_of_a_spreadsheet_are_pairs(text: str) -> None:
    found = read_pairs(text)
    assert (found.pairs, found.problems, found.notes) == (NO_YES, (), ())


def test_a_cell_may_hold_separators_and_quotes() -> None:
    found = read_pairs('a, b\tc;d\n"x ""y"", z",1\n')
    assert found.pairs == (("a, b", "c;d"), ('x "y", z', "1"))


def test_an_empty_cell_is_blank() -> None:
    assert read_pairs("\t192350000\nasset\t").pairs == (
        ("blank", "192350000"),
        ("asset", "blank"),
    )


def test_what_is_no_pair_or_comes_twice_is_named_with_its_line() -> None:
    found = read_pairs("a\nb,1,2\nc,3\nC,3\n\nd\x00,4")
    assert found.pairs == (("c", "3"),)
    assert [problem.partition(" ")[2][:1] for problem in found.problems] == [*"1246"]
    assert "says the same as line 3: C = 3" in found.problems[2]
    assert read_pairs(" \n").problems == ("Give a pair of values at least.",)
    many = "\n".join(f"{n},{n}" for n in range(MAX_PAIRS + 1))
    assert len(read_pairs(many).problems) == 1


def test_values_with_several_meanings_are_named_but_no_mistake() -> None:
    found = read_pairs("employee,1\nboth,1\nnone,2\nNone,3")
    assert found.problems == ()
    assert found.notes == (
        "Finance and operations values with several meanings, of which the first is "
        "used: none (2, 3).",
        "Dataverse values with several meanings, of which the first is used: "
        "1 (employee, both).",
    )


CELL = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1).filter(
    lambda text: text == text.strip() and len(text.splitlines()) == 1
)


@given(
    st.lists(
        st.tuples(CELL, CELL),
        min_size=1,
        max_size=5,
        unique_by=lambda pair: (pair[0].casefold(), pair[1].casefold()),
    )
)
def test_what_is_written_is_read_back(pairs: list[tuple[str, str]]) -> None:
    assert read_pairs(write_pairs(pairs)).pairs == tuple(pairs)


def test_the_ready_made_value_maps_are_lists_of_published_maps() -> None:
    found = {one.value_map.name: one.value_map.values for one in catalog.value_maps()}
    assert set(found) == {"YN", "LANG", "COUNTRY", "PROMISE", "HOLD", "RESTRICT"}
    published = {
        frozenset(line.values)
        for entry in catalog.entries()
        for line in entry.columns
        if line.values
    }
    for name, pairs in found.items():
        assert frozenset(pairs) in published, name
        assert read_pairs(write_pairs(pairs)).pairs == pairs
        assert not read_pairs(write_pairs(pairs)).notes
    assert [len(found[name]) for name in ("LANG", "COUNTRY")] == [42, 21]
