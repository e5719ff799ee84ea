"""`manage.py dw` as scripts use it: exit codes, one JSON document, all or none."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.jobs.pair import Pair
from tests.jobs.portal import Portal, Ran

TABLES = (
    "environments_environment",
    "environments_connectionset",
    "environments_legalentity",
    "maps_tablemap",
    "maps_mapversion",
    "maps_columnmap",
    "activity_activityevent",
)


def configuration(portal: Portal) -> list[Any]:
    """Every row the portal keeps of its configuration, and of what was done to it."""
    return [
        portal.rows(f"SELECT jsonb_agg(to_jsonb(t) ORDER BY id) FROM {table} t")
        for table in TABLES
    ]


def one_document(ran: Ran) -> Any:
    """Standard output as JSON: one document, and nothing after it."""
    document, end = json.JSONDecoder().raw_decode(ran.out)
    assert ran.out[end:].strip() == "", ran.out
    return document


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "m", "--master", "nobody"],
        ["retry"],
        ["retry", "--all", "--map", "m"],
        ["retry", "one"],
        ["status", "--colour"],
    ],
    ids=" ".join,
)
def test_bad_usage_ends_with_two(portal: Portal, arguments: list[str]) -> None:
    if arguments in (["fly"], ["retry"]):  # two as processes, all as commands
        ran = portal.dw(*arguments)
        assert (ran.code, ran.out) == (2, ""), ran
        assert "usage:" in ran.err
        assert "Traceback" not in ran.err
    assert portal.ask(*arguments).code == 2


def test_a_failure_ends_with_one_and_says_why(portal: Portal) -> None:
    ran = portal.dw("pause", "Nowhere", "--json")
    assert ran.code == 1
    assert one_document(ran)["error"]["code"] == "not_found"
    assert ran.err.startswith("There is no map Nowhere.")
    assert "Traceback" not in ran.err
    for arguments in (
        ["apply", "/nowhere.yaml"],
        ["compare", "Nowhere"],
        ["retry", "0"],
    ):
        ran = portal.ask(*arguments, "--json")
        assert ran.code == 1, ran
        assert one_document(ran)["error"]["message"] in ran.err


def test_a_plan_shows_the_difference_and_changes_nothing(
    make_pair: Callable[..., Pair], portal: Portal
) -> None:
    pair = make_pair(apply=False)
    path = pair.file()
    before = configuration(portal)
    ran = portal.dw("apply", path, "--plan", "--json")
    assert ran.code == 0, ran
    plan = one_document(ran)
    assert plan["plan"] is True
    assert plan["changed"] is False
    assert [d["operation"] for d in plan["differences"]] == ["create"] * 5
    assert configuration(portal) == before

    ran = portal.dw("apply", path, "--json")
    assert ran.code == 0, ran
    assert one_document(ran)["changed"] is True
    applied = configuration(portal)
    assert applied != before
    again = portal.must("apply", path)
    assert again["changed"] is False
    assert {d["operation"] for d in again["differences"]} == {"unchanged"}
    assert configuration(portal) == applied

    changed = copy.deepcopy(pair.document)
    changed["maps"][1]["version"] = "1.0.0.1"
    changed["maps"][1]["columns"].pop(5)
    plan = portal.must("apply", pair.file(changed), "--plan")
    (update,) = [d for d in plan["differences"] if d["operation"] != "unchanged"]
    assert update["operation"] == "update"
    assert update["name"].endswith(f"customers {pair.name}")
    assert "memo" in str(update["details"])
    assert configuration(portal) == applied

    broken = copy.deepcopy(pair.document)
    broken["maps"][1]["columns"][0]["type"] = "=>"
    ran = portal.ask("apply", pair.file(broken), "--json")
    assert ran.code == 1
    assert "=>" in ran.err
    assert configuration(portal) == applied

    exported = portal.ask("export", *pair.maps)
    assert exported.code == 0
    document = yaml.safe_load(exported.out)
    assert {entry["name"] for entry in document["maps"]} == set(pair.maps)


def test_actions_are_done_to_all_maps_or_none_and_say_why(
    make_pair: Callable[..., Pair], portal: Portal
) -> None:
    pair = make_pair()
    groups, customers = pair.maps
    pair.erp.execute("INSERT INTO groups VALUES ('usmf', 'G', '')")
    ran = portal.dw("run", groups, "--wait", "--json")
    assert ran.code == 0, ran
    document = one_document(ran)
    assert [(m["name"], m["state"]) for m in document["maps"]] == [(groups, "running")]
    assert document["maps"][0]["run"]["failed"] == 0

    ran = portal.dw("pause", groups, customers, "--json")
    assert ran.code == 1
    error = one_document(ran)["error"]
    assert error["message"].startswith("None of the 2 maps was changed")
    assert error["reasons"] == [
        f"{customers} is Not running, so it cannot pause: only a running map can be "
        "paused."
    ]
    assert error["reasons"][0] in ran.err
    assert {name: state for name, (state, _) in pair.states().items()} == {
        groups: "running",
        customers: "not_running",
    }

    ran = portal.dw("run", customers, "--skip-initial-sync")
    assert ran.code == 0
    assert ran.out.strip() == f"{customers}: Running"
    document = portal.must("pause", groups, customers)
    assert [m["state"] for m in document["maps"]] == ["paused", "paused"]
    again = portal.must("pause", groups, customers)
    assert [m["changed"] for m in again["maps"]] == [False, False]

    pair.erp.execute("INSERT INTO groups VALUES ('usmf', 'QUEUED', '')")
    ran = portal.ask("status")
    assert f"  {groups}" in ran.out
    pair.wait_value(
        "SELECT count(*) FROM crmgroups WHERE groupid = 'QUEUED'", 0, side="crm"
    )
    portal.must("resume", groups, customers)
    pair.wait_for("running")
    pair.wait_value(
        "SELECT count(*) FROM crmgroups WHERE groupid = 'QUEUED'", 1, side="crm"
    )
    document = portal.must("stop", groups, customers)
    assert [m["state"] for m in document["maps"]] == ["not_running", "not_running"]
    pair.erp.execute("INSERT INTO groups VALUES ('usmf', 'LATE', '')")
    compared = portal.ask("compare", groups, "--json")
    assert compared.code == 1
    document = one_document(compared)
    assert document.pop("id") > 0
    assert document == {
        "map": groups,
        "compared": 3,
        "equal": 2,
        "missing_in_finops": 0,
        "missing_in_dataverse": 1,
        "different": 0,
        "unclaimed": 0,
        "examples": [
            {
                "kind": "missing_in_dataverse",
                "key": ["USMF", "LATE"],
                "reason": "",
                "columns": [],
            }
        ],
    }
