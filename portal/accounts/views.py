"""Signing in and out, and setting a forgotten password, in the admin's look."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import views as django_views
from django.contrib.auth.forms import PasswordResetForm
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy
from unfold.forms import AuthenticationForm

from portal.accounts import auditing, guessing
from portal.accounts.models import SignedIn, User
from portal.accounts.sessions import sign_out_everywhere
from portal.activity.services import record


class FrameMixin:
    """The admin's frame around a page for visitors."""

    request: HttpRequest
    heading = ""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """What the frame needs, and the page's title."""
        frame = admin.site.each_context(self.request)
        context = super().get_context_data(**kwargs)  # type: ignore[misc]
        return {**frame, **context, "title": self.heading}


class SignInForm(AuthenticationForm):
    """Lets in everybody who is active: whoever has no role is told so on a page, and
    not that the password is wrong."""

    def confirm_login_allowed(self, user: Any) -> None:
        """The admin's form would refuse whom Django does not call staff."""
        super(AdminAuthenticationForm, self).confirm_login_allowed(user)


class SignInView(FrameMixin, django_views.LoginView):
    """The one place to sign in; leads to the page asked for, or the dashboard."""

    authentication_form = SignInForm
    template_name = "portal/sign_in.html"
    redirect_authenticated_user = True
    heading = "Sign in"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Where the form is sent to, with the page asked for."""
        path = self.request.get_full_path()
        return {**super().get_context_data(**kwargs), "app_path": path}

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Signed in: noted in the activity log."""
        response = super().form_valid(form)
        auditing.signed_in(self.request, form.get_user())
        guessing.remember(self.request, response, form.get_user())
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """A wrong password is noted too."""
        if form.cleaned_data.get("password"):
            auditing.failed(
                self.request,
                form.cleaned_data.get("username", ""),
                locked=bool(getattr(self.request, "axes_locked_out", False)),
                spread=guessing.spread_of(self.request),
            )
        return super().form_invalid(form)


class SignOutView(django_views.LogoutView):
    """Ends the session."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Sign out, and note it."""
        if isinstance(request.user, AbstractBaseUser):
            auditing.signed_out(request, request.user)  # type: ignore[arg-type]
            SignedIn.objects.filter(session_key=request.session.session_key).delete()
        return super().post(request, *args, **kwargs)


class ForgottenForm(PasswordResetForm):
    """Also for whoever was invited and has set no password yet: their link may be too
    old, or lost."""

    def get_users(self, email: str) -> Iterator[User]:
        """Active users with this mail address."""
        found = User.objects.filter(email__iexact=email, is_active=True)
        return (user for user in found if _same_address(email, user.email))


def _same_address(given: str, stored: str) -> bool:
    """The database may take letters for equal that belong to another's address."""
    first, second = (
        unicodedata.normalize("NFKC", text).casefold() for text in (given, stored)
    )
    return first == second


class ForgottenView(FrameMixin, django_views.PasswordResetView):
    """Asks for the mail address; says the same whether there is such a user or not."""

    form_class = ForgottenForm
    template_name = "portal/password_forgotten.html"
    email_template_name = "portal/mail/password.txt"
    html_email_template_name = "portal/mail/password.html"
    subject_template_name = "portal/mail/password_subject.txt"
    success_url = reverse_lazy("password_reset_done")
    heading = "Forgotten password"


class ForgottenSentView(FrameMixin, django_views.PasswordResetDoneView):
    """Says that a mail is on its way, if there is such a user."""

    template_name = "portal/password_sent.html"
    heading = "Look into your mail"


class SetPasswordView(FrameMixin, django_views.PasswordResetConfirmView):
    """Sets a password by the link of a mail; every session of the user ends."""

    template_name = "portal/password_set.html"
    success_url = reverse_lazy("login")
    heading = "Set a password"
    user: User

    def form_valid(self, form: Any) -> HttpResponse:
        """Set it, note it, and lead to signing in."""
        response = super().form_valid(form)
        sign_out_everywhere(self.user)
        guessing.remember(self.request, response, self.user)
        record(
            "user.password",
            f"{self.user.username} set a password by a mailed link.",
            user=self.user,
        )
        messages.success(self.request, "Your password is set: sign in with it.")
        return response
