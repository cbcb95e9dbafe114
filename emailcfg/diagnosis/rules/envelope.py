"""Rules for sender and recipient at any SMTP server."""

from emailcfg.diagnosis.rules.rule import ENVELOPE, RECIPIENT, SENDER, Match, Rule
from emailcfg.providers.base import Stage

RULES = (
    Rule(
        "sender-not-owned",
        "This login may not send as this sender.",
        "{host} lets {username} send only from addresses that belong to it, and {sender} is not one of them.",
        "Use the login's own address as the sender address, or ask the provider to allow {sender} for this login.",
        (
            Match(words=r"not owned by (?:user|auth)|not logged in|sender address rejected: not (?:owned|logged)"),
            Match(
                words=r"(?:sender|from) (?:address )?(?:does not|doesn't|must) match (?:the )?(?:auth|login|user)|"
                r"not authori[sz]ed to (?:use|send (?:as|from|on behalf of))|sender (?:is )?not allowed"
            ),
        ),
    ),
    Rule(
        "sender-malformed",
        "The server calls the sender address malformed.",
        "{host} could not read {sender} as an address.",
        "Enter one bare address such as name@example.com as the sender address, without a name and without brackets.",
        (
            Match(stages=SENDER, codes=(501,)),
            Match(stages=SENDER, codes=(553,)),
            Match(enhanced=("5.1.7",)),
            Match(words=r"bad sender(?:'s)? address syntax|malformed (?:sender|from)|sender address syntax"),
        ),
    ),
    Rule(
        "sender-domain-unknown",
        "The sender's domain does not exist for the server.",
        "{host} looked up {sender_domain} in DNS and found neither a mail server nor an address, so replies "
        "could never "
        "arrive.",
        "Check the spelling of the sender address, and publish an MX record for {sender_domain}.",
        (
            Match(enhanced=("5.1.8", "4.1.8")),
            Match(
                words=r"sender address rejected: domain not found|sender (?:domain|verify) (?:not found|failed)|"
                r"domain of sender address .* does not (?:resolve|exist)"
            ),
        ),
    ),
    Rule(
        "sender-refused",
        "The server does not take mail from this sender.",
        "{host} refused {sender}. It may take mail only from certain addresses or domains.",
        "Use a sender address that the relay knows, or ask its operator to allow {sender_domain}.",
        (
            Match(stages=SENDER, codes=(550, 551, 554)),
            Match(words=r"sender (?:address )?(?:rejected|refused|denied)"),
        ),
    ),
    Rule(
        "relay-denied",
        "The server does not pass mail on for this machine.",
        "{host} delivers to its own mailboxes, and takes mail for other places only from known users or addresses. "
        "This machine is neither.",
        "Enter user name and password of an account there, or ask its operator to allow this machine's address.",
        (
            Match(
                words=r"relay(?:ing)?(?: access)? (?:is )?(?:denied|not permitted|not allowed|prohibited)|"
                r"unable to relay|relay not permitted|we do not relay|not permitted to relay"
            ),
            Match(stages=RECIPIENT, enhanced=("5.7.1",), codes=(550, 551, 553, 554)),
            Match(enhanced=("5.7.54",)),
        ),
        notes=(("our_address", "The server sees this machine as {our_address}."),),
    ),
    Rule(
        "address-needs-smtputf8",
        "The server can't carry an address with this letter.",
        "The part before the @ in {recipient} holds a letter outside ASCII, and {host} does not offer SMTPUTF8, which "
        "such addresses need.",
        "Ask the recipient for an address in plain letters.",
        (
            Match(reasons=("smtputf8_needed",)),
            Match(words=r"smtputf8", stages=ENVELOPE),  # before the envelope, it is only one of the server's offers
            Match(words=r"'ascii' codec can't encode", stages=(Stage.SENDER, Stage.RECIPIENT)),
            Match(enhanced=("5.6.7", "5.6.9")),
        ),
    ),
    Rule(
        "too-many-recipients",
        "Too many recipients in one transaction.",
        "{host} takes only a limited number of recipients at once, often 100.",
        "Nothing needs to change: the rest of the recipients follow in another transaction by themselves.",
        (Match(enhanced=("4.5.3", "5.5.3")), Match(words=r"too many recipients")),
    ),
    Rule(
        "greylisted",
        "The receiving server asks to come back later.",
        "This is greylisting: a server delays the first mail from an unknown sender to keep spam out.",
        "Nothing needs to change: this recipient is tried again by itself, and the next mails pass at once.",
        (
            Match(words=r"gr[ea]y-?list"),
            Match(stages=RECIPIENT, codes=(450, 451), enhanced=("4.7.1",)),
        ),
    ),
    Rule(
        "recipient-unknown",
        "This recipient does not exist.",
        "The server has no mailbox for {recipient}. The address is mistyped, or the person has left. Your settings "
        "are right.",
        "Correct the address of this recipient; other mail is not concerned.",
        (
            Match(enhanced=("5.1.1", "5.1.10")),
            Match(
                words=r"user unknown|unknown user|no such (?:user|recipient|mailbox)|does not exist|"
                r"mailbox (?:not found|unavailable)|recipient (?:address )?(?:not found|unknown)"
            ),
            Match(stages=RECIPIENT, codes=(550, 553)),
        ),
    ),
    Rule(
        "recipient-domain-unknown",
        "The recipient's domain does not take mail.",
        "The domain of {recipient} does not exist, or has no mail server.",
        "Correct the part after the @ of this recipient's address.",
        (
            Match(enhanced=("5.1.2", "5.4.4", "5.1.10.1", "4.4.4")),
            Match(
                words=r"recipient address rejected: domain not found|(?:domain|host) .*does not accept mail|null ?mx"
            ),
        ),
    ),
    Rule(
        "mailbox-full",
        "The recipient's mailbox is full.",
        "{recipient} has no room for more mail. Your settings are right.",
        "Nothing needs to change here: this recipient is tried again later. Tell the person in another way if you can.",
        (
            Match(enhanced=("4.2.2", "5.2.2")),
            Match(
                words=r"(?:mailbox|account|inbox) .{0,40}(?:is )?(?:full|over ?quota|out of storage)|over quota|"
                r"quota exceeded"
            ),
        ),
    ),
    Rule(
        "recipient-disabled",
        "The recipient's mailbox is switched off.",
        "The server knows {recipient} and does not take mail for it any more.",
        "Ask the person for another address; other mail is not concerned.",
        (
            Match(enhanced=("5.2.1",)),
            Match(words=r"mailbox (?:is )?(?:disabled|inactive)|account .*(?:inactive|disabled)", stages=RECIPIENT),
        ),
    ),
    Rule(
        "sender-not-authenticated",
        "The receiver found no proof that this mail comes from the sender's domain.",
        "Neither SPF nor DKIM passed for {sender_domain}, and the receiving side, Gmail for instance, refuses "
        "such mail.",
        "Open “Sender domain”, publish the SPF and DKIM records it shows for {sender_domain}, wait an hour and "
        "test again.",
        (
            # Google tells SPF (27), DKIM (30), DMARC (31, 40) and alignment (32) apart; 515 is Outlook.com's word
            Match(enhanced=("5.7.26", "5.7.27", "5.7.31", "5.7.32", "5.7.40", "5.7.515")),
            Match(enhanced=("4.7.26", "4.7.27", "4.7.30", "4.7.31", "4.7.32", "4.7.40")),
            Match(enhanced=("5.7.30",), words=r"gsmtp|dkim"),
            Match(
                words=r"unauthenticated (?:email|mail)|not (?:pass|passed) (?:spf|dkim|authentication)|"
                r"(?:dmarc|spf|dkim).{0,60}(?:fail|reject|not pass)|violat\w+ .{0,30}dmarc|"
                r"required authentication level"
            ),
        ),
        "Email sender guidelines, support.google.com/a/answer/81126",
    ),
    Rule(
        "recipient-refused",
        "The server refused this recipient.",
        "{host} does not take mail for {recipient}. Other recipients are not concerned.",
        "Read the raw words for the reason, and check the address.",
        (Match(stages=RECIPIENT, codes=(501, 521, 551, 552, 554, 556)),),
    ),
    Rule(
        "recipient-later",
        "This recipient can't be reached now.",
        "The server answered that {recipient} is not available for the moment.",
        "Nothing needs to change: this recipient is tried again by itself.",
        (Match(stages=RECIPIENT, codes=(421, 450, 451, 452)),),
    ),
    Rule(
        "sending-limit",
        "A sending limit of the account or server is reached.",
        "{host} counts how much one account may send in a time, and the count is full.",
        "Nothing is lost: the queue waits. Enter a lower number in “Messages per minute” if it happens often.",
        (
            Match(
                words=r"(?:hourly|daily|monthly|sending|message|rate|mail) ?(?:send(?:ing)?|message|rate)? ?"
                r"(?:limit|quota)s? (?:\w+ ){0,3}(?:exceeded|reached)|exceeded .{0,40}(?:limit|quota)",
                stages=ENVELOPE,
            ),
            Match(enhanced=("4.4.5", "5.4.5", "4.7.28.1")),
            Match(codes=(454,), stages=ENVELOPE),
        ),
    ),
)
