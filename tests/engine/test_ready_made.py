"""All 135 ready-made maps: copied without an error, and live in each direction."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.sample.ready_made.populations import Populations, Sizes
from portal.sample.ready_made.records import Records
from syncengine import catalog
from syncengine.catalog import CatalogEntry
from syncengine.initial import ChunkResult
from syncengine.mapping.model import Direction, Severity
from tests.ready_made.changes import KINDS, Change, Changes
from tests.ready_made.counts import miscounted
from tests.ready_made.databases import make_databases
from tests.ready_made.everything import PARALLEL, Everything
from tests.servers import PostgresServer

ENTRIES = catalog.entries()
TO_DATAVERSE, TO_FINOPS = Direction
Problems = dict[str, list[str]]
DERIVING = {
    ("5000", table)
    for table in ("cdssalesorderlines", "cdssalesquotationlines", "productcategories")
}
"""The sample's tables that derive a column by a trigger, which is a warning."""


@pytest.fixture
def everything(postgres: PostgresServer) -> Iterator[Everything]:
    dsns = make_databases(postgres, Sizes())
    made = Everything(dsns)
    yield made
    made.close()
    for dsn in dsns.values():
        postgres.drop_database(dsn)


def test_every_ready_made_map_is_copied_and_carries_changes_each_way(
    everything: Everything, capsys: pytest.CaptureFixture[str]
) -> None:
    problems: Problems = defaultdict(list)
    for entry in ENTRIES:
        problems[entry.name] += [
            f"{finding.code} {finding.message}"
            for finding in everything.findings(entry.name)
            if finding.severity is not Severity.INFO
            and (finding.code, finding.place) not in DERIVING
        ]
    records = Records(Populations(Sizes()))
    unlinked = everything.unlinked_rows()
    copied = everything.copy()
    for entry in ENTRIES:
        problems[entry.name] += miscounted(entry, records, copied[entry.name])
    done = change_everything(everything, records, problems)
    for name, errors in everything.errors().items():
        problems[name] += errors[:3]
    compare_everything(everything, problems)
    assert len(unlinked) > 100
    assert everything.unlinked_rows() == unlinked

    with capsys.disabled():
        sys.stdout.write(f"\n{table(copied, done, problems)}\n")
    wrong = {name: found for name, found in problems.items() if found}
    assert not wrong, "\n".join(f"{n}: {'; '.join(w)}" for n, w in wrong.items())
    for entry in ENTRIES:
        for way in entry.directions:
            kinds = done[entry.name, way]
            assert kinds, f"{entry.name}: nothing changed {way.value}"
            updated = "update" in kinds
            assert updated is Changes(records, way).may_update(entry), entry.name


def change_everything(
    everything: Everything, records: Records, problems: Problems
) -> dict[tuple[str, Direction], list[str]]:
    """Change records of all maps on both sides; gives the kinds of changes that
    arrived, by map and direction."""
    done: dict[tuple[str, Direction], list[str]] = defaultdict(list)
    with everything.streams():
        for kind in KINDS:
            for way in Direction:
                changes = list(all_changes(Changes(records, way), kind))
                for change in changes:
                    change.do(everything.sessions[way.source])
                everything.settle(way.source)
                for change in changes:
                    problem = change.problem(everything.sessions[way.target])
                    if problem:
                        text = f"{change.kind} {way.value}: {problem}"
                        problems[change.map_name].append(text)
                    else:
                        done[change.map_name, way].append(change.kind)
    return done


def all_changes(changes: Changes, kind: str) -> Iterator[Change]:
    make: Callable[[CatalogEntry], Iterator[Change]] = getattr(changes, kind)
    for entry in ENTRIES:
        if changes.way in entry.directions:
            yield from make(entry)


def compare_everything(everything: Everything, problems: Problems) -> None:
    """No map's rows differ; where a map flows one way, its source may lack rows that
    another map wrote into the same table."""
    names = [entry.name for entry in ENTRIES]
    with ThreadPoolExecutor(PARALLEL) as pool:
        results = pool.map(everything.compare, names)
    for entry, result in zip(ENTRIES, results, strict=True):
        missing = {
            TO_DATAVERSE: result.missing_in_dataverse,
            TO_FINOPS: result.missing_in_finops,
        }
        wrong = result.different + sum(missing[way] for way in entry.directions)
        if wrong:
            examples = [(e.kind.value, e.key, e.columns) for e in result.examples[:2]]
            problems[entry.name].append(f"{wrong} rows differ: {examples}")


def table(
    copied: dict[str, dict[Direction, ChunkResult]],
    done: dict[tuple[str, Direction], list[str]],
    problems: Problems,
) -> str:
    """One line for each map: what each leg copied, and what it carried live."""
    head = "exported/inserted/updated/unchanged/failed"
    rows = [("map", f"to Dataverse: {head}", "to FinOps", "live >", "live <", "")]
    for entry in ENTRIES:
        counts = copied[entry.name]
        cells = [entry.name]
        for way in Direction:
            one = counts.get(way)
            figures = one and (
                one.exported,
                one.inserted,
                one.updated,
                one.unchanged,
                one.failed,
            )
            cells.append("/".join(map(str, figures)) if figures else "-")
        for way in Direction:
            kinds = done.get((entry.name, way))
            cells.append(" ".join(kinds) if kinds else "-")
        wrong = len(problems[entry.name])
        rows.append((*cells, f"{wrong} PROBLEMS" if wrong else ""))
    widths = [max(len(row[i]) for row in rows[1:]) for i in range(6)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
