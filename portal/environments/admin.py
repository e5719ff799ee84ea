"""Environments, connection sets and keys; every change goes through the services."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponseRedirect
from unfold.admin import ModelAdmin, TabularInline

from portal.administration import ReadOnlyAdmin, ReadOnlyInline
from portal.environments import services
from portal.environments.forms import EnvironmentForm
from portal.environments.models import (
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
    """Links; made by `dw apply` and the wizard."""

    list_display = ("name", "finops", "dataverse", "link_id", "revision", "created_at")
    list_select_related = ("finops", "dataverse")
    inlines = (LegalEntityInline, StreamInline)


class IntegrationKeyColumnInline(TabularInline):
    """Columns of a key."""

    model = IntegrationKeyColumn
    extra = 1


@admin.register(IntegrationKey)
class IntegrationKeyAdmin(ModelAdmin):
    """Natural keys chosen by hand."""

    list_display = ("table", "environment")
    list_select_related = ("environment",)
    inlines = (IntegrationKeyColumnInline,)
