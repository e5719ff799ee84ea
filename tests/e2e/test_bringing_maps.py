"""A ready-made map is installed, another version comes from a file, the old one is
taken back, and a record is previewed: the pages an administrator goes through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.running import RunningPortal

UNITS, ACCOUNTS = "Units", "Customers V3 (accounts)"


@pytest.fixture
def without_units(portal: RunningPortal) -> Iterator[RunningPortal]:
    """What the test installs is taken away again."""
    yield portal
    if portal.value("", "SELECT 1 FROM maps_tablemap WHERE name = %s", [UNITS]):
        portal.dw("delete", "map", UNITS, "--yes")


def test_a_map_is_installed_changed_by_a_file_and_taken_back(
    without_units: RunningPortal, signed_in: Page, tmp_path: Path
) -> None:
    page = signed_in
    page.goto("/")
    page.get_by_role("link", name="Ready-made maps").click()
    page.get_by_label("Search").fill("unitsofmeasure")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("ready-made-row")).to_have_count(1)
    page.get_by_role("link", name=UNITS, exact=True).click()
    page.get_by_test_id("install").click()
    expect(page.get_by_test_id("to-add")).to_have_text(UNITS)
    page.get_by_test_id("confirm-install").click()
    expect(page.get_by_text("1 map was added to contoso")).to_be_visible()

    page.get_by_role("link", name=UNITS, exact=True).click()
    page.get_by_test_id("tab-versions").click()
    page.get_by_test_id("export").click()
    with page.expect_download() as download:
        page.get_by_test_id("download-json").click()
    document = json.loads(Path(download.value.path()).read_text())
    lines = document["legs"][0]["fieldMappings"]
    document["version"], dropped = "1.0.0.1", lines.pop()
    changed = tmp_path / "units.json"
    changed.write_text(json.dumps(document))

    page.goto("/maps/import/")
    page.get_by_label("Files").set_input_files(changed)
    page.get_by_test_id("show-plan").click()
    planned = page.locator(f'[data-testid="planned-map"][data-map="{UNITS}"]')
    expect(planned).to_have_attribute("data-operation", "update")
    expect(planned).to_contain_text(f"{dropped['destinationField']} removed")
    page.get_by_test_id("confirm-import").click()
    expect(page.get_by_text("1 got another version")).to_be_visible()

    page.get_by_role("link", name=UNITS, exact=True).click()
    page.get_by_test_id("tab-versions").click()
    page.get_by_test_id("compare").click()
    removed = page.get_by_test_id("compared-column")
    expect(removed).to_have_count(1)
    expect(removed).to_have_attribute("data-kind", "removed")
    page.get_by_test_id("use").click()
    expect(page.get_by_text("1 column added.")).to_be_visible()
    page.get_by_test_id("confirm-use").click()
    current = page.get_by_test_id("version-row").filter(
        has=page.get_by_test_id("current")
    )
    expect(current).to_contain_text("1.0.0.0")


def test_a_record_is_previewed_without_leaving_the_page(
    portal: RunningPortal, signed_in: Page
) -> None:
    page = signed_in
    page.goto(f"/maps/{portal.map_id(ACCOUNTS)}/preview/")
    page.evaluate("() => { window.sameDocument = true }")
    page.get_by_label("Or a sample of").fill("2")
    page.get_by_test_id("preview").click()
    records = page.get_by_test_id("preview-record")
    expect(records).to_have_count(2)
    key = records.first.get_attribute("data-key") or ""
    page.get_by_label("Key of a record").fill(key)
    page.keyboard.press("Enter")
    expect(records).to_have_count(1)
    expect(records).to_have_attribute("data-key", key)
    expect(records).to_contain_text("customeraccount")
    assert "key=" in page.url
    assert page.evaluate("() => window.sameDocument === true")
