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
        value = f'"{self.value}"' if self.kind == "TXT" else self.value
        return f"{self.name}. {self.kind} {value}"


@dataclass(frozen=True, slots=True)
class Check:
    """`name` is mx, spf, dkim, dmarc or reply_to_mx; `found` the records as published."""

    name: str
    title: str
    state: State
    sentence: str
    next_step: str = ""
    found: tuple[str, ...] = ()
    publish: Record | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "title": self.title,
            "state": str(self.state),
            "sentence": self.sentence,
            "next_step": self.next_step,
            "found": list(self.found),
            "publish": self.publish.text if self.publish else "",
        }


def unchecked(name: str, title: str, domain: str) -> Check:
    """DNS did not answer: nothing is known, and nothing is wrong."""
    return Check(
        name,
        title,
        State.UNKNOWN,
        f"{title} of {domain} could not be checked: no DNS server answered.",
        "Check again from a machine with internet access, or set a DNS server that this machine can reach.",
    )
