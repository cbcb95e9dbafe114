"""Addresses of the outbound email service's pages."""

from django.urls import path

from outbound.views import test_send

urlpatterns = [
    path("configuration/email/test/", test_send.from_form, name="test-form"),
    path("configuration/revisions/<int:number>/test/", test_send.from_revision, name="test-revision"),
    path("configuration/tests/<int:pk>/", test_send.progress, name="test-progress"),
    path("configuration/tests/<int:pk>/received/", test_send.received, name="test-received"),
    path("received/<str:token>/", test_send.receipt, name="receipt"),
]
