"""The health check of a link that is not there yet: as it would be if it ran."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from django.db import transaction
from django.utils import timezone

from portal.checks.sides import check_side, refused
from portal.environments.connectors import connector_for
from portal.environments.copies import origin_of
from portal.environments.models import ConnectionSet, Environment
from portal.maps.health import Surroundings, member_of, survey
from portal.maps.preparation import capture_tables
from portal.refusals import Refusal
from portal.setup import drafts
from portal.setup.models import SetupDraft
from syncengine import catalog
from syncengine.connectors.base import ReadRequest
from syncengine.errors import EngineError
from syncengine.mapping import filters
from syncengine.mapping.health.link import differing_companies, side_code
from syncengine.mapping.health.registry import unexpected
from syncengine.mapping.model import (
    Direction,
    HealthFinding,
    LegalEntityPair,
    Severity,
    Side,
)
from syncengine.mapping.model import TableMap as Definition
from syncengine.mapping.schema import CompanyRule, EnvironmentSchema

Placed = tuple[str, HealthFinding]
"""A finding with the name of its map, or none."""

WITHOUT_COMPANY = "rows_without_company"
COUNT_SECONDS = 5.0
COUNTED = 1_000_000


def link_of(draft: SetupDraft) -> ConnectionSet:
    """The connection set as it will be; it is not stored."""
    return ConnectionSet(
        name=draft.name,
        finops=draft.finops,
        dataverse=draft.dataverse,
        link_id=draft.link_id,
    )


def definitions_of(draft: SetupDraft) -> list[Definition]:
    """The chosen maps as the engine takes them, in their order."""
    return [catalog.table_map(catalog.find(one.name)) for one in draft.maps.all()]


def pairs_of(draft: SetupDraft) -> tuple[LegalEntityPair, ...]:
    """The companies that take part."""
    return tuple(
        LegalEntityPair(one.finops_code, one.dataverse_code)
        for one in draft.companies.filter(chosen=True)
    )


def check(draft: SetupDraft) -> list[Placed]:
    """Check both systems, the companies and the maps, and keep what was found; changes
    nothing else and never raises for what it finds."""
    link, wanted = link_of(draft), definitions_of(draft)
    found: list[Placed] = []
    around: Surroundings | None = None
    homeless: int | None = None
    try:
        members = {one.name: member_of(one, True) for one in wanted}
        around = survey(link, {}, members, pairs_of(draft))
    except Refusal as refusal:
        failure = refused(refusal, draft.name)
    except Exception as error:
        failure = unexpected("DIPV1006", draft.name, error)
    reached = True
    for side in Side:
        findings, answered = _side(link, side, wanted, around)
        found += [("", finding) for finding in findings]
        reached = reached and answered
    if around is None:
        if reached:
            found.append(("", failure))
    else:
        found += _link(link, around, draft)
        rows = list(_homeless(link.dataverse, wanted, around))
        homeless = sum(count for _, count in rows)
        found += [("", _without_company(link.dataverse, *one)) for one in rows]
    _keep(draft, found, homeless)
    return found


def _side(
    link: ConnectionSet,
    side: Side,
    wanted: Sequence[Definition],
    around: Surroundings | None,
) -> tuple[list[HealthFinding], bool]:
    environment = link.environment(side)
    names = capture_tables(wanted, side)
    if around is not None:
        known = {name: around.schemas[side].table(name) for name in names}
        names = [name for name, table in known.items() if table and not table.unfit]
    tested = check_side(
        environment,
        down=side_code(side, 1001),
        link=link.link_id,
        tables=names,
        installed=False,
    )
    findings = list(tested.findings)
    if tested.description is not None:
        try:
            origin = origin_of(environment, tested.description)
        except EngineError as error:
            findings.append(unexpected("DIPV1006", environment.name, error))
        else:
            if origin.links:
                findings.append(
                    HealthFinding(
                        side_code(side, 1004),
                        Severity.ERROR,
                        f"{environment.name}: {origin.sentence}",
                        environment.name,
                        "Clean it up on the step where it is chosen, then check again.",
                    )
                )
    return findings, tested.description is not None


def _link(
    link: ConnectionSet, around: Surroundings, draft: SetupDraft
) -> Iterator[Placed]:
    for side, known in around.companies.items():
        for finding in differing_companies(
            side,
            link.environment(side).name,
            [pair.on(side) for pair in around.legal_entities],
            known,
        ):
            yield "", finding
    for one in draft.maps.all():
        for finding in around.findings(one.name):
            if finding.severity is not Severity.INFO:
                yield one.name, finding


@dataclass(frozen=True)
class Homeless:
    """Records of a table of the CRM that no company has, as a map would read them."""

    table: str
    rule: CompanyRule
    request: ReadRequest


def without_company(
    wanted: Iterable[Definition], schema: EnvironmentSchema
) -> Iterator[Homeless]:
    """The tables of the CRM that maps read and whose records may be without one."""
    tables = {
        one.dataverse_table.casefold(): one.dataverse_filter
        for one in wanted
        if one.flows(Direction.DATAVERSE_TO_FINOPS)
    }
    for name, text in sorted(tables.items()):
        table = schema.table(name)
        rule = schema.company_of(table) if table else None
        column = table.column(rule.column) if table and rule else None
        if table is None or rule is None or column is None or not column.nullable:
            continue
        try:
            expression = filters.parse_odata(f"{column.name} eq null")
            expression = filters.bind_types(expression, table, text)
        except EngineError:
            continue
        request = ReadRequest(table.name, (column.name,), predicate=expression)
        yield Homeless(table.name, rule, request)


def _homeless(
    environment: Environment, wanted: Iterable[Definition], around: Surroundings
) -> Iterator[tuple[str, int]]:
    """Tables of the CRM with records that no company has, and how many these are."""
    found = list(without_company(wanted, around.schemas[Side.DATAVERSE]))
    with connector_for(environment).reader() as reader:
        reader.limit(COUNT_SECONDS)
        for one in found:
            try:
                count = reader.count(one.request, COUNTED)
            except EngineError:
                continue
            if count:
                yield one.table, count


def _without_company(environment: Environment, table: str, count: int) -> HealthFinding:
    many = f"{COUNTED:,} or more" if count >= COUNTED else f"{count:,}"
    return HealthFinding(
        WITHOUT_COMPANY,
        Severity.WARNING,
        f"{many} records of {table} belong to no company; they are not carried over.",
        f"{environment.name} {table}",
        "Give them a company below, or fill "
        f"{environment.company_column} in the system of those that shall take part "
        "and check again. The others stay where they are.",
    )


@transaction.atomic
def _keep(draft: SetupDraft, found: Sequence[Placed], homeless: int | None) -> None:
    stored = drafts.lock(draft)
    for one in (stored, draft):
        one.checked_at = timezone.now()
        one.findings = [{"map": name, **asdict(finding)} for name, finding in found]
        one.passed = all(one.severity is not Severity.ERROR for _, one in found)
        one.homeless = homeless
    stored.save(update_fields=["checked_at", "findings", "passed", "homeless"])
