"""Addresses of the history: revisions, their differences, what runs, and the audit log."""

from django.urls import path

from emailcfg.views import activate, audit, history, revision

urlpatterns = [
    path("configuration/history/", history.show, name="history"),
    path("configuration/history/compare/", history.compare, name="history-compare"),
    path("configuration/revisions/<int:number>/", revision.show, name="revision"),
    path("configuration/revisions/<int:number>/delete/", revision.delete, name="revision-delete"),
    path("configuration/revisions/<int:a>/diff/<int:b>/", revision.difference, name="revision-diff"),
    path("configuration/revisions/<int:number>/activate/", activate.activate, name="activate"),
    path("configuration/convergence/", activate.progress, name="convergence"),
    path("configuration/confirm/", activate.confirm, name="confirm"),
    path("configuration/confirm/<str:token>/", activate.keep_by_link, name="confirm-link"),
    path("configuration/rollback/", activate.rollback, name="rollback"),
    path("configuration/audit/", audit.show, name="audit"),
    path("configuration/audit/export/", audit.export, name="audit-export"),
]
