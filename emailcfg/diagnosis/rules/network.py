"""Rules for what happens before the first word of mail: names, connections, greetings."""

from emailcfg.diagnosis.rules.rule import CONNECT, ENVELOPE, GREETING, OPENING, RESOLVE, Match, Rule

RULES = (
    Rule(
        "host-not-found",
        "No host has this name.",
        "DNS knows no address for {host}. Usually the name is mistyped, or a space, a scheme such as https:// or a "
        "path was pasted with it.",
        "Compare the host name with your provider's instructions, letter by letter, correct it and test again.",
        (
            Match(reasons=("name_not_found",)),
            Match(
                words=r"name or service not known|nodename nor servname|enotfound|getaddrinfo failed|"
                r"no address associated with hostname|host or domain name not found|host not found",
                pasted=True,
            ),
        ),
    ),
    Rule(
        "dns-unavailable",
        "The name could not be looked up.",
        "No DNS server gave an answer about {host}, so it is unknown whether the name is right. This machine may have "
        "no working DNS resolver.",
        "Check the network and DNS settings of this machine, then test again; mail waits in the queue meanwhile.",
        (
            Match(reasons=("name_server_failed",)),
            Match(stages=RESOLVE, reasons=("timed_out",)),
            Match(words=r"temporary failure in name resolution|eai_again|servfail", pasted=True),
        ),
    ),
    Rule(
        "host-not-allowed",
        "The operator of this installation does not allow this address.",
        "{host} leads to an address that this installation may not connect to. Link-local, metadata and multicast "
        "addresses are always refused; the operator may have limited the rest.",
        "Use the public name of the mail server, or ask the operator to allow its network in OUTBOUND_ALLOWED_NETS.",
        (Match(reasons=("address_not_allowed",)),),
    ),
    Rule(
        "port-not-allowed",
        "The operator of this installation does not allow this port.",
        "Port {port} is not among the ports that this installation may connect to.",
        "Use 587 with STARTTLS or 465 with TLS from the start, or ask the operator to add the port to "
        "OUTBOUND_ALLOWED_PORTS.",
        (Match(reasons=("port_not_allowed",)),),
    ),
    Rule(
        "connection-refused",
        "The host is up, but nothing answers on port {port}.",
        "{host} refused the connection: no mail server listens on port {port}, or a firewall rejects it. The password "
        "has nothing to do with it.",
        "Choose another port: 587 with STARTTLS and 465 with TLS from the start are the usual ones.",
        (
            Match(reasons=("connection_refused",)),
            Match(words=r"connection ?refused|econnrefused|actively refused", pasted=True),
        ),
    ),
    Rule(
        "connect-timeout",
        "No answer came from port {port} of {host}.",
        "The packets were dropped on the way, so this is not about your password. Many hosting providers block "
        "outgoing mail ports, port 25 most of all, and some block 465 and 587 as well.",
        "Try port 2525 if your provider has it, send through an HTTPS API such as SendGrid, or ask the company that "
        "hosts this machine to open the port.",
        (
            Match(stages=CONNECT, reasons=("timed_out",)),
            Match(
                words=r"connect(?:ion)? ?(?:to \S+ )?timed? ?out|connection timeout|etimedout|esocket.*timeout",
                pasted=True,
            ),
        ),
        "Remove the restriction on port 25 of your EC2 instance, repost.aws/knowledge-center/ec2-port-25-throttle",
    ),
    Rule(
        "network-unreachable",
        "There is no way from this machine to {host}.",
        "The network has no route to the address. Most often the name has an IPv6 address while this machine has no "
        "IPv6 connection, or this machine is offline.",
        "Check the network of this machine; if only IPv6 fails, use a host name that has an IPv4 address.",
        (
            Match(reasons=("unreachable",)),
            Match(
                words=r"network is unreachable|no route to host|enetunreach|ehostunreach|host is unreachable",
                pasted=True,
            ),
        ),
    ),
    Rule(
        "ip-version-fails",
        "{version_fails} fails, {version_works} works.",
        "{host} has addresses of both IP versions. Over {version_fails} no connection was made, over {version_works} "
        "it was, so mail leaves all the same.",
        "Have the {version_fails} connection of this machine repaired. For SMTP you can also choose “{version_works} "
        "only” as “IP version” under Advanced.",
        (Match(reasons=("ip_version_fails",), facts=("version_fails", "version_works")),),
        notes=(("version_cost", "Each new connection loses {version_cost} before it goes the way that works."),),
    ),
    Rule(
        "ip-version-missing",
        "The host has no address of the IP version that is set.",
        "“IP version” is set to one version, and {host} has only addresses of the other.",
        "Choose “Both” as “IP version” under Advanced and test again.",
        (Match(reasons=("ip_version_missing",)),),
        notes=(("version_set", "It is set to {version_set} only."),),
    ),
    Rule(
        "plain-on-tls-port",
        "The server waits for TLS, and we wait for its greeting.",
        "{host} accepted the connection on port {port} and said nothing. A port that expects TLS from the start "
        "behaves so when it is addressed without TLS; a server that delays its greeting does too.",
        "Set Security to “TLS from the start” for this port, which is usual for 465, and test again.",
        (
            Match(stages=GREETING, reasons=("timed_out",)),
            Match(stages=GREETING, words=r"^\\x15\\x03"),  # a TLS alert, read as text
            Match(
                words=r"connection unexpectedly closed: (?:the read operation )?timed out|greeting never received",
                pasted=True,
            ),
        ),
    ),
    Rule(
        "mailbox-port",
        "This port is for reading mail, not for sending it.",
        "An IMAP or POP3 server answered on port {port}. Such a server hands out mailboxes and does not take mail.",
        "Use the sending port of your provider: 587 with STARTTLS or 465 with TLS from the start.",
        (Match(words=r"dovecot ready|^\* (?:ok|preauth|bye)\b|\bimap4?(?:rev1)?\b.*\b(?:ready|server)|\+ok\b"),),
    ),
    Rule(
        "web-server-answered",
        "A web server answered, not a mail server.",
        "What listens on port {port} of {host} speaks HTTP. It may be a website, or a proxy on the way.",
        "Check host name and port; if a proxy stands between, let mail ports pass it.",
        (Match(stages=OPENING, words=r"\bhttp/\d|/1\.[01] \d{3}\b|<!doctype html|<html|bad request"),),
    ),
    Rule(
        "not-a-mail-server",
        "What answered is not a mail server.",
        "{host} sent something on port {port} that is not an SMTP greeting.",
        "Check host name and port with your provider: 587 with STARTTLS and 465 with TLS from the start are usual.",
        (Match(stages=GREETING, reasons=("unreadable_reply", "unexpected_reply")),),
    ),
    Rule(
        "address-blocked",
        "The server refuses this machine's network address.",
        "{host} turned the connection away with its greeting, before any login. It does not accept connections from "
        "the address this machine has on the internet.",
        "Ask the operator of {host} to allow this machine's public address, or send through another relay.",
        (
            Match(stages=OPENING, codes=(521, 550, 554)),
            Match(
                stages=OPENING,
                words=r"block(?:ed)? (?:list|using|by)|blacklist|spamhaus|barracuda|poor reputation|"
                r"not allowed to connect",
            ),
        ),
        notes=(("our_address", "The server sees this machine as {our_address}."),),
    ),
    Rule(
        "listed-address",
        "This machine's address stands on a block list.",
        "The receiving side looked the sending address up in a list of addresses known for unwanted mail and found it.",
        "Look the address up on the list that the text names and ask for removal, or send through a relay with a "
        "better name.",
        (
            Match(
                stages=ENVELOPE,
                words=r"spamhaus|\brbl\b|dnsbl|block ?list|blacklist",
            ),
        ),
        notes=(("our_address", "The address is {our_address}."),),
    ),
    Rule(
        "address-without-name",
        "The server refuses this machine's address because DNS has no name for it.",
        "{host} looks up the name of the address that mail comes from (its PTR record) and found none, or one that "
        "does not lead back to the address. Over IPv6 large providers insist on it.",
        "Ask whoever gave this machine its address to publish a PTR record, or choose “IPv4 only” as “IP version” "
        "under Advanced if only the IPv6 address has none.",
        (
            Match(words=r"ipv6 sending guidelines(?: regarding ptr records)?"),
            Match(words=r"(?:no|not have an?|missing|without) (?:ptr|reverse(?: dns)?)(?: records?| entry)?"),
            Match(words=r"cannot find your (?:reverse )?host ?name|reverse (?:dns|host ?name) (?:lookup )?failed"),
            Match(enhanced=("4.7.25", "5.7.25")),
        ),
        "Email sender guidelines, support.google.com/mail/answer/81126",
        notes=(("our_address", "The server sees this machine as {our_address}."),),
    ),
    Rule(
        "closed-before-greeting",
        "The connection was cut before the server said a word.",
        "{host} or something in between, such as a firewall or an antivirus proxy, closed the connection on port "
        "{port} at once. Servers do that to addresses that are not on their allow-list.",
        "Ask the operator of {host} to allow this machine's address, and check firewalls on the way.",
        (Match(stages=OPENING, reasons=("connection_lost",)),),
    ),
    Rule(
        "too-many-connections",
        "Too many connections at the same time.",
        "{host} limits how many connections one client may hold, and the limit is reached.",
        "Lower “Parallel connections” in the SMTP settings; waiting mail is tried again by itself.",
        (
            Match(enhanced=("4.3.2",), words=r"concurrent connections"),
            Match(
                codes=(421, 432, 450, 451, 452),
                words=r"too many (?:concurrent |simultaneous )?(?:connections|sessions)|"
                r"concurrent connections? (?:limit|exceeded)|connection (?:rate )?limit",
            ),
        ),
        "Exchange Online limits, learn.microsoft.com/office365/servicedescriptions",
    ),
    Rule(
        "server-unavailable",
        "The server is not ready to take mail now.",
        "{host} answered that its service is not available for the moment.",
        "Nothing needs to change here; waiting mail is tried again by itself. If it lasts, ask the server's operator.",
        (
            Match(stages=GREETING, codes=(420, 421, 450, 451, 452)),
            Match(words=r"service (?:is )?(?:temporarily )?(?:not available|unavailable)|temporary system problem"),
            Match(words=r"server busy", codes=(421, 432, 451)),
        ),
    ),
    Rule(
        "connection-lost",
        "The connection broke in the middle of the dialogue.",
        "{host} or something in between ended the connection before it answered.",
        "Test again; if it happens each time at the same step, look at the server's own log for the reason.",
        (
            Match(reasons=("connection_lost",)),
            Match(
                words=r"connection reset|econnreset|broken pipe|connection unexpectedly closed|lost connection",
                pasted=True,
            ),
        ),
    ),
    Rule(
        "server-too-slow",
        "The server did not answer in time.",
        "{host} kept the connection open and did not finish its answer within the time that one attempt may take.",
        "Test again; if it lasts, raise the timeout in the SMTP settings or ask the server's operator.",
        (Match(reasons=("timed_out",)),),
    ),
)
