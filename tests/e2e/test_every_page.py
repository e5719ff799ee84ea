"""Every page in every look: no failure, nothing cut off, nobody kept out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from tests.e2e import many
from tests.e2e.accessibility import grave_findings, prepare
from tests.e2e.looking import CUT_OFF, Watch
from tests.e2e.pages import PARTS, SPARE, addresses
from tests.e2e.running import RunningPortal

ACCOUNTS = "Customers V3 (accounts)"
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
WIDE: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 375, "height": 812}
QUICK_MILLISECONDS = 1000.0
DARKEN = "document.documentElement.classList.add('dark')"
IS_DARK = "document.documentElement.classList.contains('dark')"
ADMIN = (
    "/admin/",
    "/admin/environments/environment/",
    "/admin/environments/connectionset/",
    "/admin/maps/tablemap/",
    "/admin/alerts/alertrule/",
    "/admin/accounts/user/",
)
NOTHING = "/there-is-no-such-page/"
WHOLE = ("/", "/admin/")
"""Pages that are looked at with the sidebar that all have."""
SIGNED_OUT = ("/accounts/login/", "/accounts/password/", "/accounts/password/sent/")


@dataclass(frozen=True)
class Filled:
    """A portal in which every page has something to show: `chosen` is a paused map
    with very many errors and queued changes, `spare` one that does not run."""

    portal: RunningPortal
    chosen: int
    spare: int


@pytest.fixture(scope="module")
def filled(shared_portal: RunningPortal) -> Iterator[Filled]:
    portal = shared_portal
    portal.settle()
    chosen = portal.map_id(ACCOUNTS)
    portal.dw("pause", ACCOUNTS)
    try:
        portal.manage("shell", "-c", "from tests.e2e.exhibits import make; make()")
        many.make(portal, chosen)
        yield Filled(portal, chosen, portal.map_id(SPARE))
    finally:
        many.remove(portal)
        portal.manage("shell", "-c", "from tests.e2e.exhibits import remove; remove()")
        portal.dw("resume", ACCOUNTS)


@pytest.fixture(scope="module")
def page(
    browser: Browser, browser_context_args: dict[str, Any], session_state: Any
) -> Iterator[Page]:
    """One page for all walks: what a browser keeps, it need not fetch again."""
    context = browser.new_context(**browser_context_args, storage_state=session_state)
    context.set_default_timeout(45_000)
    yield context.new_page()
    context.close()


NARROW_OR_DARK = (
    *("color-contrast", "link-in-text-block", "target-size"),
    *("scrollable-region-focusable", "meta-viewport"),
)
"""What axe may find in a page that is dark or narrow and not otherwise."""


def faults(page: Page, address: str) -> list[str]:
    """What is wrong with a page, light and wide, dark and on a phone. It is opened
    once: what is dark differs by its colours only, what is narrow by its layout. (axe
    takes longest; `make screenshots` has it look at the other two pairs, too.)"""
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)
    page.goto(address)
    expect(page.locator("h1").first).to_be_attached()
    narrow = page.evaluate(CUT_OFF)
    page.set_viewport_size(WIDE)
    found = page.evaluate(CUT_OFF)
    prepare(page, whole=address in WHOLE)
    found += grave_findings(page)
    page.emulate_media(color_scheme="dark")
    page.evaluate(DARKEN)
    page.set_viewport_size(PHONE)
    narrow += grave_findings(page, *NARROW_OR_DARK)
    return [
        *(f"{address}: {each}" for each in found),
        *(f"{address}, dark or on a phone: {each}" for each in narrow),
    ]


@pytest.mark.parametrize("part", [*PARTS, "administration"])
def test_no_page_complains_or_is_cut_off_or_keeps_somebody_out(
    filled: Filled, page: Page, part: str
) -> None:
    watch, complaints = Watch(page), []
    pages = (
        ADMIN
        if part == "administration"
        else addresses(filled.portal, filled.chosen, filled.spare, part).values()
    )
    for address in pages:
        complaints += faults(page, address)
        complaints += [f"{address}: {each}" for each in watch.take()]
    assert not complaints, "\n".join(complaints)


def test_a_page_that_is_not_there_says_so_in_every_look(page: Page) -> None:
    for scheme, size in product(SCHEMES, (WIDE, PHONE)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        page.goto(NOTHING)
        expect(page.get_by_test_id("problem")).to_contain_text("There is no such page")
        assert page.evaluate(IS_DARK) == (scheme == "dark")
        assert not page.evaluate(CUT_OFF)


def test_pages_for_visitors_do_not_complain_and_fit(
    shared_portal: RunningPortal, new_context: Callable[..., BrowserContext]
) -> None:
    page = new_context().new_page()
    watch = Watch(page)
    for address in SIGNED_OUT:
        assert not [*faults(page, address), *watch.take()]
    page.goto("/accounts/login/")
    expect(page.get_by_label("Username")).to_have_attribute("autofocus", "")


def test_very_long_lists_are_paged_and_quick(filled: Filled, page: Page) -> None:
    for address, row, total in (
        ("/errors/", "error-row", "10,000 errors"),
        ("/conflicts/", "conflict-row", "10,000 conflicts"),
        (f"/maps/{filled.chosen}/errors/", "error-row", "10,000 errors"),
        (f"/maps/{filled.chosen}/queued/", "queued-row", "10,000 changes"),
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
        f"/maps/{filled.chosen}/errors/live/",
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
