"""Shared value maps: changing them, files that have them, and the command."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from portal.accounts.models import User
from portal.activity.models import ActivityEvent
from portal.environments.models import ConnectionSet
from portal.maps import value_maps
from portal.maps.configuration import apply_document, export_document, stored_document
from portal.maps.conversion import to_engine
from portal.maps.models import MapState, SharedValueMap, TableMap
from portal.maps.shared_values import pairs_of
from portal.maps.versions import create_version
from portal.refusals import ActionForbidden, ConfigurationRefused, NotFound, Refusal
from syncengine.mapping.files import Document, MapFile, parse_document
from syncengine.mapping.model import ColumnMap, ColumnMapType
from tests.factories import make_connection_set, make_definition, make_map
from tests.portal.test_command_line import dw

pytestmark = pytest.mark.django_db

YN = (("no", "False"), ("yes", "True"))
NEW = (("no", "0"), ("yes", "1"))
SHARED = ColumnMap("flag", "flag", ColumnMapType.BOTH_TRANSFORM, value_map="YN")


@pytest.fixture
def contoso() -> ConnectionSet:
    return make_connection_set(name="contoso")


def make(
    contoso: ConnectionSet,
    name: str = "customers",
    state: MapState = MapState.NOT_RUNNING,
    line: ColumnMap = SHARED,
) -> TableMap:
    plain = make_definition(name)
    definition = replace(plain, columns=(*plain.columns, line))
    return make_map(contoso, state=state, definition=definition)


def last_line(table_map: TableMap) -> ColumnMap:
    table_map.refresh_from_db()
    assert table_map.version is not None
    return to_engine(table_map.version).columns[-1]


def test_a_version_takes_the_pairs_and_keeps_them(contoso: ConnectionSet) -> None:
    value_maps.save("YN", YN)
    table_map = make(contoso)
    first = table_map.version
    assert last_line(table_map) == replace(SHARED, values=YN)
    user = User.objects.create_user("ann")
    done = value_maps.save("YN", NEW, user=user)
    assert done.changes == ("no: False -> 0", "yes: True -> 1")
    assert [str(version) for version in done.versions] == [
        str(table_map.version)[:-1] + "1"
    ]
    assert last_line(table_map).values == NEW
    table_map.refresh_from_db()
    assert table_map.version != first
    assert table_map.versions.count() == 2
    event = ActivityEvent.objects.get(kind="value_map.changed")
    assert (event.user, event.details["value_map"]) == (user, "YN")
    assert not value_maps.save("YN", NEW).changed
    assert table_map.versions.count() == 2


def test_no_map_changes_while_one_that_uses_it_runs(contoso: ConnectionSet) -> None:
    value_maps.save("YN", YN)
    stopped = make(contoso, "stopped")
    make(contoso, "running", MapState.RUNNING)
    make(contoso, "paused", MapState.PAUSED)
    with pytest.raises(ActionForbidden) as caught:
        value_maps.save("YN", NEW)
    assert caught.value.reasons == (
        "contoso/running is Running: stop it first.",
        "contoso/paused is Paused: stop it first.",
    )
    assert pairs_of() == {"YN": YN}
    assert last_line(stopped).values == YN


def test_the_next_version_is_above_every_earlier_one(contoso: ConnectionSet) -> None:
    value_maps.save("YN", YN)
    table_map = make(contoso)
    table_map.refresh_from_db()
    assert table_map.version is not None
    definition = to_engine(table_map.version)
    create_version(table_map, replace(definition, version="3.0.0.9"))
    value_maps.save("YN", NEW)
    table_map.refresh_from_db()
    assert table_map.version is not None
    assert table_map.version.version == "3.0.0.10"


def test_a_map_cannot_name_what_there_is_not(contoso: ConnectionSet) -> None:
    with pytest.raises(Refusal) as caught:
        make(contoso)
    assert caught.value.code == "value_map_missing"
    assert not TableMap.objects.exists()


def test_pairs_under_an_unknown_name_make_it_known(contoso: ConnectionSet) -> None:
    make(contoso, line=replace(SHARED, values=YN))
    assert pairs_of() == {"YN": YN}


@pytest.mark.parametrize(
    ("name", "pairs"),
    [("", YN), ("x" * 101, YN), ("a", ()), ("yn", YN), ("a", (("\0", "1"),))],
)
def test_what_cannot_be_saved_is_refused(name: str, pairs: Any) -> None:
    value_maps.save("YN", YN)
    with pytest.raises(Refusal) as caught:
        value_maps.save(name, pairs)
    assert caught.value.code == "value_map_invalid"
    assert len(caught.value.reasons) == 1


def test_what_is_in_use_is_not_deleted(contoso: ConnectionSet) -> None:
    value_maps.save("YN", YN)
    make(contoso)
    stored = SharedValueMap.objects.get()
    with pytest.raises(ActionForbidden, match="in use"):
        value_maps.delete(stored)
    TableMap.objects.update(version=None)
    value_maps.delete(stored)
    assert not SharedValueMap.objects.exists()
    assert ActivityEvent.objects.filter(kind="value_map.deleted").exists()


def test_ready_made_ones_are_taken_over_once() -> None:
    assert value_maps.add_ready_made("hold").name == "HOLD"
    with pytest.raises(Refusal, match="already"):
        value_maps.add_ready_made("HOLD")
    with pytest.raises(NotFound, match="LANG"):
        value_maps.add_ready_made("HOLDS")


# Files


def test_a_file_brings_value_maps_and_maps_that_name_them(
    contoso: ConnectionSet,
) -> None:
    value_maps.save("other", YN)
    value_maps.save("YN", YN)
    table_map = make(contoso)
    text = export_document([table_map])
    assert text.count("False") == 1
    assert "other" not in text
    document = parse_document(text, {"FINOPS_1_DSN": "x"} | _dsns(text))
    assert document.value_maps[0].values == YN
    assert stored_document().value_maps[0].name == "YN"
    TableMap.objects.update(version=None)
    TableMap.objects.all().delete()
    SharedValueMap.objects.all().delete()
    done = apply_document(replace(document, environments=(), connection_sets=()))
    assert [(each.kind.value, each.operation.value) for each in done] == [
        ("value_map", "create"),
        ("map", "create"),
    ]
    assert last_line(TableMap.objects.get()) == replace(SHARED, values=YN)
    again = apply_document(replace(document, environments=(), connection_sets=()))
    assert {each.operation.value for each in again} == {"unchanged"}


def _dsns(text: str) -> dict[str, str]:
    return dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "dsn")


def test_a_file_says_the_version_of_its_own_maps(contoso: ConnectionSet) -> None:
    value_maps.save("YN", YN)
    inside, outside = make(contoso, "inside"), make(contoso, "outside")
    whole = stored_document([inside])
    changed = replace(
        whole,
        value_maps=(replace(whole.value_maps[0], values=NEW),),
        maps=tuple(
            replace(
                entry,
                table_map=replace(
                    entry.table_map,
                    columns=tuple(
                        replace(line, values=NEW) if line.value_map else line
                        for line in entry.table_map.columns
                    ),
                ),
            )
            for entry in whole.maps
        ),
    )
    with pytest.raises(ConfigurationRefused) as caught:
        apply_document(changed)
    assert "raise the version" in caught.value.reasons[0]
    assert pairs_of() == {"YN": YN}
    raised = replace(
        changed,
        maps=tuple(
            replace(entry, table_map=replace(entry.table_map, version="2.0.0.0"))
            for entry in changed.maps
        ),
    )
    details = {each.kind.value: each.details for each in apply_document(raised)}
    assert details["value_map"][-1].startswith("map outside: version ")
    assert (last_line(inside).values, last_line(outside).values) == (NEW, NEW)
    assert inside.version is not None
    assert inside.version.version == "2.0.0.0"


def test_a_map_of_a_file_takes_the_pairs_that_are_stored(
    contoso: ConnectionSet,
) -> None:
    value_maps.save("YN", YN)
    plain = make_definition()
    named = Document(
        maps=(MapFile("contoso", replace(plain, columns=(*plain.columns, SHARED))),)
    )
    apply_document(named)
    assert last_line(TableMap.objects.get()).values == YN
    assert apply_document(named)[0].operation.value == "unchanged"
    SharedValueMap.objects.all().delete()
    with pytest.raises(ConfigurationRefused, match="cannot be applied") as caught:
        apply_document(named)
    assert "there is no value map YN" in caught.value.reasons[0]


# The command


def test_the_command_lists_shows_and_changes(
    contoso: ConnectionSet, tmp_path: Path
) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text("no,False\nyes,True\n", encoding="utf-8")
    made = dw("value-maps", "YN", "--set", str(file), "--json").document
    assert (made["created"], made["changes"], made["versions"]) == (True, [], [])
    make(contoso)
    assert dw("value-maps", "hold", "--add", "--json").document == {
        "value_map": "HOLD",
        "added": True,
    }
    listed = dw("value-maps", "--json").document
    assert [
        (one["name"], one["pairs"], one["maps"]) for one in listed["value_maps"]
    ] == [
        ("HOLD", 6, []),
        ("YN", 2, ["contoso/customers"]),
    ]
    assert [one["name"] for one in listed["ready_made"] if one["present"]] == [
        "YN",
        "HOLD",
    ]
    assert "LANG" in dw("value-maps").out
    shown = dw("value-maps", "yn", "--json").document
    assert shown["values"] == [list(pair) for pair in YN]
    assert shown["maps"][0]["state"] == "not_running"
    assert dw("value-maps", "YN").out.rstrip() == "no\tFalse\nyes\tTrue"
    file.write_text("no,0\nyes,1\nboth,1", encoding="utf-8")
    changed = dw("value-maps", "YN", "--set", str(file), "--json").document
    assert changed["changes"] == ["both = 1 added", "no: False -> 0", "yes: True -> 1"]
    assert changed["versions"][0]["map"] == "customers"
    assert "Dataverse values" in changed["notes"][0]


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text("no\nyes,True\nyes,True", encoding="utf-8")
    done = dw("value-maps", "YN", "--set", str(file))
    assert done.code == 1
    assert done.err.count("Line ") == 2
    with pytest.raises(CommandError, match="which value map"):
        dw("value-maps", "--add")
    missing = dw("value-maps", "nothing", "--json", "--add")
    assert json.loads(missing.out)["error"]["code"] == "not_found"
    assert dw("value-maps", "nothing").code == 1
    assert not SharedValueMap.objects.exists()


def test_deleting_asks_for_the_name() -> None:
    value_maps.save("YN", YN)
    assert dw("delete", "value-map", "YN", "--json").code == 2
    done = dw("delete", "value-map", "yn", "--yes", "--json")
    assert done.document == {"value_map": "YN", "deleted": True}
    assert not SharedValueMap.objects.exists()
