"""The page of the mail settings, and its test button."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from portal.access import needs
from portal.accounts.roles import Right
from portal.mailing import services
from portal.mailing.configuration import outgoing, stored
from portal.mailing.models import MailSettings
from portal.pages import page
from portal.refusals import Refusal

BY_ENVIRONMENT = ("host", "port", "security", "username", "password")


class MailForm(forms.ModelForm):
    """All settings; the password goes in and never comes out."""

    password = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    class Meta:
        model = MailSettings
        fields = (
            *("host", "port", "security", "username", "password"),
            *("sender", "portal_url", "digest_hour"),
        )
        help_texts = {
            "host": "Such as smtp.example.com. Ask whoever runs your mail.",
            "username": "Empty where the server asks for none.",
            "sender": "Such as Dual-write <dualwrite@example.com>.",
            "portal_url": "Links in messages lead here: how your browser reaches the "
            "portal.",
            "digest_hour": "0 to 23, in the time zone of each rule.",
        }

    def __init__(self, *args: Any, fixed: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.password:
            self.fields["password"].help_text = (
                "One is stored. Leave empty to keep it; it is forgotten when server or "
                "user name change."
            )
        for name in fixed:
            del self.fields[name]
        for name, field in self.fields.items():
            field.widget.attrs["class"] = "dw-input"
            if field.help_text:
                field.widget.attrs["aria-describedby"] = f"id_{name}_helptext"

    def clean(self) -> dict[str, Any]:
        """What was given; the service judges the whole."""
        return dict(self.cleaned_data)

    def _post_clean(self) -> None:
        """The service checks and saves; the row that is shown stays as it is."""


@needs(Right.LINK, whole=True)
@require_http_methods(["GET", "HEAD", "POST"])
def mail_settings(request: HttpRequest) -> HttpResponse:
    """Show and change them."""
    way = outgoing()
    fixed = (*BY_ENVIRONMENT,) if way.fixed else ()
    fixed += ("portal_url",) if way.fixed_url else ()
    row = stored()
    if not row.portal_url:
        row.portal_url = request.build_absolute_uri("/").rstrip("/")
    form = MailForm(request.POST or None, instance=row, fixed=fixed)
    refused: Refusal | None = None
    if request.method == "POST" and form.is_valid():
        try:
            services.save_settings(form.cleaned_data, user=_user(request))
        except Refusal as caught:
            refused = caught
        else:
            messages.success(request, "The mail settings are saved. Send a test mail.")
            return redirect("mail_settings")
    failed = refused is not None or bool(form.errors)
    return page(
        request,
        "portal/mail_settings.html",
        {"form": form, "refused": refused, "way": way, "tab": "mail"},
        title="Mail",
        status=400 if failed else 200,
    )


@needs(Right.LINK, whole=True)
@require_POST
def mail_test(request: HttpRequest) -> HttpResponse:
    """Send a test mail and say what became of it."""
    recipient = request.POST.get("recipient", "").strip()
    try:
        way = services.send_test(recipient, user=_user(request))
    except Refusal as refused:
        messages.error(request, f"No mail was sent. {refused.message}")
    else:
        messages.success(
            request, f"{way.host} took the mail to {recipient}. Look whether it came."
        )
    return redirect("mail_settings")


def _user(request: HttpRequest) -> Any:
    return request.user
