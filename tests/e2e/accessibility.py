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
FURTHER_ROWS = "tbody > tr:nth-child(n+5)"
SIDEBAR = "#nav-sidebar"

RUN = """async ([rules, tags, exclude]) => {
    const runOnly = rules.length
        ? { type: "rule", values: rules }
        : { type: "tag", values: tags };
    const few = { include: [["html"]], exclude };
    const found = await axe.run(few, { runOnly, resultTypes: ["violations"] });
    return found.violations.map(({ id, impact, help, nodes }) => ({
        id, impact, help, nodes: nodes.slice(0, 3).map(
            (node) => `${node.target.join(" ")}: ${node.failureSummary}`),
    }));
}"""


@cache
def _script() -> str:
    return (Path(axe_playwright_python.__file__).parent / SCRIPT).read_text()


def grave_findings(page: Page, *rules: str, whole: bool = True) -> list[str]:
    """Serious and critical findings, by all rules of WCAG 2.2 AA or only by some. Of
    long tables the first rows are looked at, for the others are alike; of what every
    page has beside it nothing, unless the `whole` page is wanted."""
    passed_over = [FURTHER_ROWS] if whole else [FURTHER_ROWS, SIDEBAR]
    page.evaluate(_script())
    found: list[dict[str, Any]] = page.evaluate(
        RUN, [list(rules), list(WCAG), [[each] for each in passed_over]]
    )
    return [
        f"axe {one['id']} ({one['impact']}): {one['help']}: {' | '.join(one['nodes'])}"
        for one in found
        if one["impact"] in GRAVE
    ]
