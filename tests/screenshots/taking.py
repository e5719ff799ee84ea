"""Takes the pictures, as WebP: small, and every browser shows it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.accessibility import grave_findings, prepare
from tests.e2e.browsing import ARGUMENTS, CHROMIUM, sign_in
from tests.e2e.looking import CUT_OFF

QUALITY = 55


@dataclass(frozen=True)
class Look:
    """One way to see a page."""

    name: str
    scheme: str
    width: int
    height: int
    longest: int


LOOKS = (
    Look("light", "light", 1280, 800, 1600),
    Look("dark", "dark", 1280, 800, 1600),
    Look("phone", "light", 390, 844, 1800),
)


@contextmanager
def signed_in(address: str, password: str) -> Iterator[Page]:
    """A page of the signed-in administrator."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(ARGUMENTS)
        )
        page = browser.new_context(base_url=address).new_page()
        page.set_default_timeout(60_000)
        page.goto("/accounts/login/")
        sign_in(page, password)
        expect(page).to_have_url(f"{address}/")
        yield page
        browser.close()


def take(
    page: Page, pages: Mapping[str, str], to: Path, form: str
) -> tuple[list[Path], list[str]]:
    """A picture of every page in every look: where they lie, and what is cut off in
    them or keeps somebody out."""
    found: list[Path] = []
    faults: list[str] = []
    for look in LOOKS:
        page.emulate_media(color_scheme=look.scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        page.set_viewport_size({"width": look.width, "height": look.height})
        for name, address in pages.items():
            page.goto(address)
            expect(page.locator("h1").first).to_be_attached()
            page.evaluate("document.fonts.ready")
            # What a page fetches when it is open belongs to it.
            page.wait_for_timeout(50)
            expect(page.locator(".htmx-request")).to_have_count(0)
            found.append(to / f"{name}-{look.name}.{form}")
            found[-1].write_bytes(_picture(page, look, form))
            wrong = page.evaluate(CUT_OFF)
            prepare(page, whole=False)
            wrong += grave_findings(page)
            faults += [f"{name} {look.name}: {each}" for each in wrong]
    return found, faults


def _picture(page: Page, look: Look, form: str) -> bytes:
    """From the top of the page down to its end, or as far as is worth looking at."""
    page.set_viewport_size({"width": look.width, "height": look.height})
    height = page.evaluate("document.documentElement.scrollHeight")
    height = min(max(height, look.height), look.longest)
    page.set_viewport_size({"width": look.width, "height": height})
    asked: dict[str, object] = {"format": form}
    if form == "webp":
        asked["quality"] = QUALITY
    session = page.context.new_cdp_session(page)
    answer = session.send("Page.captureScreenshot", asked)
    session.detach()
    return base64.b64decode(answer["data"])
