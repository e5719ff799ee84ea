"""The live test of one environment: item by item, each with what was found."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from portal.checks.sides import check_side
from portal.environments.connectors import company_rule, connector_for
from portal.environments.copies import Origin, origin_of
from portal.environments.models import Environment
from portal.environments.queries import linked_set
from portal.environments.services import ConnectionTest
from portal.setup.companies import companies_of, detect_rule, use_rule
from syncengine.connectors.base import Description
from syncengine.errors import EngineError
from syncengine.mapping.health.link import side_code
from syncengine.mapping.model import HealthFinding, Severity
from syncengine.mapping.schema import EnvironmentSchema

ITEMS = (
    ("PostgreSQL has a version whose changes can be read", ("100", "PG_VERSION")),
    ("The server writes its log at level logical", ("PG_WAL_LEVEL",)),
    ("The account may read the log", ("PG_REPLICATION_ROLE",)),
    (
        "A replication slot and connection are free",
        ("PG_SLOTS_LEFT", "PG_SENDERS_LEFT"),
    ),
    ("The account may use the tables", ("PG_PRIVILEGE",)),
)
SHOWN_COMPANIES = 8


@dataclass(frozen=True)
class Item:
    """One thing that was tested. `state` is `good`, `wait` (a warning), `bad` or `off`
    (not tested)."""

    title: str
    state: str
    text: str = ""
    findings: tuple[HealthFinding, ...] = ()


@dataclass
class EnvironmentTest:
    """What a test found. `reached` is false where nothing could be asked; `usable`
    when the environment can be linked as it is."""

    environment: Environment
    items: list[Item] = field(default_factory=list)
    description: Description | None = None
    origin: Origin | None = None
    tables: int = 0
    linked_by: str = ""

    @property
    def reached(self) -> bool:
        """True when the system answered."""
        return self.description is not None

    @property
    def usable(self) -> bool:
        """True when it can be chosen: it answers, is no copy and is not linked."""
        return (
            self.reached
            and not self.linked_by
            and (self.origin is None or self.origin.clean)
            and not (self.origin and self.origin.twin)
        )

    @property
    def passed(self) -> bool:
        """True when nothing must be mended."""
        return self.usable and all(item.state != "bad" for item in self.items)

    @property
    def cleanable(self) -> bool:
        """True when cleaning up would make it usable."""
        return bool(
            self.reached
            and not self.linked_by
            and self.origin
            and not self.origin.clean
            and self.environment.pk
        )


def test_environment(environment: Environment) -> EnvironmentTest:
    """Reach an environment, stored or not, and look at everything a link needs of it.
    Where it does not say how it keeps its companies, that is found out. Changes
    nothing and never raises."""
    began = time.monotonic()
    tested = check_side(environment, down=side_code(environment.side, 1001))
    seconds = time.monotonic() - began
    found = EnvironmentTest(environment, description=tested.description)
    if tested.description is None:
        found.items.append(_item("The system answers", tested.findings))
        found.items += [Item(title, "off") for title, _ in ITEMS]
        return found
    found.items.append(
        Item(
            "The system answers",
            "good",
            f"{tested.description.product} {tested.description.version}, asked and "
            f"answered in {seconds * 1000:.0f} ms; its clock differs from ours by "
            f"{abs(tested.description.clock_skew_seconds):.1f} s.",
        )
    )
    found.items += _by_code(tested)
    try:
        _look_inside(found)
    except EngineError as error:
        found.items.append(Item("Its tables can be read", "bad", error.message))
    return found


test_environment.__test__ = False  # type: ignore[attr-defined]


def _item(title: str, findings: Sequence[HealthFinding], good: str = "") -> Item:
    """An item that is as bad as the worst of its findings."""
    severities = {finding.severity for finding in findings}
    state = "good"
    if Severity.ERROR in severities:
        state = "bad"
    elif Severity.WARNING in severities:
        state = "wait"
    return Item(title, state, "" if findings else good, tuple(findings))


def _by_code(tested: ConnectionTest) -> list[Item]:
    """The findings under the item they belong to; what belongs to none comes last."""
    known = {code for _, codes in ITEMS for code in codes} | {"DIPV1007"}
    items = [
        _item(title, [one for one in tested.findings if one.code in codes])
        for title, codes in ITEMS
    ]
    others = [
        one
        for one in tested.findings
        if one.code not in known and one.severity is not Severity.INFO
    ]
    return [*items, _item("Other", others)] if others else items


def _look_inside(found: EnvironmentTest) -> None:
    environment, description = found.environment, found.description
    assert description is not None  # noqa: S101 - only asked after it answered
    link = linked_set(environment) if environment.pk else None
    found.linked_by = link.name if link else ""
    found.origin = origin = origin_of(environment, description)
    schema = connector_for(environment).tables()
    found.tables = len(schema.tables)
    found.items.append(
        Item(
            "Its tables can be read",
            "good" if schema.tables else "bad",
            f"{len(schema.tables):,} tables in schema {environment.schema}."
            if schema.tables
            else f"There is no table in schema {environment.schema} that the account "
            "may see.",
        )
    )
    found.items.append(_companies(environment, schema))
    found.items.append(_copies(found, origin))


def _companies(environment: Environment, schema: EnvironmentSchema) -> Item:
    title = "It says which companies it has"
    if company_rule(environment) is None:
        use_rule(environment, detect_rule(environment.side, schema))
    if company_rule(environment) is None:
        return Item(
            title,
            "wait",
            "No column was found that says which company a record belongs to. Name it "
            "under 'More', or go on: then all records are shared by all companies.",
        )
    codes = companies_of(environment)
    shown = ", ".join(codes[:SHOWN_COMPANIES])
    more = f" and {len(codes) - SHOWN_COMPANIES} more" if len(codes) > 8 else ""
    where = environment.company_column
    if environment.company_lookup_table:
        where += (
            f" (a reference to {environment.company_lookup_table}."
            f"{environment.company_lookup_column})"
        )
    text = f"Records name it in {where}. "
    if not codes:
        return Item(title, "wait", f"{text}None was found; add them by hand later.")
    return Item(title, "good", f"{text}Found: {shown}{more}.")


def _copies(found: EnvironmentTest, origin: Origin) -> Item:
    title = "It is not linked yet, and no copy of a linked system"
    if found.linked_by:
        return Item(title, "bad", f"It is linked already, by {found.linked_by}.")
    if origin.twin is not None:
        return Item(
            title,
            "bad",
            f"This is the database of the environment {origin.twin.name}, which the "
            "portal knows already: choose that one.",
        )
    if not origin.clean:
        return Item(title, "bad", origin.sentence)
    return Item(title, "good")
