"""Connects the applier's conflicts to the settler."""

from __future__ import annotations

from collections.abc import Callable

from syncengine.conflicts import Settler
from syncengine.connectors.base import Outcome
from syncengine.contests import Contest
from syncengine.errors import RecordError, TransientError
from syncengine.live.applying import Settle
from syncengine.live.configuring import Configuration
from syncengine.live.folding import Folded
from syncengine.mapping.model import Side
from syncengine.record_keys import as_read


def review_touched(settler: Settler, configuration: Configuration) -> None:
    """Look again at undecided conflicts whose records were written to since."""
    for leg in configuration.legs:
        touched, leg.touched = leg.touched, set()
        map_id = leg.configuration.map_id
        reverse = configuration.reverse.get(map_id)
        if leg.compiled is None or reverse is None:
            continue
        finops = leg.compiled.direction.source is Side.FINOPS
        for key in touched:
            open_ = leg.undecided.get(key, [])
            if not open_:
                continue
            one = open_[0]
            contest = Contest(
                map_id=map_id,
                leg=leg.compiled,
                reverse=reverse,
                source_key=key,
                target_key=one.dataverse_key if finops else one.finops_key,
                columns=(),
            )
            try:
                settler.review(contest, open_)
            except (RecordError, TransientError):
                leg.touched.add(key)


def settle_with(settler: Settler, configuration: Callable[[], Configuration]) -> Settle:
    """A settle function that finds the opposite leg in the present configuration."""

    def settle(found: Folded, outcome: Outcome) -> frozenset[int] | None:
        operation = found.operation
        item = found.items[-1]
        map_id = item.leg.configuration.map_id
        reverse = configuration().reverse.get(map_id)
        contest = Contest(
            map_id=map_id,
            leg=operation.leg,
            reverse=reverse,
            source_key=item.source_key,
            target_key=as_read(operation.leg, reverse, operation.key),
            columns=outcome.conflicts,
        )
        if not settler.settle(contest):
            return None
        return frozenset(
            conflict.slot for conflict in outcome.conflicts if conflict.slot is not None
        )

    return settle
