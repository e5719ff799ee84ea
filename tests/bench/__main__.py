"""`make bench`: measure everything, print the table, keep it in the documentation."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench import cluster, history
from tests.bench.bucardo import NEEDED, bucardo_results, installed
from tests.bench.compare_measures import compare_results
from tests.bench.conflict_measures import conflict_results
from tests.bench.engine import engine
from tests.bench.initial_measures import initial_results
from tests.bench.large_measures import large_results
from tests.bench.live_measures import (
    catch_up_results,
    latency_results,
    throughput_results,
)
from tests.bench.memory_measures import memory_results
from tests.bench.outside import outside_results
from tests.bench.portal_measures import (
    error_results,
    one_bad_results,
    page_results,
)
from tests.bench.ready_made_measures import ready_made_results
from tests.bench.report import Report, Result, write_section
from tests.bench.row_measures import row_results
from tests.bench.scale_measures import scale_results
from tests.bench.synchronous_measures import synchronous_results

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
MEASURES = (
    *("rows", "initial", "memory", "outside", "ready-made"),
    *("latency", "throughput", "catch-up", "big-transaction", "scale", "compare"),
    *("conflicts", "synchronous"),
    *("errors", "one-bad", "pages"),
    "bucardo",
)


def main() -> int:
    """0 when all was measured and nothing is below half its budget."""
    options = _options()
    with cluster.server() as on, history.kept(on, options.history):
        version = cluster.fetch(on.dsn(), "SHOW server_version")[0][0]
        report = Report(
            f"PostgreSQL {version.split()[0]}",
            "durable settings (fsync and synchronous_commit on); engine, reference, "
            "load and server share the machine",
        )
        measures: dict[str, Callable[[], list[Result]]] = {
            "rows": lambda: row_results(on, options.seconds / 2),
            "scale": lambda: scale_results(on, options.changes),
            "initial": lambda: initial_results(
                on, options.rows, options.rounds, options.workers
            ),
            "memory": lambda: memory_results(
                on, tuple(options.memory_rows), options.workers
            ),
            "outside": lambda: outside_results(on, options.rows, options.workers, _say),
            "ready-made": lambda: ready_made_results(on, options.ready_made_rows),
            "latency": lambda: latency_results(engine, on, options.seconds),
            "throughput": lambda: throughput_results(engine, on, options.seconds),
            "big-transaction": lambda: large_results(on, options.large_rows),
            "catch-up": lambda: catch_up_results(engine, on, options.backlog),
            "errors": lambda: error_results(on, options.errors),
            "one-bad": lambda: one_bad_results(on),
            "pages": lambda: page_results(
                on, options.listed_errors, options.listed_events
            ),
            "compare": lambda: compare_results(on, options.rows, options.rounds),
            "conflicts": lambda: conflict_results(on, options.storm),
            "synchronous": lambda: synchronous_results(on, options.seconds / 2),
            "bucardo": lambda: bucardo_results(engine, options.seconds),
        }
        for name in options.only:
            if name == "bucardo" and not installed():
                _say(f"Bucardo is not installed and left out; to have it: {NEEDED}")
                continue
            began = time.monotonic()
            _say(f"Measuring {name} ...")
            try:
                report.results += measures[name]()
            except (RuntimeError, AssertionError) as error:
                report.failures.append(f"{name}: {error}")
            _say(f"  {time.monotonic() - began:.0f} s")
    sys.stdout.write(report.markdown())
    if not options.no_page:
        write_section(options.page, report.markdown())
    return 1 if report.failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="initial sync")
    parser.add_argument(
        "--ready-made-rows", type=int, default=100_000, help="of each ready-made map"
    )
    parser.add_argument(
        "--memory-rows",
        type=int,
        nargs="+",
        default=[10_000, 1_000_000, 10_000_000],
        help="sizes that workers' memory is measured with",
    )
    parser.add_argument("--rounds", type=int, default=3, help="of the initial sync")
    parser.add_argument("--workers", type=int, default=2, help="copying processes")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each live load")
    parser.add_argument(
        "--backlog", type=int, default=2000, help="transactions of 100 rows"
    )
    parser.add_argument(
        "--large-rows", type=int, default=1_000_000, help="of one transaction"
    )
    parser.add_argument(
        "--changes", type=int, default=20_000, help="worked off with 1 and 135 maps"
    )
    parser.add_argument(
        "--storm", type=int, default=4_000, help="writes of the conflict storm"
    )
    parser.add_argument("--errors", type=int, default=100_000, help="retried at once")
    parser.add_argument(
        "--listed-errors", type=int, default=1_000_000, help="behind the pages"
    )
    parser.add_argument(
        "--listed-events", type=int, default=10_000_000, help="behind the pages"
    )
    parser.add_argument(
        "--history", type=int, default=100, help="records a second that streams keep"
    )
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--page", type=Path, default=PAGE, help="where the table goes")
    parser.add_argument("--no-page", action="store_true", help="only print the table")
    return parser.parse_args()


def _say(words: str) -> None:
    sys.stderr.write(words + "\n")


if __name__ == "__main__":
    sys.exit(main())
