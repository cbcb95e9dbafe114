"""What a check of DNS found: a state, a sentence, the next step, and the record to publish."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNKNOWN = "unknown"  # could not be checked; never shown as a fault


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it is typed into a DNS console; `text` is one line to copy."""

    name: str
    kind: str
    value: str

    @property
    def text(self) -> str:
        """One line of a zone file. A string of a TXT record holds at most 255 bytes, so a longer one is split."""
        pieces = [self.value[start : start + 255] for start in range(0, max(len(self.value), 1), 255)]
        value = " ".join(f'"{piece}"' for piece in pieces) if self.kind == "TXT" else self.value
        return f"{self.name}. {self.kind} {value}"

    def as_json(self) -> dict[str, str]:
        return {"name": self.name, "kind": self.kind, "value": self.value}


@dataclass(frozen=True, slots=True)
class Check:
    """`name` is mx, spf, dkim, dmarc or reply_to_mx; `found` the records as published, `details` what they say and
    what else an expert would remark, a sentence each."""

    name: str
    title: str
    state: State
    sentence: str
    next_step: str = ""
    found: tuple[str, ...] = ()
    publish: Record | None = None
    details: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "title": self.title,
            "state": str(self.state),
            "sentence": self.sentence,
            "next_step": self.next_step,
            "found": list(self.found),
            "publish": self.publish.text if self.publish else "",
            "record": self.publish.as_json() if self.publish else None,
            "details": list(self.details),
        }


def unchecked(name: str, title: str, domain: str, asked: str, *, servfail: bool) -> Check:
    """DNS did not answer about `asked`: nothing is known, and nothing is wrong."""
    about = "" if asked == domain else f" about {asked}"
    if servfail:
        why = f"the DNS server could not find out{about} (SERVFAIL)"
        step = f"Ask whoever keeps the zone of {asked} whether its name servers answer and its DNSSEC signatures hold."
    else:
        why = f"no DNS server answered{about}"
        step = "Check again from a machine with internet access, or set a DNS server that this machine can reach."
    return Check(name, title, State.UNKNOWN, f"{title} of {domain} could not be checked: {why}.", step)
