"""Copied, restored and formerly linked systems: recognised, and cleaned up.

A copy carries the set-up of the link it was copied from: linked as it is, records
could go to a wrong system. So it is refused until what it carries is taken away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from portal.activity import services as activity
from portal.environments.connectors import connector_for
from portal.environments.identity import other_system
from portal.environments.models import ConnectionSet, Environment
from portal.environments.queries import linked_set
from portal.environments.services import test_connection
from portal.maps.preparation import naming
from portal.refusals import ActionForbidden, Refusal
from syncengine.connectors.base import Description
from syncengine.mapping.model import HealthFinding

if TYPE_CHECKING:
    from portal.accounts.models import User


@dataclass(frozen=True)
class Origin:
    """What an environment says of where it comes from. `moved` when it answers as
    another database than before, `links` are set-ups of links that are not its own,
    `alive` those of them that have a replication slot here, `twin` an environment of
    the portal that is this very database."""

    moved: HealthFinding | None = None
    links: tuple[str, ...] = ()
    alive: tuple[str, ...] = ()
    twin: Environment | None = None
    known: tuple[str, ...] = ()
    """Names of connection sets of this portal among `links`."""

    @property
    def clean(self) -> bool:
        """True when it can be linked as it is."""
        return self.moved is None and not self.links

    @property
    def sentence(self) -> str:
        """What was recognised, in words."""
        if self.known:
            names = ", ".join(self.known)
            return (
                f"It carries the set-up of {names}, which links another database: it "
                "is a copy, or was restored from one."
            )
        if self.links:
            return (
                f"It carries the set-up of a link {', '.join(self.links)} that this "
                "portal does not know: it is a copy, was restored, or another portal "
                "uses it."
            )
        return self.moved.message if self.moved else ""


def origin_of(environment: Environment, description: Description) -> Origin:
    """Where the environment comes from, as far as it can be told. Raises EngineError
    where it cannot be reached."""
    connector = connector_for(environment)
    link = linked_set(environment) if environment.pk else None
    moved = other_system(environment, description)
    present = connector.links()
    if link is not None and moved is None:
        present -= {link.link_id}
    links = tuple(sorted(present))
    twins = Environment.objects.filter(fingerprint=description.fingerprint)
    return Origin(
        moved=moved,
        links=links,
        alive=tuple(one for one in links if connector.held_log(one) is not None),
        twin=twins.exclude(pk=environment.pk).defer("dsn").first(),
        known=tuple(
            ConnectionSet.objects.filter(link_id__in=links).values_list(
                "name", flat=True
            )
        ),
    )


def refuse_copies(environment: Environment) -> None:
    """Refuse to link a system that is a copy, or that carries another link."""
    with naming(environment.name):
        origin = origin_of(environment, connector_for(environment).describe())
    if not origin.clean:
        raise Refusal(
            f"{environment.name} cannot be linked as it is. {origin.sentence}",
            code="copied_environment",
            reasons=["Clean it up, then link it again."],
        )


def clean_up(
    environment: Environment, *, user: User | None = None, force: bool = False
) -> tuple[str, ...]:
    """Take away what other links left in the environment and remember which database
    it is now; gives the links. Records stay as they are.

    Refused while it is linked (that link is to be made anew), and, unless `force`,
    while a replication slot shows that another portal may still use it.
    """
    link = linked_set(environment)
    if link is not None:
        raise ActionForbidden(
            f"{environment.name} is linked by {link.name}: relink that instead.",
            code="still_linked",
        )
    connector = connector_for(environment)
    with naming(environment.name):
        origin = origin_of(environment, connector.describe())
        if origin.alive and not force:
            raise Refusal(
                f"{environment.name} has a replication slot of the link "
                f"{', '.join(origin.alive)}: another portal may keep this very system "
                "in step right now. Clean it up only when that portal is gone.",
                code="link_alive",
            )
        remove_links(environment, origin.links)
    test_connection(environment)
    activity.record(
        "environment.cleaned",
        f"{environment.name} was cleaned up: the set-up of "
        f"{', '.join(origin.links) or 'no link'} was taken away.",
        user=user,
        details={"links": list(origin.links)},
    )
    return origin.links


def remove_links(environment: Environment, links: Sequence[str]) -> None:
    """Take away everything of these links. Raises EngineError."""
    connector = connector_for(environment)
    for link in links:
        connector.uninstall(link)
