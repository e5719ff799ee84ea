"""Results, their budgets, and the table that `make bench` writes."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"

BUSY = 0.15
"""More than this share of the cores is other work."""


class Verdict(StrEnum):
    """How a result stands to its budget; half a budget is the least allowed."""

    MET = "met"
    HALF = "above half"
    MISSED = "below half"
    NONE = "-"


@dataclass(frozen=True)
class Limit:
    """One budget: a bound on the value itself or on its ratio to the reference."""

    bound: float
    at_least: bool
    of_ratio: bool = False

    def verdict(self, value: float, ratio: float | None) -> Verdict:
        """Met, met by half, or not even that."""
        found = ratio if self.of_ratio else value
        if found is None:
            return Verdict.NONE
        if self.at_least:
            met, half = found >= self.bound, found >= self.bound / 2
        else:
            met, half = found <= self.bound, found <= self.bound * 2
        return Verdict.MET if met else Verdict.HALF if half else Verdict.MISSED

    def text(self, unit: str) -> str:
        """As the table says it."""
        sign = ">=" if self.at_least else "<="
        amount = f"{self.bound:g}x" if self.of_ratio else f"{self.bound:,.6g} {unit}"
        return f"{sign} {amount}"

    def half_text(self, unit: str) -> str:
        """The half budget as the table says it."""
        bound = self.bound / 2 if self.at_least else self.bound * 2
        return Limit(bound, self.at_least, self.of_ratio).text(unit)


@dataclass(frozen=True)
class Result:
    """One measured number with its reference from the same run."""

    name: str
    value: float
    unit: str
    reference: float | None = None
    reference_name: str = ""
    limits: tuple[Limit, ...] = ()
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Value over reference."""
        return self.value / self.reference if self.reference else None

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all limits."""
        verdicts = [limit.verdict(self.value, self.ratio) for limit in self.limits]
        for worst in (Verdict.MISSED, Verdict.HALF, Verdict.MET):
            if worst in verdicts:
                return worst
        return Verdict.NONE


def busy_share(seconds: float = 2.0) -> float:
    """The share of all cores' time that something runs in, over some seconds: the
    load average still tells of what ended minutes ago."""
    before = _ticks()
    time.sleep(seconds)  # the time that is looked at
    after = _ticks()
    spent, idle = (late - early for late, early in zip(after, before, strict=True))
    return 1 - idle / spent if spent else 0.0


def _ticks() -> tuple[int, int]:
    """Of all cores since the start, in all and idle."""
    with open("/proc/stat", encoding="ascii") as stat:
        parts = [int(part) for part in stat.readline().split()[1:9]]
    return sum(parts), parts[3] + parts[4]


@dataclass
class Report:
    """All results of one run."""

    server: str
    settings: str
    results: list[Result] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    busy_before: float = field(default_factory=lambda: busy_share())

    @property
    def busy(self) -> bool:
        """Whether the machine had other work when the run began."""
        return self.busy_before > BUSY

    @property
    def failed(self) -> bool:
        """Whether something could not be measured or missed half its budget."""
        missed = any(result.verdict is Verdict.MISSED for result in self.results)
        return missed or bool(self.failures)

    def markdown(self) -> str:
        """The table and what it was measured on."""
        now = datetime.now(UTC)
        lines = [
            f"Measured {now:%Y-%m-%d %H:%M} UTC on {os.cpu_count()} cores, "
            f"{platform.machine()}, Python {platform.python_version()}, {self.server}; "
            f"{self.settings}.",
            *(
                [
                    "",
                    f"**The machine was busy** ({self.busy_before:.0%} of its cores "
                    "before the run): these numbers say little, measure again.",
                ]
                if self.busy
                else []
            ),
            "",
            "| What | Engine | Reference | Ratio | Budget | Half | Verdict |",
            "|---|---:|---:|---:|---|---|---|",
            *(self._line(result) for result in self.results),
        ]
        notes = [f"- {r.name}: {r.note}" for r in self.results if r.note]
        failures = [f"- Not measured: {failure}" for failure in self.failures]
        if notes or failures:
            lines += ["", *notes, *failures]
        return "\n".join(lines) + "\n"

    @staticmethod
    def _line(result: Result) -> str:
        reference = (
            f"{number(result.reference)} {result.unit} ({result.reference_name})"
            if result.reference is not None
            else "-"
        )
        ratio = f"{result.ratio:.2f}x" if result.ratio is not None else "-"
        cells = (
            result.name,
            f"{number(result.value)} {result.unit}",
            reference,
            ratio,
            ", ".join(limit.text(result.unit) for limit in result.limits) or "-",
            ", ".join(limit.half_text(result.unit) for limit in result.limits) or "-",
            str(result.verdict),
        )
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def number(value: float) -> str:
    """Three or so digits that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"


def write_section(path: Path, markdown: str) -> None:
    """Put the table between the marks of the page, keeping everything else."""
    page = path.read_text() if path.exists() else "# Performance\n"
    section = f"{BEGIN}\n{markdown}{END}"
    marks = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if marks.search(page):
        page = marks.sub(lambda _: section, page)
    else:
        page = page.rstrip() + "\n\n" + section + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
