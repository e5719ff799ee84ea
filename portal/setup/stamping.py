"""Giving records of the CRM a company that have none, before their first copy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import transaction

from portal.activity import services as activity
from portal.environments.connectors import connector_for
from portal.environments.models import Environment
from portal.maps.preparation import naming
from portal.refusals import NotFound, Refusal
from portal.setup import checking, drafts
from portal.setup.models import DraftState, SetupDraft

if TYPE_CHECKING:
    from portal.accounts.models import User

ROWS_A_STEP = 20_000
SECONDS = 15.0
"""So long at a time; what is left then is done when asked again."""


@dataclass(frozen=True)
class Stamped:
    """How many records got the company, and whether some are left."""

    rows: int
    left: bool


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


def count(draft: SetupDraft, table: str) -> int:
    """How many records of the table have no company now, counted up to a million."""
    environment, found = _find(draft, table)
    with naming(environment.name), connector_for(environment).reader() as reader:
        return reader.count(found.request, checking.COUNTED)


def stamp(
    draft: SetupDraft, table: str, company: str, *, user: User | None = None
) -> Stamped:
    """Give the records of the table that have none this company, in steps, for a
    while. Must not run inside a transaction. Refused unless the company takes part."""
    if draft.state != DraftState.EDITING:
        raise Refusal(f"{draft.name} is not a draft any more.", code="not_a_draft")
    if company not in codes(draft):
        raise Refusal(f"{company or 'No company'} does not take part: choose another.")
    environment, found = _find(draft, table)
    connector = connector_for(environment)
    rows, began, left = 0, time.monotonic(), True
    try:
        with naming(environment.name):
            while left and time.monotonic() - began < SECONDS:
                done = connector.fill_company(
                    found.request, found.rule, company, ROWS_A_STEP
                )
                rows, left = rows + done, done == ROWS_A_STEP
    finally:
        _note(draft, environment, found.table, company, rows, user)
    return Stamped(rows, left)


@transaction.atomic
def _note(
    draft: SetupDraft,
    environment: Environment,
    table: str,
    company: str,
    rows: int,
    user: User | None,
) -> None:
    if not rows:
        return
    drafts.recheck(draft)
    activity.record(
        "setup.stamped",
        f"{rows:,} records of {table} in {environment.name} that had no company got "
        f"{company}.",
        user=user,
        details={"table": table, "company": company, "rows": rows},
    )


def _find(draft: SetupDraft, table: str) -> tuple[Environment, checking.Homeless]:
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
