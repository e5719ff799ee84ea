"""What can be wrong with any page, seen in a browser."""

from __future__ import annotations

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, Response

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
"""What reaches beyond the window, but for what scrolls by itself."""

FOCUS_IS_SEEN = """() => {
    const style = getComputedStyle(document.activeElement);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
}"""


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

    def take(self) -> list[str]:
        """What was found since the last time."""
        found, self.found = self.found, []
        return found


def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Press a key until the target has the focus, and see that it shows."""
    for _ in range(60):
        page.keyboard.press(key)
        if target.evaluate("one => one === document.activeElement"):
            assert page.evaluate(FOCUS_IS_SEEN)
            return
    raise AssertionError(f"{key} never reaches {target}")
