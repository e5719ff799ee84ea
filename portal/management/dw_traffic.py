"""`dw traffic` and `dw cross`: changes in the sample companies."""

from __future__ import annotations

import argparse

from portal.management.results import Add, Console, Result
from portal.refusals import Refusal
from portal.sample import crossing, traffic
from portal.sample.databases import SampleError
from syncengine.mapping.model import Side


def register(add: Add) -> None:
    """Add the commands."""
    parser = add("traffic", run, "make believable changes in the sample databases")
    traffic.add_arguments(parser)
    parser = add("cross", cross, "change a sample customer, time its arrival")
    parser.add_argument(
        "--side", choices=[side.value for side in Side], default="finops"
    )
    parser.add_argument("--customer", default="", metavar="ACCOUNT")
    parser.add_argument("--name", default="", help="its new name")
    parser.add_argument("--credit-limit", default="", help="its new credit limit")


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


def cross(options: argparse.Namespace, console: Console) -> Result:
    """Change one customer on one side and say when the other side had it."""
    linked, side = crossing.linked_sample(), Side(options.side)
    found = crossing.customer(linked, options.customer)
    present = found.sides[side]
    if present is None:
        raise Refusal(f"There is no organization {found.account} on this side.")
    if not options.name and not options.credit_limit:
        raise Refusal("Say what to change: --name TEXT or --credit-limit NUMBER.")
    wanted = crossing.fields(
        options.name or present.name,
        options.credit_limit or str(present.credit_limit),
    )
    made = crossing.change(linked, side, found.account, wanted)
    document = {
        "customer": made.account,
        "side": side.value,
        "seconds": None if made.seconds is None else round(made.seconds, 4),
    }
    if made.seconds is None:
        return Result(document, code=1, error="It is not on the other side yet.")
    return Result(
        document,
        f"{made.account} was changed in {linked.environment(side).name}; "
        f"{linked.environment(side.other).name} had it "
        f"{made.seconds * 1000:.0f} ms later.",
    )
