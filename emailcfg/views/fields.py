"""What the pane shows of each field: its control, its note (error, repair, changed) and the headers' one line."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from django.forms import BoundField

from emailcfg import drafts, pins, secrets, tested
from emailcfg.destinations import SecretUnavailable
from emailcfg.editing import Editing, SecretState, Understood, understand
from emailcfg.forms import SECRET_NAMES, EmailForm, SecretsForm, form_for, name_of, path_of
from emailcfg.models import Secret
from emailcfg.pins import Pin, PinRefused
from emailcfg.posted_secrets import CHOOSE_A_REGION, SES_WANTS_ANOTHER
from emailcfg.providers import ses
from emailcfg.providers.presets import PRESETS, SmtpPreset
from emailcfg.schema import SECRET_PATHS, EmailConfig, StoredSecret, walk
from emailcfg.tested import Tested
from emailcfg.typed import PATHS, SERVICES, SWITCHES, missing, values_of

TITLES = {path: title for path, title, _ in walk(EmailConfig())}
SERVICE_TITLES = {"smtp": "SMTP", "sendgrid": "SendGrid"}


@dataclass(frozen=True, slots=True)
class Note:
    """What stands below a field: an error, a repair that was made, whether it differs from the base, and the variable
    of the environment that overrides it, if one does."""

    path: str
    error: str = ""
    repair: str = ""
    changed: bool = False
    pinned_by: str = ""

    @property
    def title(self) -> str:
        return TITLES[self.path]

    @property
    def name(self) -> str:
        return name_of(self.path)


@dataclass(frozen=True, slots=True)
class SecretView:
    """A secret field: never its value, only how it stands, since when and by whom."""

    path: str
    field: BoundField
    state: SecretState
    stored: Secret | None = None
    reworked: str = ""
    mask: str = drafts.MASK

    @property
    def is_set(self) -> bool:
        return self.state.state in ("stored", "typed", "same")

    @property
    def name(self) -> str:
        return name_of(self.path)


@dataclass(frozen=True, slots=True)
class ServiceView:
    """The header of one service's accordion."""

    name: str
    title: str
    on: bool
    summary: str
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PaneView:
    """Everything the pane's templates show."""

    editing: Editing
    understood: Understood
    form: EmailForm
    notes: Mapping[str, Note]
    secrets: Mapping[str, SecretView]
    services: Mapping[str, ServiceView]
    content_hash: str = ""  # of what the form shows, "" when that is no configuration: which tests it has
    tested: Tested | None = None
    offer_conversion: bool = False  # an AWS secret was typed where its SMTP password belongs
    reworked: Mapping[str, str] = field(default_factory=dict)  # secrets taken in another form than typed, and how
    pins: Mapping[str, Pin] = field(default_factory=dict)  # fields that the environment fixes, by field name

    @property
    def hints(self) -> Mapping[str, str]:
        """The help texts that follow from the preset, by field name."""
        preset = PRESETS.get(self.editing.values["smtp.preset"], SmtpPreset("", ""))
        fields = EmailForm.base_fields
        return {
            "smtp__username": preset.username_hint or str(fields["smtp__username"].help_text),
            "smtp__ehlo_hostname": preset.ehlo_hint or str(fields["smtp__ehlo_hostname"].help_text),
        }

    @property
    def change_count(self) -> int:
        return len(self.understood.changed)

    @property
    def stops_all_mail(self) -> bool:
        return not any(service.on for service in self.services.values())


def pane_view(
    editing: Editing,
    *,
    refused: Mapping[str, str] | None = None,
    reworked: Mapping[str, str] | None = None,
    strict: bool = False,
) -> PaneView:
    """The view of the form's state. `strict` also shows errors of fields that are still empty, as a save or a
    test does; while typing, what is missing stands in the service's header instead. `refused` holds typed
    secrets that were not taken in, by path, with the reason; `reworked` those taken in another form."""
    understood = understand(editing)
    if refused:
        errors = {**understood.errors, **{path: [sentence] for path, sentence in refused.items()}}
        understood = replace(understood, config=None, errors=errors)
    pinned, content_hash = pinned_fields(), _content_hash(understood)
    return PaneView(
        editing=editing,
        understood=understood,
        form=form_for({**editing.values, **{path_of(name): pin.text for name, pin in pinned.items()}}),
        pins=pinned,
        notes=_notes(editing, understood, strict, frozenset(refused or ())),
        secrets=_secrets(editing, understood, reworked or {}),
        services={name: _service(name, editing, understood) for name in SERVICES},
        content_hash=content_hash,
        tested=tested.of(content_hash) if content_hash else None,
        offer_conversion=(refused or {}).get("smtp.password") in (SES_WANTS_ANOTHER, CHOOSE_A_REGION),
        reworked=reworked or {},
    )


def pinned_fields() -> dict[str, Pin]:
    """The fields that the environment fixes, by field name: shown locked with the value that runs. Both switches
    follow a pinned choice of the service."""
    try:
        found = pins.current()
    except PinRefused:  # whoever uses the configuration says so; the form can do without
        return {}
    selected = found.pop("delivery.selected", None)
    if selected is not None:
        for service in SERVICES:
            own = Pin(f"{service}.enabled", selected.source, "on" if selected.text == service else "")
            found.setdefault(f"{service}.enabled", own)
    return {name_of(path): _as_shown(pin) for path, pin in found.items() if path in (*PATHS, *SECRET_PATHS)}


def _as_shown(pin: Pin) -> Pin:
    if pin.path in SECRET_PATHS:
        return replace(pin, text="")
    is_off = pin.path in SWITCHES and pin.text.strip().lower() in ("", "0", "false", "no", "off")
    return replace(pin, text="") if is_off else pin


def _content_hash(understood: Understood) -> str:
    if understood.config is None or understood.config.provider is None:
        return ""
    try:
        return secrets.hash_of(understood.config, secrets.key_ring())
    except SecretUnavailable:
        return ""


def _notes(editing: Editing, understood: Understood, strict: bool, refused: frozenset[str]) -> dict[str, Note]:
    changed = [*understood.changed, *(_switched(editing) if "delivery.selected" in understood.changed else [])]
    notes, pinned = {}, pins.sources()
    for path in (*PATHS, *SECRET_PATHS):
        sentences = understood.errors.get(path, [])
        typed = bool(editing.values.get(path)) or understood.secrets.get(path, SecretState("none")).state != "none"
        notes[name_of(path)] = Note(
            path,
            error=sentences[0] if sentences and (strict or typed or path in refused) else "",
            repair=editing.repairs[path][1] if path in editing.repairs else "",
            changed=path in changed,
            pinned_by=pinned.get(path, ""),
        )
    return notes


def _switched(editing: Editing) -> list[str]:
    """The one switch that carries the mark when the delivery service changed."""
    before = values_of(editing.base_config)
    switches = [f"{name}.enabled" for name in SERVICES]
    turned_on = [path for path in switches if editing.values[path] and not before[path]]
    return turned_on or [path for path in switches if editing.values[path] != before[path]]


def _secrets(editing: Editing, understood: Understood, reworked: Mapping[str, str]) -> dict[str, SecretView]:
    form = SecretsForm()
    values = {path: secrets.get(editing.base_config, path) for path in SECRET_PATHS}
    ids = [value.secret for value in values.values() if isinstance(value, StoredSecret)]
    rows = Secret.objects.in_bulk(ids) if ids else {}
    views = {}
    for path, name in zip(SECRET_PATHS, SECRET_NAMES, strict=True):
        value = values[path]
        row = rows.get(value.secret) if isinstance(value, StoredSecret) else None
        views[name] = SecretView(path, form[name], understood.secrets[path], row, reworked.get(path, ""))
    return views


def _service(name: str, editing: Editing, understood: Understood) -> ServiceView:
    on = bool(editing.values[f"{name}.enabled"])
    lacking = missing(understood.errors, editing.values, name) if on else []
    return ServiceView(
        name=name,
        title=SERVICE_TITLES[name],
        on=on,
        summary=_smtp_summary(editing.values) if name == "smtp" else _sendgrid_summary(editing, understood),
        missing=lacking,
    )


def _smtp_summary(values: Mapping[str, str]) -> str:
    if not values["smtp.host"]:
        return "not configured"
    words = {"starttls": "STARTTLS", "tls": "TLS from the start", "none": "no encryption"}
    login = f" · as {values['smtp.username']}" if values["smtp.username"] else " · no login"
    return f"{values['smtp.host']}:{values['smtp.port']} · {words.get(values['smtp.security'], '?')}{login}"


def _sendgrid_summary(editing: Editing, understood: Understood) -> str:
    if understood.secrets["sendgrid.api_key"].state == "none":
        return "not configured"
    return "API key set · EU region" if editing.values["sendgrid.region"] == "eu" else "API key set · global region"


def ses_region(values: Mapping[str, str]) -> str:
    """The region that the SMTP host names, "" when it is no host of Amazon SES."""
    return ses.region_of(values["smtp.host"]) or ""


def shown_values(view: PaneView, posted: Mapping[str, str]) -> dict[str, str | bool]:
    """The fields that hold something else now than what the browser sent, for the browser to show: by field
    name, switches as booleans. Pinned fields stay as they are."""
    shown: dict[str, str | bool] = {}
    for path, text in view.editing.values.items():
        name = name_of(path)
        if name in view.pins:
            continue
        if path in SWITCHES:
            if bool(text) != bool(posted.get(name)):
                shown[name] = bool(text)
        elif text.replace("\r\n", "\n") != posted.get(name, "").replace("\r\n", "\n"):
            shown[name] = text
    return shown
