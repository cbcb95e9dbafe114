"""All addresses of the product."""

from allauth.account import views as account
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from adminapp import api, health, setup, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="status"), name="home"),
    path("setup/", setup.setup, name="setup"),
    path("status/", views.status, name="status"),
    path("support/", views.support, name="support"),
    path("", include("emailcfg.urls")),
    path("", include("outbound.urls")),
    path("omnibar/", views.omnibar, name="omnibar"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("api/v1/", api.urls()),
    # Of the account pages only these: there is no sign-up, and no mail is sent to reset a password.
    path("accounts/login/", account.login, name="account_login"),
    path("accounts/logout/", account.logout, name="account_logout"),
    path("accounts/password/change/", account.password_change, name="account_change_password"),
    path("accounts/reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path("accounts/inactive/", account.account_inactive, name="account_inactive"),
]

handler400 = "adminapp.errors.bad_request"
handler403 = "adminapp.errors.forbidden"
handler404 = "adminapp.errors.not_found"
handler500 = "adminapp.errors.server_error"
