"""The steps of the wizard, in order, and which of them are done."""

from __future__ import annotations

from dataclasses import dataclass

from portal.setup.models import SetupDraft
from portal.setup.situations import Progress

STEPS = {
    "start": "Start",
    "finops": "FinOps",
    "dataverse": "Dataverse",
    "companies": "Companies",
    "maps": "Maps",
    "order": "First copy",
    "check": "Health check",
    "summary": "Summary",
}
ORDER = tuple(STEPS)


@dataclass(frozen=True)
class ShownStep:
    """A step as the row of steps shows it. `state` is `done`, `here` or `open`."""

    name: str
    title: str
    number: int
    state: str
    reachable: bool


def beside(step: str, by: int) -> str:
    """The step before (-1) or after (1), or the same at the ends."""
    place = ORDER.index(step) + by
    return ORDER[min(max(place, 0), len(ORDER) - 1)]


def progress_of(draft: SetupDraft) -> Progress:
    """How far the draft is."""
    return Progress(
        finops=draft.finops_id is not None,
        dataverse=draft.dataverse_id is not None,
        companies=draft.companies_settled,
        maps=draft.maps_settled,
        healthy=draft.checked_at is not None and draft.passed,
        created=draft.connection_set_id is not None,
        homeless=draft.homeless,
    )


def missing(draft: SetupDraft, step: str) -> str:
    """The first step that must be done before `step` can be, or nothing."""
    needed = {
        "companies": draft.both,
        "maps": draft.both,
        "order": draft.both,
        "check": draft.both,
        "summary": draft.both,
    }
    if not needed.get(step, True):
        return "finops" if draft.finops_id is None else "dataverse"
    if step == "summary" and not draft.companies_settled:
        return "companies"
    return ""


def reachable(draft: SetupDraft) -> list[str]:
    """The steps that can be opened."""
    return [step for step in ORDER if not missing(draft, step)]


def shown_steps(draft: SetupDraft, here: str) -> list[ShownStep]:
    """All steps with what is done."""
    done = {
        "start": draft.step != "start",
        "finops": draft.finops_id is not None,
        "dataverse": draft.dataverse_id is not None,
        "companies": draft.companies_settled,
        "maps": draft.maps_settled,
        "order": draft.maps_settled and ORDER.index(draft.step) > ORDER.index("order"),
        "check": draft.checked_at is not None and draft.passed,
    }
    return [
        ShownStep(
            name,
            title,
            number,
            "here" if name == here else "done" if done.get(name) else "open",
            not missing(draft, name),
        )
        for number, (name, title) in enumerate(STEPS.items(), 1)
    ]
