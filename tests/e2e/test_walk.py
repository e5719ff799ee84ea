"""An administrator's way through the portal, in a browser, with everything real."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.e2e.browsing import sign_in
from tests.e2e.running import RunningPortal
from tests.waiting import wait_until

ERP, CRM = "sample_erp", "sample_crm"
MAPS = (
    "Currencies",
    "Terms of payment",
    "Customer groups",
    "Customers V3 (accounts)",
    "Customers V3 (contacts)",
)
ACCOUNTS, CONTACTS = MAPS[3], MAPS[4]
ARRIVES = 45.0

CUSTOMER = (
    "SELECT customeraccount FROM customersv3 WHERE partytype = %s"
    " AND dataareaid = 'usmf' AND customeraccount LIKE 'US-%%'"
    " ORDER BY customeraccount OFFSET %s LIMIT 1"
)
HOLD = (
    "UPDATE customersv3 SET onholdstatus = %s"
    " WHERE dataareaid = 'usmf' AND customeraccount = %s"
)
LIMIT = (
    "UPDATE customersv3 SET creditlimit = %s"
    " WHERE dataareaid = 'usmf' AND customeraccount = %s"
)
MEMO = (
    "UPDATE customersv3 SET salesmemo = %s"
    " WHERE dataareaid = 'usmf' AND customeraccount = %s"
)
NAME_IN_CRM = (
    "UPDATE contacts SET lastname = %s WHERE msdyn_contactpersonid = %s"
    " AND msdyn_company = (SELECT cdm_companyid FROM cdm_companies"
    " WHERE cdm_companycode = 'USMF')"
)
ON_HOLD_CHECK = (
    "ALTER TABLE customersv3 ADD CONSTRAINT customersv3_onholdstatus_check CHECK"
    " (onholdstatus IN ('no', 'invoice', 'all', 'payment', 'requisition', 'never'))"
)


# -- small steps ---------------------------------------------------------------------


def row_of(page: Page, name: str) -> Locator:
    """The line of a map on the dashboard and in the map list."""
    return page.locator(f'[data-testid="map-row"][data-map="{name}"]')


def state_of(place: Locator | Page) -> Locator:
    return place.get_by_test_id("map-state").locator("[data-state]")


def number_in(place: Locator | Page, part: str) -> int:
    return int(place.get_by_test_id(f"map-{part}").inner_text().replace(",", ""))


def customer(portal: RunningPortal, kind: str, number: int) -> str:
    """A customer of the company usmf; every test takes a number of its own."""
    return str(portal.value(ERP, CUSTOMER, [kind, number]))


def words(text: str) -> str:
    """Text that no row has held before, so that writing it is a change."""
    return f"{text} {uuid.uuid4().hex[:6]}"


def in_crm(portal: RunningPortal, column: str, account: str) -> object:
    return portal.value(
        CRM,
        f"SELECT {column} FROM accounts a JOIN cdm_companies c"
        " ON c.cdm_companyid = a.msdyn_company"
        " WHERE c.cdm_companycode = 'USMF' AND a.accountnumber = %s",
        [account],
    )


def state_of_error(place: Locator | Page) -> Locator:
    return place.get_by_test_id("error-state").locator("[data-state]")


def times_of_error(place: Locator | Page) -> Locator:
    return place.locator('[id^="error-"][id$="-count"]')


@contextmanager
def never_reloaded(page: Page) -> Iterator[None]:
    """The document stays the same one meanwhile."""
    page.evaluate("() => { window.sameDocument = true }")
    yield
    assert page.evaluate("() => window.sameDocument === true")


# -- the walk ---------------------------------------------------------------------


def test_a_wrong_password_is_refused_clearly_and_the_right_one_leads_on(
    portal: RunningPortal, new_context: Callable[..., BrowserContext]
) -> None:
    page = new_context().new_page()
    page.goto(f"/maps/{portal.map_id(ACCOUNTS)}/errors/")
    expect(page).to_have_title(re.compile("Sign in"))
    sign_in(page, "not the password")
    expect(page.get_by_text("correct username and password")).to_be_visible()
    sign_in(page, portal.password)
    # To the page that was asked for in the first place.
    expect(page.get_by_test_id("map-head")).to_contain_text(ACCOUNTS)

    page.get_by_role("link", name="Dashboard").click()
    expect(page.get_by_test_id("verdict")).to_contain_text("Everything is moving")
    for name in MAPS:
        expect(state_of(row_of(page, name))).to_have_text(re.compile("Running"))
        assert number_in(row_of(page, name), "rows") > 0
    for source in ("finops", "dataverse"):
        stream = page.locator(f'[data-testid="stream"][data-source="{source}"]')
        expect(stream.get_by_test_id("stream-state")).to_contain_text("Running")
        expect(stream.get_by_test_id("stream-lag")).to_have_text(re.compile(r"\d s$"))


def test_a_customer_that_is_changed_on_a_page_is_seen_to_cross_both_ways(
    portal: RunningPortal, signed_in: Page
) -> None:
    page, name = signed_in, words("Crossed")
    page.goto("/")
    page.get_by_test_id("sample-change").click()
    erp, crm = (
        page.locator(f'[data-testid="sample-side"][data-side="{side}"]')
        for side in ("finops", "dataverse")
    )
    erp.get_by_label("Name").fill(name)
    erp.get_by_test_id("save").click()
    expect(page.get_by_text("It crossed over: the CRM had it")).to_be_visible()
    expect(crm.get_by_label("Name")).to_have_value(name)
    crm.get_by_label("Credit limit").fill("1,234.50")
    crm.get_by_test_id("save").click()
    expect(page.get_by_text("It crossed over: the ERP had it")).to_be_visible()
    expect(erp.get_by_label("Credit limit")).to_have_value("1234.50")
    expect(page.get_by_test_id("equal")).to_have_attribute("data-equal", "yes")
    erp.get_by_label("Credit limit").fill("plenty")
    erp.get_by_test_id("save").click()
    expect(page.get_by_text("The credit limit is a number")).to_be_visible()


def test_a_stopped_map_is_run_with_the_dialog_and_is_seen_to_reach_running(
    portal: RunningPortal, signed_in: Page
) -> None:
    page, contacts = signed_in, portal.map_id(CONTACTS)
    page.goto(f"/maps/{contacts}/")
    page.get_by_test_id("action-stop").click()
    expect(page.get_by_test_id("chosen-maps")).to_contain_text(CONTACTS)
    page.get_by_test_id("confirm-stop").click()
    expect(page.get_by_text(f"Stopped: {CONTACTS}.")).to_be_visible()
    expect(state_of(page)).to_have_attribute("data-state", "not_running")
    expect(page.get_by_test_id("action-pause")).to_be_disabled()

    # Made while nobody listens: the initial sync must carry it over.
    person = customer(portal, "Person", 0)
    memo = words("Made while the map was stopped")
    portal.sql(ERP).execute(MEMO, [memo, person])

    page.get_by_test_id("tab-initial-sync").click()
    expect(page.get_by_test_id("run").first).to_be_visible()
    runs = page.get_by_test_id("run").count()
    page.get_by_test_id("run-again").click()
    expect(page.get_by_test_id("initial-sync")).to_be_checked()
    page.get_by_label("FinOps", exact=True).check()
    page.get_by_test_id("confirm-run").click()
    expect(page.get_by_text(f"Started: {CONTACTS}.")).to_be_visible()
    with never_reloaded(page):
        expect(state_of(page)).to_have_attribute("data-state", "running")
        expect(page.get_by_test_id("run")).to_have_count(runs + 1)
        newest = page.get_by_test_id("run").first
        expect(newest.get_by_test_id("run-state")).to_contain_text("Completed")
        expect(newest).to_contain_text("by admin")
        expect(page.get_by_test_id("action-pause")).to_be_enabled()
    found = "SELECT count(*) FROM contacts WHERE description = %s"
    assert portal.value(CRM, found, [memo]) == 1
    page.get_by_test_id("tab-activity").click()
    expect(page.get_by_test_id("activity-row").first).to_be_visible()
    expect(page.get_by_test_id("tab-content")).to_contain_text("admin")


def test_a_changed_row_arrives_and_the_dashboard_count_moves(
    portal: RunningPortal, signed_in: Page
) -> None:
    page = signed_in
    company, person = customer(portal, "Organization", 1), customer(portal, "Person", 1)
    page.goto("/")
    accounts, contacts = row_of(page, ACCOUNTS), row_of(page, CONTACTS)
    before = number_in(accounts, "rows"), number_in(contacts, "rows")
    memo, name = words("Calls on Mondays"), words("Śmigły")
    with never_reloaded(page):
        portal.sql(ERP).execute(MEMO, [memo, company])
        expect(accounts.get_by_test_id("map-rows")).to_have_text(f"{before[0] + 1:,}")
        expect(accounts.get_by_test_id("map-changed")).to_contain_text(
            re.compile(r"just now|\d s ago")
        )
        portal.sql(CRM).execute(NAME_IN_CRM, [name, person])
        expect(contacts.get_by_test_id("map-rows")).to_have_text(f"{before[1] + 1:,}")
        # Neither came back as an echo.
        expect(accounts.get_by_test_id("map-rows")).to_have_text(f"{before[0] + 1:,}")
    assert in_crm(portal, "a.description", company) == memo
    last_name = portal.value(
        ERP,
        "SELECT personlastname FROM customersv3"
        " WHERE dataareaid = 'usmf' AND customeraccount = %s",
        [person],
    )
    assert last_name == name


def test_a_value_outside_the_value_map_is_an_error_until_it_is_mended(
    portal: RunningPortal, signed_in: Page
) -> None:
    page, account = signed_in, customer(portal, "Organization", 2)
    key = f"usmf / {account}"
    erp = portal.sql(ERP)
    erp.execute(
        "ALTER TABLE customersv3 DROP CONSTRAINT customersv3_onholdstatus_check"
    )
    try:
        page.goto("/")
        with never_reloaded(page):
            erp.execute(HOLD, ["blocked", account])
            errors = row_of(page, ACCOUNTS).get_by_test_id("map-errors")
            expect(errors).to_have_text("1")
            expect(page.get_by_test_id("verdict")).to_contain_text("1 map needs you")
            expect(page.get_by_test_id("set-health")).to_contain_text("Needs you")
        # Everything else goes on.
        other, memo = customer(portal, "Organization", 3), words("Not held up")
        erp.execute(MEMO, [memo, other])
        wait_until(
            lambda: in_crm(portal, "a.description", other) == memo,
            ARRIVES,
            "the next record is carried over",
        )

        page.get_by_role("link", name="Errors").first.click()
        page.get_by_test_id("by-record").click()
        error = page.locator(f'[data-testid="error-row"][data-key="{key}"]')
        sentence = (
            "Column msdyn_onholdstatus, from onholdstatus: "
            'the value "blocked" is not in the value map.'
        )
        expect(error.get_by_test_id("error-message")).to_have_text(sentence)
        expect(error).to_contain_text("value_not_in_map")

        page.goto(f"/maps/{portal.map_id(ACCOUNTS)}/")
        expect(page.get_by_test_id("tab-errors")).to_contain_text("1")
        page.get_by_test_id("tab-errors").click()
        error = page.locator(f'[data-testid="error-row"][data-key="{key}"]')
        expect(error.get_by_test_id("error-message")).to_have_text(sentence)
        expect(error).to_contain_text("msdyn_onholdstatus")

        error.get_by_role("link", name=key).click()
        expect(page.get_by_test_id("error-message")).to_have_text(sentence)
        failing = page.get_by_test_id("failing-column")
        expect(failing).to_contain_text("onholdstatus")
        expect(failing).to_contain_text("blocked")

        # Retried while still broken: it stays, counted once more.
        times = times_of_error(page)
        expect(times).to_have_text("1")
        page.get_by_test_id("retry-one").click()
        expect(page.get_by_text("1 error will be tried again now.")).to_be_visible()
        with never_reloaded(page):
            expect(times).to_have_text("2")
            expect(state_of_error(page)).to_have_attribute("data-state", "open")
            # A later change that is right mends it by itself.
            erp.execute(HOLD, ["payment", account])
            expect(state_of_error(page)).to_have_attribute(
                "data-state", re.compile("superseded|resolved")
            )
        wait_until(
            lambda: in_crm(portal, "a.msdyn_onholdstatus", account) == 806380003,
            ARRIVES,
            "the mended value is carried over",
        )
        page.goto("/")
        expect(page.get_by_test_id("verdict")).to_contain_text("Everything is moving")
        expect(page.get_by_test_id("set-health")).to_contain_text("On time")
    finally:
        erp.execute(HOLD, ["payment", account])
        erp.execute(ON_HOLD_CHECK)


def test_a_record_the_other_side_refused_is_mended_and_retried_from_the_page(
    portal: RunningPortal, signed_in: Page
) -> None:
    page, account = signed_in, customer(portal, "Organization", 4)
    key, crm = f"usmf / {account}", portal.sql(CRM)
    crm.execute(
        "ALTER TABLE accounts ADD CONSTRAINT credit_ceiling"
        " CHECK (creditlimit < 9000000) NOT VALID"
    )
    try:
        portal.sql(ERP).execute(LIMIT, [9_500_000, account])
        page.goto("/")
        errors = row_of(page, ACCOUNTS).get_by_test_id("map-errors")
        expect(errors).to_have_text("1")
        errors.get_by_role("link").click()
        error = page.locator(f'[data-testid="error-row"][data-key="{key}"]')
        expect(error.get_by_test_id("error-message")).to_contain_text("credit_ceiling")
        error.get_by_role("link", name=key).click()
        expect(page.get_by_test_id("remote")).to_contain_text("violates check")

        page.go_back()
        expect(error).to_be_visible()
        error.get_by_label(f"Select {key}").check()
        expect(page.get_by_text("1 of 1 selected")).to_be_visible()
        page.get_by_test_id("retry-selected").click()
        with never_reloaded(page):
            expect(times_of_error(error)).to_have_text("2")
            expect(state_of_error(error)).to_have_attribute("data-state", "open")

        crm.execute("ALTER TABLE accounts DROP CONSTRAINT credit_ceiling")
        error.get_by_test_id("retry-one").click()
        expect(page.get_by_text("1 error will be tried again now.")).to_be_visible()
        portal.settle()
        page.reload()
        expect(error).to_have_count(0)
        page.goto("/errors/")
        expect(page.get_by_test_id("empty")).to_contain_text("All clear")
        assert in_crm(portal, "a.creditlimit", account) == 9_500_000
        page.goto("/")
        expect(page.get_by_test_id("verdict")).to_contain_text("Everything is moving")
        expect(errors).to_have_text("0")
    finally:
        crm.execute("ALTER TABLE accounts DROP CONSTRAINT IF EXISTS credit_ceiling")


def test_maps_paused_together_queue_their_changes_and_are_resumed_together(
    portal: RunningPortal, signed_in: Page
) -> None:
    page = signed_in
    company, person = customer(portal, "Organization", 5), customer(portal, "Person", 5)
    memo = words("Waits")
    page.goto("/maps/")
    expect(page.get_by_test_id("bulk-pause")).to_be_disabled()
    for name in (ACCOUNTS, CONTACTS):
        page.get_by_label(f"Select {name}").check()
    expect(page.get_by_text("2 of 5 selected")).to_be_visible()
    page.get_by_test_id("bulk-pause").click()
    expect(page.get_by_text(f"Paused: {ACCOUNTS}, {CONTACTS}.")).to_be_visible()
    with never_reloaded(page):
        for name in (ACCOUNTS, CONTACTS):
            expect(state_of(row_of(page, name))).to_have_text(re.compile("Paused"))
        portal.sql(ERP).execute(MEMO, [memo, company])
        portal.sql(ERP).execute(MEMO, [memo, person])
        for name in (ACCOUNTS, CONTACTS):
            queued = row_of(page, name).get_by_test_id("map-queued")
            expect(queued).to_have_text(re.compile(r"^1 \("))
    assert in_crm(portal, "a.description", company) != memo

    page.goto(f"/maps/{portal.map_id(ACCOUNTS)}/queued/")
    expect(page.get_by_test_id("queued-row")).to_contain_text(f"usmf / {company}")
    expect(page.get_by_test_id("queued-row")).to_contain_text("salesmemo")
    expect(page.get_by_test_id("queue-age")).to_contain_text("1 waiting")
    page.goto("/")
    expect(page.get_by_test_id("verdict")).to_contain_text("2 maps are paused")

    page.goto("/maps/?state=paused")
    page.get_by_label("Select all maps").check()
    page.get_by_test_id("bulk-resume").click()
    expect(page.get_by_text(f"Resumed: {ACCOUNTS}, {CONTACTS}.")).to_be_visible()
    page.goto("/maps/")
    with never_reloaded(page):
        for name in (ACCOUNTS, CONTACTS):
            expect(state_of(row_of(page, name))).to_have_text(re.compile("Running"))
            queued = row_of(page, name).get_by_test_id("map-queued")
            expect(queued).to_have_text("0")
    wait_until(
        lambda: in_crm(portal, "a.description", company) == memo,
        ARRIVES,
        "the queued change is carried over",
    )


def test_what_one_of_the_chosen_maps_cannot_do_is_done_with_none_of_them(
    portal: RunningPortal, signed_in: Page
) -> None:
    page = signed_in
    page.goto("/maps/")
    page.get_by_label("Select Currencies").check()
    page.get_by_test_id("bulk-pause").click()
    # Maps that refer to it are offered; here they go on.
    for box in page.get_by_test_id("dependents").get_by_role("checkbox").all():
        box.uncheck()
    page.get_by_test_id("confirm-pause").click()
    expect(page.get_by_text("Paused: Currencies.")).to_be_visible()

    # The page says so beforehand ...
    page.get_by_label("Select Currencies").check()
    page.get_by_label(f"Select {ACCOUNTS}").check()
    for action in ("run", "pause", "resume"):
        expect(page.get_by_test_id(f"bulk-{action}")).to_be_disabled()
    expect(page.get_by_test_id("bulk-stop")).to_be_enabled()
    expect(page.get_by_test_id("why-not")).to_contain_text(
        f"Resume: {ACCOUNTS} is Running"
    )

    # ... and the server, when the page did not know of the last change.
    ids = [portal.map_id("Currencies"), portal.map_id(ACCOUNTS)]
    page.goto(f"/maps/run/?map={ids[0]}&map={ids[1]}")
    reason = "Currencies is Paused, so it cannot run: resume it, or stop it first."
    expect(page.get_by_test_id("refused")).to_contain_text(reason)
    page.get_by_test_id("confirm-run").click()
    expect(page.get_by_test_id("refused")).to_contain_text(reason)
    page.goto("/maps/")
    expect(state_of(row_of(page, "Currencies"))).to_have_text(re.compile("Paused"))
    expect(state_of(row_of(page, ACCOUNTS))).to_have_text(re.compile("Running"))

    page.get_by_label("Select Currencies").check()
    page.get_by_test_id("bulk-resume").click()
    expect(state_of(row_of(page, "Currencies"))).to_have_text(re.compile("Running"))
