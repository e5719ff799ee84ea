"""Filters as text: nothing that can be written crashes a parser, every mistake is shown
at its place, and what is printed reads back as the same tree."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import example, given, settings
from hypothesis import strategies as st

from syncengine.mapping.filters import (
    Expression,
    FilterError,
    bind_types,
    parse_finops,
    parse_odata,
    to_finops,
    to_odata,
)
from syncengine.mapping.filters.errors import EXCERPT_WIDTH
from tests.mapping.filter_trees import EXPRESSIONS, NAMES, TABLE
from tests.properties import examples

DIALECTS: dict[str, tuple[Callable[[str], Expression], Callable[[Expression], str]]] = {
    "finops": (parse_finops, to_finops),
    "odata": (parse_odata, to_odata),
}
PIECES = [
    *("==", "!=", "<", "<=", ">", ">=", "=", "<>", "&&", "||", "!", "&", "|"),
    *("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "in", "like", "IN"),
    *("(", ")", "((", "))", ",", "..", ".", "\\", ":", "::", "%", "@", "-", "_"),
    *("contains(", "startswith(name,", "endswith(Name, 'x')", "matchesPattern("),
    *("length(", "Microsoft.Dynamics.CRM.In(", "a/b", "a.b.c", "_name_value"),
    *("null", "true", "False", "now()", "now (", "NoYes::Yes", "Hold::All", "x::"),
    *("5", "-1.50", ".5", "1e3", "1e999", "5d", "1" * 401, "٣", "½"),
    *("31\\12\\2026", "31\\02\\2026", "2026-03-31", "31.12.2026", "2026/03/31"),
    *("2026-03-31T10:00:00Z", "2026-03-31T25:00", "10:30", "99:99", "datetime'2026'"),
    *("'", '"', "''", '""', '"A*"', "'a''b'", '"a""b"', "'^a.*$'", "'[\\s\\S]*'"),
    *("0f8fad5b-d9cb-469f-a165-70867728950e", "é", "\u2028", "\x85", "\x00", "\ud800"),
    *("\n", "\r\n", "\r", "\t", "\v"),
    *NAMES,
]
SOUP = st.lists(
    st.sampled_from(PIECES) | st.text(max_size=3), min_size=1, max_size=14
).flatmap(
    lambda pieces: st.sampled_from(["", " ", "  \n"]).map(lambda s: s.join(pieces))
)
PRINTED = st.sampled_from([to_finops, to_odata]).flatmap(lambda p: EXPRESSIONS.map(p))


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A printed filter in which a stretch is replaced."""
    text = draw(PRINTED)
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 4)))
    return text[:start] + draw(st.sampled_from(["", *PIECES])) + text[end:]


def check_place(error: FilterError, text: str) -> None:
    """The place lies in the text, and all ways to say it agree."""
    assert 0 <= error.position <= len(text)
    lines = text[: error.position].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert (error.line, error.character) == (len(lines), len(lines[-1]) + 1)
    assert error.message.startswith("Filter, ")
    assert error.reason
    assert error.message.endswith(error.reason)
    if not text:
        return
    line, caret = error.details["place"].split("\n")
    assert len(line) <= EXCERPT_WIDTH
    assert caret.strip(" \t") == "^"
    at = len(caret) - 1
    rest = text[error.position : error.position + 10]
    shown = line[at : at + 10].rstrip("…")
    assert rest.startswith(shown)
    assert shown or not rest.strip()


@settings(max_examples=examples(400), deadline=None)
@given(text=SOUP | st.text(max_size=40) | damaged())
@example(text="")
@example(text=" \n ")
@example(text="a == 1 &&\r\n  (b == 2")
@example(text="!" * 101 + "(a == 1)")
@example(text="(" * 60 + "a eq 1" + " and b eq 2 or c eq 3)" * 60)
@example(text="name eq '" + "x" * 5000 + "' and")
@example(text="a\n" * 20_000)
@example(text="seen in (2026-03-31T10:00:00)")
def test_whatever_is_written_is_a_filter_or_a_mistake_at_a_place(text: str) -> None:
    for parse, write in DIALECTS.values():
        try:
            tree = parse(text)
        except FilterError as error:
            check_place(error, text)
            continue
        assert parse(write(tree)) == tree
        try:
            bound = bind_types(tree, TABLE, text)
        except FilterError as error:
            check_place(error, text)
            continue
        assert bind_types(bound, TABLE) == bound
        for reparse, rewrite in DIALECTS.values():
            assert bind_types(reparse(rewrite(bound)), TABLE) == bound


@settings(max_examples=examples(200), deadline=None)
@given(written=EXPRESSIONS)
def test_a_printed_filter_reads_back_as_the_same_tree(written: Expression) -> None:
    bound = bind_types(written, TABLE)
    assert bind_types(bound, TABLE) == bound
    for parse, write in DIALECTS.values():
        assert bind_types(parse(write(bound)), TABLE) == bound


def test_the_deepest_filter_allowed_can_be_printed_and_read_again() -> None:
    deepest = "!" * 39 + "((x == 1) && (y == 2))"
    mixed = "(" * 39 + "x == 1" + " && y == 2) || z == 3)" * 19 + " && y == 2)"
    for text in (deepest, mixed):
        tree = parse_finops(text)
        assert parse_finops(to_finops(tree)) == tree
        assert parse_odata(to_odata(tree)) == tree
