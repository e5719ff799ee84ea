"""Each role sees only what it may: one administrator adds them, then each looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.running import RunningPortal

PASSWORD = "one-for-each-of-them"
MAP = "Customers V3 (accounts)"

PAGES = [
    *("Dashboard", "Maps", "Ready-made maps", "Value maps", "Initial syncs", "Errors"),
    *("Records", "Approvals", "Inbox", "Alerts", "Conflicts", "Activity", "System"),
]
LISTS = ["Environments", "Connection sets", "Table maps"]


@dataclass(frozen=True)
class Sight:
    """What a role finds: entries of the navigation, buttons by the address they are
    on, and addresses that are refused."""

    navigation: list[str]
    found: dict[str, list[str]]
    missing: dict[str, list[str]]
    refused: list[str]


RUNNING = ["bulk-run", "bulk-pause", "bulk-stop"]
OF_MAP = ["action-pause", "action-stop"]

SEEN = {
    "Auditor": Sight(
        [*PAGES, *LISTS, "Users"],
        {},
        {
            "/maps/": [*RUNNING, "import"],
            "MAP": [*OF_MAP, "edit-map"],
            "MAP/edit/": ["begin"],
            "/value-maps/": ["new"],
            "/users/": ["new"],
            "/alerts/rules/": ["new-rule"],
        },
        ["/users/new/", "/setup/", "/maps/run/", "/maps/import/", "/alerts/webhooks/"],
    ),
    "Operator": Sight(
        [*PAGES, *LISTS],
        {"/maps/": RUNNING, "MAP": OF_MAP, "/alerts/rules/": ["new-rule"]},
        {
            "/maps/": ["import"],
            "MAP": ["edit-map"],
            "MAP/edit/": ["begin"],
            "/value-maps/": ["new"],
        },
        ["/users/", "/setup/", "/maps/import/", "/value-maps/new/", "/alerts/mail/"],
    ),
    "Map maker": Sight(
        [*PAGES, *LISTS],
        {
            "/maps/": ["import"],
            "MAP": ["edit-map"],
            "/value-maps/": ["new"],
        },
        {"/maps/": RUNNING, "MAP": OF_MAP, "/alerts/rules/": ["new-rule"]},
        ["/users/", "/setup/", "/maps/run/", "/alerts/rules/new/"],
    ),
}


@pytest.fixture
def visitor(new_context: Callable[..., BrowserContext]) -> Page:
    return new_context().new_page()


def add(page: Page, role: str) -> str:
    """Have the administrator add a user with one role."""
    name = role.lower().replace(" ", "-")
    page.goto("/users/new/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("checkbox", name=role).check()
    page.get_by_test_id("add-user").click()
    expect(page.get_by_text(f"User {name} was added.")).to_be_visible()
    return name


def sign_in(page: Page, name: str) -> None:
    page.goto("/accounts/login/?next=/maps/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def look(page: Page, sight: Sight, map_page: str) -> None:
    """Find all of it, and nothing that is not for the role."""
    entries = page.locator("#nav-sidebar-apps a:not([href='#'])")
    words = [text.split("\n")[-1].strip() for text in entries.all_inner_texts()]
    assert [word for word in words if word not in ("", *map(str, range(100)))] == (
        sight.navigation
    )
    for address in dict.fromkeys((*sight.found, *sight.missing)):
        page.goto(address.replace("MAP", map_page.rstrip("/")))
        expect(page.locator("h1").first).to_be_visible()
        for name in sight.found.get(address, []):
            expect(page.get_by_test_id(name).first).to_be_visible()
        for name in sight.missing.get(address, []):
            expect(page.get_by_test_id(name)).to_have_count(0)
    for address in sight.refused:
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 403, address
        expect(page.get_by_test_id("problem")).to_contain_text("lacks the right to")
        expect(page.get_by_test_id("problem")).to_contain_text("Ask an administrator:")


def test_each_role_sees_only_what_it_may(
    portal: RunningPortal, signed_in: Page, visitor: Page
) -> None:
    map_page = f"/maps/{portal.map_id(MAP)}/"
    for role, sight in SEEN.items():
        sign_in(visitor, add(signed_in, role))
        expect(visitor.get_by_test_id("map-row").first).to_be_visible()
        look(visitor, sight, map_page)
        visitor.context.clear_cookies()

    # An operator limited to nothing sees nothing; unlimited again, everything.
    signed_in.goto("/users/?role=Operator")
    signed_in.get_by_role("link", name="operator", exact=True).click()
    signed_in.get_by_label("Sees only what is ticked below").check()
    signed_in.get_by_test_id("save-limits").click()
    expect(signed_in.get_by_text("operator is saved.")).to_be_visible()
    sign_in(visitor, "operator")
    expect(visitor.get_by_text("No maps yet")).to_be_visible()
    answer = visitor.goto(f"/maps/{portal.map_id(MAP)}/")
    assert answer is not None
    assert answer.status == 404

    # Who is refused reads why; who is deactivated is out at once.
    visitor.goto("/users/")
    expect(visitor.get_by_test_id("problem")).to_contain_text(
        "Ask an administrator: admin."
    )
    signed_in.get_by_test_id("active").click()
    signed_in.get_by_test_id("confirm-active").click()
    expect(signed_in.get_by_text("operator was deactivated.")).to_be_visible()
    visitor.goto("/profile/")
    expect(visitor.get_by_label("Username")).to_be_visible()
