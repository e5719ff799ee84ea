"""The benchmark's table: verdicts, and that it leaves the page around it alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.report import Limit, Report, Result, Verdict, percentile, write_section


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(4000, Verdict.MET), (2000, Verdict.HALF), (1999, Verdict.MISSED)],
)
def test_a_floor_is_met_by_half_or_missed(value: float, verdict: Verdict) -> None:
    assert Limit(4000, at_least=True).verdict(value, None) is verdict


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(5, Verdict.MET), (10, Verdict.HALF), (10.1, Verdict.MISSED)],
)
def test_a_ceiling_is_met_by_half_or_missed(value: float, verdict: Verdict) -> None:
    assert Limit(5, at_least=False).verdict(value, None) is verdict


def test_the_worst_of_several_budgets_counts() -> None:
    limits = (Limit(5, False), Limit(4, False, of_ratio=True))
    assert Result("p50", 4, "ms", 0.9, "native", limits).verdict is Verdict.HALF


def test_a_report_fails_when_something_is_below_half_or_unmeasured() -> None:
    report = Report("server", "settings", busy_before=0.0)
    report.results.append(Result("fine", 10, "x", limits=(Limit(5, True),)))
    assert not report.failed
    report.failures.append("catch-up: no")
    assert report.failed


def test_a_pipe_in_a_name_does_not_split_the_table() -> None:
    report = Report("server", "settings", busy_before=0.0)
    report.results.append(Result("copy", 10, "rows/s", 20, "COPY | COPY"))
    row = next(line for line in report.markdown().splitlines() if "COPY" in line)
    assert r"COPY \| COPY" in row
    assert row.replace(r"\|", "").count("|") == 8


def test_the_page_around_the_table_stays(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n\nWords before.\n")
    write_section(page, r"one \1" + "\n")
    page.write_text(page.read_text() + "\nWords after.\n")
    write_section(page, r"two \g<0>" + "\n")
    text = page.read_text()
    assert text.startswith("# Performance\n\nWords before.\n")
    assert text.endswith("\nWords after.\n")
    assert r"two \g<0>" in text
    assert "one" not in text


def test_a_percentile_is_a_measured_value() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert percentile(values, 0.5) == 51
    assert percentile(values, 0.99) == 100
    assert percentile([7.0], 0.99) == 7


def test_a_busy_machine_is_named() -> None:
    assert "busy" in Report("server", "settings", busy_before=0.9).markdown()
    assert "busy" not in Report("server", "settings", busy_before=0.0).markdown()
