"""What spam filters wrote into a received mail, in words: Microsoft 365, SpamAssassin, Rspamd."""

import re

from emailcfg.diagnosis.header_fields import Field

_PAIR = re.compile(r"\b([A-Z]{2,6}):([^;]{0,60})")
_SPAMASSASSIN = re.compile(r"^(yes|no)\b.{0,40}?\bscore=(-?[\d.]{1,8})(?: required=(-?[\d.]{1,8}))?", re.IGNORECASE)
_RSPAMD = re.compile(r"default: (True|False) \[(-?[\d.]{1,8}) / (-?[\d.]{1,8})\]", re.IGNORECASE)
# learn.microsoft.com/defender-office-365/message-headers-eop-mdo
_CATEGORIES = {
    "BULK": "bulk mail", "DIMP": "an imitation of a domain", "GIMP": "an imitation of a person",
    "HPHSH": "phishing (certain)", "HPHISH": "phishing (certain)", "HSPM": "spam (certain)", "INTOS": "phishing",
    "MALW": "malware", "PHSH": "phishing", "SPM": "spam", "SPOOF": "a forged sender", "UIMP": "an imitation of a user",
}  # fmt: skip
_VERDICTS = {
    "BLK": "the recipient blocks this sender",
    "NSPM": "no spam",
    "SFE": "the recipient trusts this sender",
    "SKA": "the organisation trusts this sender",
    "SKB": "the organisation blocks this sender",
    "SKI": "mail inside the organisation",
    "SKN": "marked as no spam before the filter",
    "SKQ": "released from quarantine",
    "SKS": "marked as spam before the filter",
    "SPM": "spam",
}


def spam_marks(fields: list[Field]) -> tuple[str, ...]:
    """A sentence for each filter's verdict that is known."""
    told = []
    for field in fields:
        match field.name:
            case "x-forefront-antispam-report":
                told.append(_microsoft(dict(_PAIR.findall(field.value))))
            case "x-microsoft-antispam" if bulk := re.search(r"\bBCL:(\d)", field.value):
                if int(bulk.group(1)) >= 4:
                    told.append(f"Microsoft counts it as bulk mail, at level {bulk.group(1)} of 9 (BCL).")
            case "x-spam-status" if found := _SPAMASSASSIN.match(field.value):
                spam = "spam" if found.group(1).lower() == "yes" else "no spam"
                limit = f" of {found.group(3)}" if found.group(3) else ""
                told.append(f"SpamAssassin calls it {spam}, with {found.group(2)}{limit} points.")
            case "x-spamd-result" if found := _RSPAMD.search(field.value):
                spam = "spam" if found.group(1).lower() == "true" else "no spam"
                told.append(f"Rspamd calls it {spam}, with {found.group(2)} of {found.group(3)} points.")
    return tuple(dict.fromkeys(filter(None, told)))[:10]


def _microsoft(marks: dict[str, str]) -> str:
    said = []
    if verdict := _VERDICTS.get(marks.get("SFV", "")):
        said.append(f"{verdict} (SFV:{marks['SFV']})")
    if category := _CATEGORIES.get(marks.get("CAT", "")):
        said.append(f"{category} (CAT:{marks['CAT']})")
    level = marks.get("SCL", "")
    if re.fullmatch(r"-?\d", level):
        place = "the junk folder or quarantine" if int(level) >= 5 else "the inbox"
        said.append(f"spam level {level}, which leads to {place} (SCL)")
    return f"Microsoft's filter says: {'; '.join(said)}." if said else ""
