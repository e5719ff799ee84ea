"""axe looks at a page: what it finds that would keep somebody out."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.sync_api import Page

SCRIPT = "axe.min.js"
WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
GRAVE = ("serious", "critical")

ALIKE = "tbody > tr:nth-child(n+5), option:nth-child(n+4)"
SIDEBAR = "#nav-sidebar"
LEAVE_OUT = "what => document.querySelectorAll(what).forEach((one) => one.remove())"

RUN = """async ([rules, tags]) => {
    const runOnly = rules.length
        ? { type: "rule", values: rules }
        : { type: "tag", values: tags };
    const found = await axe.run({ runOnly, resultTypes: ["violations"] });
    return found.violations.map(({ id, impact, help, nodes }) => ({
        id, impact, help, nodes: nodes.slice(0, 3).map(
            (node) => `${node.target.join(" ")}: ${node.failureSummary}`),
    }));
}"""


@cache
def _script() -> str:
    return (Path(axe_playwright_python.__file__).parent / SCRIPT).read_text()


def prepare(page: Page, *, whole: bool) -> None:
    """Make an opened page ready for `grave_findings`. Of long tables and lists the
    first rows stay, for the others are alike; and what every page has beside it goes,
    unless the `whole` page is wanted: each of them takes time."""
    page.evaluate(LEAVE_OUT, ALIKE if whole else f"{ALIKE}, {SIDEBAR}")
    page.evaluate(_script())


def grave_findings(page: Page, *rules: str) -> list[str]:
    """Serious and critical findings in a prepared page, by all rules of WCAG 2.2 AA or
    only by some."""
    found: list[dict[str, Any]] = page.evaluate(RUN, [list(rules), list(WCAG)])
    return [
        f"axe {one['id']} ({one['impact']}): {one['help']}: {' | '.join(one['nodes'])}"
        for one in found
        if one["impact"] in GRAVE
    ]
