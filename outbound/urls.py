"""Addresses of the outbound email service's pages."""

from django.urls import path

from outbound.views import fix, mail_frame, messages, test_send, tokens

urlpatterns = [
    path("configuration/email/test/", test_send.from_form, name="test-form"),
    path("configuration/revisions/<int:number>/test/", test_send.from_revision, name="test-revision"),
    path("configuration/tests/<int:pk>/", test_send.progress, name="test-progress"),
    path("configuration/tests/<int:pk>/received/", test_send.received, name="test-received"),
    path("configuration/tests/<int:pk>/fix/", fix.apply, name="test-fix"),
    path("received/<str:token>/", test_send.receipt, name="receipt"),
    path("messages/", messages.index, name="messages"),
    path("messages/retry/", messages.retry_group, name="messages-retry"),
    path("messages/kinds/", mail_frame.kinds, name="kinds"),
    path("messages/kinds/<str:kind>/", mail_frame.kinds, name="kind"),
    path("messages/kinds/<str:kind>/mail/", mail_frame.of_kind, name="kind-frame"),
    path("messages/<int:pk>/", messages.detail, name="message"),
    path("messages/<int:pk>/progress/", messages.progress, name="message-progress"),
    path("messages/<int:pk>/mail/", mail_frame.of_message, name="message-frame"),
    path("messages/<int:pk>/retry/", messages.retry, name="message-retry"),
    path("messages/<int:pk>/cancel/", messages.cancel, name="message-cancel"),
    path("messages/<int:pk>/again/", messages.send_again, name="message-again"),
    path("support/tokens/", tokens.index, name="tokens"),
    path("support/tokens/create/", tokens.create, name="token-create"),
    path("support/tokens/revoke/", tokens.revoke, name="token-revoke"),
]
