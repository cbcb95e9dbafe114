"""Addresses of the configuration."""

from django.urls import include, path

from emailcfg.views import domain, pane, save

urlpatterns = [
    path("", include("emailcfg.urls_revisions")),
    path("configuration/email/", pane.pane, name="email-pane"),
    path("configuration/email/domain/", domain.start, name="domain-start"),
    path("configuration/email/domain/<str:key>/", domain.progress, name="domain-progress"),
    path("configuration/email/draft/", pane.draft, name="email-draft"),
    path("configuration/email/discard/", pane.discard, name="email-discard"),
    path("configuration/email/load/<int:number>/", pane.load_revision, name="email-load"),
    path("configuration/email/save/dialog/", save.dialog, name="email-save-dialog"),
    path("configuration/email/save/", save.save, name="email-save"),
]
