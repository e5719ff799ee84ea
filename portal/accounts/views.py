"""Signing in, in the admin's look."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import LoginView
from unfold.forms import AuthenticationForm


class SignInView(LoginView):
    """The one place to sign in; leads to the page asked for, or the dashboard."""

    authentication_form = AuthenticationForm
    template_name = "portal/sign_in.html"
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The admin's frame around the form."""
        frame = admin.site.each_context(self.request)
        return {
            **frame,
            **super().get_context_data(**kwargs),
            "title": "Sign in",
            "app_path": self.request.get_full_path(),
        }
