"""Break a value, find it, mend the value map from its error, and see it arrive."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.e2e.running import RunningPortal
from tests.e2e.test_walk import (
    ACCOUNTS,
    ARRIVES,
    ERP,
    HOLD,
    ON_HOLD_CHECK,
    customer,
    in_crm,
    never_reloaded,
    state_of,
    state_of_error,
)
from tests.waiting import wait_until

VALUE, ALL = "frozen", "806380002"
RETRIED = (
    "SELECT count(*) FROM history_carriedchange"
    " WHERE source_key = %s AND phase = 'retry'"
)
OPEN = "SELECT count(*) FROM errors_syncerror WHERE state = 'open'"


def test_a_missing_value_is_added_from_its_error_and_the_record_arrives(
    portal: RunningPortal, signed_in: Page
) -> None:
    page, account = signed_in, customer(portal, "Organization", 7)
    erp = portal.sql(ERP)
    before = portal.value("", RETRIED, [f"usmf / {account}"])
    erp.execute(
        "ALTER TABLE customersv3 DROP CONSTRAINT customersv3_onholdstatus_check"
    )
    try:
        erp.execute(HOLD, [VALUE, account])
        cause = page.get_by_test_id("cause-row").filter(has_text="onholdstatus")
        wait_until(
            lambda: portal.value("", OPEN) == 1,
            ARRIVES,
            "the record waits in the error list",
        )
        page.goto("/errors/causes/")
        expect(cause.get_by_test_id("trend")).to_have_attribute(
            "aria-label", re.compile(r"^[1-9]\d* in the last 24 hours")
        )
        cause.get_by_role("link", name="is not in the value map").click()
        expect(page.get_by_test_id("mend-cause")).to_be_visible()
        page.get_by_test_id("sample").get_by_role("link").click()

        # What is there now is read from the other side.
        expect(page.get_by_test_id("rows")).to_have_attribute("data-read", "yes")
        failing = page.get_by_test_id("failing-column")
        expect(failing).to_contain_text(VALUE)
        expect(failing.locator("td").last).to_have_text(re.compile(r"\d{6,}"))

        # The editor opens at the rule of the failing column, locked while it runs.
        page.get_by_test_id("edit-map").click()
        expect(page.get_by_test_id("read-only")).to_contain_text("stop it first")
        expect(page.get_by_test_id("pairs")).to_have_value(re.compile("806380002"))
        page.go_back()

        expect(page.get_by_label("FinOps value")).to_have_value(VALUE)
        page.get_by_label("stands for the Dataverse value").fill(ALL)
        page.get_by_test_id("mend-save").click()
        expect(page.get_by_text(f"{VALUE} = {ALL} was added")).to_be_visible()
        with never_reloaded(page):
            expect(state_of_error(page)).to_have_attribute("data-state", "resolved")
        assert str(in_crm(portal, "a.msdyn_onholdstatus", account)) == ALL

        # The record's own page tells all of it, and where its fields are from.
        wait_until(
            lambda: portal.value("", RETRIED, [f"usmf / {account}"]) > before,
            ARRIVES,
            lambda: f"the history is written: {portal.logs()}",
        )
        page.get_by_test_id("record").click()
        events = page.get_by_test_id("event")
        carried = events.and_(page.locator('[data-kind="carried"]')).filter(
            has_text="msdyn_onholdstatus"
        )
        expect(carried.first).to_contain_text(ALL)
        expect(carried.first).to_contain_text("retry")
        for kind in ("error", "closed", "copy"):
            expect(page.locator(f'[data-kind="{kind}"]').first).to_be_visible()
        field = page.locator('[data-testid="field"][data-finops="onholdstatus"]')
        expect(field).to_contain_text("Carried over from FinOps")
        expect(field).to_contain_text("by value map")

        # It ran all the time, with the new version now.
        page.goto(f"/maps/{portal.map_id(ACCOUNTS)}/")
        expect(state_of(page)).to_have_attribute("data-state", "running")
        page.goto("/errors/")
        expect(page.get_by_test_id("empty")).to_contain_text("All clear")
        page.goto("/")
        expect(page.get_by_test_id("verdict")).to_contain_text("Everything is moving")
    finally:
        erp.execute(HOLD, ["all", account])
        erp.execute(ON_HOLD_CHECK)
