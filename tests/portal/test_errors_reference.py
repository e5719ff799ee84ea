"""docs/reference/errors.md: every code of a failed record, as the code has it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from syncengine.connectors.postgres import errors as postgres
from syncengine.mapping.causes import CODES, Recovery

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reference/errors.md").read_text()
SECTIONS = {
    Recovery.PERSON: "Causes that need a person",
    Recovery.WAITING: "Causes that wait for another record",
    Recovery.PASSING: "Causes that pass by themselves",
}


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_page_has_each_code_with_its_meaning_and_cure() -> None:
    for recovery, title in SECTIONS.items():
        rows = re.findall(
            r"^\| (\w+) \| (.+) \| (.+) \|$", section(title), re.MULTILINE
        )
        assert {code: (meaning, cure) for code, meaning, cure in rows[1:]} == {
            code: (known.meaning, known.cure)
            for code, known in CODES.items()
            if known.recovery is recovery
        }


def test_the_page_has_each_outage() -> None:
    cells = re.findall(r"^\| ([a-z_, ]+) \|", section("Outages"), re.MULTILINE)
    listed = {code for cell in cells for code in cell.split(", ")}
    given = {code for code, _ in postgres._OUTAGES.values()}
    given |= {code for code, _ in postgres._OUTAGE_CLASSES.values()}
    given |= {code for _, _, code, _ in postgres._START_UP}
    assert given <= listed


def codes_of_record_errors() -> Iterator[str]:
    """Codes given to RecordError or Outcome anywhere in the engine."""
    for path in (ROOT / "syncengine").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name not in ("RecordError", "Outcome", "Refusal"):
                continue
            for keyword in node.keywords:
                if keyword.arg == "code":
                    yield from texts(keyword.value)


def texts(node: ast.AST) -> Iterator[str]:
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield one.value


def test_every_code_that_a_record_can_fail_with_is_known() -> None:
    given = set(codes_of_record_errors())
    given |= {code for code, _ in postgres._REFUSED.values()}
    assert len(given) > 15
    assert given <= set(CODES)
