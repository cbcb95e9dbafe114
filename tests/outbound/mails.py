"""Requests full of odd text, and a reader of composed mail that trusts only the standard library."""

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy, default
from email.utils import getaddresses

from hypothesis import settings
from hypothesis import strategies as st

from emailcfg.schema import General

GENERAL = General(
    sender_email="no-reply@acme.example",
    sender_name="Acme, Inc.",
    reply_to_domain="reply.acme.example",
    reply_to_email="office@acme.example",
    support_email="help@acme.example",
)

proven = settings(deadline=None, max_examples=80)  # a slow machine is no failure

HOSTILE = (
    "=?utf-8?q?a=0D=0ABcc=3A_x=40y?=",
    "=?utf-8?b?YQ0KQmNjOiB4QHk=?=",
    "=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3D0D=3D0ABcc=3F=3D?=",
    "=?utf-8?q?open",
    "=?nope?q?x?=",
    "=?utf-8?q?plain?=",
    "what=?",
    "a\r\nBcc: x@y.example",
    "a\nBcc: x@y.example",
    "a\rBcc: x@y.example",
    "a\x00b",
    "a\x0bBcc: x@y.example",
    "a\x85Bcc: x@y.example",
    "a\u2028Bcc: x@y.example",
    "\ud800",
    "🎉👩‍👩‍👧 emoji",
    "שלום עולם",
    "\u202eevil",
    "w" * 400,
    "ü" * 300,
    "long words " * 60,
    ".",
    "..\n.dot\n.",
    "From here\nFrom there",
    "trailing   ",
    "   leading",
    "two  spaces",
    "   ",
    "\n\n\n",
    'quo"te\\ (comment) <x@y.example>, group: a;',
    "--=_",
    "=3D =20 =\n=",
    "x" * 1200,
    "ä" + "x" * 1200,
    "tab\there",
)

any_text = st.text(st.characters(exclude_categories=()), max_size=120)
odd_text = st.one_of(
    st.sampled_from(HOSTILE),
    any_text,
    st.lists(st.one_of(st.sampled_from(HOSTILE), any_text), max_size=4).map(" ".join),
    st.lists(st.sampled_from(["é", "a", " ", "b,", "=?", "?=", "Ж", "😀", '"', "\\", ".", "@"]), max_size=60).map(
        "".join
    ),
)
clean_text = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=80).filter(
    lambda value: "=?" not in value
)
plain_word = st.text("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=^_`{|}~", min_size=1, max_size=20)
label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,12}[a-z0-9])?", fullmatch=True)
address = st.builds(
    lambda words, labels, tld: f"{'.'.join(words)}@{'.'.join(labels)}.{tld}",
    st.lists(plain_word, min_size=1, max_size=3),
    st.lists(label, min_size=1, max_size=3),
    st.sampled_from(["example", "org", "de"]),
)


@dataclass(frozen=True)
class Read:
    """A mail as the standard library reads it; bodies with line feeds."""

    names: list[str]
    subject: str
    to: list[tuple[str, str]]
    sender: list[tuple[str, str]]
    text: str | None
    html: str | None


def read(content: bytes, policy: EmailPolicy = SMTP) -> Read:
    """Reads final bytes and asserts what every mail must be: 7-bit, CRLF alone, short lines, no defect."""
    assert content.isascii()
    assert content.endswith(b"\r\n")
    assert not set(content.replace(b"\r\n", b"")) & set(b"\r\n\x00")
    assert max(map(len, content.split(b"\r\n"))) <= 998
    mail = parsed(content, policy)
    for part in mail.walk():
        assert part.defects == []
        for value in part.values():
            assert value.defects == ()
    return Read(
        names=mail.keys(),
        subject=str(mail["Subject"]),
        to=mailboxes(content, "To"),
        sender=mailboxes(content, "From"),
        text=_body(mail, "plain"),
        html=_body(mail, "html"),
    )


def mailboxes(content: bytes, name: str) -> list[tuple[str, str]]:
    """The mailboxes of a header. Both of the library's parsers must find the same addresses. The names are read by
    the older one: the newer keeps the white space between two encoded words (RFC 2047 section 6.2 drops it)."""
    found = getaddresses([re.sub("\r\n(?=[ \t])", "", str(message_from_bytes(content)[name]))])
    assert [box.addr_spec for box in parsed(content)[name].addresses] == [box_address for _, box_address in found]
    return [(str(make_header(decode_header(box_name))), box_address) for box_name, box_address in found]


def parsed(content: bytes, policy: EmailPolicy = default) -> EmailMessage:
    mail = message_from_bytes(content, policy=policy)
    assert isinstance(mail, EmailMessage)
    return mail


def _body(mail: EmailMessage, subtype: str) -> str | None:
    part = mail.get_body((subtype,))
    return None if part is None else part.get_content().replace("\r\n", "\n")
