"""`python -m tests.chaos`: strike, settle, judge, again and again."""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import time
from random import Random

from tests.chaos import disk, tables
from tests.chaos.faults import Planned, schedule
from tests.chaos.verdict import Verdict, history, settle
from tests.chaos.workload import Client, seed_rows
from tests.chaos.world import World

CLIENTS = 2
"""On each side."""
COPY_SECONDS = 240.0


class Run:
    """One run: `go` gives the findings of the first verdict that has any."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.seed = str(options.seed)
        self.begun = time.monotonic()
        self.world = World(self.say)
        self.clients: list[Client] = []
        self.struck = 0

    def say(self, text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - self.begun:7.1f} s  {text}\n")
        sys.stdout.flush()

    def go(self) -> list[str]:
        planned = schedule(self.seed, self.options.faults)
        self._begin()
        while planned:
            part, planned = (
                planned[: self.options.every],
                planned[self.options.every :],
            )
            self._strike(part)
            findings = self._judge()
            if findings:
                return findings
            if self._late():
                self.say(f"time is up; {len(planned)} faults were not tried")
                break
            for client in self.clients:
                client.rest(False)
        return []

    def close(self) -> None:
        for client in self.clients:
            client.end()
        self.world.close()

    def _late(self) -> bool:
        return time.monotonic() - self.begun > self.options.minutes * 60

    def _begin(self) -> None:
        world = self.world
        world.start()
        self.say(f"servers and portal are up, data in {world.home}")
        for name, row in seed_rows():
            statement, values = tables.TABLES[name].insert("erp", row)
            world.execute("erp", statement, values)
            if self.options.short:
                world.execute("crm", *tables.TABLES[name].insert("crm", row))
        world.document = tables.document(
            world.product_dsn("erp"), world.product_dsn("crm")
        )
        code, out, err = world.apply(world.document)
        assert code == 0, f"{out} {err}"
        how = ["--skip-initial-sync"] if self.options.short else ["--master", "finops"]
        world.must("run", *tables.names(), *how, seconds=60)
        left = settle(Verdict(world, []), COPY_SECONDS)
        assert not left, f"{left[:20]}\n{world.tails()}"
        self.say(f"{len(tables.TABLES)} maps run")
        self.clients = [
            Client(side, number, world.dsn(side), self.seed, self.options.rate)
            for side in ("erp", "crm")
            for number in range(1, CLIENTS + 1)
        ]
        for client in self.clients:
            client.start()

    def _strike(self, planned: list[Planned]) -> None:
        for one in planned:
            until = time.monotonic() + one.wait
            while time.monotonic() < until:
                self.world.tend()
                time.sleep(0.02)  # the rhythm of the faults
            self.struck += 1
            said = one.fault.strike(self.world, Random(one.seed))
            self.say(f"{self.struck:3d}  {one.fault.name:18} {said}")
            if self._late():
                break

    def _judge(self) -> list[str]:
        for client in self.clients:
            client.rest(True)
        self.world.heal()
        for client in self.clients:
            client.wait_resting(90)
        begun = time.monotonic()
        verdict = Verdict(self.world, self.clients)
        left = settle(verdict, self.options.settle)
        took = time.monotonic() - begun
        findings = left or verdict.findings()
        transactions = sum(client.transactions for client in self.clients)
        doubtful = sum(client.doubtful for client in self.clients)
        records = sum(len(client.records) for client in self.clients)
        self.say(
            f"after {self.struck} faults: {transactions} transactions, {doubtful} in "
            f"doubt, {records} records, {len(verdict.failing)} of them bad; settled "
            f"in {took:.1f} s; {len(findings) or 'no'} findings"
        )
        return findings


def arguments() -> argparse.Namespace:
    environ = os.environ
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    add = parser.add_argument
    add("--seed", default=environ.get("CHAOS_SEED") or secrets.randbelow(10**6))
    add("--faults", type=int, default=int(environ.get("CHAOS_FAULTS") or 200))
    add("--minutes", type=float, default=float(environ.get("CHAOS_MINUTES") or 60))
    add("--every", type=int, default=20, help="faults between two verdicts")
    add("--rate", type=float, default=8, help="transactions a second and client")
    add("--settle", type=float, default=150, help="seconds to come to rest")
    add("--logs", metavar="FOLDER", help="keep the logs there")
    add("--short", action="store_true", help="no copy at the beginning")
    add("--keep", action="store_true", help="wait for Enter before it all ends")
    return parser.parse_args()


def _only_logs(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.endswith(".log")]


def main() -> int:
    options = arguments()
    mounts = disk.enter_namespace()
    run = Run(options)
    run.say(
        f"seed {options.seed}: {options.faults} faults"
        f"{'' if mounts else '; no mounts here: the disk stays as it is'}"
        f"{'' if run.world.clock.jumps else '; no libfaketime: clocks stay right'}"
    )
    try:
        findings = run.go()
        for finding in findings[:40]:
            run.say(f"FINDING {finding}")
        if findings:
            for line in history(run.world, findings[:40])[:200]:
                run.say(f"history {line}")
            sys.stdout.write(run.world.tails() + "\n")
            run.say(f"again: CHAOS_SEED={options.seed} make chaos")
            if options.keep:
                input(f"{run.world.home}; Enter ends it")
    finally:
        if options.logs:
            shutil.copytree(run.world.home, options.logs, ignore=_only_logs)
        run.close()
    if not findings:
        run.say("nothing lost, nothing twice, both sides are in step")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
