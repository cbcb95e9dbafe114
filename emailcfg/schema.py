"""EmailConfig: the one definition of the configuration. Forms, API, CLI, import and export all use it.

Values are normalised when they are read (white space stripped, host names in lower case), so equal
configurations have equal bytes. A field that came after the first revisions were saved is written only where it
differs from its default: a configuration that does not use it keeps the bytes and the hash it has always had.
Every rule that refuses a value speaks in a sentence for the person who typed it; `field_errors` files those
sentences under the field's dotted path ("smtp.host").
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from emailcfg import rules

SCHEMA_VERSION = 1  # the version this code reads and writes; EmailConfig.schema_version holds it

ProviderName = Literal["smtp", "sendgrid"]
Security = Literal["starttls", "tls", "none"]
Region = Literal["global", "eu"]
IpVersion = Literal["any", "4", "6"]
AuthMechanism = Literal["auto", "plain", "login"]
Preset = Literal["gmail", "google-relay", "microsoft365", "ses", "relay", "relay-login"]

SECRET_PATHS = ("smtp.password", "sendgrid.api_key")


class StoredSecret(BaseModel):
    """A secret that stands encrypted in the database: its row and its keyed fingerprint, never its text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: int
    fingerprint: str


SecretValue = SecretStr | StoredSecret | None


def _checked(rule: Any) -> AfterValidator:
    def apply(value: Any) -> Any:
        try:
            return rule(value)
        except rules.Refused as refused:
            raise PydanticCustomError("refused", "{sentence}", {"sentence": str(refused)}) from refused

    return AfterValidator(apply)


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _number_as_text(value: object) -> object:
    return str(value) if type(value) is int else value  # `ip_version: 4` in YAML is a number


def _is_any(value: object) -> bool:
    return value == "any"


def _is_auto(value: object) -> bool:
    return value == "auto"


def _empty_secret_is_none(value: object) -> object:
    return None if value == "" else value


Line = Annotated[str, BeforeValidator(_stripped), _checked(rules.single_line)]
Address = Annotated[Line, _checked(rules.address)]
SenderAddress = Annotated[Address, _checked(rules.sender_address)]
Domain = Annotated[Line, _checked(rules.domain)]
Host = Annotated[Line, _checked(rules.host)]
SecretField = Annotated[SecretValue, BeforeValidator(_empty_secret_is_none)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)


class General(_Section):
    """Who mail comes from, where replies go, and the two safety switches."""

    sender_email: SenderAddress = Field("", title="Sender address", max_length=254)
    sender_name: Line = Field("", title="Sender name", max_length=120)
    reply_to_domain: Domain = Field("", title="Reply-to domain", max_length=253)
    reply_to_email: SenderAddress = Field("", title="Reply-to address", max_length=254)
    support_email: Address = Field("", title="Support address", max_length=254)
    divert_to: Address = Field("", title="Divert all mail to", max_length=254)
    suppress_all: bool = Field(False, title="Suppress all mail")


class Delivery(_Section):
    """Which service delivers. None stops all mail."""

    selected: ProviderName | None = Field(None, title="Delivery service")


class Smtp(_Section):
    """Delivery through an SMTP relay."""

    enabled: bool = Field(False, title="SMTP on")
    preset: Preset = Field("relay-login", title="Set up for")
    host: Host = Field("", title="Host", max_length=253)
    port: int = Field(587, title="Port", ge=1, le=65535)
    security: Security = Field("starttls", title="Security")
    username: Annotated[str, _checked(rules.credential)] = Field("", title="User name", max_length=320)
    password: SecretField = Field(None, title="Password")
    ca_certificate: Annotated[str, BeforeValidator(_stripped), _checked(rules.ca_certificate)] = Field(
        "", title="CA certificate", max_length=65536
    )
    ehlo_hostname: Host = Field("", title="EHLO name", max_length=253)
    ip_version: Annotated[IpVersion, BeforeValidator(_number_as_text)] = Field(
        "any", title="IP version", exclude_if=_is_any
    )
    auth_mechanism: AuthMechanism = Field("auto", title="Login method", exclude_if=_is_auto)
    timeout_s: int = Field(30, title="Timeout in seconds", ge=1, le=300)
    max_connections: int = Field(5, title="Parallel connections", ge=1, le=50)
    rate_limit_per_minute: int | None = Field(None, title="Messages per minute", ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _credentials_go_together(self) -> Self:
        if isinstance(self.password, SecretStr):
            _refuse_bad_credential(self.password, "smtp.password", rules.credential)
        if not self.enabled:
            return self
        if not self.host:
            raise _at("host", "Enter the host name of the SMTP server.")
        if self.username and self.password is None:
            raise _at("password", "Enter the password of this user, or clear the user name to send without login.")
        if self.password is not None and not self.username:
            raise _at("username", "Enter the user name this password belongs to, or clear the password.")
        return self

    @model_validator(mode="after")
    def _address_of_the_version(self) -> Self:
        version = rules.ip_version_of(self.host)
        if self.enabled and version and self.ip_version not in ("any", version):
            raise _at("ip_version", f"The host is an IPv{version} address. Choose “IPv{version} only” or “Both”.")
        return self

    @model_validator(mode="after")
    def _no_password_in_clear(self) -> Self:
        if self.password is not None and self.security == "none" and not rules.is_loopback(self.host):
            raise _at(
                "security",
                "Without encryption the password would cross the network in clear. Choose STARTTLS or TLS, "
                "or clear the user name and password.",
            )
        return self


class SendGrid(_Section):
    """Delivery through SendGrid's v3 HTTPS API."""

    enabled: bool = Field(False, title="SendGrid on")
    api_key: SecretField = Field(None, title="API key")
    region: Region = Field("global", title="Region")
    click_tracking: bool = Field(False, title="Click tracking")

    @model_validator(mode="after")
    def _key_is_usable(self) -> Self:
        if isinstance(self.api_key, SecretStr):
            _refuse_bad_credential(self.api_key, "api_key", rules.sendgrid_key)
        if self.enabled and self.api_key is None:
            raise _at("api_key", "Enter the API key that SendGrid showed when the key was made.")
        return self


class EmailConfig(_Section):
    """The whole configuration."""

    schema_version: Literal[1] = 1
    general: General = Field(default_factory=General)
    delivery: Delivery = Field(default_factory=Delivery)
    smtp: Smtp = Field(default_factory=Smtp)
    sendgrid: SendGrid = Field(default_factory=SendGrid)

    @model_validator(mode="before")
    @classmethod
    def _selected_service_is_on_unless_said_otherwise(cls, data: Any) -> Any:
        """`{"delivery": {"selected": "smtp"}, "smtp": {"host": ...}}` means that SMTP is on."""
        if not isinstance(data, dict) or not isinstance(data.get("delivery"), dict):
            return data
        name = data["delivery"].get("selected")
        section = data.get(name, {}) if name in ("smtp", "sendgrid") else None
        if isinstance(section, dict) and "enabled" not in section:
            data = {**data, name: {**section, "enabled": True}}
        return data

    @model_validator(mode="after")
    def _mail_needs_a_sender(self) -> Self:
        if self.provider is not None and not self.general.sender_email:
            raise _at(
                "general.sender_email",
                "Enter the address that mail comes from; no mail can leave without a sender.",
            )
        return self

    @property
    def provider(self) -> ProviderName | None:
        """The delivery service that mail leaves through, or None when all mail stops: none is selected,
        or the selected one is switched off."""
        selected = self.delivery.selected
        if selected is None:
            return None
        return selected if self[selected].enabled else None

    def as_used(self) -> Self:
        """The same without the service that is not selected: what that one lacks stops no mail."""
        unused: dict[str, Any] = {}
        if self.provider == "smtp":
            unused["sendgrid"] = SendGrid()
        elif self.provider == "sendgrid":
            unused["smtp"] = Smtp()
        return self.model_copy(update=unused)

    def __getitem__(self, section: ProviderName) -> Smtp | SendGrid:
        return self.smtp if section == "smtp" else self.sendgrid


def _at(path: str, sentence: str) -> PydanticCustomError:
    return PydanticCustomError("at_field", "{sentence}", {"sentence": sentence, "path": path})


def _refuse_bad_credential(secret: SecretStr, path: str, rule: Any) -> None:
    try:
        rule(secret.get_secret_value())
    except rules.Refused as refused:
        raise _at(path.split(".")[-1], str(refused)) from None


_SENTENCES = {
    "int_parsing": "Enter a whole number.",
    "int_type": "Enter a whole number.",
    "int_parsing_size": "This number is too large.",
    "int_from_float": "Enter a whole number.",
    "bool_parsing": "Choose yes or no.",
    "bool_type": "Choose yes or no.",
    "string_type": "Enter text.",
    "extra_forbidden": "This field is not part of the configuration.",
    "missing": "This field is required.",
}


def field_errors(error: ValidationError) -> dict[str, list[str]]:
    """The sentences of a ValidationError by dotted field path ("smtp.port"); no value is repeated in them."""
    found: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_input=False):
        parts = [str(part) for part in item["loc"]]
        context = item.get("ctx", {})
        if item["type"] == "at_field":
            parts += str(context["path"]).split(".")
        path, sentence = ".".join(parts), _sentence(item["type"], item["msg"], context)
        secret_path = next((secret for secret in SECRET_PATHS if path.startswith(secret + ".")), None)
        if secret_path:  # the branches of the union are no concern of the reader
            path, sentence = secret_path, "Enter the secret as text."
        sentences = found.setdefault(path, [])
        if sentence not in sentences:
            sentences.append(sentence)
    return found


def _sentence(kind: str, message: str, context: dict[str, Any]) -> str:
    if kind in ("refused", "at_field"):
        return message
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = context.get("ge", context.get("le"))
        return f"Enter a number that is {'at least' if 'ge' in context else 'at most'} {bound}."
    if kind == "string_too_long":
        return f"Use at most {context['max_length']} characters."
    if kind == "literal_error":
        return f"Choose one of: {context['expected']}."
    return _SENTENCES.get(kind, "This value is not valid.")


def walk(config: EmailConfig) -> Iterator[tuple[str, str, Any]]:
    """Every leaf of a configuration as (dotted path, title, value), in the order of the schema."""
    for section_name in ("general", "delivery", "smtp", "sendgrid"):
        section: BaseModel = getattr(config, section_name)
        for name, info in type(section).model_fields.items():
            yield f"{section_name}.{name}", info.title or name, getattr(section, name)
