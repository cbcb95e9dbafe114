"""A mail's final bytes: CRLF line ends, 7-bit clean, no line over 998 characters.

`build` takes one of two ways to the same result. The lean way writes text and HTML itself, in some twenty
microseconds; everything else (attachments) goes through `email.message.EmailMessage`. Both share the header
encoder, and tests prove with the standard library's parser that both carry the same mail.
"""

import re
from base64 import b64encode
from binascii import b2a_qp
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP

from emailcfg.providers.shape import ASCII, ASCII_HEADER, CRLF, KNOWN, dots_of, shape_of
from outbound.headers import MAX_LINE, block, longest_line_over, mailbox, structured, unstructured

_ASCII = bytes(range(128))
_POLICY = SMTP.clone(cte_type="7bit", raise_on_defect=False)
_CONTENT_TYPE = re.compile(r"(?!multipart/|message/)[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A display name ("" for none) and a bare address with an ASCII domain."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file: its name, its media type (`application/pdf`; no `multipart/` or `message/`) and its bytes."""

    filename: str
    content_type: str
    content: bytes


@dataclass(slots=True)  # not frozen: that would take longer than writing the header does
class Letter:
    """A checked mail before it is written as bytes. Texts end in a line feed and hold no carriage return; at
    least one of `text` and `html` is there. `boundary` is random and unknown to whoever wrote the texts."""

    message_id: str
    date: str
    sender: Mailbox
    to: tuple[Mailbox, ...]
    subject: str
    text: str | None
    html: str | None
    boundary: str
    cc: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    unsubscribe_url: str = ""
    automatic: bool = False
    extra: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()


def is_content_type(value: str) -> bool:
    """Whether an attachment may have this media type."""
    return _CONTENT_TYPE.fullmatch(value) is not None


def build(letter: Letter) -> bytes:
    """The final bytes of a letter."""
    return standard(letter) if letter.attachments else lean(letter)


def shape(letter: Letter, content: bytes) -> int:
    """The shape (emailcfg.providers.shape) of `content`, which `build` made of this letter. The lean way writes ASCII
    and ends all lines in CRLF, or raises; so only dots are to be looked for. A property test compares."""
    return shape_of(content) if letter.attachments else KNOWN | CRLF | ASCII | ASCII_HEADER | dots_of(content)


def fields(letter: Letter) -> list[tuple[str, str]]:
    """The header fields of a letter but those of MIME, encoded."""
    found = [
        ("From", mailbox(letter.sender.name, letter.sender.address)),
        ("To", _mailboxes(letter.to) or "undisclosed-recipients:;"),  # RFC 5322, 3.4: when all are in Bcc or Cc
    ]
    if letter.cc:
        found.append(("Cc", _mailboxes(letter.cc)))
    found += [("Subject", unstructured(letter.subject)), ("Date", letter.date), ("Message-ID", letter.message_id)]
    if letter.reply_to:
        found.append(("Reply-To", _mailboxes(letter.reply_to)))
    if letter.unsubscribe_url:  # RFC 8058: both fields, or a mail program can't unsubscribe with one click
        found.append(("List-Unsubscribe", f"<{letter.unsubscribe_url}>"))
        found.append(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    if letter.automatic:
        found.append(("Auto-Submitted", "auto-generated"))  # RFC 3834: no holiday replies
    found += [(name, structured(name, value)) for name, value in letter.extra]
    found.append(("MIME-Version", "1.0"))
    return found


def _mailboxes(boxes: tuple[Mailbox, ...]) -> str:
    return ",\r\n ".join([mailbox(box.name, box.address) for box in boxes])


def lean(letter: Letter) -> bytes:
    """Text, HTML, or both as multipart/alternative (RFC 2046), without the standard library's machinery."""
    head = block(fields(letter))
    parts = [_part(b"plain", letter.text)] if letter.text is not None else []
    if letter.html is not None:
        parts.append(_part(b"html", letter.html))
    if len(parts) == 1:
        return head + parts[0]
    mark = letter.boundary.encode("ascii")
    start = b"--" + mark + b"\r\n"
    return b"".join(
        (
            head,
            b'Content-Type: multipart/alternative;\r\n boundary="',
            mark,
            b'"\r\n\r\n',
            start,
            parts[0],
            b"\r\n",
            start,
            parts[1],
            b"\r\n--",
            mark,
            b"--\r\n",
        )
    )


def _part(subtype: bytes, text: str) -> bytes:
    data = text.encode()
    if b"\r" in data or data[-1:] != b"\n":
        raise ValueError("A text has line ends that its mail would not carry.")
    data = data.replace(b"\n", b"\r\n")
    if not text.isascii() and len(data.translate(None, _ASCII)) * 6 > len(data):
        # Over a sixth of the bytes would be three characters each: base64 is shorter.
        coded = b64encode(data)
        encoding = b"base64"
        data = b"\r\n".join([coded[at : at + 76] for at in range(0, len(coded), 76)]) + b"\r\n"
    elif text.isascii() and not longest_line_over(data, MAX_LINE):
        encoding = b"7bit"
    else:
        encoding = b"quoted-printable"
        data = b2a_qp(data)
    return b"".join(
        (
            b"Content-Type: text/",
            subtype,
            b'; charset="utf-8"\r\nContent-Transfer-Encoding: ',
            encoding,
            b"\r\n\r\n",
            data,
        )
    )


class Unbuildable(ValueError):
    """The built mail does not read back as what was given, so it must not leave. The message is a sentence."""


def standard(letter: Letter) -> bytes:
    """Any letter, its body by the standard library. The bytes are parsed back: a header that was not set, a
    defect, or an attachment more or less than given raises Unbuildable."""
    body = EmailMessage(policy=_POLICY)
    del body["MIME-Version"]
    if letter.text is not None:
        body.set_content(letter.text)
    if letter.html is not None and letter.text is not None:
        body.add_alternative(letter.html, subtype="html")
    elif letter.html is not None:
        body.set_content(letter.html, subtype="html")
    for attachment in letter.attachments:
        major, _, minor = attachment.content_type.partition("/")
        body.add_attachment(attachment.content, maintype=major, subtype=minor, filename=attachment.filename)
    for level, part in enumerate(part for part in body.walk() if part.is_multipart()):
        part.set_boundary(f"{letter.boundary}{level}")
    del body["MIME-Version"]  # it stands with the other fields
    names = [*(name for name, _ in fields(letter)), *body.keys()]
    content = block(fields(letter)) + body.as_bytes()
    _check(content, names, letter)
    return content


def _check(content: bytes, names: list[str], letter: Letter) -> None:
    read = BytesParser(policy=SMTP).parsebytes(content)
    if list(read.keys()) != names:
        raise Unbuildable("A header does not read back as it was set.")
    if any(part.defects for part in read.walk()):
        raise Unbuildable("The mail does not read back without a defect.")
    files = [part for part in read.walk() if part.get_content_disposition() == "attachment"]
    if [part.get_filename() for part in files] != [attachment.filename for attachment in letter.attachments]:
        raise Unbuildable("The attachments do not read back as they were given.")
    if not content.isascii() or max(map(len, content.split(b"\r\n"))) > MAX_LINE:
        raise Unbuildable("The mail is not 7-bit clean, or has an overlong line.")
