"""Addresses of signing in, of one's own user, and of all users."""

from __future__ import annotations

from django.urls import path

from portal.access import open_to
from portal.accounts import own_views, user_views, views

_visitors = open_to("Who cannot sign in yet must get here.", signed_in=False)
_sign_in = _visitors(views.SignInView.as_view())
_sign_out = open_to("Everybody may leave.", signed_in=False)(
    views.SignOutView.as_view()
)
_forgotten = _visitors(views.ForgottenView.as_view())

urlpatterns = [
    path("admin/login/", _sign_in),
    path("admin/logout/", _sign_out),
    path("admin/password_change/", own_views.password),
    path("accounts/login/", _sign_in, name="login"),
    path("accounts/logout/", _sign_out, name="logout"),
    # Under this name the sign-in page of the admin links it.
    path("accounts/password/", _forgotten, name="admin_password_reset"),
    path(
        "accounts/password/sent/",
        _visitors(views.ForgottenSentView.as_view()),
        name="password_reset_done",
    ),
    path(
        "accounts/password/<uidb64>/<token>/",
        _visitors(views.SetPasswordView.as_view()),
        name="password_reset_confirm",
    ),
    path("profile/", own_views.profile, name="profile"),
    path("profile/password/", own_views.password, name="own_password"),
    path("profile/sessions/", own_views.end_sessions, name="end_sessions"),
    path("users/", user_views.user_list, name="user_list"),
    path("users/new/", user_views.user_new, name="user_new"),
    path("users/roles/", user_views.role_list, name="role_list"),
    path("users/<int:pk>/", user_views.user_page, name="user_page"),
    path("users/<int:pk>/invite/", user_views.user_invite, name="user_invite"),
    path("users/<int:pk>/active/", user_views.user_active, name="user_active"),
    path("users/<int:pk>/password/", user_views.user_password, name="user_password"),
    path("users/<int:pk>/sign-out/", user_views.user_sign_out, name="user_sign_out"),
    path("users/<int:pk>/unlock/", user_views.user_unlock, name="user_unlock"),
]
