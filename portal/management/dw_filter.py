"""`dw filter`."""

from __future__ import annotations

import argparse

from portal.management.results import Add, Console, Result, table
from portal.maps.filter_trial import SideTrial, try_filters
from portal.maps.queries import find_map
from syncengine.filter_trial import FilterTrial, RowCount


def register(add: Add) -> None:
    """Add the command that tries filters."""
    parser = add(
        "filter", try_on_rows, "try the filters of a map on the rows there are"
    )
    parser.add_argument("map", metavar="MAP")
    for side, words in (
        ("finops", 'like (PartyType == "Organization")'),
        ("dataverse", "like customertypecode eq 3"),
    ):
        parser.add_argument(
            f"--{side}",
            metavar="TEXT",
            help=f"try this filter in place of the stored one, {words}",
        )


def try_on_rows(options: argparse.Namespace, console: Console) -> Result:
    """Try both filters; exit 1 when one cannot be used or an environment not asked."""
    tried = try_filters(
        find_map(options.map), finops=options.finops, dataverse=options.dataverse
    )
    name = tried.table_map.name
    lines = [line for side in tried.sides for line in _lines(name, side)]
    return Result(tried.document(), "\n".join(lines), code=int(not tried.usable))


def _lines(name: str, side: SideTrial) -> list[str]:
    trial = side.trial
    lines = [f"{name}, {side.environment} {side.table}: {side.text or 'all rows'}"]
    if trial is None:
        return [*lines, f"  not tried: {side.problem}"]
    if trial.error is not None:
        place = trial.error.details.get("place", "").splitlines()
        return [*lines, f"  {trial.error.message}", *(f"    {line}" for line in place)]
    lines.append(
        f"  {_count(trial.matching)} match, {_count(trial.other)} do not match"
    )
    lines += [f"  note: {note}" for note in trial.notes]
    lines += [f"  {word}: {text}" for word, text in _texts(trial) if text]
    for word, rows in (
        ("match", trial.matching_sample),
        ("do not match", trial.other_sample),
    ):
        if rows:
            lines.append(f"  some that {word}:")
            shown = table([[_shown(v) for v in row] for row in rows], trial.columns)
            lines += [f"    {line}" for line in shown.splitlines()]
    return lines


def _shown(value: str | None) -> str:
    """Null and empty text are told apart; a value stays in its line."""
    if value is None:
        return "null"
    return value if value and value.isprintable() else repr(value)


def _texts(trial: FilterTrial) -> list[tuple[str, str]]:
    return [("as OData", trial.odata), ("as query", trial.query)]


def _count(count: RowCount) -> str:
    return f"more than {count.rows}" if count.more else str(count.rows)
