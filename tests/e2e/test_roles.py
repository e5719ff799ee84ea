"""Each role sees only what it may: one administrator adds them, then each looks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.running import RunningPortal

PASSWORD = "one-for-each-of-them"
MAP = "Customers V3 (accounts)"

SEEN = {
    "Auditor": {"bulk-run": 0, "import": 0, "Users": 1, "Environments": 1},
    "Operator": {"bulk-run": 1, "import": 0, "Users": 0, "Environments": 1},
    "Map maker": {"bulk-run": 0, "import": 1, "Users": 0, "Environments": 1},
}
"""How often each role finds these on the list of maps: buttons by id, links by word."""


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


def test_each_role_sees_only_what_it_may(
    portal: RunningPortal, signed_in: Page, visitor: Page
) -> None:
    refused: list[str] = []
    visitor.on(
        "console",
        lambda said: refused.append(said.text) if "Security Policy" in said.text else 0,
    )
    for role, expected in SEEN.items():
        name = add(signed_in, role)
        sign_in(visitor, name)
        expect(visitor.get_by_test_id("map-row").first).to_be_visible()
        sidebar = visitor.get_by_role("link")
        for what, number in expected.items():
            found = visitor.get_by_test_id(what)
            if what[0].isupper():
                found = sidebar.filter(has_text=what)
            expect(found).to_have_count(number)
        visitor.goto(f"/maps/{portal.map_id(MAP)}/")
        expect(visitor.get_by_test_id("action-pause")).to_have_count(
            expected["bulk-run"]
        )
        expect(visitor.get_by_test_id("edit-map")).to_have_count(expected["import"])
        visitor.context.clear_cookies()
    assert refused == []

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
