"""All addresses of the product."""

from allauth.account import views as account
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from adminapp import api, health, metrics, setup, status, support, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", api.urls()),  # first, for programs ask more often than people
    path("", RedirectView.as_view(pattern_name="status"), name="home"),
    path("setup/", setup.setup, name="setup"),
    path("status/", status.page, name="status"),
    path("status/live/", status.live, name="status-live"),
    path("status/day/", status.day, name="status-day"),
    path("status/pause/", status.pause, name="queue-pause"),
    path("status/resume/", status.resume, name="queue-resume"),
    path("status/check/", status.check, name="status-check"),
    path("status/restart/", status.restart_services, name="services-restart"),
    path("status/probe/", status.probe, name="queue-probe"),
    path("support/", support.support, name="support"),
    path("support/bundle/", support.download, name="support-bundle"),
    path("", include("emailcfg.urls")),
    path("", include("outbound.urls")),
    path("omnibar/", views.omnibar, name="omnibar"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
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
