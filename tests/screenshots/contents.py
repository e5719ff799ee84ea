"""A list of all pictures, beside them, for people who browse the repository."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.pages import PAGES, PARTS
from tests.screenshots.taking import LOOKS

TITLES = {
    "running": "Dashboard, maps, first copies",
    "defining": "Editor, versions, files, value maps, ready-made maps",
    "mending": "Errors, conflicts, records, comparisons, approvals",
    "watching": "Activity, alerts, inbox, users",
    "linking": "Setting up a link, environments, connection sets",
}
HEAD = """# Every page, in pictures

Made by `make screenshots` from sample companies on a busy day; not by hand.
"""


def write(to: Path, form: str) -> None:
    """Write it; a picture that was not taken is not named."""
    lines = [HEAD]
    for part in PARTS:
        lines += [f"## {TITLES[part]}", ""]
        for page in PAGES:
            files = [(look.name, f"{page.name}-{look.name}.{form}") for look in LOOKS]
            links = [
                f"[{look}]({name})" for look, name in files if (to / name).exists()
            ]
            if page.part == part and links:
                lines.append(f"- {page.name}: {', '.join(links)}")
        lines.append("")
    (to / "README.md").write_text("\n".join(lines).rstrip() + "\n")
