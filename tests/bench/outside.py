"""Other tools for the first copy, beside ours: sling and dlt, where PyPI has them.

Each is installed into an environment of its own under `var/bench`, once. They write
into tables without keys, which is less work than the engine's upsert.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cluster import database, execute, fetch, settle
from tests.bench.engine import initial_copy
from tests.bench.maps import PLAIN, Link
from tests.bench.report import Result
from tests.bench.tables import CUSTOMERS, FILL, SOURCE
from tests.servers import PostgresServer

HOME = Path(__file__).resolve().parents[2] / "var" / "bench"
SECONDS = 1800
QUIET = {
    "SLING_DISABLE_TELEMETRY": "true",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
}


class Unavailable(Exception):
    """The tool cannot be had here; says why."""


@dataclass(frozen=True)
class Tool:
    """A tool with what pip installs for it, how it copies, and the table it fills."""

    name: str
    packages: tuple[str, ...]
    command: Callable[[Path, str, str, str], Sequence[str]]
    table: str


def _sling(home: Path, source: str, target: str, _folder: str) -> Sequence[str]:
    # The wheel holds the program; PyPI's `sling` itself would download it elsewhere.
    (program,) = home.glob("lib/*/site-packages/sling_linux_amd64/bin/sling-linux-*")
    program.chmod(0o755)
    return [
        *(
            str(program),
            "run",
            "--src-conn",
            source,
            "--src-stream",
            "public.customers",
        ),
        *("--tgt-conn", target, "--tgt-object", "bench_sling.customers"),
        *("--mode", "full-refresh"),
    ]


def _dlt(home: Path, source: str, target: str, folder: str) -> Sequence[str]:
    script = Path(__file__).with_name("dlt_copy.py")
    return [str(home / "bin" / "python"), str(script), source, target, folder]


TOOLS = (
    Tool("sling", ("sling-linux-amd64==1.4.11",), _sling, "bench_sling.customers"),
    Tool(
        "dlt",
        ("dlt[postgres]==1.31.0", "sqlalchemy", "pyarrow", "numpy", "pandas"),
        _dlt,
        "bench_dlt.customers",
    ),
)


def outside_results(
    on: PostgresServer, rows: int, workers: int, say: Callable[[str], None]
) -> list[Result]:
    """Our plain copy, in the same run as each tool that can be had."""
    results: list[Result] = []
    fill = FILL.format(rows=rows)
    with database(on, "bench_erp", SOURCE, CUSTOMERS, fill) as source:
        settle(source)
        for tool in TOOLS:
            try:
                home = _installed(tool)
            except Unavailable as reason:
                say(f"  {tool.name} is left out: {reason}")
                continue
            try:
                results.append(_beside(on, source, rows, workers, tool, home))
            except RuntimeError as error:
                say(f"  {tool.name} failed: {error}")
    return results


def _installed(tool: Tool) -> Path:
    """The tool's environment, made at first."""
    home = HOME / tool.name
    done = home / ".installed"
    wanted = "\n".join(tool.packages)
    if done.exists() and done.read_text() == wanted:
        return home
    try:
        _run([sys.executable, "-m", "venv", "--clear", str(home)])
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "-q"]
        _run([*pip, "--only-binary", ":all:", *tool.packages])
    except RuntimeError as error:
        raise Unavailable(f"it cannot be installed here ({error})") from error
    done.write_text(wanted)
    return home


def _beside(
    on: PostgresServer, source: str, rows: int, workers: int, tool: Tool, home: Path
) -> Result:
    with database(on, "bench_plain", CUSTOMERS) as plain:
        link = Link(PLAIN, source, plain)
        link.install()
        ours = initial_copy(link, workers)
    with (
        database(on, "bench_outside", f"CREATE SCHEMA bench_{tool.name}") as target,
        tempfile.TemporaryDirectory(prefix="dualwrite-bench-") as folder,
    ):
        execute(target, "CHECKPOINT")
        command = tool.command(home, _plain(source), _plain(target), folder)
        began = time.monotonic()
        _run(command, folder)
        seconds = time.monotonic() - began
        arrived = fetch(target, f"SELECT count(*) FROM {tool.table}")[0][0]
    if arrived != rows:
        raise RuntimeError(f"{tool.name} copied {arrived} of {rows} rows")
    return Result(
        f"Initial sync, plain, beside {tool.name}, {rows:,} rows",
        rows / ours.seconds,
        "rows/s",
        rows / seconds,
        tool.packages[0],
        note=f"{workers} workers; {tool.name} with its start, into a table without "
        "keys, with its usual settings",
    )


def _plain(dsn: str) -> str:
    return f"{dsn}{'&' if '?' in dsn else '?'}sslmode=disable"


def _run(command: Sequence[str], folder: str = "") -> None:
    environment = {**os.environ, **QUIET, "HOME": folder or os.environ["HOME"]}
    if folder:
        environment["SLING_HOME_DIR"] = folder
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=folder or None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(str(error)) from error
    if done.returncode:
        raise RuntimeError("\n".join(done.stdout.strip().splitlines()[-5:]))
