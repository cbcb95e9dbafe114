"""The fields of Configuration > Email as the browser shows them: labels, help texts, input types.

The rules are the schema's (`emailcfg.schema`); a field here only says how its value is entered. A field
is named after its schema path: "smtp.host" is `smtp__host`, as in the environment (EMAILCFG__SMTP__HOST).
"""

from collections.abc import Mapping
from typing import Any

from django import forms

from emailcfg.providers.presets import PRESETS, SES_REGIONS
from emailcfg.schema import SECRET_PATHS, EmailConfig, walk

_TITLES = {path: title for path, title, _ in walk(EmailConfig())}
_PLAIN = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}

SECURITY_CHOICES = (
    ("starttls", "STARTTLS, required (587)"),
    ("tls", "TLS from the start (465)"),
    ("none", "None"),
)


def name_of(path: str) -> str:
    """The form's name of a schema path."""
    return path.replace(".", "__")


def path_of(name: str) -> str:
    """The schema path of a form's field name."""
    return name.replace("__", ".", 1)


def _text(path: str, help_text: str = "", **attrs: Any) -> forms.CharField:
    widget = forms.TextInput(attrs={**_PLAIN, **attrs})
    return forms.CharField(label=_TITLES[path], required=False, help_text=help_text, widget=widget)


def _number(path: str, help_text: str = "", **attrs: Any) -> forms.CharField:
    return _text(path, help_text, inputmode="numeric", **attrs)


def _choice(path: str, choices: Any, help_text: str = "") -> forms.CharField:
    # A CharField: the schema checks the choice, in its own words.
    widget = forms.Select(choices=choices, attrs={"class": "form-select"})
    return forms.CharField(label=_TITLES[path], required=False, help_text=help_text, widget=widget)


def _switch(path: str, help_text: str = "") -> forms.BooleanField:
    widget = forms.CheckboxInput(attrs={"role": "switch"})
    return forms.BooleanField(label=_TITLES[path], required=False, help_text=help_text, widget=widget)


class EmailForm(forms.Form):
    """Everything but the secrets, which `SecretsForm` takes and never shows."""

    general__sender_email = _text(
        "general.sender_email", "The From address of every mail. Replies and bounces name it.", inputmode="email"
    )
    general__sender_name = _text("general.sender_name", "Shown beside the From address in the inbox.")
    general__reply_to_domain = _text(
        "general.reply_to_domain",
        "Replies to a notification go to <token>@ this domain, so the product can file them.",
    )
    general__reply_to_email = _text(
        "general.reply_to_email", "Where replies go when a mail has no reply token.", inputmode="email"
    )
    general__support_email = _text(
        "general.support_email", "Named at the foot of every mail as the address for help.", inputmode="email"
    )
    general__divert_to = _text(
        "general.divert_to",
        "Every mail goes to this address instead, with its real recipient named in the subject. For trials.",
        inputmode="email",
    )
    general__suppress_all = _switch(
        "general.suppress_all", "Requests are accepted and recorded as suppressed; nothing leaves."
    )
    smtp__enabled = _switch("smtp.enabled")
    smtp__preset = _choice("smtp.preset", [(name, preset.label) for name, preset in PRESETS.items()])
    smtp__host = _text("smtp.host", inputmode="url")
    smtp__port = _number("smtp.port", maxlength=5)
    smtp__security = _choice("smtp.security", SECURITY_CHOICES)
    smtp__username = _text("smtp.username", "Empty when the relay knows this machine by its address.")
    smtp__ca_certificate = forms.CharField(
        label=_TITLES["smtp.ca_certificate"],
        required=False,
        help_text="PEM. Only for a relay whose certificate comes from an authority of your own.",
        widget=forms.Textarea(
            attrs={**_PLAIN, "rows": 4, "class": "font-monospace", "placeholder": "-----BEGIN CERTIFICATE-----"}
        ),
    )
    smtp__ehlo_hostname = _text(
        "smtp.ehlo_hostname",
        "The name this machine gives itself. Some relays, Google's among them, refuse “localhost”.",
    )
    smtp__ip_version = _choice(
        "smtp.ip_version",
        (("any", "Both, whichever answers"), ("4", "IPv4 only"), ("6", "IPv6 only")),
        "Choose one when a test says that the other fails.",
    )
    smtp__auth_mechanism = _choice(
        "smtp.auth_mechanism",
        (("auto", "Automatic"), ("plain", "PLAIN only"), ("login", "LOGIN only")),
        "Automatic takes PLAIN where the server offers it, else LOGIN.",
    )
    smtp__timeout_s = _number("smtp.timeout_s", "Seconds to wait for each answer, 1 to 300.", maxlength=3)
    smtp__max_connections = _number("smtp.max_connections", "Kept open at the same time, 1 to 50.", maxlength=2)
    smtp__rate_limit_per_minute = _number(
        "smtp.rate_limit_per_minute", "Empty for no limit. Microsoft 365 allows 30.", maxlength=7
    )
    sendgrid__enabled = _switch("sendgrid.enabled")
    sendgrid__region = _choice(
        "sendgrid.region",
        (("global", "Global (api.sendgrid.com)"), ("eu", "European Union (api.eu.sendgrid.com)")),
        "A key made for an EU subuser works only in the EU region.",
    )
    sendgrid__click_tracking = _switch(
        "sendgrid.click_tracking", "Rewrites links in mails. Leave it off, so that confirmation links stay as they are."
    )
    # Not a setting of its own: it fills in the host of Amazon SES.
    ses_region = forms.ChoiceField(
        label="Region",
        required=False,
        choices=[("", "Choose a region"), *SES_REGIONS],
        widget=forms.Select(attrs={"class": "form-select"}),
    )


class SecretsForm(forms.Form):
    """The secret fields: always rendered empty, whatever is stored or typed."""

    smtp__password = forms.CharField(label=_TITLES["smtp.password"], required=False, strip=False)
    sendgrid__api_key = forms.CharField(label=_TITLES["sendgrid.api_key"], required=False)


def form_for(values: Mapping[str, str]) -> EmailForm:
    """The form showing these values (by schema path)."""
    form = EmailForm(initial={name_of(path): text for path, text in values.items()})
    return form


SECRET_NAMES = tuple(name_of(path) for path in SECRET_PATHS)
