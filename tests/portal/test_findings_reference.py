"""docs/reference/map-findings.md lists every code that the source can give."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reference/map-findings.md"
PLACES = ("syncengine/mapping", "syncengine/connectors", "portal/checks", "portal/maps")
IDENTITY = "portal/environments/identity.py"
CODE = re.compile(
    r"(DIPV1\d{3}|VMAP1\d{2}|[1-9]\d{2,3}|PRECISION_MISMATCH|PG_[A-Z_]+"
    r"|being_unlinked|D[WF][A-Z]+1\d{3})\Z"
)


def in_source() -> dict[str, Path]:
    """Every code that is written in the modules that make findings."""
    found: dict[str, Path] = {}
    files = [path for place in PLACES for path in (ROOT / place).rglob("*.py")]
    for path in [*files, ROOT / IDENTITY]:
        for code in codes(ast.parse(path.read_text())):
            found.setdefault(code, path)
    return found


def codes(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if CODE.match(node.value):
                yield node.value
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "side_code":
            number = node.args[1]
            assert isinstance(number, ast.Constant)
            yield from (f"{prefix}{number.value}" for prefix in ("DWFOEV", "DWDVEV"))


def on_the_page(text: str) -> set[str]:
    """The codes of the tables of findings; those of records are not among them."""
    cells = re.findall(r"^\| ([^|]+) \| [EWI](?:, [EWI])? \|", text, re.MULTILINE)
    return {code for cell in cells for code in cell.split(", ")}


def test_the_page_lists_each_code_of_the_source_and_no_other() -> None:
    listed, given = on_the_page(PAGE.read_text()), in_source()
    missing = {code: str(path) for code, path in given.items() if code not in listed}
    assert not missing
    streams = {code for code in listed if code.startswith("stream_")}
    assert listed - set(given) - streams == set()


def test_codes_without_a_meaning_are_listed_apart_with_the_reason() -> None:
    text = PAGE.read_text()
    apart = text.split("## Documented codes without a meaning here")[1].split("##")[0]
    cells = re.findall(r"^\| ([^|-]+) \| ([^|]+) \|$", apart, re.MULTILINE)[1:]
    without = {code for cell, _ in cells for code in cell.split(", ")}
    assert not without & on_the_page(text)
    documented = {f"DIPV{number}" for number in range(1000, 1032)}
    assert documented <= without | on_the_page(text)
    assert {
        "100",
        "400",
        "500",
        "900",
        "1000",
        "1300",
        "1500",
        "1600",
        "1700",
        "1800",
        "1900",
        "2000",
        "5000",
        "5100",
        "5200",
    } <= without | on_the_page(text)
    assert all(reason for _, reason in cells)
