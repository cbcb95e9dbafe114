"""Addresses of the history: revisions, their differences, what runs, and the audit log."""

from django.urls import path

from emailcfg.views import history, revision

urlpatterns = [
    path("configuration/history/", history.show, name="history"),
    path("configuration/history/compare/", history.compare, name="history-compare"),
    path("configuration/revisions/<int:number>/", revision.show, name="revision"),
    path("configuration/revisions/<int:number>/delete/", revision.delete, name="revision-delete"),
    path("configuration/revisions/<int:a>/diff/<int:b>/", revision.difference, name="revision-diff"),
]
