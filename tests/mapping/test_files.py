"""Configuration files: exact round trips, and every mistake with its place."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from textwrap import indent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncengine.mapping.decisions import ALWAYS, DecisionRule, DecisionTable
from syncengine.mapping.expressions import parse_expression
from syncengine.mapping.files import (
    ConnectionSetFile,
    Document,
    EnvironmentFile,
    FileError,
    MapFile,
    dump_document,
    parse_document,
)
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    ConflictPolicy,
    KeyPair,
    LegalEntityPair,
    LookupDeclaration,
    OnError,
    OnFilterExit,
    Side,
    TableMap,
    ValueMap,
)
from syncengine.mapping.schema import CompanyRule
from tests.mapping.sample import CUSTOMERS_MAP, line
from tests.properties import examples

EXAMPLE = """\
environments:
  - {name: erp, role: finops, connector: postgres, dsn: "postgresql://erp/db",
     schema: public, company: {column: dataareaid}}
  - {name: crm, role: dataverse, connector: postgres, dsn: "postgresql://${CRM}@h/db",
     company: {column: msdyn_company, lookup: cdm_companies.cdm_companycode}}
connection_sets:
  - {name: contoso, finops: erp, dataverse: crm,
     legal_entities: [{finops: usmf, dataverse: USMF}]}
maps:
  - name: customers
    connection_set: contoso
    finops: customersv3
    dataverse: accounts
    publisher: contoso
    version: 1.0.0.0
    key: [[customeraccount, accountnumber]]
    filter: '(partytype == "Organization")'
    reversed_filter: 'customertypecode eq 3'
    conflict: last_writer_wins
    columns:
      - {finops: organizationname, type: "=", dataverse: name}
      - {finops: customergroupid, type: "=",
         dataverse: msdyn_customergroupid.msdyn_groupid}
      - {finops: onholdstatus, type: "><", dataverse: msdyn_onholdstatus,
         values: {"No": 0, "Invoice": 1, "All": 2}}
      - {finops: none, type: ">>", dataverse: customertypecode, default: 3}
"""


def read(text: str) -> Document:
    return parse_document(text, {"CRM": "user:secret"})


def problems(text: str) -> list[str]:
    """The mistakes of a file as `line place`."""
    with pytest.raises(FileError) as caught:
        read(text)
    assert caught.value.code == "file_invalid"
    return [f"{p.line} {p.place}" for p in caught.value.problems]


def one_map(extra: str = "", columns: str = "[]") -> str:
    return (
        "maps:\n- name: m\n  connection_set: s\n  finops: a\n  dataverse: b\n"
        f"  columns: {columns}\n{extra}"
    )


def column(text: str) -> ColumnMap:
    return read(one_map(columns=f"[{text}]")).maps[0].table_map.columns[0]


def test_the_example_of_the_architecture_is_read_whole() -> None:
    document = read(EXAMPLE)
    assert document.environments == (
        EnvironmentFile(
            "erp",
            Side.FINOPS,
            "postgres",
            "postgresql://erp/db",
            company=CompanyRule("dataareaid"),
        ),
        EnvironmentFile(
            "crm",
            Side.DATAVERSE,
            "postgres",
            "postgresql://user:secret@h/db",
            company=CompanyRule("msdyn_company", "cdm_companies", "cdm_companycode"),
        ),
    )
    assert document.connection_sets == (
        ConnectionSetFile("contoso", "erp", "crm", (LegalEntityPair("usmf", "USMF"),)),
    )
    table_map = document.maps[0].table_map
    assert table_map.key == (KeyPair("customeraccount", "accountnumber"),)
    assert table_map.finops_filter == '(partytype == "Organization")'
    assert table_map.version == "1.0.0.0"
    assert table_map.columns[1:] == (
        line("organizationname", "=", "name"),
        line("customergroupid", "=", "msdyn_customergroupid.msdyn_groupid"),
        line(
            "onholdstatus",
            "><",
            "msdyn_onholdstatus",
            values={"No": "0", "Invoice": "1", "All": "2"},
        ),
        line(None, ">>", "customertypecode", "3"),
    )


def test_naming_a_key_is_enough_to_map_it() -> None:
    table_map = read(EXAMPLE).maps[0].table_map
    assert table_map.columns[0] == line("customeraccount", "=", "accountnumber")


@pytest.mark.parametrize(
    ("symbol", "expected"), [("=", "="), (">", ">"), ("<<", "<"), ("><", "=")]
)
def test_a_key_line_of_its_own_flows_as_the_map_does(
    symbol: str, expected: str
) -> None:
    text = one_map(
        "  key: [[k, j]]\n", f"[{{finops: x, type: {symbol!r}, dataverse: y}}]"
    )
    table_map = read(text).maps[0].table_map
    assert table_map.columns[0] == line("k", expected, "j")


def test_a_key_column_mapped_elsewhere_gets_no_line_of_its_own() -> None:
    text = one_map("  key: [[k, j]]\n", "[{finops: k, type: '=', dataverse: y}]")
    assert len(read(text).maps[0].table_map.columns) == 1


@pytest.mark.parametrize(
    ("written", "default"),
    [
        ("3", "3"),
        ("1.0000000000", "1.0000000000"),
        ("true", "True"),
        ('"true"', "true"),
        ("No", "No"),
        ("yes", "yes"),
        ("007", "007"),
        ("1_000", "1_000"),
        ("2026-03-01", "2026-03-01"),
        ("Organization", "Organization"),
        ('""', ""),
        ("none", "none"),
        ("null", None),
        ("", None),
    ],
)
def test_scalars_stay_as_they_are_written(written: str, default: str | None) -> None:
    found = column(f"{{finops: a, type: '>>', dataverse: b, default: {written}}}")
    assert found.default == default


def test_value_maps_are_pairs_in_their_order() -> None:
    found = column(
        "{finops: a, type: '><', dataverse: b, values: {Yes: true, No: false, 3: 10}}"
    )
    assert found.values == (("Yes", "True"), ("No", "False"), ("3", "10"))


def test_value_maps_may_be_lists_where_a_value_comes_twice() -> None:
    found = column("{finops: a, type: '>>', dataverse: b, values: [[x, 1], [x, 2]]}")
    assert found.values == (("x", "1"), ("x", "2"))


def test_variables_stand_for_secrets_in_a_dsn_only() -> None:
    text = EXAMPLE.replace("publisher: contoso", "publisher: '${CRM}'")
    assert read(text).maps[0].table_map.publisher == "${CRM}"
    with pytest.raises(FileError) as caught:
        parse_document(EXAMPLE, {})
    assert "variable CRM is not set" in caught.value.message
    assert caught.value.problems[0].line == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["None "]),
        ("maps: [", ["2 "]),
        ("- 1", ["1 "]),
        ("mapps: []", ["1 mapps"]),
        ("maps: 3", ["1 maps"]),
        ("maps: []\nmaps: []", ["2 maps"]),
        ("maps: [3]", ["1 maps[0]"]),
        ("a: 1\n---\nb: 2", ["2 "]),
        (one_map("  version: 1.0\n"), ["7 maps[0].version"]),
        (one_map("  version: [1]\n"), ["7 maps[0].version"]),
        (one_map("  conflict: nobody\n"), ["7 maps[0].conflict"]),
        (one_map("  on_error: stop\n"), ["7 maps[0].on_error"]),
        (one_map("  key: [[a]]\n"), ["7 maps[0].key[0]"]),
        (one_map("  key: [a, b]\n"), ["7 maps[0].key[0]", "7 maps[0].key[1]"]),
        (one_map("  lookups: [{side: erp}]\n"), None),
        (
            one_map(columns="[{finops: a, type: '=>', dataverse: b}]"),
            ["6 maps[0].columns[0].type"],
        ),
        (
            one_map(columns="[{finops: a, type: '=', dataverse: b, kind: 3}]"),
            ["6 maps[0].columns[0].kind"],
        ),
        (
            one_map(columns="[{finops: a, type: '='}]"),
            ["6 maps[0].columns[0].dataverse"],
        ),
        (
            one_map(columns="[{finops: none, type: '=', dataverse: none}]"),
            ["6 maps[0].columns[0]"],
        ),
        (
            one_map(columns="[{finops: a, type: '=', dataverse: [b]}]"),
            ["6 maps[0].columns[0].dataverse"],
        ),
        (
            one_map(columns="[{finops: a, type: '><', dataverse: b, values: 3}]"),
            ["6 maps[0].columns[0].values"],
        ),
        (
            one_map(
                columns="[{finops: a, type: '><', dataverse: b, values: {x: 1, x: 2}}]"
            ),
            ["6 maps[0].columns[0].values"],
        ),
        (
            one_map(columns="[{finops: a, type: '>>', dataverse: b, default: [1]}]"),
            ["6 maps[0].columns[0].default"],
        ),
        (one_map(columns="[{LINE, sticky: often}]"), ["6 maps[0].columns[0].sticky"]),
        (
            one_map(columns="[{LINE, decision: {sources: [], rules: []}}]"),
            ["6 maps[0].columns[0].decision.sources"],
        ),
        (
            one_map(
                columns="[{LINE, decision: {sources: [a, b], rules: "
                "[{when: [x], then: 1}, {when: [x, []], then: ~}, {when: [~, x]}]}}]"
            ),
            [
                "6 maps[0].columns[0].decision.rules[1].then",
                "6 maps[0].columns[0].decision.rules[1].when[1]",
                "6 maps[0].columns[0].decision.rules[2].then",
                "6 maps[0].columns[0].decision.rules[2].when[0]",
                "6 maps[0].columns[0].decision.rules[0].when",
            ],
        ),
        ("value_maps: [{name: YN}]", ["1 value_maps[0].values"]),
        (
            "value_maps: [{name: a, values: {}}, {name: a, values: {}}]",
            ["None value_maps[1].name"],
        ),
        (
            one_map().replace("  finops: a\n", "").replace("name: m", "name:"),
            ["2 maps[0].finops", "2 maps[0].name"],
        ),
        (EXAMPLE.replace("role: finops", "role: dataverse"), None),
        (EXAMPLE.replace("name: crm", "name: erp"), None),
        (EXAMPLE.replace("lookup: cdm_companies.", "lookup: "), None),
        (EXAMPLE.replace("${CRM}", "${CRM"), ["4 environments[1].dsn"]),
    ],
)
def test_a_mistake_is_found_at_its_place(text: str, expected: list[str] | None) -> None:
    found = problems(text.replace("LINE", "finops: none, type: '>>', dataverse: b"))
    if expected is not None:
        assert found == expected


def test_a_decision_table_is_read() -> None:
    found = column(
        "finops: none, type: '>>', dataverse: b, default: Open, decision: {sources: "
        "[status, number], rules: [{when: [Open, '*'], then: 1, present: [Draft, "
        "blank]}, {when: [[Closed, blank], ['*']], then: blank}]}".join("{}")
    )
    assert found.computed
    assert found.default == "Open"
    assert found.decision == DecisionTable(
        ("status", "number"),
        (
            DecisionRule((("Open",), ALWAYS), "1", ("Draft", "blank")),
            DecisionRule((("Closed", "blank"), ("*",)), "blank"),
        ),
    )


def test_a_line_takes_the_pairs_of_the_value_map_it_names() -> None:
    line = "{finops: a, type: '><', dataverse: b, value_map: YN}"
    text = one_map(columns=f"[{line}]")
    shared = "value_maps: [{name: YN, values: {no: false, yes: true}}]\n"
    pairs = (("no", "False"), ("yes", "True"))
    named = read(shared + text)
    assert named.value_maps == (ValueMap("YN", pairs),)
    assert named.maps[0].table_map.columns[0].values == pairs
    assert "value_map: YN, sticky" not in dump_document(named)
    assert dump_document(named).count("yes") == 1
    assert read(text).maps[0].table_map.columns[0].values is None
    own = text.replace("value_map: YN", "value_map: YN, values: {n: f}")
    assert read(shared + own).maps[0].table_map.columns[0].values == (("n", "f"),)


REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "maps.md"


def test_every_example_of_the_reference_is_read() -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```", REFERENCE.read_text(), re.M | re.S)
    assert len(examples) > 6
    for example in examples:
        text = example
        if "maps:" not in example:
            text = one_map().replace("  columns: []\n", indent(example, "  "))
        columns = read(text).maps[0].table_map.columns
        assert columns
        for found in columns:
            if found.expression:
                assert parse_expression(found.expression).paths


def test_all_mistakes_are_listed_at_once() -> None:
    text = EXAMPLE.replace('type: "="', "type: equal").replace("1.0.0.0", "one")
    assert problems(text) == [
        "15 maps[0].version",
        "21 maps[0].columns[0].type",
        "22 maps[0].columns[1].type",
    ]
    with pytest.raises(FileError) as caught:
        read(text)
    assert caught.value.message.splitlines() == [
        "The file has 3 problems:",
        "line 15: maps[0].version: one must be four numbers with dots, like 1.0.0.0.",
        "line 21: maps[0].columns[0].type: equal is not one of =, >, <, ><, >>, <<.",
        "line 22: maps[0].columns[1].type: equal is not one of =, >, <, ><, >>, <<.",
    ]


def test_secrets_do_not_leave_where_a_variable_stands_for_them() -> None:
    document = read(EXAMPLE)
    text = dump_document(document, dsn_variables={"crm": "CRM_DSN"})
    assert "secret" not in text
    assert "secret" not in repr(document)
    dsn = document.environments[1].dsn
    assert parse_document(text, {"CRM_DSN": dsn}) == document


def test_the_customers_map_survives_a_file(tmp_path: Path) -> None:
    document = Document(maps=(MapFile("contoso", CUSTOMERS_MAP),))
    path = tmp_path / "maps.yaml"
    path.write_text(dump_document(document), encoding="utf-8")
    assert parse_document(path.read_text(encoding="utf-8")) == document


# What is written is read back

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
NAME = TEXT.filter(bool)
PATH = NAME.filter(lambda path: path != "none")
PAIRS = st.none() | st.lists(st.tuples(TEXT, TEXT), max_size=4).map(tuple)
CONDITION = st.lists(TEXT, max_size=2).map(tuple)


@st.composite
def decisions(draw: st.DrawFn) -> DecisionTable:
    sources = draw(st.lists(PATH, min_size=1, max_size=2))
    width = st.lists(CONDITION, min_size=len(sources), max_size=len(sources))
    present = st.none() | st.lists(TEXT, max_size=2).map(tuple)
    rule = st.builds(DecisionRule, width.map(tuple), TEXT, present)
    return DecisionTable(tuple(sources), tuple(draw(st.lists(rule, max_size=2))))


COLUMN = st.builds(
    ColumnMap,
    finops=st.none() | PATH,
    dataverse=st.none() | PATH,
    type=st.sampled_from(ColumnMapType),
    default=st.none() | TEXT,
    values=PAIRS,
    value_map=st.none() | st.sampled_from(["YN", "LANG", "other"]),
    sticky=st.booleans(),
    decision=st.none() | decisions(),
    expression=st.none() | NAME,
).filter(lambda found: found.finops is not None or found.dataverse is not None)
LINE = ColumnMap("a", "b", ColumnMapType.BOTH_TRANSFORM, value_map="shared")
LOOKUP = st.builds(LookupDeclaration, st.sampled_from(Side), NAME, NAME, NAME)


@st.composite
def table_maps(draw: st.DrawFn) -> TableMap:
    columns = draw(st.lists(COLUMN, max_size=5))
    keyed = [c for c in columns if c.finops is not None and c.dataverse is not None]
    return TableMap(
        name=draw(NAME),
        finops_table=draw(NAME),
        dataverse_table=draw(NAME),
        columns=tuple(columns),
        key=tuple(
            KeyPair(c.finops or "", c.dataverse or "")
            for c in keyed[: draw(st.integers(0, 2))]
        ),
        publisher=draw(TEXT),
        version=".".join(
            str(part)
            for part in draw(st.lists(st.integers(0, 999), min_size=4, max_size=4))
        ),
        finops_filter=draw(TEXT),
        dataverse_filter=draw(TEXT),
        conflict=draw(st.sampled_from(ConflictPolicy)),
        on_error=draw(st.sampled_from(OnError)),
        on_filter_exit=draw(st.sampled_from(OnFilterExit)),
        lookups=tuple(draw(st.lists(LOOKUP, max_size=2))),
    )


RULE = st.builds(CompanyRule, NAME) | st.builds(
    CompanyRule, NAME, NAME, NAME.filter(lambda name: "." not in name)
)
ENVIRONMENT = st.builds(
    EnvironmentFile,
    name=NAME,
    role=st.sampled_from(Side),
    connector=NAME,
    dsn=NAME | st.sampled_from(["${A}", "$${A}", "a$b", "${", "$$"]),
    schema=NAME,
    company=st.none() | RULE,
)
LEGAL_ENTITIES = st.lists(st.builds(LegalEntityPair, NAME, NAME), max_size=3)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    environments = draw(
        st.lists(ENVIRONMENT, max_size=3, unique_by=lambda entry: entry.name)
    )
    names = {
        side: [entry.name for entry in environments if entry.role is side]
        for side in Side
    }
    links = []
    if names[Side.FINOPS] and names[Side.DATAVERSE]:
        links.append(
            ConnectionSetFile(
                draw(NAME),
                draw(st.sampled_from(names[Side.FINOPS])),
                draw(st.sampled_from(names[Side.DATAVERSE])),
                tuple(draw(LEGAL_ENTITIES)),
            )
        )
    maps = draw(st.lists(table_maps(), max_size=3, unique_by=lambda entry: entry.name))
    pairs = draw(st.lists(st.tuples(TEXT, TEXT), max_size=3)) or [("", "")]
    shared = ValueMap("shared", tuple(pairs))
    uses = draw(st.booleans())
    if uses:
        maps = [
            replace(m, columns=(*m.columns, replace(LINE, values=shared.values)))
            for m in maps
        ]
    return Document(
        tuple(environments),
        tuple(links),
        tuple(MapFile(draw(NAME), m) for m in maps),
        (shared,) if uses or draw(st.booleans()) else (),
    )


@settings(deadline=None, max_examples=examples(60))
@given(documents())
def test_what_is_written_is_read_back_exactly(document: Document) -> None:
    text = dump_document(document)
    assert parse_document(text) == document
    assert dump_document(parse_document(text)) == text


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_problems(text: str) -> None:
    try:
        parse_document(text)
    except FileError as error:
        refused = error
    else:
        return
    assert refused.problems
