"""What creating a link will do, by name, before anybody agrees to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portal.environments.connectors import connector_for
from portal.environments.models import Environment
from portal.environments.secrets import masked_dsn
from portal.maps.preparation import capture_tables, naming
from portal.setup.checking import definitions_of, pairs_of
from portal.setup.models import DraftMap, SetupDraft
from syncengine.connectors.base import PlannedObject
from syncengine.mapping.model import LegalEntityPair, Side

MADE = ("schema", "table", "publication", "replication slot")


@dataclass(frozen=True)
class SideSummary:
    """What will be made and changed in one environment, and by which statements."""

    environment: Environment
    address: str
    objects: Sequence[PlannedObject]
    statements: Sequence[str]

    @property
    def made(self) -> list[PlannedObject]:
        """What is made."""
        return [one for one in self.objects if one.kind in MADE]

    def _changed(self, kind: str) -> list[str]:
        return [one.name for one in self.objects if one.kind == kind]

    @property
    def published(self) -> list[str]:
        """The tables whose changes are reported from then on."""
        return self._changed("table to publish")

    @property
    def whole_rows(self) -> list[str]:
        """The tables whose whole rows go into the server's log (REPLICA IDENTITY
        FULL)."""
        return self._changed("table to log whole rows of")


@dataclass(frozen=True)
class Summary:
    """Everything the administrator agrees to."""

    sides: Sequence[SideSummary]
    companies: Sequence[LegalEntityPair]
    maps: Sequence[DraftMap]

    @property
    def copying(self) -> int:
        """How many maps copy their rows first."""
        return sum(one.copies for one in self.maps)


def summary_of(draft: SetupDraft) -> Summary:
    """Ask both systems what is missing there. Refuses when one cannot be asked."""
    wanted = definitions_of(draft)
    sides = []
    for side in Side:
        environment = draft.environment(side)
        assert environment is not None  # noqa: S101 - the step is not reached before
        with naming(environment.name):
            connector = connector_for(environment)
            plan = connector.plan_install(draft.link_id, capture_tables(wanted, side))
        sides.append(
            SideSummary(
                environment,
                masked_dsn(environment.dsn),
                # Without maps nothing is installed: that comes when the first runs.
                plan.objects if wanted else (),
                plan.statements if wanted else (),
            )
        )
    return Summary(sides, pairs_of(draft), list(draft.maps.all()))
