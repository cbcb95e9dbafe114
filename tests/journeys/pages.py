"""What the pages of Configuration > Email answer, read like a browser would."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser

from django.http import HttpResponse
from django.test import Client

from tests.servers.sendgrid import KEY

DRAFT = "/configuration/email/draft/"
DIALOG = "/configuration/email/save/dialog/"
SAVE = "/configuration/email/save/"
PANE = "/configuration/email/"


def complete_form(**changes: str) -> dict[str, str]:
    """Every field of the form, valid, SMTP on with a password, and a SendGrid key that is not used."""
    return {
        "form": "1",
        "draft_version": "0.0",
        "general__sender_email": "no-reply@acme.example",
        "general__sender_name": "Acme",
        "general__reply_to_domain": "reply.acme.example",
        "general__reply_to_email": "answers@acme.example",
        "general__support_email": "help@acme.example",
        "general__divert_to": "",
        "smtp__enabled": "on",
        "smtp__preset": "relay-login",
        "smtp__host": "smtp.acme.example",
        "smtp__port": "2587",
        "smtp__security": "starttls",
        "smtp__username": "ana",
        "smtp__password": "typed secret",
        "smtp__ca_certificate": "",
        "smtp__ehlo_hostname": "app.acme.example",
        "smtp__ip_version": "any",
        "smtp__auth_mechanism": "plain",
        "smtp__timeout_s": "20",
        "smtp__max_connections": "4",
        "smtp__rate_limit_per_minute": "60",
        "sendgrid__api_key": KEY,
        "sendgrid__region": "eu",
        "ses_region": "",
        **changes,
    }


@dataclass
class Notes(HTMLParser):
    """The notes of a page or fragment by field name: `errors`, `repairs`, `changed`; `values` for the browser,
    `hidden` inputs, and all its text."""

    errors: dict[str, str] = field(default_factory=dict)
    repairs: dict[str, str] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    values: dict[str, object] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._note = self._kind = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, classes = given.get("id") or "", (given.get("class") or "").split()
        if "note" in classes:
            self._note, self._kind = name.removeprefix("note-"), ""
            if "data-changed" in given:
                self.changed.add(self._note)
        elif "note-error" in classes or "note-repair" in classes:
            self._kind = classes[0]
        elif tag == "input" and given.get("type") == "hidden":
            self.hidden[given.get("name") or ""] = given.get("value") or ""
        elif name == "form-values" and given.get("data-values"):
            self.values = json.loads(given["data-values"] or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "div":
            self._kind = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._kind and data.strip():
            found = self.errors if self._kind == "note-error" else self.repairs
            found[self._note] = found.get(self._note, "") + data.strip()


def read(response: HttpResponse) -> Notes:
    """The notes of an answer, which must be a page that went well."""
    assert response.status_code == 200, (response.status_code, response.content[:300])
    notes = Notes()
    notes.feed(response.content.decode())
    return notes


def post(client: Client, path: str, data: dict[str, str]) -> HttpResponse:
    """What htmx sends."""
    return client.post(path, data, headers={"HX-Request": "true"})  # type: ignore[return-value]


def stamp(client: Client) -> str:
    """The stamp of the form as a page loaded now would have it."""
    return read(client.get(PANE)).hidden["draft_version"]  # type: ignore[arg-type]
