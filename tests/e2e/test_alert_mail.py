"""Make an alert rule in the browser; its mail arrives and leads to the cause."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.looking import CUT_OFF, Watch
from tests.e2e.running import RunningPortal
from tests.e2e.test_walk import ARRIVES, ERP, HOLD, ON_HOLD_CHECK, customer
from tests.outside import MailServer, part
from tests.waiting import wait_until

RULE = "One error is enough"


@pytest.fixture
def server(portal: RunningPortal) -> Iterator[MailServer]:
    made = MailServer()
    yield made
    made.close()
    portal.sql().execute(
        "DELETE FROM alerts_ruletelling; DELETE FROM mailing_mailsettings"
    )


def test_a_mail_about_an_error_leads_to_its_cause(
    portal: RunningPortal, server: MailServer, signed_in: Page
) -> None:
    page, account = signed_in, customer(portal, "Organization", 6)
    watch = Watch(page)
    page.goto("/alerts/mail/")
    page.get_by_label("Mail server").fill("127.0.0.1")
    page.get_by_label("Port", exact=True).fill(str(server.port))
    page.get_by_label("Security").select_option("none")
    page.get_by_label("Sender").fill("portal@example.com")
    expect(page.get_by_label("Address of the portal")).to_have_value(portal.address)
    page.get_by_test_id("save-mail").click()
    page.get_by_label("To", exact=True).fill("me@example.com")
    page.get_by_test_id("test-mail").click()
    expect(page.get_by_text("took the mail to me@example.com")).to_be_visible()
    server.forget()

    page.goto("/alerts/rules/")
    page.get_by_test_id("new-rule").first.click()
    page.get_by_label("What to look at").select_option("run_failed")
    expect(page.locator("#id_threshold")).to_be_hidden()
    page.get_by_label("What to look at").select_option("errors")
    page.get_by_label("Name", exact=True).fill(RULE)
    page.get_by_label("Errors, at least").fill("1")
    # Other walks on this portal leave errors of other kinds within that time.
    page.locator('input[name="codes"][value="value_not_in_map"]').check()
    page.get_by_label("Other mail addresses").fill("ops@example.com")
    page.get_by_label("admin (").check()
    assert not page.evaluate(CUT_OFF)
    page.get_by_test_id("save-rule").click()
    expect(page.get_by_test_id("rule-words")).to_contain_text("When 1 or more errors")

    erp = portal.sql(ERP)
    erp.execute(
        "ALTER TABLE customersv3 DROP CONSTRAINT customersv3_onholdstatus_check"
    )
    try:
        erp.execute(HOLD, ["frozen", account])
        wait_until(lambda: bool(server.messages), ARRIVES, "the mail arrives")
        (mail,) = [one for one in server.messages if one["To"] == "ops@example.com"]
        # And some of this kind.
        assert re.search(r"\d+ errors? within 15 minutes", mail["Subject"])
        link = re.search(r"Open the cause: (\S+)", part(mail, "plain"))
        assert link is not None
        page.goto(link[1])
        expect(page.get_by_text("is not in the value map").first).to_be_visible()

        page.get_by_role("link", name=re.compile("Inbox")).click()
        expect(page.get_by_test_id("nav-badge")).to_be_visible()
        row = page.get_by_test_id("inbox-row").filter(has_text=RULE).first
        row.get_by_role("link", name=re.compile(r"\d+ errors? within")).click()
        page.get_by_test_id("acknowledge").click()
        expect(page.get_by_test_id("delivery-row").first).to_have_attribute(
            "data-state", "sent"
        )
        page.goto("/alerts/")
        expect(page.get_by_test_id("acknowledge-selected")).to_be_disabled()
        page.get_by_role("checkbox").nth(1).check()
        expect(page.get_by_test_id("acknowledge-selected")).to_be_enabled()
        assert not watch.found
    finally:
        erp.execute(HOLD, ["all", account])
        erp.execute(ON_HOLD_CHECK)
        portal.dw("alert-rules", "--delete", RULE)
