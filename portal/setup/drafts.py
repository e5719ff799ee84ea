"""What the wizard does with a draft: begin, choose, change, discard, agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from portal.activity import services as activity
from portal.environments import services as environments
from portal.environments.copies import refuse_copies
from portal.environments.models import NAME, ConnectionSet, Environment
from portal.environments.queries import linked_set
from portal.maps.preparation import naming
from portal.refusals import ActionForbidden, ConfigurationRefused, Refusal
from portal.setup.companies import companies_of
from portal.setup.models import (
    ACTIVE_STAMPINGS,
    DraftCompany,
    DraftMap,
    DraftState,
    SetupDraft,
    Situation,
)
from portal.setup.situations import DEFAULT_COMPANY, PLANS
from syncengine import catalog
from syncengine.mapping.model import Side

if TYPE_CHECKING:
    from portal.accounts.models import User


def begin(
    *, name: str = "", situation: str = "", user: User | None = None
) -> SetupDraft:
    """A new draft; without a name it gets one that is free."""
    return SetupDraft.objects.create(
        name=name or _free_name(),
        situation=situation or Situation.EXISTING_EXISTING,
        created_by=user,
    )


def _free_name() -> str:
    taken = {
        *ConnectionSet.objects.values_list("name", flat=True),
        *SetupDraft.objects.values_list("name", flat=True),
    }
    number = 1
    while (name := "link" if number == 1 else f"link-{number}") in taken:
        number += 1
    return name


def lock(draft: SetupDraft) -> SetupDraft:
    """The draft as it is stored, held until the transaction ends. Refused once it is
    being created."""
    stored = (
        SetupDraft.objects.select_for_update(of=("self",))
        .select_related("finops", "dataverse")
        .get(pk=draft.pk)
    )
    if stored.state != DraftState.EDITING:
        raise ActionForbidden(
            f"{stored.name} is not a draft any more: it is "
            f"{stored.get_state_display().lower()}.",
            code="not_a_draft",
        )
    return stored


def recheck(draft: SetupDraft) -> None:
    """What was checked holds no more: a system was changed."""
    _changed(lock(draft))


def _changed(draft: SetupDraft, **values: object) -> None:
    """Store values; what was checked before holds no more."""
    for name, value in {**values, "checked_at": None, "passed": False}.items():
        setattr(draft, name, value)
    draft.save()


@transaction.atomic
def settle_start(draft: SetupDraft, *, name: str, situation: str) -> None:
    """Name the link and say how both systems are. Another situation suggests other
    companies and copies."""
    stored = lock(draft)
    name = name.strip()
    if not NAME.regex.fullmatch(name) or len(name) > 100:
        raise ConfigurationRefused(
            f"The link's name cannot be {name!r}. {NAME.message}"
        )
    if ConnectionSet.objects.filter(name=name).exists():
        raise ConfigurationRefused(
            f"There is a connection set {name} already: choose another name."
        )
    if situation not in Situation.values:
        raise ConfigurationRefused("Say how both systems are now.")
    if stored.situation != situation:
        stored.situation = situation
        _suggest_companies(stored)
        plan = PLANS[Situation(situation)]
        stored.maps.update(copies=plan.copies, master=plan.master.value)
    _changed(stored, name=name)


@transaction.atomic
def choose_environment(draft: SetupDraft, side: Side, environment: Environment) -> None:
    """Take a stored environment for one side. Refused where it is linked already, or
    carries what a copied or restored system carries."""
    stored = lock(draft)
    if environment.side is not side:
        raise ConfigurationRefused(
            f"{environment.name} is no {side.value} environment."
        )
    link = linked_set(environment)
    if link is not None:
        raise ConfigurationRefused(
            f"{environment.name} is linked already, by {link.name}; an environment "
            "can be part of one link only.",
            code="already_linked",
        )
    refuse_copies(environment)
    environments.refresh(environment)
    other = stored.environment(Side.DATAVERSE if side is Side.FINOPS else Side.FINOPS)
    if other is not None and other.fingerprint == environment.fingerprint:
        raise ConfigurationRefused(
            f"{environment.name} and {other.name} are the same database: link two "
            "different ones."
        )
    if stored.environment(side) != environment:
        stored.companies.all().delete()
        _changed(stored, **{side.value: environment}, companies_settled=False)


def match_companies(draft: SetupDraft) -> tuple[list[str], list[str]]:
    """Read the companies of both systems and match what is new by code, whatever its
    case; what was corrected by hand stays. Gives the codes of each side. Refused when
    a system cannot be asked."""
    assert draft.finops is not None  # noqa: S101 - the step is not reached before
    assert draft.dataverse is not None  # noqa: S101
    with naming(draft.finops.name):
        finops = companies_of(draft.finops)
    with naming(draft.dataverse.name):
        dataverse = companies_of(draft.dataverse)
    alike = {code.casefold(): code for code in dataverse}
    with transaction.atomic():
        stored = lock(draft)
        present = {one.finops_code for one in stored.companies.all()}
        DraftCompany.objects.bulk_create(
            DraftCompany(
                draft=stored,
                finops_code=code,
                dataverse_code=alike.get(code.casefold(), ""),
            )
            for code in finops
            if code not in present
        )
        if not present:
            _suggest_companies(stored)
    return finops, dataverse


def _suggest_companies(draft: SetupDraft) -> None:
    """Choose as the situation suggests: all, or the default company (all where there
    is none)."""
    matched = draft.companies.exclude(dataverse_code="")
    usual = matched.filter(finops_code__iexact=DEFAULT_COMPANY)
    only_default = (
        not PLANS[Situation(draft.situation)].all_companies and usual.exists()
    )
    draft.companies.update(chosen=False)
    (usual if only_default else matched).update(chosen=True)


@transaction.atomic
def settle_companies(
    draft: SetupDraft, pairs: Mapping[str, str], chosen: Sequence[str]
) -> None:
    """Which company of the ERP is which of the CRM, and which take part. Every mistake
    is said at once."""
    stored = lock(draft)
    problems = []
    taken: dict[str, str] = {}
    for finops in chosen:
        dataverse = pairs.get(finops, "")
        if not dataverse:
            problems.append(
                f"{finops} has no company in the CRM: choose one, or leave it out."
            )
        elif dataverse in taken:
            problems.append(
                f"{taken[dataverse]} and {finops} cannot both be {dataverse}."
            )
        else:
            taken[dataverse] = finops
    if problems:
        raise ConfigurationRefused(
            "The companies cannot be linked like this.", reasons=problems
        )
    stored.companies.all().delete()
    DraftCompany.objects.bulk_create(
        DraftCompany(
            draft=stored,
            finops_code=finops,
            dataverse_code=dataverse,
            chosen=finops in set(chosen),
        )
        for finops, dataverse in pairs.items()
        if finops
    )
    _changed(stored, companies_settled=True)


@transaction.atomic
def choose_maps(draft: SetupDraft, names: Sequence[str]) -> None:
    """Take exactly these ready-made maps, in the order of their references; maps that
    were chosen before keep what was said about them. Raises CatalogError."""
    stored = lock(draft)
    plan = PLANS[Situation(stored.situation)]
    wanted = [
        entry.name
        for entry in catalog.with_prerequisites(catalog.select(names))
        if entry.name in set(names)
    ]
    before = {one.name: one for one in stored.maps.all()}
    if list(before) and set(before) == set(wanted):
        _changed(stored, maps_settled=True)
        return
    stored.maps.all().delete()
    DraftMap.objects.bulk_create(
        DraftMap(
            draft=stored,
            name=name,
            position=position,
            copies=before[name].copies if name in before else plan.copies,
            master=before[name].master if name in before else plan.master.value,
        )
        for position, name in enumerate(wanted, 1)
    )
    _changed(stored, maps_settled=True)


@transaction.atomic
def settle_order(
    draft: SetupDraft,
    order: Sequence[str],
    copied: Sequence[str],
    masters: Mapping[str, str],
) -> None:
    """In which order the maps copy their rows, which of them do, and who wins."""
    stored = lock(draft)
    places = {name: place for place, name in enumerate(order, 1)}
    for one in stored.maps.all():
        one.position = places.get(one.name, len(places) + one.position)
        one.copies = one.name in set(copied)
        if masters.get(one.name) in list(Side):
            one.master = masters[one.name]
        one.save(update_fields=["position", "copies", "master"])
    _changed(stored)


def reached(draft: SetupDraft, step: str) -> None:
    """Remember where the administrator is."""
    SetupDraft.objects.filter(pk=draft.pk).update(step=step, updated_at=timezone.now())
    draft.step = step


def only_here(draft: SetupDraft) -> list[Environment]:
    """The environments of a draft that nothing else needs: no link, no other draft."""
    others = SetupDraft.objects.exclude(pk=draft.pk).exclude(state=DraftState.DONE)
    found = [draft.environment(side) for side in Side]
    return [
        one
        for one in found
        if one is not None
        and linked_set(one) is None
        and not others.filter(Q(finops=one) | Q(dataverse=one)).exists()
    ]


@transaction.atomic
def discard(
    draft: SetupDraft, *, forget: bool = False, user: User | None = None
) -> None:
    """Forget a draft; with `forget` its environments, too, that nothing else needs. A
    link that was made stays. Refused while it is being created, and while what it
    began is there still."""
    stored = SetupDraft.objects.select_for_update(of=("self",)).get(pk=draft.pk)
    if stored.state == DraftState.CREATING:
        raise ActionForbidden(f"{stored.name} is being created: wait for it to end.")
    if stored.state == DraftState.FAILED and stored.connection_set_id is not None:
        raise ActionForbidden(
            f"{stored.name} was created in part: go on, or undo it first.",
            code="created_in_part",
        )
    activity.record("setup.discarded", f"Draft {stored.name} was discarded.", user=user)
    unneeded = only_here(stored) if forget else []
    stored.delete()
    for environment in unneeded:
        environments.delete_environment(environment, user=user)


def refuse_unfinished(draft: SetupDraft) -> None:
    """Refuse a draft that cannot be created yet, with everything it lacks."""
    lacks = []
    for side in Side:
        if draft.environment(side) is None:
            lacks.append(f"Choose the {side.value} environment.")
    if not draft.companies_settled:
        lacks.append("Settle which companies take part.")
    if draft.checked_at is None:
        lacks.append("Run the health check: something changed since the last one.")
    elif not draft.passed:
        lacks.append("Mend what the health check found, then run it again.")
    for job in draft.stampings.filter(state__in=ACTIVE_STAMPINGS):
        lacks.append(f"Wait until records of {job.table} have {job.company}.")
    if lacks:
        raise Refusal(
            f"{draft.name} cannot be created yet.", code="unfinished", reasons=lacks
        )


def add_environment(
    draft: SetupDraft, environment: Environment, *, user: User | None = None
) -> Environment:
    """Store an environment that was tested, with what was found out about it, and take
    it for its side."""
    with transaction.atomic():
        lock(draft)
        made = keep_environment(environment, user=user)
        choose_environment(draft, made.side, made)
    return made


def keep_environment(
    environment: Environment, *, user: User | None = None
) -> Environment:
    """Store an environment that was tested, with what was found out about it."""
    return environments.create_environment(
        name=environment.name,
        role=environment.role,
        dsn=environment.dsn,
        user=user,
        schema=environment.schema,
        company_column=environment.company_column,
        company_lookup_table=environment.company_lookup_table,
        company_lookup_column=environment.company_lookup_column,
        company_also=environment.company_also,
    )
