"""`dw catalog`, `dw import` and `dw export --format dualwrite-json`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from portal.activity.models import ActivityEvent
from portal.environments.models import ConnectionSet
from portal.maps.configuration import stored_document
from portal.maps.models import MapState, TableMap
from portal.refusals import Refusal
from syncengine import catalog
from syncengine.mapping.model import (
    ConflictPolicy,
    KeyPair,
    LookupDeclaration,
    Side,
)
from syncengine.mapping.product_json import dump_product_map, parse_product_map
from tests.factories import make_connection_set, make_definition, make_map
from tests.mapping.test_product_json import EXPECTED, MAPPING
from tests.portal.test_command_line import Outcome, dw

pytestmark = pytest.mark.django_db

ACCOUNTS = "Customers V3 (accounts)"


@pytest.fixture
def contoso() -> ConnectionSet:
    return make_connection_set(name="contoso")


def dw_json(*arguments: str, code: int = 0) -> Any:
    done = dw(*arguments, "--json")
    assert done.code == code, done.err
    return done.document


def write(path: Path, document: Any) -> str:
    text = document if isinstance(document, str) else json.dumps(document)
    path.write_text(text, encoding="utf-8")
    return str(path)


def store(contoso: ConnectionSet, name: str, **changes: object) -> TableMap:
    return make_map(contoso, definition=make_definition(name, **changes))


def reasons(done: Outcome) -> list[str]:
    """The sentences of a failure; it says them once, on standard error."""
    assert done.code == 1
    assert not done.out
    return done.err.splitlines()


# The catalog


def test_the_catalog_lists_every_ready_made_map() -> None:
    listed = dw_json("catalog")["catalog"]
    assert [entry["name"] for entry in listed] == [e.name for e in catalog.entries()]
    accounts = next(entry for entry in listed if entry["name"] == ACCOUNTS)
    assert accounts["finops_table"] == "customersv3"
    assert accounts["dataverse_table"] == "accounts"
    assert accounts["key"] == [["CUSTOMERACCOUNT", "accountnumber"]]
    assert accounts["direction"] == "both"
    assert "Customer groups" in accounts["related_maps"]
    text = dw("catalog").out.splitlines()
    assert len(text) == len(listed) + 1
    assert any(line.startswith("Customers V3 -> accounts ") for line in text)


def test_the_catalog_is_narrowed_by_every_filter(contoso: ConnectionSet) -> None:
    def names(*arguments: str) -> list[str]:
        return [each["name"] for each in dw_json("catalog", *arguments)["catalog"]]

    assert names("--search", "terms OF pay") == ["Terms of payment"]
    assert names("--search", "MSDYN_CUSTOMERGROUPS") == ["Customer groups"]
    notes = names("--package", "Notes")
    assert len(notes) == 4
    assert names("--package", "notes", "--concept", "tax") == []
    assert names("--direction", "dataverse_to_finops") == [
        "Mixed reality guides entity"
    ]
    assert "No ready-made map fits" in dw("catalog", "--search", "nothing like").out
    [found, *_] = dw_json("catalog", "--search", "onholdstatus")["catalog"]
    assert found["found_in_columns"] == ["ONHOLDSTATUS", "msdyn_onholdstatus"]
    dw_json("catalog", "--install", "Units")
    assert "Units" in names("--installed", "yes")
    assert len(names("--installed", "yes")) + len(names("--installed", "no")) == 135
    [units] = dw_json("catalog", "--search", "UnitsOfMeasure")["catalog"]
    assert units["installed"] == ["contoso/Units"]


def test_one_map_is_shown_whole(contoso: ConnectionSet) -> None:
    shown = dw_json("catalog", "customers v3 (accounts)")["map"]
    entry = catalog.find(ACCOUNTS)
    assert len(shown["lines"]) == shown["columns"] == len(entry.columns)
    assert shown["lines"][0].keys() == {
        "finops",
        "type",
        "dataverse",
        "default",
        "values",
    }
    assert shown["needs"].index("Terms of payment") < shown["needs"].index(
        "Customer groups"
    )
    assert ACCOUNTS in dw_json("catalog", "Customer groups")["map"]["needed_by"]
    text = dw("catalog", "Fiscal calendar period").out
    assert "corrected columns CALENDAR msdyn_fiscalcalendar.msdyn_calendar: >" in text
    assert "instead of the published =" in text
    assert "(inferred)" in dw("catalog", "Asset management manufacturers").out


def test_a_plan_of_an_installation_changes_nothing(contoso: ConnectionSet) -> None:
    dw_json("catalog", "--install", "Terms of payment")
    planned = dw_json("catalog", "--install", "Customer groups", "--plan")
    assert planned["plan"] is True
    assert {"name": "Terms of payment", "map": "Terms of payment"} in planned["present"]
    done = dw_json("catalog", "--install", "Customer groups")
    assert {**planned, "plan": False} == done
    assert "Nothing was changed" in dw("catalog", "--install", "Units", "--plan").out
    assert not TableMap.objects.filter(name="Units").exists()


def test_an_installation_is_in_the_activity_log(contoso: ConnectionSet) -> None:
    done = dw_json("catalog", "--install", "Customer groups")
    event = ActivityEvent.objects.get(kind="connection_set.installed")
    assert event.details["maps"] == done["installed"]
    assert event.message.endswith("added to contoso, for Customer groups.")
    dw_json("catalog", "--install", "Customer groups")
    assert ActivityEvent.objects.filter(kind="connection_set.installed").count() == 1


def test_a_map_is_installed_with_those_it_refers_to_in_order(
    contoso: ConnectionSet,
) -> None:
    done = dw_json("catalog", "--install", "Customer groups")
    assert done["connection_set"] == "contoso"
    assert done["installed"][-1] == "Customer groups"
    assert "Terms of payment" in done["installed"]
    assert done["present"] == []
    stored = {each.table_map.name: each.table_map for each in stored_document().maps}
    assert set(stored) == set(done["installed"])
    entry = catalog.find("Customer groups")
    assert stored["Customer groups"] == catalog.table_map(entry)
    states = set(TableMap.objects.values_list("state", flat=True))
    assert states == {MapState.NOT_RUNNING}


def test_installing_again_changes_nothing(contoso: ConnectionSet) -> None:
    first = dw_json("catalog", "--install", "notes")
    again = dw_json("catalog", "--install", "notes")
    assert again["installed"] == []
    assert {row["name"] for row in again["present"]} == set(first["installed"])


def test_a_map_of_the_same_tables_is_there_already(contoso: ConnectionSet) -> None:
    store(
        contoso,
        "terms",
        finops_table="PaymentTerms",
        dataverse_table="MSDYN_PaymentTerms",
    )
    done = dw_json("catalog", "--install", "Customer groups")
    assert {"name": "Terms of payment", "map": "terms"} in done["present"]
    assert "Terms of payment" not in done["installed"]
    text = dw("catalog", "--install", "Terms of payment").out
    assert "contoso/terms is there already for Terms of payment" in text


def test_all_135_maps_can_be_installed_and_survive_a_file(
    contoso: ConnectionSet, tmp_path: Path
) -> None:
    done = dw_json("catalog", "--install", *catalog.packages())
    assert len(done["installed"]) == 135
    stored = {each.table_map for each in stored_document().maps}
    assert stored == {catalog.table_map(entry) for entry in catalog.entries()}
    file = write(tmp_path / "all.json", dw("export", "--format", "dualwrite-json").out)
    rows = dw_json("import", file, "--plan")["maps"]
    assert [row["operation"] for row in rows] == ["unchanged"] * 135
    assert not any(row["notes"] for row in rows)


def test_an_unknown_name_installs_nothing(contoso: ConnectionSet) -> None:
    error = dw_json("catalog", "--install", "Units", "Unitz", code=1)["error"]
    assert error["code"] == "not_in_catalog"
    assert "Close to it: Units" in error["message"]
    assert not TableMap.objects.exists()


def test_a_name_that_fits_several_maps_is_refused(contoso: ConnectionSet) -> None:
    error = dw_json("catalog", "--install", "Customers V3", code=1)["error"]
    assert error["code"] == "ambiguous"
    assert ACCOUNTS in error["message"]


def test_the_connection_set_is_named_where_there_are_several(
    contoso: ConnectionSet,
) -> None:
    make_connection_set(name="fabrikam")
    error = dw_json("catalog", "--install", "Units", code=1)["error"]
    assert error["code"] == "ambiguous"
    assert "contoso, fabrikam" in error["message"]
    arguments = ("catalog", "--install", "Units", "--connection-set")
    assert dw_json(*arguments, "nowhere", code=1)["error"]["code"] == "not_found"
    assert dw_json(*arguments, "fabrikam")["connection_set"] == "fabrikam"
    assert {m.connection_set.name for m in TableMap.objects.all()} == {"fabrikam"}


def test_without_a_connection_set_nothing_can_be_installed() -> None:
    error = dw_json("catalog", "--install", "Units", code=1)["error"]
    assert error["code"] == "not_found"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--connection-set", "contoso"),
        ("--plan",),
        ("--package", "notes", "--install", "Units"),
        ("Units", "--search", "x"),
        ("--direction", "sideways"),
    ],
)
def test_options_that_do_not_go_together_are_bad_usage(
    arguments: tuple[str, ...],
) -> None:
    with pytest.raises((CommandError, SystemExit)):
        dw("catalog", *arguments)


# Import


def test_a_map_of_the_original_product_becomes_a_map(
    contoso: ConnectionSet, tmp_path: Path
) -> None:
    file = write(tmp_path / "customers.json", MAPPING)
    [row] = dw_json("import", file)["maps"]
    assert row["name"] == ACCOUNTS
    assert (row["file"], row["operation"]) == (file, "create")
    assert row["connection_set"] == "contoso"
    assert "Customers V3 is the table customersv3." in row["notes"]
    assert [each["place"] for each in row["not_carried"]] == [
        "legs[0].fieldMappings[0].isSystemGenerated",
        "legs[0].fieldMappings[1].destinationLookupFieldRelatedEntity",
    ]
    [stored] = stored_document().maps
    assert stored.table_map == replace(
        EXPECTED,
        name=ACCOUNTS,
        finops_table="customersv3",
        key=(KeyPair("CUSTOMERACCOUNT", "accountnumber"),),
    )


def test_importing_lists_in_words_what_is_not_carried(
    contoso: ConnectionSet, tmp_path: Path
) -> None:
    document = {**MAPPING, "description": "Ours", "name": "mine"}
    done = dw("import", write(tmp_path / "a.json", document))
    assert done.code == 0
    assert "+ map contoso/mine" in done.out
    assert "not carried: description = Ours" in done.out


def test_a_map_without_a_known_key_says_so(
    contoso: ConnectionSet, tmp_path: Path
) -> None:
    document = json.dumps(MAPPING).replace("Customers V3", "Clients")
    [row] = dw_json("import", write(tmp_path / "a.json", document))["maps"]
    assert row["name"] == "Clients (accounts)"
    assert any("No integration key" in note for note in row["notes"])


def test_the_next_version_keeps_what_the_file_does_not_say(
    contoso: ConnectionSet, tmp_path: Path
) -> None:
    store(
        contoso,
        "own name",
        finops_table="customersv3",
        dataverse_table="accounts",
        key=(KeyPair("customeraccount", "accountnumber"),),
        conflict=ConflictPolicy.FINOPS_WINS,
    )
    file = write(tmp_path / "a.json", {**MAPPING, "version": "2.0.0.0"})
    [row] = dw_json("import", file)["maps"]
    assert (row["name"], row["operation"]) == ("own name", "update")
    assert "version: 1.0.0.0 -> 2.0.0.0" in row["details"]
    [stored] = stored_document().maps
    assert stored.table_map.conflict is ConflictPolicy.FINOPS_WINS
    assert stored.table_map.key == (KeyPair("customeraccount", "accountnumber"),)
    assert stored.table_map.columns == EXPECTED.columns
    [row] = dw_json("import", file)["maps"]
    assert row["operation"] == "unchanged"


def test_the_version_must_rise_and_nothing_is_imported_in_part(
    contoso: ConnectionSet, tmp_path: Path
) -> None:
    store(contoso, "customers")
    other = write(tmp_path / "other.json", dump_product_map(make_definition("other")))
    lower = make_definition("customers", version="0.9.0.0")
    file = write(tmp_path / "lower.json", dump_product_map(lower))
    error = dw_json("import", other, file, code=1)["error"]
    assert error["code"] == "configuration_refused"
    assert any("raise the version" in reason for reason in error["reasons"])
    assert TableMap.objects.count() == 1


def test_a_map_that_is_not_stopped_takes_no_import(
    contoso: ConnectionSet, tmp_path: Path
) -> None:
    table_map = store(contoso, "customers")
    TableMap.objects.filter(pk=table_map.pk).update(state=MapState.RUNNING)
    higher = make_definition("customers", version="2.0.0.0")
    file = write(tmp_path / "a.json", dump_product_map(higher))
    error = dw_json("import", file, code=1)["error"]
    assert any("stop it first" in reason for reason in error["reasons"])


def test_one_map_in_two_files_is_refused(
    contoso: ConnectionSet, tmp_path: Path
) -> None:
    files = [write(tmp_path / name, MAPPING) for name in ("a.json", "b.json")]
    error = dw_json("import", *files, code=1)["error"]
    assert error["reasons"] == [f"Map {ACCOUNTS} comes more than once."]


def test_bad_files_are_named_with_the_place(
    contoso: ConnectionSet, tmp_path: Path
) -> None:
    bad = write(tmp_path / "bad.json", {**MAPPING, "version": "x"})
    empty = write(tmp_path / "maps.yaml", "environments: []")
    wrong = write(tmp_path / "wrong.yml", "maps: [{name: m}]")
    broken = write(tmp_path / "broken.txt", "[1,")
    said = reasons(dw("import", bad, empty, wrong, broken))
    assert said[0] == "The files cannot be imported; nothing was changed."
    assert said[1].startswith(f"  - {bad}, version: x must be four numbers")
    assert said[2] == f"  - {empty}: There is no map in this file."
    assert said[3].startswith(f"  - {wrong}, line 1: maps[0]")
    assert said[-1].startswith(f"  - {broken}, line 1: This is not JSON")
    assert dw_json("import", bad, code=1)["error"]["code"] == "file_invalid"


def test_a_plan_of_an_import_changes_nothing(
    contoso: ConnectionSet, tmp_path: Path
) -> None:
    file = write(tmp_path / "a.json", {**MAPPING, "description": "Ours"})
    planned = dw_json("import", file, "--plan")
    assert planned["plan"] is True
    assert not TableMap.objects.exists()
    assert not ActivityEvent.objects.filter(kind="connection_set.imported").exists()
    assert dw_json("import", file) == {**planned, "plan": False}
    event = ActivityEvent.objects.get(kind="connection_set.imported")
    assert event.connection_set == contoso
    assert event.details["maps"] == [ACCOUNTS]
    assert any("description = Ours" in each for each in event.details["not_carried"])
    assert "Nothing was changed: this is the plan." in dw("import", file, "--plan").out
    assert dw_json("import", file)["maps"][0]["operation"] == "unchanged"
    assert ActivityEvent.objects.filter(kind="connection_set.imported").count() == 1


def test_an_import_tells_of_shared_value_maps(
    contoso: ConnectionSet, tmp_path: Path
) -> None:
    text = (
        'value_maps: [{name: YN, values: {no: "0"}}]\nmaps: [{name: flags, '
        "connection_set: contoso, finops: a, dataverse: b, columns: [{finops: c, "
        'type: "><", dataverse: d, value_map: YN}]}]'
    )
    file = write(tmp_path / "a.yaml", text)
    assert "+ value map YN" in dw("import", file, "--plan").out
    done = dw_json("import", file)
    assert done["value_maps"] == [{"name": "YN", "operation": "create", "details": []}]
    assert stored_document().maps[0].table_map.columns[0].values == (("no", "0"),)


def test_the_maps_of_a_yaml_file_move_into_another_connection_set(
    contoso: ConnectionSet, tmp_path: Path
) -> None:
    store(contoso, "customers", conflict=ConflictPolicy.MANUAL)
    store(contoso, "vendors")
    file = write(tmp_path / "all.yaml", dw("export").out)
    make_connection_set(name="fabrikam")
    rows = dw_json("import", file, "--connection-set", "fabrikam")["maps"]
    assert [(row["name"], row["operation"]) for row in rows] == [
        ("customers", "create"),
        ("vendors", "create"),
    ]
    assert [each["place"] for each in rows[0]["not_carried"]] == [
        "maps[0].connection_set",
        "environments[0]",
        "environments[1]",
        "connection_sets[0]",
    ]
    assert [each["place"] for each in rows[1]["not_carried"]] == [
        "maps[1].connection_set"
    ]
    stored = [(each.connection_set, each.table_map) for each in stored_document().maps]
    assert len(stored) == 4
    assert [m for name, m in stored if name == "contoso"] == [
        m for name, m in stored if name == "fabrikam"
    ]


def test_a_missing_file_is_a_sentence(contoso: ConnectionSet) -> None:
    assert reasons(dw("import", "nowhere.json")) == [
        "nowhere.json cannot be read: No such file or directory."
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"finops_table": "t" * 64}, "64 characters, 63 at most"),
        ({"name": "n" * 201}, "201 characters, 200 at most"),
        (
            {"lookups": (LookupDeclaration(Side.FINOPS, "a", "t", "id"),) * 2},
            "declared twice",
        ),
    ],
)
def test_a_definition_no_row_can_hold_is_refused(
    contoso: ConnectionSet, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    unfit = replace(make_definition("customers"), **changes)
    file = write(tmp_path / "a.json", dump_product_map(unfit))
    error = dw_json("import", file, code=1)["error"]
    assert any(reason in each for each in error["reasons"])
    assert not TableMap.objects.exists()


def test_a_definition_with_a_nul_is_refused(contoso: ConnectionSet) -> None:
    with pytest.raises(Refusal) as caught:
        store(contoso, "customers", finops_filter='a == "\0"')
    assert caught.value.code == "definition_invalid"
    assert store(contoso, "customers", finops_filter='a == "\\x00"').pk


def test_import_without_files_is_bad_usage() -> None:
    with pytest.raises((CommandError, SystemExit)):
        dw("import")


# Export


def test_an_exported_map_is_the_same_when_imported_elsewhere(
    contoso: ConnectionSet, tmp_path: Path
) -> None:
    store(contoso, "customers", conflict=ConflictPolicy.MANUAL)
    before = stored_document().maps[0].table_map
    done = dw("export", "--format", "dualwrite-json", "customers")
    assert parse_product_map(done.out).table_map == before
    assert "customers: not carried: dualWritePortal.conflict = manual" in done.err
    make_connection_set(name="fabrikam")
    file = write(tmp_path / "a.json", done.out)
    [row] = dw_json("import", file, "--connection-set", "fabrikam")["maps"]
    assert (row["operation"], row["notes"], row["not_carried"]) == ("create", [], [])
    assert [each.table_map for each in stored_document().maps] == [before, before]


def test_the_exported_document_lists_what_is_not_carried(
    contoso: ConnectionSet, tmp_path: Path
) -> None:
    store(contoso, "one", conflict=ConflictPolicy.MANUAL)
    store(contoso, "two")
    done = dw_json("export", "--format", "dualwrite-json")
    assert [each["name"] for each in done["maps"]] == ["one", "two"]
    assert {
        "map": "one",
        "place": "dualWritePortal.conflict",
        "value": "manual",
        "reason": "The original product has no such setting.",
    } in done["not_carried"]
    rows = dw_json("import", write(tmp_path / "all.json", done))["maps"]
    assert [row["operation"] for row in rows] == ["unchanged", "unchanged"]


def test_maps_and_a_connection_set_at_once_are_bad_usage(
    contoso: ConnectionSet,
) -> None:
    store(contoso, "one")
    with pytest.raises((CommandError, SystemExit)):
        dw("export", "one", "--connection-set", "contoso")


def test_an_unknown_format_is_bad_usage() -> None:
    with pytest.raises((CommandError, SystemExit)):
        dw("export", "--format", "xml")
