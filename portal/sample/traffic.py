"""Believable changes on both sides of the sample companies, to watch and to test.

The two sides never touch the same record: the ERP edits customers with an even number,
the CRM those with an odd one, and each deletes only customers it made itself.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Event
from typing import Any

from portal.sample.traffic_crm import CrmTraffic
from portal.sample.traffic_erp import ErpTraffic
from portal.sample.traffic_side import SideTraffic

SIDES: Mapping[str, type[SideTraffic]] = {
    "finops": ErpTraffic,
    "dataverse": CrmTraffic,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `dw traffic`."""
    parser.add_argument(
        "--rate", type=_positive, default=20.0, help="transactions a second, both sides"
    )
    parser.add_argument("--seconds", type=_positive, default=60.0, help="how long")
    parser.add_argument(
        "--side", choices=("finops", "dataverse", "both"), default="both"
    )
    parser.add_argument("--seed", type=int, default=None, help="repeat a run")
    parser.add_argument(
        "--connection-set", default="contoso", help="the sample's connection set"
    )


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1_000_000:
        raise argparse.ArgumentTypeError("must be above zero")
    return number


def run(options: Mapping[str, Any]) -> dict[str, Any]:
    """Run `dw traffic` against a connection set; what was done, by side and kind.

    Raises SampleError with a sentence when that is not possible.
    """
    from portal.sample.services import sample_dsns

    return make_traffic(
        sample_dsns(options["connection_set"]),
        rate=options["rate"],
        seconds=options["seconds"],
        side=options["side"],
        seed=options["seed"],
    )


def make_traffic(
    dsns: Mapping[str, str],
    *,
    rate: float,
    seconds: float,
    side: str = "both",
    seed: int | None = None,
    stop: Event | None = None,
) -> dict[str, Any]:
    """Change the databases in `dsns` (by side) for `seconds` at `rate` transactions
    a second, shared evenly by the sides that take part; counts by side and kind.

    Setting `stop` ends it early.
    """
    chosen = [side] if side != "both" else list(SIDES)
    stop = stop or Event()
    began = time.monotonic()
    seed = Random().randrange(2**31) if seed is None else seed  # noqa: S311
    with ThreadPoolExecutor(len(chosen)) as pool:
        running = {
            name: pool.submit(
                _run_side,
                SIDES[name],
                dsns[name],
                Random(f"{seed} {name}"),  # noqa: S311 - believable, not secret
                rate / len(chosen),
                seconds,
                stop,
            )
            for name in chosen
        }
        try:
            done = {name: future.result() for name, future in running.items()}
        finally:
            stop.set()
    elapsed = time.monotonic() - began
    total = sum(sum(counts.values()) for counts in done.values())
    return {
        "seed": seed,
        "seconds": round(elapsed, 1),
        "transactions": total,
        "rate": round(total / elapsed, 1),
        "sides": {name: dict(sorted(counts.items())) for name, counts in done.items()},
    }


def summary(result: Mapping[str, Any]) -> str:
    """One line for a person."""
    sides = "; ".join(
        f"{name}: " + ", ".join(f"{number} {kind}" for kind, number in counts.items())
        for name, counts in result["sides"].items()
    )
    return (
        f"{result['transactions']} transactions in {result['seconds']} s "
        f"({result['rate']}/s, seed {result['seed']}). {sides}"
    )


def _run_side(
    make: type[SideTraffic],
    dsn: str,
    random: Random,
    rate: float,
    seconds: float,
    stop: Event,
) -> Counter[str]:
    """Paced changes of one side until the time is over."""
    with make(dsn, random) as traffic:
        return _pace(traffic.step, rate, seconds, stop)


def _pace(
    step: Callable[[], str], rate: float, seconds: float, stop: Event
) -> Counter[str]:
    """Call `step` at `rate` a second; late steps are caught up at once."""
    counts: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(max(1, round(rate * seconds))):
        due = began + number / rate
        if stop.wait(max(0.0, due - time.monotonic())):
            break
        if time.monotonic() > began + seconds:
            break
        counts[step()] += 1
    return counts
