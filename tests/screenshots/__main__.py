"""Starts a portal of its own (or takes one that runs), lets a busy day happen in it,
and takes pictures of every page. `python -m tests.screenshots --help`"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.embedded import launch
from tests.e2e.pages import SPARE, addresses
from tests.e2e.running import ROOT, Portal, RunningPortal, password_in
from tests.screenshots import contents, scene, taking


def main() -> int:
    """Take them all; 0 when that worked and nothing is wrong with a page."""
    options = _options()
    options.to.mkdir(parents=True, exist_ok=True)
    with _portal(options) as (portal, password):
        if options.arranged:
            chosen = portal.map_id(scene.ACCOUNTS)
        else:
            chosen = scene.arrange(portal)
        spare = portal.map_id(SPARE)
        wanted = {
            name: address
            for name, address in addresses(portal, chosen, spare).items()
            if re.search(options.only, name)
        }
        with taking.signed_in(portal.address, password) as page:
            found, faults = taking.take(page, wanted, options.to, options.form)
    contents.write(options.to, options.form)
    size = sum(one.stat().st_size for one in found) / 1e6
    sys.stdout.write(f"{len(found)} pictures, {size:.1f} MB, in {options.to}\n")
    sys.stdout.writelines(f"{each}\n" for each in faults)
    return 1 if faults else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Take pictures of every page.")
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "screenshots")
    parser.add_argument("--only", default="", help="names that match this expression")
    parser.add_argument(
        "--form", choices=("webp", "png"), default="webp", help="of the pictures"
    )
    parser.add_argument("--running", metavar="ADDRESS", help="of a portal that runs")
    parser.add_argument("--data", type=Path, help="its data directory")
    parser.add_argument("--said", type=Path, help="the file with what it printed")
    parser.add_argument(
        "--arranged", action="store_true", help="show it as it is, change nothing"
    )
    return parser.parse_args()


@contextmanager
def _portal(options: argparse.Namespace) -> Iterator[tuple[Portal, str]]:
    if options.running:
        portal = Portal(options.running, options.data)
        yield portal, password_in(options.said.read_text())
        portal.close()
        return
    started = RunningPortal(f"http://127.0.0.1:{launch.free_port()}")
    try:
        started.wait_until_up()
        yield started, started.password
    finally:
        started.stop()


if __name__ == "__main__":
    raise SystemExit(main())
