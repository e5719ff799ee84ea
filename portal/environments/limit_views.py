"""The page of a connection set's limits."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from portal.access import needs
from portal.accounts.roles import Right
from portal.environments.limits import FIELDS, set_limits
from portal.environments.models import ConnectionSet
from portal.pages import page
from portal.refusals import Refusal


class LimitsForm(forms.ModelForm):
    """All limits, each with what it means."""

    class Meta:
        model = ConnectionSet
        fields = FIELDS


@needs(Right.LINK, of=ConnectionSet)
@require_http_methods(["GET", "HEAD", "POST"])
def limits(request: HttpRequest, pk: int) -> HttpResponse:
    """Show and change the limits."""
    connection_set = get_object_or_404(ConnectionSet, pk=pk)
    form = LimitsForm(request.POST or None, instance=connection_set)
    refused: Refusal | None = None
    if request.method == "POST" and form.is_valid():
        try:
            set_limits(connection_set, form.cleaned_data, user=_user(request))
        except Refusal as caught:
            refused = caught
        else:
            messages.success(request, f"Limits of {connection_set.name} changed.")
            return redirect("connection_set_limits", pk=pk)
    for field in form.fields.values():
        field.widget.attrs["class"] = "dw-input"
    failed = refused is not None or bool(form.errors)
    return page(
        request,
        "portal/set_limits.html",
        {
            "connection_set": connection_set,
            "form": form,
            "refused": refused,
            "back": reverse("dashboard"),
        },
        title=f"Limits of {connection_set.name}",
        status=400 if failed else 200,
    )


def _user(request: HttpRequest) -> Any:
    return request.user
