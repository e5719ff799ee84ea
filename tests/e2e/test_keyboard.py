"""Without a mouse: the keyboard reaches what matters."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.e2e.looking import tab_to
from tests.e2e.running import RunningPortal

ACCOUNTS = "Customers V3 (accounts)"


def test_the_keyboard_reaches_every_main_action(
    portal: RunningPortal, signed_in: Page
) -> None:
    page = signed_in
    page.goto("/maps/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    for label in ("Search", "Connection set", "State"):
        tab_to(page, page.get_by_label(label, exact=True))
    # The sidebar was skipped: the content is reached at once.
    tab_to(page, page.get_by_label("Select Currencies"))
    page.keyboard.press("Space")
    expect(page.get_by_text("1 of 5 selected")).to_be_visible()
    for action in ("stop", "pause"):
        tab_to(page, page.get_by_test_id(f"bulk-{action}"), "Shift+Tab")
    tab_to(page, page.get_by_test_id("bulk-stop"))
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("chosen-maps")).to_contain_text("Currencies")
    tab_to(page, page.get_by_test_id("confirm-stop"))
    tab_to(page, page.get_by_role("link", name="Cancel"))
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("bulk-stop")).to_be_visible()

    page.goto(f"/maps/{portal.map_id(ACCOUNTS)}/")
    for action in ("pause", "stop"):
        tab_to(page, page.get_by_test_id(f"action-{action}"))
    tab_to(page, page.get_by_test_id("tab-queued"))
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("queue-age")).to_be_visible()
    expect(page.get_by_test_id("tab-queued")).to_have_attribute("aria-current", "page")
