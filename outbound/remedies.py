"""After a failed test: which small change of the configuration would have worked, and what to change exactly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from emailcfg import pins
from emailcfg.diagnosis import counterprobe, secret_probes
from emailcfg.diagnosis.counterprobe import Alternative
from emailcfg.providers.base import Failure
from emailcfg.providers.sendgrid import BASE_URLS
from emailcfg.schema import EmailConfig, IpVersion, Security
from outbound.transport import own_name

USUAL: Sequence[tuple[int, Security]] = counterprobe.USUAL
REGIONS: Mapping[str, str] = BASE_URLS


@dataclass(frozen=True, slots=True)
class Remedy:
    """An alternative that was proven to work further, and `holds_for`: the values of the form it was found for.
    `pinned_by` names the variables of the environment that would keep the form's changes from taking effect."""

    alternative: Alternative
    holds_for: Mapping[str, str]
    pinned_by: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {**self.alternative.as_json(), "holds_for": dict(self.holds_for), "pinned_by": list(self.pinned_by)}


def find(config: EmailConfig, failure: Failure, *, explained: str, learnt: Mapping[str, object]) -> list[Remedy]:
    """What would work in place of `config`, the smallest change first; [] when nothing was found. Takes at most
    about twenty seconds. Secrets must be resolved. SMTP's password is used for one more login at most, at the server
    it belongs to, when `explained` (the code of the failure's explanation) leaves it open why it was refused."""
    trust_file = str(settings.SSL_CERT_FILE) if settings.SSL_CERT_FILE else None
    if config.provider == "sendgrid":
        if settings.SENDGRID_API_URL and REGIONS is BASE_URLS:
            return []  # the operator's own address has no other region
        found = secret_probes.other_region(config.sendgrid, failure, base_urls=REGIONS, trust_file=trust_file)
        return [_remedy(found, {})] if found else []
    certificate = learnt.get("certificate")
    names = certificate.get("names") if isinstance(certificate, Mapping) else None
    method = secret_probes.other_mechanism(
        config.smtp,
        failure,
        explained=explained,
        learnt=learnt,
        policy=settings.NETWORK_POLICY,
        ehlo_name=own_name(),
        trust_file=trust_file,
    )
    alternatives = counterprobe.find_alternatives(
        config.smtp,
        failure,
        policy=settings.NETWORK_POLICY,
        ehlo_name=own_name(),
        certificate_names=names if isinstance(names, list) else (),
        used=connected_over(learnt),
        trust_file=trust_file,
        usual=USUAL,
    )
    return [_remedy(one, {"smtp.host": config.smtp.host}) for one in [*([method] if method else []), *alternatives]]


def connected_over(learnt: Mapping[str, object]) -> IpVersion:
    """The IP version by which the failed session had come through; "any" when it had not."""
    used = learnt.get("ip_version_used")
    return "4" if used == "4" else "6" if used == "6" else "any"


def _remedy(alternative: Alternative, holds_for: Mapping[str, str]) -> Remedy:
    pinned = pins.sources()
    return Remedy(alternative, holds_for, tuple(pinned[path] for path in alternative.changes if path in pinned))
