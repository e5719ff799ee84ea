"""From nothing to running, in a browser: two systems are linked by the wizard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import psycopg
import pytest
from playwright.sync_api import Page, expect
from psycopg.conninfo import conninfo_to_dict

from portal.sample import databases
from tests.e2e.running import RunningPortal
from tests.portal.setup_ground import CRM, ERP, HIERARCHIES, ROLES, TAX_GROUPS
from tests.waiting import wait_until

PREFIX, PASSWORD, LINK = "walked", "walked-word", "walked"
ARRIVES = 60.0


def _run(statements: str) -> databases.Seeder:
    def seed(connection: psycopg.Connection[object]) -> dict[str, int]:
        connection.execute(statements.encode())
        return {}

    return seed


@pytest.fixture
def systems(portal: RunningPortal) -> Iterator[dict[str, str]]:
    """Two systems the portal does not know, on its own server; where that is."""
    known = json.loads((portal.data / "embedded.json").read_text())
    server = databases.maintenance_dsn(known["database_url"])
    databases.create_databases(
        server, PASSWORD, PREFIX, {"finops": _run(ERP), "dataverse": _run(CRM)}
    )
    parts = conninfo_to_dict(server)
    yield {"host": str(parts["host"]), "port": str(parts["port"])}
    maps = portal.sql().execute(
        "SELECT m.name FROM maps_tablemap m JOIN environments_connectionset s"
        " ON s.id = m.connection_set_id WHERE s.name = %s",
        [LINK],
    )
    if names := [f"{LINK}/{row[0]}" for row in maps.fetchall()]:
        portal.dw("stop", *names)
    if portal.value(
        "", "SELECT 1 FROM environments_connectionset WHERE name = %s", [LINK]
    ):
        portal.dw("unlink", LINK, "--force", "--yes")
    portal.sql().execute(
        "UPDATE setup_setupdraft SET finops_id = NULL, dataverse_id = NULL"
    )
    for table in ("draftcompany", "draftmap", "setupstep"):
        portal.sql().execute(
            f"DELETE FROM setup_{table} WHERE draft_id IN"
            " (SELECT id FROM setup_setupdraft WHERE name = %s)",
            [LINK],
        )
    portal.sql().execute("DELETE FROM setup_setupdraft WHERE name = %s", [LINK])
    portal.sql().execute(
        "DELETE FROM environments_environment WHERE name LIKE 'walked%'"
    )


def _connect(page: Page, side: str, name: str, systems: dict[str, str]) -> None:
    page.locator("#new-environment").get_by_label("Name in the portal").fill(name)
    page.get_by_label("Server", exact=True).fill(systems["host"])
    page.get_by_label("Port", exact=True).fill(systems["port"])
    page.get_by_label("Database", exact=True).fill(
        databases.database_name(side, PREFIX)
    )
    page.get_by_label("Account", exact=True).fill(databases.role_name(PREFIX))
    password = page.get_by_label("Password", exact=True)
    password.fill("not the password")
    page.get_by_test_id("test-new").click()
    expect(page.get_by_test_id("test")).to_have_attribute("data-passed", "no")
    expect(page.get_by_test_id("test-item").first).to_have_attribute(
        "data-state", "bad"
    )
    password.fill(PASSWORD)
    page.get_by_test_id("add").click()
    expect(page.get_by_test_id("chosen-environment")).to_contain_text(name)
    expect(page.get_by_test_id("test")).to_have_attribute("data-passed", "yes")
    page.get_by_test_id("next").click()


def test_the_wizard_leads_from_two_systems_to_changes_crossing_over(
    portal: RunningPortal, signed_in: Page, systems: dict[str, str]
) -> None:
    page = signed_in
    page.goto("/setup/")
    page.get_by_test_id("begin").click()
    page.get_by_label("An ERP in use and a CRM in use").check()
    page.get_by_label("Name of the link").fill(LINK)
    page.get_by_test_id("next").click()
    _connect(page, "finops", "walked-erp", systems)
    _connect(page, "dataverse", "walked-crm", systems)

    companies = page.get_by_test_id("company")
    expect(companies).to_have_count(3)
    page.get_by_role("button", name="None").click()
    expect(page.locator("[data-tick-count]")).to_have_text("0 of 3 chosen")
    page.locator('[data-company="gone"]').get_by_role("combobox").select_option("XXXX")
    page.locator('[data-company="usmf"]').get_by_role("checkbox").check()
    page.get_by_test_id("next").click()

    page.get_by_label("Search").fill("hierarchy roles")
    page.get_by_label(ROLES).check()
    expect(page.locator("[data-needs-said]")).to_contain_text(HIERARCHIES)
    page.get_by_label("Search").fill("taxgroups")
    page.locator(f'[data-map="{TAX_GROUPS}"]').get_by_role("checkbox").check()
    page.get_by_test_id("next").click()

    planned = page.get_by_test_id("planned")
    expect(planned).to_have_count(3)
    page.locator(f'tr[data-map="{TAX_GROUPS}"]').get_by_role("combobox").select_option(
        "finops"
    )
    planned.nth(2).drag_to(planned.nth(0), target_position={"x": 60, "y": 2})
    first = planned.nth(0).get_attribute("data-map")
    page.get_by_test_id("next").click()

    # Left and come back to: the draft is where it was, and keeps what was chosen.
    page.goto("/setup/")
    page.get_by_role("link", name=LINK, exact=True).click()
    checked = page.locator('[data-testid="checked"]')
    expect(checked).to_have_attribute("data-passed", "yes")
    expect(
        page.locator('[data-done="yes"]', has_text="Pass the health check")
    ).to_be_visible()
    page.get_by_test_id("next").click()
    expect(page.locator("ol.dw-ordered li").first).to_contain_text(str(first))
    expect(page.get_by_test_id("side-summary").first).to_contain_text(
        "Replication slot"
    )
    page.get_by_test_id("consent").check()
    page.get_by_test_id("create").click()

    expect(page).to_have_url(re.compile(r"/$"), timeout=120_000)
    expect(page.get_by_text(f"{LINK} is set up")).to_be_visible()
    rows = page.locator(f'[data-set="{LINK}"]').get_by_test_id("map-row")
    expect(rows).to_have_count(3)
    expect(rows.locator('[data-state="running"]')).to_have_count(3)

    erp, crm = (
        databases.database_name(side, PREFIX) for side in ("finops", "dataverse")
    )
    portal.sql(erp).execute(
        "UPDATE taxgroups SET description = 'crossed' WHERE taxgroupcode = 'B'"
    )
    wait_until(
        lambda: (
            portal.value(
                crm,
                "SELECT msdyn_description FROM msdyn_taxgroups WHERE msdyn_name = 'B'",
            )
            == "crossed"
        ),
        ARRIVES,
        lambda: portal.logs(),
    )
    for database in (erp, crm):
        portal.sql(database).close()
        del portal._sessions[database]
