"""A tiny DNS server on loopback UDP: answers from a table, and is silent or refuses where told."""

import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

SILENT = "silent"
Zone = Mapping[str, Mapping[str, Sequence[str]] | str]


class DnsServer:
    """`zone` maps a name to its records by type, or to an RCODE's name ("SERVFAIL", "REFUSED"), or to SILENT.

        {"example.com": {"MX": ["10 mx.example.com."], "TXT": ["v=spf1 -all"]}}

    A name that is missing does not exist; a name with records has no others. Names above those in the zone
    exist without records. `asked` lists every question as "name TYPE"."""

    def __init__(self, zone: Zone, *, otherwise: str = "") -> None:
        self.zone = {name.lower(): records for name, records in zone.items()}
        self.otherwise = otherwise  # what every other name gets instead of NXDOMAIN
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._stopping = False

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while not self._stopping:
            data, client = self._socket.recvfrom(4096)
            if data:
                answer = self._answer(dns.message.from_wire(data))
                if answer is not None:
                    self._socket.sendto(answer.to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append(f"{name} {kind}")
        for _ in range(8):  # an alias and what it stands for
            records = self.zone.get(name, self.otherwise)
            if records == SILENT:
                return None
            if isinstance(records, str):
                known = any(other.endswith("." + name) for other in self.zone)
                response.set_rcode(dns.rcode.from_text(records or ("NOERROR" if known else "NXDOMAIN")))
                break
            shown = "CNAME" if "CNAME" in records and kind != "CNAME" else kind
            if shown in records:
                values = [_quoted(value) if shown == "TXT" else value for value in records[shown]]
                response.answer.append(dns.rrset.from_text_list(name + ".", 60, "IN", shown, values))
            if shown == kind:
                break
            name = records["CNAME"][0].rstrip(".").lower()
        return response


def _quoted(text: str) -> str:
    """A TXT record's text in strings of at most 255 bytes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return " ".join(f'"{escaped[start : start + 255]}"' for start in range(0, max(len(escaped), 1), 255))
