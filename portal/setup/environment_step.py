"""The steps that choose or add an environment, with its live test."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from portal.environments.models import Environment
from portal.environments.queries import linked_set
from portal.environments.secrets import masked_dsn
from portal.pages import chosen_ids
from portal.refusals import Refusal
from portal.setup import drafts
from portal.setup.forms import NewEnvironmentForm
from portal.setup.models import SetupDraft
from portal.setup.testing import test_environment
from syncengine.mapping.model import Side


def save(request: HttpRequest, draft: SetupDraft, side: Side) -> dict[str, Any] | None:
    """Choose one, add one, or go on with the one that is chosen. Gives what the page
    shows where that was not possible."""
    action = request.POST.get("action", "")
    if action == "choose":
        found = _stored(side, request.POST.get("environment", ""))
        drafts.choose_environment(draft, side, found)
        return None
    if action == "add":
        return _add(request, draft, side)
    if request.POST.get("go", "next") == "next" and draft.environment(side) is None:
        raise Refusal("Choose an environment, or add one.", code="incomplete")
    return None


def _stored(side: Side, wanted: str) -> Environment:
    found = Environment.objects.filter(pk__in=chosen_ids([wanted]), role=side.value)
    environment = found.first()
    if environment is None:
        raise Refusal("Choose an environment.", code="incomplete")
    return environment


def _add(request: HttpRequest, draft: SetupDraft, side: Side) -> dict[str, Any] | None:
    form = NewEnvironmentForm(request.POST, side=side)
    if not form.is_valid():
        return {"form": form}
    environment = form.unsaved()
    found = test_environment(environment)
    if not found.usable:
        return {"form": form, "test": found}
    user: Any = request.user
    drafts.add_environment(draft, environment, user=user)
    return None


def show(request: HttpRequest, draft: SetupDraft, side: Side) -> dict[str, Any]:
    """The environment that is chosen, or those to choose from and a form."""
    present = draft.environment(side)
    changing = "change" in request.GET or request.method == "POST"
    name = "erp" if side is Side.FINOPS else "crm"
    taken = set(Environment.objects.values_list("name", flat=True))
    free = next(
        one
        for one in (name, *(f"{name}-{n}" for n in range(2, 999)))
        if one not in taken
    )
    return {
        "side": side.value,
        "present": present if present and not changing else None,
        "address": masked_dsn(present.dsn) if present else "",
        "known": (known := _known(side, present)),
        "free": [row for row in known if row["link"] is None],
        "form": NewEnvironmentForm(side=side, initial={"name": free}),
    }


def _known(side: Side, present: Environment | None) -> list[dict[str, Any]]:
    rows = []
    for one in Environment.objects.filter(role=side.value).defer("dsn"):
        link = linked_set(one)
        rows.append(
            {
                "environment": one,
                "link": link,
                "chosen": present is not None and one.pk == present.pk,
            }
        )
    return sorted(rows, key=lambda row: row["link"] is not None)


def tested(request: HttpRequest, draft: SetupDraft, side: Side) -> dict[str, Any]:
    """The live test of the chosen environment or of what was filled in; that one is
    kept where the test allows it and that was asked for. `go` says where to go then."""
    if request.method != "POST":
        wanted = request.GET.get("environment", "")
        present = _stored(side, wanted) if wanted else draft.environment(side)
        if present is None:
            return {"nothing": True}
        return {"test": test_environment(present)}
    form = NewEnvironmentForm(request.POST, side=side)
    if not form.is_valid():
        return {"mistakes": [(form[name].label, e) for name, e in form.errors.items()]}
    environment = form.unsaved()
    found = test_environment(environment)
    user: Any = request.user
    step = reverse("setup_step", args=[draft.pk, side.value])
    if "add" in request.POST and found.usable:
        drafts.add_environment(draft, environment, user=user)
        return {"go": step}
    if "keep" in request.POST and found.reached and found.origin is not None:
        kept = drafts.keep_environment(environment, user=user)
        clean = reverse("environment_clean", args=[kept.pk])
        return {"go": f"{clean}?{urlencode({'next': step})}"}
    return {"test": found}
