"""Making, changing and testing environments and the links between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Model, Q
from django.utils import timezone

from portal.activity import services as activity
from portal.activity.changes import changes
from portal.environments.connectors import connector_for
from portal.environments.models import (
    ConnectionSet,
    Environment,
    LegalEntity,
    Stream,
)
from portal.environments.queries import linked_set
from portal.environments.secrets import masked_dsn
from portal.environments.unlinking import Remains, Unlinked, unlink
from portal.refusals import ActionForbidden, ConfigurationRefused, Refusal
from syncengine.connectors.base import Description
from syncengine.errors import EngineError
from syncengine.mapping.model import HealthFinding, LegalEntityPair, Severity, Side

if TYPE_CHECKING:
    from portal.accounts.models import User

__all__ = [
    "ConnectionTest",
    "Remains",
    "Unlinked",
    "check_environment",
    "create_connection_set",
    "create_environment",
    "delete_environment",
    "refresh",
    "set_legal_entities",
    "test_connection",
    "unlink",
    "update_environment",
]

EDITABLE = (
    "connector",
    "dsn",
    "schema",
    "company_column",
    "company_lookup_table",
    "company_lookup_column",
    "company_also",
)
FREE_WHILE_RUNNING = frozenset({"dsn"})
"""A password must be changeable while maps wait for just that."""


@dataclass(frozen=True)
class ConnectionTest:
    """What a test of an environment found; `description` is None when it could not
    be reached, and a finding says why."""

    description: Description | None
    findings: tuple[HealthFinding, ...]

    @property
    def passed(self) -> bool:
        """True when nothing found blocks a run."""
        return self.description is not None and not any(
            finding.severity is Severity.ERROR for finding in self.findings
        )


def _checked(instance: Model, subject: str) -> None:
    """Validate; what is wrong becomes one refusal with a reason per field."""
    try:
        instance.full_clean()
    except ValidationError as error:
        reasons = [
            f"{name}: {text}" if name != "__all__" else text
            for name, texts in error.message_dict.items()
            for text in texts
        ]
        raise ConfigurationRefused(
            f"{subject} cannot be saved.", reasons=reasons
        ) from error


@transaction.atomic
def create_environment(
    *, name: str, role: str, dsn: str, user: User | None = None, **values: str
) -> Environment:
    """A new environment; `values` are further fields of EDITABLE."""
    environment = Environment(name=name, role=role, dsn=dsn, **values)
    _checked(environment, f"Environment {name}")
    environment.save()
    activity.record("environment.created", f"Environment {name} was added.", user=user)
    return environment


@transaction.atomic
def update_environment(
    environment: Environment, *, user: User | None = None, **values: str
) -> list[str]:
    """Change fields of EDITABLE; gives the names of those that changed. All but the
    connection string are refused while maps of the environment are not stopped."""
    unknown = set(values) - set(EDITABLE)
    if unknown:
        raise TypeError(f"not editable: {', '.join(sorted(unknown))}")
    changed = [
        name for name, value in values.items() if getattr(environment, name) != value
    ]
    if not changed:
        return []
    if set(changed) - FREE_WHILE_RUNNING:
        _refuse_while_active(
            Q(finops=environment) | Q(dataverse=environment),
            f"Environment {environment.name}",
        )
    before = _shown(environment, changed)
    for name in changed:
        setattr(environment, name, values[name])
    _checked(environment, f"Environment {environment.name}")
    environment.save(update_fields=changed)
    ConnectionSet.objects.filter(
        Q(finops=environment) | Q(dataverse=environment)
    ).update(revision=F("revision") + 1)
    activity.record(
        "environment.changed",
        f"Environment {environment.name}: {', '.join(changed)} changed.",
        user=user,
        details={"changes": changes(before, _shown(environment, changed))},
    )
    return changed


def _shown(environment: Environment, names: Sequence[str]) -> dict[str, str]:
    """Fields as the activity log may show them."""
    values = {name: str(getattr(environment, name)) for name in names}
    if "dsn" in values:
        values["dsn"] = masked_dsn(values["dsn"])
    return values


@transaction.atomic
def delete_environment(environment: Environment, *, user: User | None = None) -> None:
    """Forget an environment and its connection string. Refused while it is linked;
    nothing changes in the system itself."""
    link = linked_set(environment)
    if link is not None:
        raise ActionForbidden(
            f"{environment.name} is linked by {link.name} and cannot be deleted: "
            f"unlink {link.name} first.",
            code="still_linked",
        )
    activity.record(
        "environment.deleted", f"Environment {environment.name} was deleted.", user=user
    )
    Environment.objects.filter(pk=environment.pk).delete()


@transaction.atomic
def create_connection_set(
    *,
    name: str,
    finops: Environment,
    dataverse: Environment,
    legal_entities: Sequence[LegalEntityPair] = (),
    link_id: str = "",
    user: User | None = None,
) -> ConnectionSet:
    """Link two environments. Each may be part of one link only, on the side of its
    role, and both must be different databases. `link_id` is the link's name inside
    them, where it was settled before."""
    for environment, side in ((finops, Side.FINOPS), (dataverse, Side.DATAVERSE)):
        if environment.side is not side:
            raise ConfigurationRefused(
                f"{environment.name} is a {environment.role} environment and cannot "
                f"be the {side.value} side of {name}."
            )
        other = linked_set(environment)
        if other is not None:
            raise ConfigurationRefused(
                f"{environment.name} is already linked by {other.name}; an "
                "environment can be part of one connection set only.",
                code="already_linked",
            )
    if finops.fingerprint and finops.fingerprint == dataverse.fingerprint:
        raise ConfigurationRefused(
            f"{finops.name} and {dataverse.name} are the same database."
        )
    connection_set = ConnectionSet(name=name, finops=finops, dataverse=dataverse)
    if link_id:
        connection_set.link_id = link_id
    _checked(connection_set, f"Connection set {name}")
    connection_set.save()
    Stream.objects.bulk_create(
        Stream(connection_set=connection_set, source=side.value) for side in Side
    )
    activity.record(
        "connection_set.created",
        f"{finops.name} and {dataverse.name} were linked as {name}.",
        user=user,
        connection_set=connection_set,
    )
    set_legal_entities(connection_set, legal_entities, user=user)
    return connection_set


@transaction.atomic
def set_legal_entities(
    connection_set: ConnectionSet,
    pairs: Sequence[LegalEntityPair],
    *,
    user: User | None = None,
) -> bool:
    """Make these the linked companies; True when that changed anything. Refused while
    a map copies as a whole. Maps that run do not copy the rows of added ones: that is
    for `portal.runs.joining`."""
    present = set(connection_set.legal_entity_pairs())
    wanted = set(pairs)
    if len({pair.finops for pair in wanted}) != len(wanted) or len(
        {pair.dataverse for pair in wanted}
    ) != len(wanted):
        raise ConfigurationRefused(
            f"{connection_set.name}: a company code appears twice on one side."
        )
    if wanted == present:
        return False
    removed = present - wanted
    _refuse_while_active(
        Q(pk=connection_set.pk),
        f"The companies of {connection_set.name}",
        ("initializing",),
        "wait for the initial sync of these maps, or stop them",
    )
    for pair in removed:
        connection_set.legal_entities.filter(
            finops_code=pair.finops, dataverse_code=pair.dataverse
        ).delete()
    LegalEntity.objects.bulk_create(
        LegalEntity(
            connection_set=connection_set,
            finops_code=pair.finops,
            dataverse_code=pair.dataverse,
        )
        for pair in dict.fromkeys(pairs)
        if pair not in present
    )
    # A prefetched list would be stale now.
    getattr(connection_set, "_prefetched_objects_cache", {}).pop("legal_entities", 0)
    ConnectionSet.objects.filter(pk=connection_set.pk).update(
        revision=F("revision") + 1
    )
    activity.record(
        "connection_set.companies",
        f"{connection_set.name}: {len(wanted - present)} companies linked, "
        f"{len(removed)} unlinked.",
        user=user,
        connection_set=connection_set,
        details={
            "changes": changes(
                {"companies": _codes(present)}, {"companies": _codes(wanted)}
            )
        },
    )
    return True


def _codes(pairs: Iterable[LegalEntityPair]) -> list[str]:
    return sorted(f"{pair.finops} = {pair.dataverse}" for pair in pairs)


def _refuse_while_active(
    sets: Q,
    subject: str,
    states: Sequence[str] | None = None,
    cure: str = "stop these maps first",
) -> None:
    maps = [
        table_map
        for connection_set in ConnectionSet.objects.filter(sets)
        for table_map in connection_set.maps.exclude(state="not_running")
        if states is None or table_map.state in states
    ]
    if maps:
        raise ActionForbidden(
            f"{subject} cannot change now: {cure}.",
            reasons=[f"{m.name} is {m.get_state_display()}." for m in maps],
        )


def check_environment(
    environment: Environment,
    *,
    link: str = "",
    tables: Sequence[str] = (),
    installed: bool = True,
    unlinked: bool = False,
) -> ConnectionTest:
    """Reach the environment and check its prerequisites; changes nothing. Where
    capture is not `installed` yet, find what would keep it from being; where the
    environment is `unlinked`, what any link would miss."""
    findings: Sequence[HealthFinding] = ()
    try:
        connector = connector_for(environment)
        description = connector.describe()
        if unlinked:
            findings = connector.check("", ())
        elif link and installed:
            findings = connector.check(link, tables)
        elif link:
            findings = connector.plan_install(link, tables).findings
    except EngineError as error:
        finding = HealthFinding(
            code=error.code,
            severity=Severity.ERROR,
            message=error.message,
            place=environment.name,
            cure=_own_words(error),
        )
        return ConnectionTest(None, (finding,))
    return ConnectionTest(description, tuple(findings))


def _own_words(error: EngineError) -> str:
    words = error.remote.strip().splitlines()
    return f"It says: {words[0]}" if words else ""


def test_connection(environment: Environment) -> ConnectionTest:
    """Reach the environment and remember what it says of itself. Refuses when it has
    become another database than the one maps run against."""
    found = check_environment(environment)
    if found.description is None:
        return found
    described: dict[str, Any] = {
        "product": found.description.product,
        "product_version": found.description.version,
        "fingerprint": found.description.fingerprint,
        "checked_at": timezone.now(),
    }
    if (
        environment.fingerprint
        and environment.fingerprint != found.description.fingerprint
    ):
        _refuse_while_active(
            Q(finops=environment) | Q(dataverse=environment),
            f"{environment.name} now answers as another database; its identity",
        )
    for name, value in described.items():
        setattr(environment, name, value)
    environment.save(update_fields=list(described))
    return found


def refresh(environment: Environment) -> ConnectionTest:
    """`test_connection`, raising when the environment cannot be reached."""
    found = test_connection(environment)
    if found.description is None:
        finding = found.findings[0]
        raise Refusal(f"{environment.name}: {finding.message}", code=finding.code)
    return found
