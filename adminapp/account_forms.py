"""allauth's forms in the words and look of this product: labels above the fields, no placeholders in them."""

from typing import Any

from allauth.account import forms as account
from django.forms import Form


def _plain(form: Form, **labels: str) -> None:
    for name, label in labels.items():
        form.fields[name].label = label
        form.fields[name].widget.attrs.pop("placeholder", None)


class LoginForm(account.LoginForm):  # type: ignore[misc]  # allauth has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _plain(self, login="Email address", password="Password")  # noqa: S106 - a label
        self.fields["password"].help_text = ""


class ReauthenticateForm(account.ReauthenticateForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _plain(self, password="Password")  # noqa: S106 - a label
        self.fields["password"].widget.attrs["autofocus"] = True  # the one thing this page asks for


class ChangePasswordForm(account.ChangePasswordForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _plain(self, oldpassword="Current password", password1="New password", password2="New password, once more")
        self.fields["oldpassword"].help_text = ""
        self.fields["password1"].help_text = "At least 12 characters. A sentence of a few words is good."
