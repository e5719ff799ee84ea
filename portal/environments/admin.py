"""Environments, connection sets and keys; every change goes through the services."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action
from unfold.enums import ActionVariant

from portal.administration import ReadOnlyAdmin, ReadOnlyInline
from portal.environments import services
from portal.environments.forms import EnvironmentForm
from portal.environments.models import (
    Access,
    ConnectionSet,
    Environment,
    IntegrationKey,
    IntegrationKeyColumn,
    LegalEntity,
    Stream,
)
from portal.environments.secrets import masked_dsn
from portal.refusals import Refusal

DESCRIBED = ("product", "product_version", "fingerprint", "checked_at")


@admin.register(Environment)
class EnvironmentAdmin(ModelAdmin):
    """Business systems; the connection string is shown masked only."""

    form = EnvironmentForm
    list_display = ("name", "role", "address", "product", "product_version")
    list_filter = ("role",)
    search_fields = ("name",)
    actions = ("test",)
    actions_detail = ("show_check", "remove")

    @action(description="Test connection", url_path="check")
    def show_check(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that reaches it and says what it lacks."""
        return redirect("environment_check", pk=object_id)

    @action(
        description="Delete",
        url_path="remove",
        permissions=["remove"],
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that asks for the name."""
        return redirect("environment_delete", pk=object_id)

    def has_remove_permission(
        self, request: HttpRequest, object_id: str | None = None
    ) -> bool:
        """Who sees the button; the page asks again."""
        return bool(request.user.has_perm("environments.delete_environment"))

    def has_delete_permission(
        self, request: HttpRequest, obj: Environment | None = None
    ) -> bool:
        """Never here, one or many: the service refuses what the admin would not."""
        return False

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: object = None
    ) -> HttpResponse:
        """The admin's own way of deleting leads to our page."""
        return redirect("environment_delete", pk=object_id)

    @admin.display(description="connection")
    def address(self, environment: Environment) -> str:
        """User, host and database."""
        return masked_dsn(environment.dsn)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Environment | None = None
    ) -> tuple[str, ...]:
        """A name and a role are for good."""
        return ("name", "role", *DESCRIBED) if obj else DESCRIBED

    def get_fields(
        self, request: HttpRequest, obj: Environment | None = None
    ) -> tuple[str, ...]:
        """What was found out is shown once there is something."""
        fields = EnvironmentForm.Meta.fields
        return (*fields, *DESCRIBED) if obj else fields

    def save_model(
        self, request: HttpRequest, obj: Environment, form: ModelForm, change: bool
    ) -> None:
        """Create or update through the service."""
        values = {name: form.cleaned_data[name] for name in services.EDITABLE}
        if change:
            stored = Environment.objects.get(pk=obj.pk)
            services.update_environment(stored, user=request.user, **values)
        else:
            made = services.create_environment(
                name=obj.name, role=obj.role, user=request.user, **values
            )
            obj.pk = made.pk

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """What a service refuses is a message on the same page."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except Refusal as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(request.get_full_path())

    @admin.action(description="Test the connection")
    def test(self, request: HttpRequest, queryset: QuerySet[Environment]) -> None:
        """Reach each environment and say what was found."""
        for environment in queryset:
            try:
                found = services.test_connection(environment)
            except Refusal as refusal:
                messages.error(request, str(refusal))
                continue
            if found.description is not None:
                messages.success(
                    request,
                    f"{environment.name}: {found.description.product} "
                    f"{found.description.version} answers.",
                )
            for finding in found.findings:
                messages.warning(request, f"{environment.name}: {finding.message}")


class LegalEntityInline(ReadOnlyInline):
    """Linked companies."""

    model = LegalEntity


class StreamInline(ReadOnlyInline):
    """The set's streams."""

    model = Stream


@admin.register(ConnectionSet)
class ConnectionSetAdmin(ReadOnlyAdmin):
    """Links; made by `dw apply` and the wizard, ended by unlinking."""

    list_display = (
        "name",
        "finops",
        "dataverse",
        "link_id",
        "revision",
        "created_at",
        "unlinking",
    )
    list_select_related = ("finops", "dataverse")
    inlines = (LegalEntityInline, StreamInline)
    actions_detail = (
        "show_companies",
        "show_limits",
        "show_check",
        "synchronous",
        "relink",
        "unlink",
    )
    actions_list = ("set_up",)

    @action(description="Set up a link", url_path="set-up")
    def set_up(self, request: HttpRequest) -> HttpResponse:
        """Lead to the wizard."""
        return redirect("setup_list")

    @action(description="Clean up and relink", url_path="relink")
    def relink(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that asks for the name."""
        return redirect("connection_set_relink", pk=object_id)

    @action(description="Limits", url_path="limits")
    def show_limits(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page of the limits of queues and logs."""
        return redirect("connection_set_limits", pk=object_id)

    @action(description="Companies", url_path="companies")
    def show_companies(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that adds and removes companies."""
        return redirect("connection_set_companies", pk=object_id)

    @admin.display(description="unlinking")
    def unlinking(self, connection_set: ConnectionSet) -> str:
        """Whether somebody must still finish undoing the link."""
        return "Not finished" if connection_set.retired_at else "-"

    @action(description="Check", url_path="check")
    def show_check(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that checks both sides, the maps and the streams."""
        return redirect("connection_set_check", pk=object_id)

    @action(description="Synchronous mode", url_path="synchronous")
    def synchronous(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that shows and switches it."""
        return redirect("connection_set_synchronous", pk=object_id)

    @action(
        description="Unlink",
        url_path="unlink",
        permissions=["remove"],
        variant=ActionVariant.DANGER,
    )
    def unlink(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the page that asks for the name."""
        return redirect("connection_set_unlink", pk=object_id)

    def has_remove_permission(
        self, request: HttpRequest, object_id: str | None = None
    ) -> bool:
        """Who sees the button; the page asks again."""
        return bool(request.user.has_perm("environments.delete_connectionset"))

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: object = None
    ) -> HttpResponse:
        """The admin's own way of deleting leads there too."""
        return redirect("connection_set_unlink", pk=object_id)


class IntegrationKeyColumnInline(TabularInline):
    """Columns of a key."""

    model = IntegrationKeyColumn
    extra = 1


@admin.register(Access)
class AccessAdmin(ReadOnlyAdmin):
    """What limited users may see; changed on their pages."""

    list_display = ("user", "connection_set", "finops_company")
    list_select_related = ("user", "connection_set")


@admin.register(IntegrationKey)
class IntegrationKeyAdmin(ModelAdmin):
    """Natural keys chosen by hand."""

    list_display = ("table", "environment")
    list_select_related = ("environment",)
    inlines = (IntegrationKeyColumnInline,)
