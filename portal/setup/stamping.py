"""Giving records of the CRM a company that have none, before their first copy.

Many records take long: so it is a job, which any worker does in steps
(`portal.setup.filling`), with its progress in a row, and which can be cancelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from portal.activity import services as activity
from portal.environments.connectors import connector_for
from portal.environments.models import Environment
from portal.maps.preparation import naming
from portal.refusals import NotFound, Refusal
from portal.setup import checking, drafts
from portal.setup.models import ACTIVE_STAMPINGS, SetupDraft, Stamping

if TYPE_CHECKING:
    from portal.accounts.models import User


def waiting(draft: SetupDraft) -> list[tuple[str, str]]:
    """Tables with records without a company, as the last check found them, each with
    what it said."""
    return [
        (finding.place.rpartition(" ")[2], finding.message)
        for _, finding in draft.shown_findings()
        if finding.code == checking.WITHOUT_COMPANY
    ]


def codes(draft: SetupDraft) -> list[str]:
    """The companies that take part, as the CRM calls them."""
    return sorted(pair.dataverse for pair in checking.pairs_of(draft))


def active(draft: SetupDraft) -> Stamping | None:
    """The job of the draft that is not over."""
    return draft.stampings.filter(state__in=ACTIVE_STAMPINGS).first()


def count(draft: SetupDraft, table: str) -> int:
    """How many records of the table have no company now, counted up to a million."""
    environment, found = find(draft, table)
    with naming(environment.name), connector_for(environment).reader() as reader:
        return reader.count(found.request, checking.COUNTED)


def begin(
    draft: SetupDraft, table: str, company: str, *, user: User | None = None
) -> Stamping:
    """Have the records of the table that have none given this company. Refused unless
    the company takes part, and while another table of the draft is at it."""
    environment, found = find(draft, table)
    wanted = count(draft, table)
    with transaction.atomic():
        stored = drafts.lock(draft)
        if company not in codes(stored):
            raise Refusal(
                f"{company or 'No company'} does not take part: choose another."
            )
        busy = active(stored)
        if busy is not None:
            raise Refusal(
                f"Records of {busy.table} are being given {busy.company}: wait until "
                "that is done, or cancel it.",
                code="busy",
            )
        job = Stamping.objects.create(
            draft=stored,
            environment=environment,
            table=found.table,
            company=company,
            wanted=wanted,
            created_by=user,
        )
        activity.record(
            "setup.stamping",
            f"Records of {found.table} in {environment.name} that have no company are "
            f"to get {company}.",
            user=user,
            details={"table": found.table, "company": company, "rows": wanted},
        )
        transaction.on_commit(_call_worker)
    return job


def cancel(job: Stamping) -> None:
    """Have it end after the step it is at; what was given stays."""
    stopped = Stamping.objects.filter(pk=job.pk, state__in=ACTIVE_STAMPINGS)
    if not stopped.update(cancel_requested=True):
        raise Refusal("It is over already.", code="over")


def find(draft: SetupDraft, table: str) -> tuple[Environment, checking.Homeless]:
    """The CRM, and which of its records are meant; refused where no chosen map reads
    such records of the table."""
    environment = draft.dataverse
    if environment is None:
        raise Refusal("Choose the dataverse environment first.", code="unfinished")
    wanted = checking.definitions_of(draft)
    with naming(environment.name):
        schema = connector_for(environment).tables(
            [one.dataverse_table for one in wanted]
        )
    for one in checking.without_company(wanted, schema):
        if one.table.casefold() == table.casefold():
            return environment, one
    raise NotFound(f"No chosen map reads records without a company from {table}.")


def _call_worker() -> None:
    from portal.setup.tasks import give_companies

    give_companies.apply_async(expires=10)
