"""Rules for the message itself and for what happens at its final dot."""

from emailcfg.diagnosis.rules.rule import DATA, SENDER, Match, Rule

RULES = (
    Rule(
        "outcome-unknown",
        "It is not known whether the server took this mail.",
        "The whole message was handed over, and then no readable answer came. The server may have accepted it.",
        "Look for the mail at the recipient before you send it again; a repetition carries the same Message-ID.",
        (
            Match(facts=("in_doubt",)),
            Match(
                words=r"(?:lost connection|timed? ?out|timeout).{0,40}(?:end of data|final dot|message body|after data)"
            ),
        ),
    ),
    Rule(
        "message-too-large",
        "The message is larger than the server takes.",
        "{host} limits the size of one message, and this one, with its attachments, is beyond.",
        "Send a smaller attachment, or a link in its place.",
        (
            Match(enhanced=("5.3.4", "5.2.3")),
            Match(reasons=("too_big",)),
            Match(
                words=r"(?:message|size).{0,40}(?:too (?:large|big)|exceeds)|"
                r"exceeds (?:the )?(?:fixed )?(?:maximum|size)"
            ),
            Match(codes=(552,), stages=(*SENDER, *DATA)),
        ),
        notes=(("size_limit", "The server takes at most {size_limit} bytes."),),
    ),
    Rule(
        "message-looks-like-spam",
        "The server takes this message for spam.",
        "Login, sender and recipient were accepted, and a filter refused the content.",
        "Send an ordinary text from a real sender address; check SPF, DKIM and DMARC of {sender_domain}, and ask the "
        "server's operator what the filter found.",
        (
            Match(stages=DATA, words=r"\bspam\b|unsolicited|content (?:rejected|blocked)|message content"),
            Match(stages=DATA, enhanced=("5.7.1",)),
        ),
    ),
    Rule(
        "virus-found",
        "The server takes an attachment for malware.",
        "A virus scanner on the way refused the message.",
        "Check the attachment; send it as a link if it is harmless.",
        (Match(words=r"\bvirus\b|malware|infected|\bclamav\b"),),
    ),
    Rule(
        "line-too-long",
        "The server calls the form of the message wrong.",
        "{host} found a line that is too long, or a line end that is not allowed. That is a defect of this product.",
        "Report this with the support bundle; the message is kept.",
        (Match(words=r"line (?:is )?too long|bare (?:lf|cr|linefeed)|line length exceeded"),),
    ),
    Rule(
        "server-storage-full",
        "The server has no room left.",
        "{host} can't store more mail for the moment. This is the server's own problem.",
        "Nothing needs to change here; waiting mail is tried again by itself.",
        (Match(enhanced=("4.3.1",)), Match(words=r"insufficient (?:system )?(?:storage|disk space)")),
    ),
    Rule(
        "policy-refused",
        "A rule of the server forbids this mail.",
        "{host} refused the mail by its own policy, not because of an error in the dialogue.",
        "Read the raw words, and ask the operator of {host} which rule it was.",
        (
            Match(
                words=r"policy (?:reasons?|violation|restriction)|violates .{0,40}policy|\bgcdp\b|"
                r"administrative prohibition"
            ),
        ),
    ),
    Rule(
        "closed-after-accept",
        "The mail was accepted; the connection ended roughly afterwards.",
        "The server confirmed the message and then dropped the connection in place of a good-bye. The message is sent.",
        "Nothing needs to change, and the message must not be sent again.",
        (
            Match(
                words=r"(?:lost connection|connection (?:closed|reset)|closed the connection).{0,30}(?:\bquit\b|"
                r"after accept)"
            ),
        ),
    ),
    Rule(
        "sent-not-delivered",
        "The service accepted the mail.",
        "The answer means that the service took the message over. Accepted is not delivered: whether it arrives shows "
        "only in the mailbox or in the service's own log.",
        "Look into the mailbox; if nothing arrives, look the recipient up in the service's log of activity.",
        (
            Match(codes=(202,)),
            Match(codes=(250,), stages=DATA),
        ),
    ),
)
