"""Map files of the original product: exact round trips, nothing lost unsaid."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncengine import catalog
from syncengine.mapping.decisions import ALWAYS, DecisionRule, DecisionTable
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    ConflictPolicy,
    KeyPair,
    TableMap,
)
from syncengine.mapping.product_json import (
    FileError,
    ImportedMap,
    beyond_product,
    dump_product_map,
    dump_product_maps,
    parse_product_map,
    parse_product_maps,
    summary,
)
from tests.mapping.test_files import table_maps
from tests.properties import examples

LINES: list[dict[str, Any]] = [
    {
        "syncDirection": 3,
        "sourceField": "CUSTOMERACCOUNT",
        "destinationField": "accountnumber",
        "isSystemGenerated": True,
        "valueTransforms": [],
    },
    {
        "syncDirection": "1",
        "sourceField": "CUSTOMERGROUPID",
        "destinationField": "msdyn_customergroupid.msdyn_groupid",
        "destinationLookupFieldRelatedEntity": "msdyn_customergroups",
    },
    {
        "syncDirection": 3,
        "sourceField": "ONHOLDSTATUS",
        "destinationField": "msdyn_onholdstatus",
        "valueTransforms": [
            {
                "$type": "Microsoft.Something, Somewhere",
                "transformType": "ValueMap",
                "valueMap": {"No": 806380000, "All": "806380002"},
                "defaultValue": None,
                "createValuesOnDestination": False,
            },
            {"transformType": "Default", "defaultValue": "No"},
        ],
    },
    {
        "syncDirection": 1,
        "sourceField": "none",
        "destinationField": "customertypecode",
        "valueTransforms": [{"transformType": "Default", "defaultValue": 3}],
    },
    {
        "syncDirection": 2,
        "sourceField": "PARTYTYPE",
        "destinationField": None,
        "valueTransforms": [{"transformType": "Default", "defaultValue": True}],
    },
]
MAPPING: dict[str, Any] = {
    "name": "[Customers V3] - [accounts]",
    "leftEnvironmentType": "AX",
    "centerEnvironmentType": "CRM",
    "rightEnvironmentType": "UNDEFINED",
    "legs": [
        {
            "sourceEnvironmentType": "AX",
            "sourceSchema": "Customers V3",
            "sourceFilter": '((PartyType == "Organization"))',
            "destinationEnvironmentType": "CRM",
            "destinationSchema": "accounts",
            "reversedSourceFilter": "customertypecode eq 3",
            "fieldMappings": LINES,
        }
    ],
}
EXPECTED = TableMap(
    name="[Customers V3] - [accounts]",
    finops_table="Customers V3",
    dataverse_table="accounts",
    columns=(
        ColumnMap("CUSTOMERACCOUNT", "accountnumber", ColumnMapType.BOTH),
        ColumnMap(
            "CUSTOMERGROUPID",
            "msdyn_customergroupid.msdyn_groupid",
            ColumnMapType.TO_DATAVERSE,
        ),
        ColumnMap(
            "ONHOLDSTATUS",
            "msdyn_onholdstatus",
            ColumnMapType.BOTH_TRANSFORM,
            "No",
            (("No", "806380000"), ("All", "806380002")),
        ),
        ColumnMap(None, "customertypecode", ColumnMapType.TO_DATAVERSE_TRANSFORM, "3"),
        ColumnMap("PARTYTYPE", None, ColumnMapType.TO_FINOPS_TRANSFORM, "True"),
    ),
    key=(),
    finops_filter='((PartyType == "Organization"))',
    dataverse_filter="customertypecode eq 3",
)


def changed(**members: Any) -> dict[str, Any]:
    return {**MAPPING, **members}


def with_leg(**members: Any) -> dict[str, Any]:
    return changed(legs=[{**MAPPING["legs"][0], **members}])


def with_line(**members: Any) -> dict[str, Any]:
    line = {"syncDirection": 3, "sourceField": "A", "destinationField": "a"}
    return with_leg(fieldMappings=[{**line, **members}])


def read(document: Any) -> ImportedMap:
    return parse_product_map(json.dumps(document))


def problems(text: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        parse_product_maps(text)
    return [problem.place for problem in caught.value.problems]


def left(found: ImportedMap) -> dict[str, str]:
    return {leftover.place: leftover.value for leftover in found.leftovers}


def test_a_mapping_is_read_whole() -> None:
    found = read(MAPPING)
    assert found.table_map == EXPECTED
    assert not found.complete
    assert left(found) == {
        "legs[0].fieldMappings[0].isSystemGenerated": "true",
        "legs[0].fieldMappings[1].destinationLookupFieldRelatedEntity": (
            "msdyn_customergroups"
        ),
    }


def test_a_record_of_the_table_of_maps_is_read() -> None:
    found = read(
        {
            "msdyn_name": "customersv3_accounts",
            "msdyn_displayname": "Customers V3 (accounts)",
            "msdyn_version": "1.0.0.7",
            "msdyn_mapping": json.dumps(MAPPING),
            "msdyn_properties": '{"a": 1}',
        }
    )
    assert found.table_map == replace(
        EXPECTED, name="Customers V3 (accounts)", version="1.0.0.7"
    )
    assert left(found)["msdyn_properties"] == '{"a": 1}'
    assert left(found)["msdyn_name"] == "customersv3_accounts"
    assert left(found)["msdyn_mapping.name"] == "[Customers V3] - [accounts]"


def test_a_page_of_records_gives_all_its_maps() -> None:
    record = {"msdyn_mapping": json.dumps(MAPPING)}
    page = {"value": [{**record, "msdyn_name": name} for name in ("a", "b")]}
    found = parse_product_maps(json.dumps(page))
    assert [each.table_map.name for each in found] == ["a", "b"]


def test_a_project_is_read_with_its_version_and_integration_key() -> None:
    project = {
        "name": "0c5d4f2e",
        "displayName": "Customers V3 (accounts)",
        "templateIdentifier": {
            "id": "t1",
            "author": "Contoso",
            "version": {
                "major": 2,
                "minor": 1,
                "build": 0,
                "revision": -1,
                "majorRevision": -1,
                "minorRevision": -1,
            },
        },
        "environments": [
            {
                "name": "crm",
                "directUrl": "https://example.test",
                "schemas": [
                    {
                        "name": "accounts",
                        "companyContextFields": ["msdyn_company"],
                        "keys": [
                            {"isIntegrationKey": False, "fields": ["accountid"]},
                            {
                                "isIntegrationKey": True,
                                "fields": [
                                    "accountnumber",
                                    "msdyn_company.cdm_companycode",
                                ],
                            },
                        ],
                    }
                ],
            }
        ],
        "entityMappingTasks": [
            {
                "name": "task",
                "order": 1,
                "legs": [{**MAPPING["legs"][0], "destinationEnvironment": "crm"}],
            }
        ],
        "owner": "someone",
        "isDualWriteProject": True,
    }
    found = read(project)
    assert found.table_map == replace(
        EXPECTED,
        name="Customers V3 (accounts)",
        publisher="Contoso",
        version="2.1.0.0",
        key=(KeyPair("CUSTOMERACCOUNT", "accountnumber"),),
    )
    rest = left(found)
    assert {"name", "environments[0]", "owner", "templateIdentifier.id"} <= set(rest)
    assert {"isDualWriteProject", "entityMappingTasks[0].order"} <= set(rest)


def test_a_key_that_is_not_mapped_is_listed() -> None:
    system = {
        "schemas": [
            {
                "name": "accounts",
                "keys": [{"isIntegrationKey": True, "fields": ["emailaddress1"]}],
            }
        ]
    }
    found = read(changed(environments=[system]))
    assert found.table_map.key == ()
    reasons = [each.reason for each in found.leftovers if "keys" in each.place]
    assert reasons == ["The map has no line for emailaddress1."]


def test_several_tasks_are_several_maps() -> None:
    tasks = [{"name": name, "legs": MAPPING["legs"]} for name in ("one", "two")]
    found = parse_product_maps(
        json.dumps({"name": "all", "owner": "me", "entityMappingTasks": tasks})
    )
    assert [each.table_map.name for each in found] == ["one", "two"]
    assert "owner" in left(found[0])
    assert "owner" not in left(found[1])


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (changed(description="Customers"), "description"),
        (changed(something={"new": 1}), "something"),
        (with_leg(deleteNonMatchingData=True), "legs[0].deleteNonMatchingData"),
        (with_leg(sourceMQuery="let x"), "legs[0].sourceMQuery"),
        (with_line(comment="why"), "legs[0].fieldMappings[0].comment"),
        (
            with_line(
                valueTransforms=[
                    {
                        "transformType": "ValueMap",
                        "valueMap": {"a": "b"},
                        "createValuesOnDestination": True,
                    }
                ]
            ),
            "legs[0].fieldMappings[0].valueTransforms[0].createValuesOnDestination",
        ),
    ],
)
def test_what_cannot_be_carried_is_listed(document: dict[str, Any], place: str) -> None:
    found = read(document)
    assert place in left(found)
    assert len(found.table_map.columns) > 0


@pytest.mark.parametrize(
    "transforms",
    [
        [{"transformType": "Truncate", "length": 3}],
        [{"transformType": "ValueMap", "valueMap": None}],
        [{"transformType": "ValueMap", "valueMap": {"a": "b"}}] * 2,
        [{"transformType": "Default", "defaultValue": "a"}] * 2,
    ],
)
def test_a_line_with_an_unknown_transform_is_left_out_and_listed(
    transforms: list[dict[str, Any]],
) -> None:
    found = read(with_line(valueTransforms=transforms))
    assert found.table_map.columns == ()
    assert "legs[0].fieldMappings[0]" in left(found)


@pytest.mark.parametrize(
    ("document", "places"),
    [
        (with_line(syncDirection=4), ["legs[0].fieldMappings[0].syncDirection"]),
        (with_line(syncDirection=None), ["legs[0].fieldMappings[0].syncDirection"]),
        (
            with_line(sourceField="none", destinationField=""),
            ["legs[0].fieldMappings[0]"],
        ),
        (with_line(sourceField=["A"]), ["legs[0].fieldMappings[0].sourceField"]),
        (with_line(sourceField="a\0"), ["legs[0].fieldMappings[0].sourceField"]),
        (with_line(sourceField="\ud800"), ["legs[0].fieldMappings[0].sourceField"]),
        (
            with_line(dualWritePortal={"type": "<"}),
            ["legs[0].fieldMappings[0].dualWritePortal.type"],
        ),
        (
            with_line(dualWritePortal={"values": [["a", "b"]]}),
            ["legs[0].fieldMappings[0].dualWritePortal.values"],
        ),
        (
            with_line(dualWritePortal={"sticky": "yes", "decision": []}),
            [
                "legs[0].fieldMappings[0].dualWritePortal.decision",
                "legs[0].fieldMappings[0].dualWritePortal.sticky",
            ],
        ),
        (
            with_line(
                dualWritePortal={
                    "decision": {"sources": ["a"], "rules": [{"then": "x"}]}
                }
            ),
            ["legs[0].fieldMappings[0].dualWritePortal.decision.rules[0].when"],
        ),
        (with_leg(fieldMappings=None), ["legs[0].fieldMappings"]),
        (with_leg(fieldMappings={}), ["legs[0].fieldMappings"]),
        (with_leg(sourceSchema=""), ["legs[0].sourceSchema"]),
        (with_leg(sourceEnvironmentType="CRM"), ["legs[0].sourceEnvironmentType"]),
        (changed(legs=None), ["legs"]),
        (changed(legs=MAPPING["legs"] * 2), ["legs"]),
        (changed(version="1.x"), ["version"]),
        (changed(dualWritePortal={"conflict": "x"}), ["dualWritePortal.conflict"]),
        (changed(dualWritePortal={"key": [["a"]]}), ["dualWritePortal.key[0]"]),
        (
            changed(dualWritePortal={"lookups": [{"side": "finops", "column": "a"}]}),
            [
                "dualWritePortal.lookups[0].table",
                "dualWritePortal.lookups[0].reference",
            ],
        ),
        ([], [""]),
        ("text", ["", "legs"]),
        ({"value": []}, [""]),
    ],
)
def test_a_mistake_is_found_at_its_place(document: Any, places: list[str]) -> None:
    assert problems(json.dumps(document)) == places


@pytest.mark.parametrize("text", ["", "{", "maps:\n- a", '{"a": NaN}', "[" * 9999])
def test_what_is_not_json_is_refused(text: str) -> None:
    assert problems(text) == [""]


def test_bad_json_names_its_line() -> None:
    with pytest.raises(FileError, match="line 2: This is not JSON"):
        parse_product_maps('{\n"legs": oops}')


def test_a_member_given_twice_is_a_mistake() -> None:
    text = json.dumps(MAPPING).replace('"No": 806380000', '"All": 1')
    place = "legs[0].fieldMappings[2].valueTransforms[0].valueMap.All"
    assert problems(text) == [place]


def test_one_map_is_expected_where_one_is_asked_for() -> None:
    with pytest.raises(FileError, match="One map is expected, not 2"):
        parse_product_map(json.dumps([MAPPING, MAPPING]))


SHARED = ColumnMap(
    "a", "e", ColumnMapType.BOTH_TRANSFORM, values=(("no", "False"),), value_map="YN"
)
TABLE = DecisionTable(
    ("status", "number"),
    (
        DecisionRule((("Open",), ALWAYS), "Submitted", ("Draft", "blank")),
        DecisionRule((("a", "b"), ("*",)), "blank"),
    ),
)


def test_what_the_original_product_would_not_take_over_is_told() -> None:
    usual = replace(EXPECTED, key=())
    assert beyond_product(usual) == ()
    ours = replace(
        EXPECTED,
        key=(KeyPair("CUSTOMERACCOUNT", "accountnumber"),),
        conflict=ConflictPolicy.MANUAL,
        columns=(
            ColumnMap(
                "a", "b", ColumnMapType.BOTH_TRANSFORM, None, (("x", "1"), ("x", "2"))
            ),
            ColumnMap("c", "d", ColumnMapType.TO_DATAVERSE, "default"),
            replace(SHARED, sticky=True),
            ColumnMap(None, "f", ColumnMapType.TO_DATAVERSE_TRANSFORM, decision=TABLE),
            ColumnMap(None, "g", ColumnMapType.TO_DATAVERSE_TRANSFORM, expression="a"),
        ),
    )
    assert [each.place for each in beyond_product(ours)] == [
        "dualWritePortal.key",
        "dualWritePortal.conflict",
        "legs[0].fieldMappings[0].dualWritePortal.values",
        "legs[0].fieldMappings[1].dualWritePortal.type",
        "legs[0].fieldMappings[2].dualWritePortal.valueMap",
        "legs[0].fieldMappings[2].dualWritePortal.sticky",
        "legs[0].fieldMappings[3].dualWritePortal.type",
        "legs[0].fieldMappings[3].dualWritePortal.decision",
        "legs[0].fieldMappings[4].dualWritePortal.type",
        "legs[0].fieldMappings[4].dualWritePortal.expression",
    ]
    assert parse_product_map(dump_product_map(ours)).table_map == ours


def test_alike_leftovers_are_one_line_of_the_summary() -> None:
    lines = [{**LINES[0], "sourceField": name} for name in "AB"]
    found = read(changed(**with_leg(fieldMappings=lines), description="Hello"))
    assert summary(found.leftovers) == [
        "legs[].fieldMappings[].isSystemGenerated (2 times): The portal makes no "
        "lines by itself.",
        "description = Hello: The portal's maps have no place for it.",
    ]


def test_every_ready_made_map_survives_a_file() -> None:
    made = [catalog.table_map(entry) for entry in catalog.entries()]
    found = parse_product_maps(dump_product_maps(made))
    assert [each.table_map for each in found] == made
    assert all(each.complete and not each.leftovers for each in found)


def keepable(table_map: TableMap) -> bool:
    """Without NUL, which no database keeps, and `none`, which means no column."""
    ends = [end for c in table_map.columns for end in (c.finops, c.dataverse)]
    return "\\x00" not in repr(table_map) and all(
        end is None or end.casefold() != "none" for end in ends
    )


@settings(deadline=None, max_examples=examples(100))
@given(table_maps().filter(keepable))
def test_what_is_written_is_read_back_exactly(table_map: TableMap) -> None:
    text = dump_product_map(table_map)
    found = parse_product_map(text)
    assert found.table_map == table_map
    assert found.leftovers == ()
    assert found.complete
    assert dump_product_map(found.table_map) == text


MEMBERS = [
    "legs",
    "fieldMappings",
    "valueTransforms",
    "valueMap",
    "version",
    "name",
    "environments",
    "schemas",
    "entityMappingTasks",
    "template",
    "dualWritePortal",
    "value",
    "maps",
    "msdyn_mapping",
    "key",
    "syncDirection",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4)
    ),
    max_leaves=15,
)


@settings(deadline=None)
@given(JSON)
def test_any_document_is_read_or_refused_with_problems(document: Any) -> None:
    try:
        found = parse_product_maps(json.dumps(document))
    except FileError as error:
        refused = error
    else:
        assert found
        return
    assert refused.problems


@settings(deadline=None)
@given(st.text(max_size=100))
def test_any_text_is_read_or_refused_with_problems(text: str) -> None:
    with pytest.raises(FileError):
        parse_product_maps(text)


@settings(deadline=None, max_examples=examples(50))
@given(JSON)
def test_whatever_is_added_is_listed_when_it_says_anything(extra: Any) -> None:
    found = read(changed(addition=extra))
    assert ("addition" in left(found)) is (
        extra is not None and extra is not False and (extra == 0 or bool(extra))
    )
