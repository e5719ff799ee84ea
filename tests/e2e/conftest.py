"""A running portal for all browser tests, and Debian's Chromium to look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    BrowserType,
    ConsoleMessage,
    Page,
    Playwright,
    expect,
    sync_playwright,
)

from portal.embedded import launch
from tests.e2e.browsing import ARGUMENTS, CHROMIUM, sign_in
from tests.e2e.running import RunningPortal

WAIT_MILLISECONDS = 45_000


@pytest.fixture(scope="session")
def base_url() -> str:
    """Where the portal will answer; known before it starts."""
    return f"http://127.0.0.1:{launch.free_port()}"


@pytest.fixture(scope="package")
def shared_portal(base_url: str) -> Iterator[RunningPortal]:
    """One portal for all modules, for its start takes longer than any test. It ends
    with the last of them: idle, it still takes time from other tests."""
    started = RunningPortal(base_url)
    try:
        started.wait_until_up()
        yield started
    finally:
        started.stop()


@pytest.fixture
def portal(
    shared_portal: RunningPortal, request: pytest.FixtureRequest
) -> Iterator[RunningPortal]:
    """The portal with everything running and nothing waiting, whatever earlier
    tests did; its logs are shown with a failed test."""
    shared_portal.settle()
    yield shared_portal
    result = getattr(request.node, "rep_call", None)
    if result is not None and result.failed:
        request.node.add_report_section("teardown", "logs", shared_portal.logs())
        shared_portal.recover()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> Any:
    return {
        **browser_type_launch_args,
        "executable_path": CHROMIUM,
        "args": list(ARGUMENTS),
    }


# Playwright's event loop lives in this thread while it is open, and Django refuses
# its ORM under one: so it is opened for a module and not for the whole session.


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    opened = sync_playwright().start()
    yield opened
    opened.stop()


@pytest.fixture(scope="module")
def browser_type(playwright: Playwright) -> BrowserType:
    return playwright.chromium


@pytest.fixture(scope="module")
def browser(
    browser_type: BrowserType, browser_type_launch_args: dict[str, Any]
) -> Iterator[Browser]:
    """One browser for a module, whose pages all keep the content security policy."""
    opened = browser_type.launch(**browser_type_launch_args)
    broken: list[str] = []
    new_context = opened.new_context

    def watched(**options: Any) -> BrowserContext:
        context = new_context(**options)
        context.on("console", lambda said: _note_broken_policy(said, broken))
        return context

    opened.new_context = watched  # type: ignore[assignment]
    yield opened
    opened.close()
    assert broken == []


def _note_broken_policy(said: ConsoleMessage, broken: list[str]) -> None:
    if "Content Security Policy" in said.text or "CSP" in said.text:
        broken.append(f"{said.page.url if said.page else ''}: {said.text}")


@pytest.fixture(scope="module")
def browser_context_args(base_url: str) -> dict[str, Any]:
    return {"base_url": base_url}


@pytest.fixture(scope="module", autouse=True)
def _patient_expectations() -> Iterator[None]:
    """Machines may be busy; nothing here waits longer than it must."""
    expect.set_options(timeout=WAIT_MILLISECONDS)
    yield
    expect.set_options(timeout=None)


@pytest.fixture(scope="module")
def session_state(
    browser: Browser, browser_context_args: dict[str, Any], shared_portal: RunningPortal
) -> Any:
    """The cookies of a signed-in administrator."""
    context = browser.new_context(**browser_context_args)
    page = context.new_page()
    page.goto("/accounts/login/")
    sign_in(page, shared_portal.password)
    expect(page).to_have_url(f"{shared_portal.address}/")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def signed_in(
    portal: RunningPortal,
    new_context: Callable[..., BrowserContext],
    session_state: Any,
) -> Page:
    """A page of a signed-in administrator, with the patience of the expectations."""
    context = new_context(storage_state=session_state)
    context.set_default_timeout(WAIT_MILLISECONDS)
    return context.new_page()
