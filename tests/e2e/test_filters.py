"""The Filters tab: another text is tried, and nothing that was typed is lost."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.e2e.looking import CUT_OFF, Watch, tab_to
from tests.e2e.running import RunningPortal

ACCOUNTS = "Customers V3 (accounts)"


def test_a_filter_is_tried_by_keyboard_on_a_phone(
    portal: RunningPortal, signed_in: Page
) -> None:
    page = signed_in
    watch = Watch(page)
    page.set_viewport_size({"width": 375, "height": 812})
    page.goto(f"/maps/{portal.map_id(ACCOUNTS)}/")
    page.get_by_test_id("tab-filters").click()
    card = page.get_by_test_id("filter-finops")
    text = page.locator("#filter-text-finops")
    said = portal.value(
        "sample_erp",
        "SELECT count(*) FROM customersv3 WHERE partytype = 'Organization'"
        " AND dataareaid <> 'itco'",
    )
    expect(card.get_by_test_id("matching")).to_have_text(f"{said:,}")
    expect(card.get_by_test_id("sample")).to_have_count(10)
    assert not page.evaluate(CUT_OFF)

    text.fill('(partytype == "Organization") &&\n(custommeraccount like "US*")')
    tab_to(page, page.get_by_test_id("try-finops"))
    page.keyboard.press("Enter")
    expect(card.get_by_test_id("mistake")).to_contain_text("Line 2, character 2")
    expect(card.get_by_test_id("mistake")).to_contain_text("mean customeraccount?")
    expect(card.locator(".dw-caret")).to_have_text("c")
    expect(page.get_by_test_id("try-finops")).to_be_focused()
    expect(page.get_by_test_id("result-dataverse")).to_contain_text("Rows that match")
    assert not page.evaluate(CUT_OFF)

    text.fill('customeraccount like "US-00000?"')
    page.get_by_test_id("try-finops").click()
    expect(card.get_by_test_id("odata")).to_be_attached()
    card.get_by_text("How the rows are asked for").click()
    expect(card.get_by_test_id("odata")).to_contain_text("matchesPattern")
    expect(card.get_by_test_id("sql")).to_contain_text("LIKE CAST('US-00000_' AS text)")
    assert not page.evaluate(CUT_OFF)

    page.reload()
    expect(text).to_have_value('customeraccount like "US-00000?"')
    expect(card.get_by_test_id("edited")).to_be_visible()
    page.get_by_role("link", name="back to the stored filters").first.click()
    expect(text).to_have_value('((partytype == "Organization"))')
    assert not watch.found
