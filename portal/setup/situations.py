"""The six situations in which two systems are linked, and what each asks for (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portal.setup.models import Situation
from syncengine.mapping.model import Side

DEFAULT_COMPANY = "dat"
"""The company every new ERP has."""


@dataclass(frozen=True)
class Task:
    """Something to be done, and how far it is. `done` is None where the portal cannot
    know. `step` is the step of the wizard where it is done."""

    title: str
    text: str = ""
    done: bool | None = None
    step: str = ""


@dataclass(frozen=True)
class Plan:
    """What a situation means. `companies`: all, or only the default one. `copies`:
    whether there are rows to copy. `master` wins where both sides have a record."""

    text: str
    all_companies: bool
    copies: bool
    master: Side
    crm_rows: bool
    erp_rows: bool


PLANS = {
    Situation.NEW_NEW: Plan(
        "Nothing is in either system yet. The maps go live at once.",
        all_companies=False,
        copies=False,
        master=Side.DATAVERSE,
        crm_rows=False,
        erp_rows=False,
    ),
    Situation.NEW_EXISTING: Plan(
        "The ERP is empty, the CRM has records: you give them a company, then they "
        "are copied to the ERP.",
        all_companies=False,
        copies=True,
        master=Side.DATAVERSE,
        crm_rows=True,
        erp_rows=False,
    ),
    Situation.FILLED_NEW: Plan(
        "The ERP brought data along, the CRM is empty: what you choose is copied to "
        "the CRM.",
        all_companies=False,
        copies=True,
        master=Side.FINOPS,
        crm_rows=False,
        erp_rows=True,
    ),
    Situation.FILLED_EXISTING: Plan(
        "Both have records. You give those of the CRM a company, then both are "
        "brought together.",
        all_companies=False,
        copies=True,
        master=Side.DATAVERSE,
        crm_rows=True,
        erp_rows=True,
    ),
    Situation.EXISTING_NEW: Plan(
        "The ERP is in use, the CRM is empty: all companies take part, and what you "
        "choose is copied to the CRM.",
        all_companies=True,
        copies=True,
        master=Side.FINOPS,
        crm_rows=False,
        erp_rows=True,
    ),
    Situation.EXISTING_EXISTING: Plan(
        "Both are in use: all companies take part, you give records of the CRM that "
        "have none a company, then both are brought together.",
        all_companies=True,
        copies=True,
        master=Side.DATAVERSE,
        crm_rows=True,
        erp_rows=True,
    ),
}


@dataclass(frozen=True)
class Progress:
    """How far a draft is, as the check-list asks for it."""

    finops: bool = False
    dataverse: bool = False
    companies: bool = False
    maps: bool = False
    healthy: bool = False
    created: bool = False
    homeless: int | None = None
    """Rows of the CRM without a company, None while they were not counted."""


def tasks(situation: Situation, progress: Progress) -> Sequence[Task]:
    """The check-list of a situation, in order, with what is done already."""
    plan = PLANS[situation]
    found = [
        Task("Connect the ERP", done=progress.finops, step="finops"),
        Task("Connect the CRM", done=progress.dataverse, step="dataverse"),
    ]
    if not plan.erp_rows:
        found.append(
            Task(
                "Create your companies in the ERP",
                f"A new ERP has only {DEFAULT_COMPANY.upper()}. Companies made later "
                "are added to the link on its page Companies.",
            )
        )
    found.append(
        Task(
            "Remove companies that shall not take part"
            if plan.all_companies
            else "Choose the companies that take part",
            "All that both sides have are chosen to begin with."
            if plan.all_companies
            else "Only the default company is chosen to begin with.",
            progress.companies,
            "companies",
        )
    )
    if plan.crm_rows:
        found.append(
            Task(
                "Give the CRM's records a company",
                _homeless(progress.homeless),
                None if progress.homeless is None else progress.homeless == 0,
                "check",
            )
        )
    found.append(Task("Choose the maps", done=progress.maps, step="maps"))
    if plan.copies:
        source = "the ERP" if plan.master is Side.FINOPS else "the CRM"
        found.append(
            Task(
                "Say whose rows are copied first",
                f"Suggested for this situation: copy, and {source} wins where both "
                "have a record.",
                progress.maps,
                "order",
            )
        )
    found += [
        Task("Pass the health check", done=progress.healthy, step="check"),
        Task("Create the link", done=progress.created, step="summary"),
    ]
    return found


def _homeless(count: int | None) -> str:
    if count is None:
        return (
            "Records without one stay where they are. The health check counts them and "
            "can give them one."
        )
    if not count:
        return "Every record has one."
    return (
        f"{count:,} records have none; they stay where they are until they get one. "
        "The health check can give them one."
    )
