"""`dw setup` with a real worker: planned, made, and made though everybody dies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import yaml

from syncengine.mapping.model import Side
from tests.jobs.portal import ROOT, Portal
from tests.portal.setup_ground import HIERARCHIES, ROLES, TAX_GROUPS, make_ground
from tests.waiting import wait_until

SECONDS = 90.0
STEP = (
    "SELECT s.state FROM setup_setupstep s JOIN setup_setupdraft d ON d.id = s.draft_id"
    " WHERE d.name = 'setup-link' AND s.name = 'finops'"
)


def test_a_link_is_made_though_command_and_worker_are_killed_within_a_step(
    portal: Portal, make_database: Callable[..., str], tmp_path: Path
) -> None:
    ground = make_ground(make_database)
    file = tmp_path / "link.yaml"
    environments = [
        {
            "name": f"setup-{side.value}",
            "role": side.value,
            "connector": "postgres",
            "dsn": ground.dsns[side],
            "company": {"column": "dataareaid"}
            if side is Side.FINOPS
            else {
                "column": "msdyn_company",
                "lookup": "cdm_companies.cdm_companycode",
            },
        }
        for side in Side
    ]
    link = {
        "name": "setup-link",
        "finops": "setup-finops",
        "dataverse": "setup-dataverse",
        "legal_entities": [{"finops": "usmf", "dataverse": "USMF"}],
    }
    file.write_text(
        yaml.safe_dump({"environments": environments, "connection_sets": [link]})
    )
    command = (
        *("setup", str(file), "--maps", TAX_GROUPS, ROLES, "--master", "finops"),
        *("--fill-company", "msdyn_taxgroups=USMF"),
    )

    plan = portal.ask(*command, "--plan", "--json").json
    assert (plan["plan"], plan["created"]) == (True, False)
    names = [one["name"] for one in plan["maps"]]
    assert sorted(names) == sorted([HIERARCHIES, ROLES, TAX_GROUPS])
    assert names.index(HIERARCHIES) < names.index(ROLES)
    assert {one["kind"] for one in plan["objects"]["setup-finops"]} >= {
        "publication",
        "replication slot",
    }
    assert portal.rows("SELECT 1 FROM setup_setupdraft") == []
    missing = portal.ask("setup", str(file), "--maps", "Currencies", "--json")
    assert missing.json["error"]["code"] == "table_missing"

    # A replication slot waits for transactions that are open on its server.
    with psycopg.connect(ground.dsns[Side.FINOPS]) as holding:
        holding.execute("SELECT pg_current_xact_id()")
        running = subprocess.Popen(
            [sys.executable, "manage.py", "dw", *command],
            cwd=ROOT,
            env=portal.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(
            lambda: portal.rows(STEP) == [("working",)], SECONDS, lambda: "it waits"
        )
        running.kill()
        running.wait()
        portal.worker.kill_group()
        holding.rollback()
    given = portal.rows("SELECT state, rows FROM setup_stamping")
    assert given == [("done", 1)]
    portal.start()
    wait_until(
        lambda: portal.rows("SELECT state FROM setup_setupdraft") == [("done",)],
        SECONDS,
        lambda: (
            f"{portal.rows('SELECT name, state, message FROM setup_setupstep')}"
            f" {portal.tails()}"
        ),
    )
    wait_until(
        lambda: (
            ground.value(
                Side.DATAVERSE,
                "SELECT count(*) FROM msdyn_taxgroups WHERE msdyn_name IN ('A', 'B')",
            )
            == 2
        ),
        SECONDS,
        portal.tails,
    )
    portal.forget("setup-link")
