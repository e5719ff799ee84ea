"""Every page in every look: no failure, nothing cut off, keyboard, long lists."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Literal

import pytest
from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    ViewportSize,
    expect,
)

from tests.e2e.accessibility import grave_findings
from tests.e2e.pages import pages
from tests.e2e.running import RunningPortal

ACCOUNTS = "Customers V3 (accounts)"
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SIZES: tuple[ViewportSize, ...] = (
    {"width": 1280, "height": 900},
    {"width": 375, "height": 812},
)
MANY = 10_000
QUICK_MILLISECONDS = 1000.0
LONG_MESSAGE = "accounts refuses the row: " + "a rule with many words fails, " * 40
LONG_WORDS = "23514: " + "Failing_row_contains_something_without_a_single_space" * 20

MAKE_CAUSES = """
INSERT INTO errors_errorgroup (table_map_id, direction, code, "column", text,
    signature, first_seen, last_seen)
SELECT %(map)s, 'finops_to_dataverse', code, 'onholdstatus', %(message)s,
    'MANY ' || code, now(), now()
FROM unnest(array['check_violated', 'value_not_in_map']) code
"""
MAKE_ERRORS = """
INSERT INTO errors_syncerror (cause_id, table_map_id, direction, phase, key, key_text,
    code,
    "column", message, remote, operation, "group", position, source_row, mapped_row,
    state, count, first_seen, last_seen, attempts)
SELECT g.id, %(map)s, 'finops_to_dataverse', 'live',
    jsonb_build_array('usmf', 'MANY-' || n), 'usmf / MANY-' || n, g.code,
    'onholdstatus', %(message)s, %(remote)s, 'upsert', '', '',
    jsonb_build_object('customeraccount', 'MANY-' || n, 'salesmemo', %(message)s::text),
    jsonb_build_object('accountnumber', 'MANY-' || n, 'description', %(message)s::text),
    'open', 1, now() - n * interval '1 second', now(), 1
FROM generate_series(1, %(many)s) n JOIN errors_errorgroup g ON g.signature =
    'MANY ' || CASE n %% 3 WHEN 0 THEN 'check_violated' ELSE 'value_not_in_map' END
"""
MAKE_QUEUE = """
INSERT INTO sync_queuedchange (table_map_id, direction, position, ordinal,
    transaction_id, committed_at, kind, key, key_text, columns, new, old, size,
    created_at)
SELECT %(map)s, 'dataverse_to_finops', '00000000/' || upper(lpad(to_hex(n), 8, '0')),
    n, n::text, now() - n * interval '1 second', 'update',
    jsonb_build_array('USMF', 'MANY-' || n), 'USMF / MANY-' || n,
    '["accountnumber", "description"]', jsonb_build_array('MANY-' || n, 'new'),
    jsonb_build_array('MANY-' || n, 'old'), 20, now()
FROM generate_series(1, %(many)s) n
"""


MAKE_CONFLICTS = """
INSERT INTO errors_conflict (table_map_id, direction, key_text, "column", policy,
    winner, base, source_value, target_value, created_at, state, subject, finops_key,
    dataverse_key, finops_columns, dataverse_columns, finops_row, dataverse_row, reason)
SELECT %(map)s, 'finops_to_dataverse', 'usmf / MANY-' || n, 'description',
    'last_writer_wins', CASE n %% 2 WHEN 0 THEN 'finops' ELSE 'undecided' END,
    'before', %(message)s, 'theirs', now() - n * interval '1 second',
    CASE n %% 2 WHEN 0 THEN 'settled' ELSE 'undecided' END, n::text,
    jsonb_build_array('usmf', 'MANY-' || n), jsonb_build_array('USMF', 'MANY-' || n),
    '["salesmemo"]', '["description"]',
    jsonb_build_object('customeraccount', 'MANY-' || n, 'salesmemo', %(message)s::text),
    jsonb_build_object('accountnumber', 'MANY-' || n, 'description', %(message)s::text),
    'Its row was written last.'
FROM generate_series(1, %(many)s) n
"""


class Watch:
    """What a browser complains about, and what the server refused."""

    def __init__(self, page: Page) -> None:
        self.found: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.found.append(f"script: {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.found.append(f"console: {message.text}")

    def _failed(self, request: Request) -> None:
        # A poll that is under way when the page is left is no failure.
        if request.failure != "net::ERR_ABORTED":
            self.found.append(f"failed: {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.found.append(f"{response.status}: {response.url}")


@pytest.fixture
def many(portal: RunningPortal) -> Iterator[int]:
    """A paused map with very many errors and queued changes; its id."""
    chosen, session = portal.map_id(ACCOUNTS), portal.sql()
    values = {
        "map": chosen,
        "many": MANY,
        "message": LONG_MESSAGE,
        "remote": LONG_WORDS,
    }
    portal.dw("pause", ACCOUNTS)
    try:
        session.execute(MAKE_CAUSES, values)
        session.execute(MAKE_ERRORS, values)
        session.execute(MAKE_QUEUE, values)
        session.execute(MAKE_CONFLICTS, values)
        session.execute("ANALYZE errors_syncerror, sync_queuedchange")
        yield chosen
    finally:
        session.execute("DELETE FROM errors_syncerror WHERE key_text ~ 'MANY'")
        session.execute("DELETE FROM errors_errorgroup WHERE signature ~ 'MANY'")
        session.execute("DELETE FROM sync_queuedchange WHERE key_text ~ 'MANY'")
        session.execute("DELETE FROM errors_conflict WHERE key_text ~ 'MANY'")
        portal.dw("resume", ACCOUNTS)


ADMIN = [
    "/admin/",
    "/admin/environments/environment/",
    "/admin/environments/connectionset/",
    "/admin/maps/tablemap/",
    "/admin/alerts/alertrule/",
    "/admin/accounts/user/",
]
NOTHING = "/there-is-no-such-page/"

CUT_OFF = """() => {
    const root = document.documentElement;
    const found = [];
    if (root.scrollWidth > root.clientWidth) {
        found.push(`page ${root.scrollWidth} > ${root.clientWidth}`);
    }
    const scrolls = ".dw-table-wrap, .dw-tabs, .dw-sr, pre, option, select";
    for (const one of document.querySelectorAll(".dw-page *")) {
        const box = one.getBoundingClientRect();
        if (box.width && box.right > root.clientWidth + 1 && !one.closest(scrolls)) {
            found.push(`${one.tagName}.${one.className} ends at ${box.right}`);
        }
    }
    return found.slice(0, 3);
}"""


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_page_complains_or_is_cut_off_or_keeps_somebody_out(
    portal: RunningPortal, many: int, signed_in: Page, scheme: Scheme
) -> None:
    page, complaints = signed_in, []
    watch = Watch(page)
    page.emulate_media(color_scheme=scheme)
    # What is not about colours is the same in the dark.
    rules = ["color-contrast"] if scheme == "dark" else []
    for address in (*pages(portal, many).values(), *ADMIN):
        page.set_viewport_size(SIZES[0])
        page.goto(address)
        expect(page.locator("h1").first).to_be_attached()
        dark = page.evaluate("document.documentElement.classList.contains('dark')")
        assert dark == (scheme == "dark")
        found = grave_findings(page, *rules, whole=address == "/")
        for size in SIZES:
            page.set_viewport_size(size)
            found += [f"{size['width']}: {each}" for each in page.evaluate(CUT_OFF)]
        complaints += [f"{address}: {each}" for each in (*watch.found, *found)]
        watch.found.clear()
    page.goto(NOTHING)
    expect(page.get_by_test_id("problem")).to_contain_text("There is no such page")
    assert not page.evaluate(CUT_OFF)
    assert not complaints, "\n".join(complaints)


def test_the_sign_in_page_does_not_complain_and_fits(
    portal: RunningPortal, new_context: Callable[..., BrowserContext]
) -> None:
    for scheme, size in product(SCHEMES, SIZES):
        context = new_context(color_scheme=scheme, viewport=size)
        page = context.new_page()
        watch = Watch(page)
        page.goto("/accounts/login/")
        expect(page.get_by_label("Username")).to_have_attribute("autofocus", "")
        assert not [*watch.found, *page.evaluate(CUT_OFF), *grave_findings(page)]
        context.close()


def test_very_long_lists_are_paged_and_quick(
    many: int, portal: RunningPortal, signed_in: Page
) -> None:
    page = signed_in
    for address, row, total in (
        ("/errors/", "error-row", "10,000 errors"),
        ("/conflicts/", "conflict-row", "10,000 conflicts"),
        (f"/maps/{many}/errors/", "error-row", "10,000 errors"),
        (f"/maps/{many}/queued/", "queued-row", "10,000 changes"),
    ):
        page.goto(address)
        expect(page.get_by_test_id(row)).to_have_count(50)
        # Users of the sample may have crossed, too: then there are more.
        expect(page.get_by_test_id("total")).to_have_text(
            re.compile(total.replace(" ", r"\+? ", 1))
        )
        first = page.get_by_test_id(row).first.inner_text()
        page.get_by_role("link", name="Older").click()
        expect(page.get_by_test_id(row).first).not_to_have_text(first)
        expect(page.get_by_test_id(row)).to_have_count(50)
        assert "before=" in page.url
        page.get_by_role("link", name="Newer").click()
        expect(page.get_by_role("link", name="Newer")).to_have_count(0)

        oldest = f"{address}?after=0"
        for asked in (address, oldest, f"{address}?key=MANY-99"):
            assert quickest(page, asked) < QUICK_MILLISECONDS, asked
    for address in (
        "/",
        "/live/",
        "/maps/",
        "/errors/causes/",
        f"/maps/{many}/errors/live/",
    ):
        assert quickest(page, address) < QUICK_MILLISECONDS, address
    page.goto("/errors/")
    page.get_by_label("Code").select_option("check_violated")
    expect(page.get_by_test_id("total")).to_have_text(re.compile("3,33[3-9] errors"))
    expect(page.get_by_label("Code")).to_have_value("check_violated")


def quickest(page: Page, address: str) -> float:
    """Milliseconds to the answer, at best of three: other programs may be busy."""
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        response = page.request.get(address)
        taken.append((time.perf_counter() - begun) * 1000)
        assert response.ok, f"{address}: {response.status}"
    return min(taken)


# -- keyboard ---------------------------------------------------------------------

FOCUS_IS_SEEN = """() => {
    const style = getComputedStyle(document.activeElement);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
}"""


def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Press a key until the target has the focus, and see that it shows."""
    for _ in range(60):
        page.keyboard.press(key)
        if target.evaluate("one => one === document.activeElement"):
            assert page.evaluate(FOCUS_IS_SEEN)
            return
    raise AssertionError(f"{key} never reaches {target}")


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
