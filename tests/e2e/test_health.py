"""The Health tab and the check before a run, in a browser."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.e2e.looking import CUT_OFF, Watch, tab_to
from tests.e2e.running import RunningPortal

ACCOUNTS = "Customers V3 (accounts)"
CRM = "sample_crm"
PLANT = "ALTER TABLE accounts ADD tier integer NOT NULL DEFAULT 0"
MANDATORY = "ALTER TABLE accounts ALTER tier DROP DEFAULT"
CLEAN = "ALTER TABLE accounts DROP COLUMN tier"


def test_a_map_is_checked_in_place_and_says_when_it_cannot_be(
    portal: RunningPortal, signed_in: Page
) -> None:
    page = signed_in
    watch = Watch(page)
    portal.sql(CRM).execute(PLANT)
    try:
        page.goto(f"/maps/{portal.map_id(ACCOUNTS)}/")
        page.get_by_test_id("tab-health").click()
        findings = page.get_by_test_id("map-health").get_by_test_id("findings").first
        expect(page.get_by_test_id("checked-at")).to_be_visible()
        expect(findings).to_be_visible()
        expect(findings.locator("[data-code=DIPV1010]")).to_have_count(0)
        expect(page.get_by_test_id("needs")).to_contain_text("Currencies")
        page.get_by_test_id("good-to-know").locator("summary").first.click()
        page.get_by_text("Show the query").first.click()
        expect(page.locator("pre").first).to_contain_text("SELECT")
        assert not page.evaluate(CUT_OFF)

        portal.sql(CRM).execute(MANDATORY)
        tab_to(page, page.get_by_test_id("check-again"))
        page.keyboard.press("Enter")
        expect(findings.locator("[data-code=DIPV1010]")).to_contain_text("tier")
        expect(page.get_by_test_id("health-verdict")).to_contain_text("blocks a run")
        expect(page.get_by_test_id("map-health-cell")).to_contain_text("Cannot run")

        page.goto(f"/maps/run/?map={portal.map_id(ACCOUNTS)}")
        expect(page.get_by_test_id("confirm-run")).to_be_enabled()
        assert not watch.found

        page.route("**/health/check/", lambda route: route.abort())
        page.goto(f"/maps/{portal.map_id(ACCOUNTS)}/health/")
        page.get_by_test_id("check-again").click()
        expect(page.locator("[data-check-failed]")).to_be_visible()
        page.unroute("**/health/check/")
        page.get_by_test_id("check-again").click()
        expect(page.locator("[data-check-failed]")).to_be_hidden()
    finally:
        portal.sql(CRM).execute(CLEAN)
