"""The content security policy: no evaluated text, no inline script or style. That no
page breaks it is seen by the `browser` fixture; here, that pages work all the same."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.e2e.running import RunningPortal


def test_menus_tabs_and_the_look_work_without_evaluated_text(
    portal: RunningPortal, signed_in: Page
) -> None:
    page = signed_in
    answer = page.goto("/")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    navigation = page.locator("#nav-sidebar-apps")
    expect(navigation).to_be_visible()
    page.get_by_role("button", name="Show or hide the navigation").first.click()
    expect(navigation).to_be_hidden()
    page.reload()
    expect(navigation).to_be_hidden()
    page.get_by_role("button", name="Show or hide the navigation").first.click()
    page.locator(".dw-user-button").click()
    expect(page.get_by_role("link", name="Your profile")).to_be_visible()
    page.get_by_text("Dark", exact=True).first.click()
    expect(page.locator("html")).to_have_class(re.compile("dark"))
    page.get_by_text("Light", exact=True).first.click()
    expect(page.locator("html")).not_to_have_class(re.compile("dark"))

    link = portal.value("", "SELECT max(id) FROM environments_connectionset")
    one = portal.map_id("Currencies")
    for address in (
        f"/admin/environments/connectionset/{link}/change/",
        f"/admin/maps/tablemap/{one}/change/",
        f"/admin/maps/tablemap/{one}/history/",
        "/admin/alerts/alertrule/add/",
    ):
        page.goto(address)
        expect(page.locator("h1").first).to_be_visible()
    page.goto("/admin/maps/tablemap/")
    expect(page.get_by_text("By state")).to_be_hidden()
    page.get_by_text("Filters").first.click()
    expect(page.get_by_text("By state")).to_be_visible()
