"""The organisational domain of a name (RFC 7489 section 3.2), by a short list in place of the public suffix list.

The full list is large and changes weekly; an installation without internet could not refresh it. The second
levels below cover the country domains where registrations happen one level deeper. A name under a suffix
that is missing here is compared one level too high, which can only make two names look more related.
"""

_SECOND_LEVELS = frozenset({"ac", "co", "com", "edu", "gob", "gouv", "gov", "govt", "ltd", "me", "mil", "ne", "net"})
_SECOND_LEVELS |= {"nhs", "nom", "or", "org", "plc", "sch", "asso", "go", "gv", "id", "firm", "in"}
_GENERIC = frozenset({"com", "net", "org", "edu", "gov", "mil", "int", "info", "biz"})


def organisation(name: str) -> str:
    """`mail.eu.example.co.uk` belongs to `example.co.uk`, `mx.example.com` to `example.com`."""
    labels = name.lower().strip(".").split(".")
    if len(labels) <= 2:
        return ".".join(labels)
    under_country = len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVELS and labels[-1] not in _GENERIC
    return ".".join(labels[-3:] if under_country else labels[-2:])
