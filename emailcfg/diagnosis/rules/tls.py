"""Rules for encryption and certificates, of SMTP and of HTTPS."""

from emailcfg.diagnosis.rules.rule import TLS, Match, Rule

RULES = (
    Rule(
        "trust-unreadable",
        "The list of trusted authorities can't be read.",
        "The certificates of “CA certificate” or of the file that SSL_CERT_FILE names are missing or damaged.",
        "Paste the CA certificate again, or correct the file; the raw words say what is wrong with it.",
        (Match(reasons=("trust_unreadable",)),),
    ),
    Rule(
        "smtp-tls-on-plain-port",
        "The server does not speak TLS from the start on this port.",
        "TLS from the start is configured, and {host} answered on port {port} in plain text. That port expects "
        "STARTTLS, or no encryption.",
        "Set Security to “STARTTLS, required” for port {port}, or use port 465 with TLS from the start.",
        (
            Match(
                words=r"wrong[_ ]version[_ ]number|record layer failure|packet length too long|unknown protocol",
                pasted=True,
            ),
            Match(reasons=("not_tls",)),
        ),
    ),
    Rule(
        "starttls-not-offered",
        "The server offers no encryption here.",
        "{host} does not offer STARTTLS on port {port}, or a device on the way removes the offer. The password is not "
        "sent in clear, so the attempt ended.",
        "Try port 465 with TLS from the start; inside a network you trust, a relay without login can use Security "
        "“None”.",
        (
            Match(reasons=("starttls_not_offered",)),
            Match(
                words=r"starttls extension not supported|starttls (?:is )?not (?:offered|supported|advertised)",
                pasted=True,
            ),
        ),
    ),
    Rule(
        "starttls-refused",
        "The server offers STARTTLS and then refuses it.",
        "{host} listed STARTTLS among its abilities and refused the command. Its own certificate or key is often "
        "missing or unreadable then.",
        "Ask the operator of {host} to look into its log, or try port 465 with TLS from the start.",
        (
            Match(stages=TLS, codes=(421, 454, 500, 501, 502, 503, 554)),
            Match(words=r"tls (?:is )?(?:currently |temporarily )?(?:not|un)[ -]?available"),
            Match(reasons=("starttls_refused",)),
        ),
    ),
    Rule(
        "starttls-required",
        "The server demands encryption.",
        "{host} takes nothing on port {port} before the connection is encrypted, and Security is not set so.",
        "Set Security to “STARTTLS, required” and test again.",
        (
            Match(
                words=r"must issue a? ?starttls|starttls (?:command )?first|(?:encryption|tls) (?:is )?required|"
                r"require(?:s)? (?:a )?(?:secure connection|encryption|tls)|session encryption is required"
            ),
            Match(enhanced=("5.7.10", "5.7.11"), codes=(523, 530, 538)),
        ),
    ),
    Rule(
        "certificate-self-signed",
        "The certificate vouches only for itself.",
        "{host} presented a self-signed certificate, or one from an authority that only your own network knows. "
        "Nobody this machine trusts has confirmed it, so a stranger could stand in for the server.",
        "If this is your own relay, paste the certificate of its authority into “CA certificate”; otherwise check the "
        "host name.",
        (
            Match(reasons=("certificate_self_signed",)),
            Match(words=r"self[- ]signed certificate", pasted=True),
        ),
        notes=(("issuer", "The certificate was issued by {issuer}."),),
    ),
    Rule(
        "certificate-issuer-unknown",
        "The certificate's authority is unknown.",
        "The certificate of {host} leads to no authority that this machine trusts. The server leaves out an "
        "intermediate certificate, or its authority is private.",
        "For your own relay, paste its authority's certificate into “CA certificate”; otherwise ask the server's "
        "operator to send the whole chain.",
        (
            Match(reasons=("certificate_unknown_issuer",)),
            Match(
                words=r"unable to get (?:local )?issuer certificate|unable to verify the first certificate", pasted=True
            ),
        ),
        notes=(("issuer", "The certificate was issued by {issuer}."),),
    ),
    Rule(
        "proxy-inspects-tls",
        "Something on the way opens the encryption.",
        "The certificate that came for {host} is not SendGrid's own: a company proxy or firewall that inspects TLS "
        "answers in its place.",
        "Ask whoever runs the network to exempt {host}, or add the proxy's authority to the trust of this machine "
        "with SSL_CERT_FILE.",
        (
            Match(provider="sendgrid", reasons=("certificate_self_signed", "certificate_unknown_issuer")),
            Match(
                provider="sendgrid",
                words=r"self[- ]signed certificate|unable to get (?:local )?issuer certificate",
                pasted=True,
            ),
        ),
        notes=(("issuer", "The certificate was issued by {issuer}."),),
    ),
    Rule(
        "certificate-wrong-name",
        "The certificate is for another name.",
        "{host} showed a certificate that does not hold the name you entered. An alias or an IP address was typed, "
        "or a shared host shows the certificate of another customer.",
        "Enter one of the names that the certificate holds as the host, if it is the server you mean.",
        (
            Match(reasons=("certificate_wrong_name",)),
            Match(
                words=r"hostname mismatch|ip address mismatch|certificate is not valid for|doesn't match|"
                r"does not match (?:certificate|target)|err_tls_cert_altname_invalid|altnames",
                pasted=True,
            ),
        ),
        notes=(("names", "The certificate is for {names}."),),
    ),
    Rule(
        "certificate-expired",
        "The server's certificate has expired.",
        "The certificate of {host} is past its last day. That is the server's fault, unless the clock of this machine "
        "is wrong.",
        "Compare this machine's clock with the real time; if it is right, ask the server's operator to renew the "
        "certificate.",
        (
            Match(reasons=("certificate_expired",)),
            Match(words=r"certificate (?:has )?expired|cert_has_expired", pasted=True),
        ),
        notes=(
            ("expires", "It was valid until {expires}."),
            ("clock", "The clock of this machine says {clock}."),
        ),
    ),
    Rule(
        "certificate-not-yet-valid",
        "The server's certificate is not valid yet.",
        "The first day of the certificate of {host} lies in the future. A wrong clock of this machine is the "
        "usual cause.",
        "Set the clock of this machine and test again.",
        (
            Match(reasons=("certificate_not_yet_valid",)),
            Match(words=r"certificate is not yet valid", pasted=True),
        ),
        notes=(("clock", "The clock of this machine says {clock}."),),
    ),
    Rule(
        "tls-too-old",
        "Server and product share no safe version of TLS.",
        "{host} offers only versions or ciphers of TLS that are no longer safe. The product accepts TLS 1.2 and newer.",
        "Ask the operator of {host} to switch on TLS 1.2 or 1.3, or use another relay.",
        (
            Match(reasons=("tls_too_old",)),
            Match(
                words=r"unsupported[_ ]protocol|no[_ ]shared[_ ]cipher|(?:handshake failure|protocol version)|"
                r"no[_ ]protocols[_ ]available|dh[_ ]key[_ ]too[_ ]small",
                pasted=True,
            ),
        ),
    ),
    Rule(
        "tls-failed",
        "The encrypted connection could not be set up.",
        "The TLS handshake with {host} broke off. A device on the way, or a port that does not speak TLS, may be the "
        "cause.",
        "Check port and Security with your provider's instructions; the raw words below say what the TLS library saw.",
        (
            Match(stages=TLS, reasons=("tls_failed", "connection_lost", "certificate_invalid")),
            Match(words=r"verify failed|handshake failed", pasted=True),
        ),
    ),
)
