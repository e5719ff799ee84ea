"""Edit a map in the browser, try it, publish the next version, and run it."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.e2e.looking import CUT_OFF, Watch
from tests.e2e.running import RunningPortal
from tests.e2e.test_walk import ARRIVES, CRM, ERP
from tests.waiting import wait_until

TERMS = "Terms of payment"
OF_ERP = "SELECT name FROM paymentterms WHERE dataareaid = 'usmf' ORDER BY name LIMIT 1"
DESCRIPTION = (
    "SELECT description FROM paymentterms WHERE dataareaid = 'usmf' AND name = %s"
)
CHANGE = (
    "UPDATE paymentterms SET description = %s WHERE dataareaid = 'usmf' AND name = %s"
)
IN_CRM = """
SELECT t.msdyn_description FROM msdyn_paymentterms t
JOIN cdm_companies c ON c.cdm_companyid = t.msdyn_company
WHERE c.cdm_companycode = 'USMF' AND t.msdyn_name = %s
"""


def test_a_map_is_edited_tried_published_and_run(
    portal: RunningPortal, signed_in: Page
) -> None:
    page = signed_in
    watch = Watch(page)
    map_id = portal.map_id(TERMS)
    term = portal.value(ERP, OF_ERP)
    before = portal.value(
        ERP, "SELECT description FROM paymentterms WHERE name = %s", [term]
    )

    page.goto(f"/maps/{map_id}/edit/")
    expect(page.get_by_test_id("read-only")).to_contain_text("stop it first")
    portal.dw("stop", TERMS)
    try:
        page.reload()
        page.get_by_test_id("begin").click()
        decide_by_rules(page)
        page.goto(f"/maps/{map_id}/edit/discard/")
        page.locator(".dw-page button[type=submit]").last.click()
        page.goto(f"/maps/{map_id}/edit/")
        page.get_by_test_id("begin").click()
        write_description_in_capitals(page)
        try_it(page)
        page.get_by_test_id("then").get_by_role("link", name="Publish").click()
        expect(page.get_by_test_id("comparison-summary")).to_contain_text("1 column")
        page.get_by_label("Version").fill("1.0.9.0")
        page.get_by_test_id("confirm-publish").click()
        expect(page.get_by_text("is at version contoso 1.0.9.0 now")).to_be_visible()

        portal.dw("run", TERMS, "--skip-initial-sync")
        portal.sql(ERP).execute(CHANGE, ["in capitals", term])
        wait_until(
            lambda: portal.value(CRM, IN_CRM, [term]) == "IN CAPITALS",
            ARRIVES,
            "the change arrives as the new version writes it",
        )
        assert not watch.found
    finally:
        portal.dw("stop", TERMS)
        portal.dw("versions", TERMS, "--use", "1.0.0.0")
        portal.dw("run", TERMS, "--skip-initial-sync")
        portal.sql(ERP).execute(CHANGE, [before, term])


PASTE = """one => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", "10\\t1\\n\\t2\\n");
    one.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
}"""


def decide_by_rules(page: Page) -> None:
    """Rules are typed, told wrong, added by keyboard and pasted."""
    place = page.get_by_label("FinOps column of line").evaluate_all(
        "all => all.findIndex((one) => one.value === 'numberofdays')"
    )
    line = page.get_by_test_id("line").nth(place)
    line.get_by_label("Dataverse column of line").press("Alt+Enter")
    page.get_by_test_id("begin-decision-dataverse").click()
    result = page.get_by_label("Result of rule 1")
    result.fill("many")
    expect(page.get_by_test_id("decision-said")).to_contain_text("DIPV1030")
    result.fill("1")
    expect(page.get_by_test_id("decision-said")).to_be_empty()
    result.press("Enter")
    added = page.get_by_label("Condition 1 of rule 2")
    expect(added).to_be_focused()
    added.evaluate(PASTE)
    expect(page.get_by_label("Result of rule 3")).to_have_value("2")
    expect(page.get_by_label("Condition 1 of rule 2")).to_have_value("10")
    assert not page.evaluate(CUT_OFF)


def write_description_in_capitals(page: Page) -> None:
    """Told at once what is wrong, then right; by keyboard, kept over a visit."""
    line = page.get_by_test_id("line").first
    source = line.get_by_label("FinOps column of line 1")
    source.fill("descriptoin")
    expect(line.get_by_test_id("said")).to_contain_text("DIPV1022")
    expect(source).to_be_focused()
    source.fill("")
    line.get_by_label("Direction of line 1").select_option(">>")
    expect(line.get_by_test_id("said")).to_contain_text("DIPV1021")
    source.press("Alt+Enter")
    rule = line.get_by_test_id("panel").get_by_label("Expression")
    rule.fill("upper(description)")
    expect(line.get_by_test_id("ruled")).to_contain_text("= upper(description)")
    expect(line.get_by_test_id("said")).not_to_contain_text("DIPV")
    assert not page.evaluate(CUT_OFF)
    expect(page.get_by_test_id("undo")).to_be_enabled()
    source.press("Alt+ArrowDown")
    expect(page.get_by_label("Dataverse column of line 2", exact=True)).to_have_value(
        "msdyn_description"
    )
    page.reload()
    expect(page.get_by_label("Dataverse column of line 2", exact=True)).to_have_value(
        "msdyn_description"
    )
    page.get_by_test_id("undo").click()
    expect(page.get_by_label("Dataverse column of line 1", exact=True)).to_have_value(
        "msdyn_description"
    )


def try_it(page: Page) -> None:
    """Which records come out differently is told with examples."""
    page.get_by_test_id("part-try").click()
    page.get_by_test_id("try").click()
    there = page.locator('[data-direction="finops_to_dataverse"]')
    expect(there.locator('[data-column="msdyn_description"]')).to_be_visible()
    expect(there.locator('[data-verdict="refused"]')).to_have_count(0)
    assert not page.evaluate(CUT_OFF)
