"""`dw traffic`: believable changes on both sides of the sample companies."""

from __future__ import annotations

import argparse

from portal.management.results import Add, Console, Result
from portal.refusals import Refusal
from portal.sample import traffic
from portal.sample.databases import SampleError


def register(add: Add) -> None:
    """Add the command."""
    parser = add("traffic", run, "make believable changes in the sample databases")
    traffic.add_arguments(parser)


def run(options: argparse.Namespace, console: Console) -> Result:
    """Change both databases for a while and say what was done."""
    console.progress(
        f"Making {options.rate:g} transactions a second for {options.seconds:g} s ..."
    )
    try:
        result = traffic.run(vars(options))
    except SampleError as error:
        raise Refusal(str(error), code="no_sample") from error
    return Result(result, traffic.summary(result))
