"""What every page shows around its content: navigation, OmniBar and banners."""

from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django_htmx.middleware import HtmxDetails

from adminapp.verdict import Facts, Level, gather, verdict
from emailcfg import activation, confirmation
from emailcfg.models import ActiveConfig, FormDraft

EMAIL_PAGE = "/configuration/email/"


@dataclass(frozen=True, slots=True)
class Banner:
    """A sentence on every page while something holds that a person must not forget."""

    level: Level
    text: str
    url: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True)
class Badge:
    """The system's state in a few words. `ok` only for what was proven."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class OmniBar:
    active_number: int | None
    active_since: datetime | None
    editing_number: int | None
    unsaved_changes: int
    badge: Badge
    banners: tuple[Banner, ...] = field(default=())
    active: ActiveConfig | None = None
    saves_here: bool = False  # on the form; elsewhere the page has a main button of its own
    # Seconds until the active revision returns by itself; None when it does not, or when the page itself says so.
    confirm_left_s: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    label: str
    url: str
    icon: str
    current: bool
    children: tuple["Entry", ...] = ()


def context(request: HttpRequest) -> dict[str, object]:
    """The context processor. Lazy: a page without the shell costs no query."""
    return {
        "navigation": SimpleLazyObject(lambda: navigation(request.path)),
        "omnibar": SimpleLazyObject(lambda: omnibar(request)),
    }


def navigation(path: str) -> tuple[Entry, ...]:
    def entry(label: str, url: str, icon: str, *children: Entry, under: tuple[str, ...] = ()) -> Entry:
        current = path.startswith((url, *under)) if not children else any(child.current for child in children)
        return Entry(label, url, icon, current, children)

    return (
        entry("Status", reverse("status"), "activity"),
        entry(
            "Configuration",
            "/configuration/",
            "settings-2",
            entry("Email", EMAIL_PAGE, "mail"),
            entry(
                "History",
                "/configuration/history/",
                "history",
                under=("/configuration/revisions/", "/configuration/audit/"),
            ),
        ),
        entry("Messages", reverse("messages"), "inbox"),
        entry("Support", reverse("support"), "life-buoy"),
    )


def omnibar(request: HttpRequest) -> OmniBar:
    """What runs, what is being edited, and whether mail works as far as it was proven, from a dozen indexed queries."""
    active = activation.current()
    facts = gather(active)
    here = _page_of(request)
    draft = FormDraft.objects.filter(user=request.user.pk).only("base_id", "changed").first()
    return OmniBar(
        active_number=active.revision_id,
        active_since=active.activated_at,
        editing_number=draft.base_id if draft else active.revision_id,
        unsaved_changes=len(draft.changed) if draft else 0,
        badge=_badge(facts),
        banners=_banners(facts, here),
        active=active,
        saves_here=here == EMAIL_PAGE,
        confirm_left_s=None if _asks_to_confirm(here, active) else confirmation.seconds_left(active),
    )


def _page_of(request: HttpRequest) -> str:
    """The path of the page on which the bar stands; when only the bar is asked for, htmx names it."""
    htmx: HtmxDetails | None = getattr(request, "htmx", None)
    return urlsplit(htmx.current_url or "").path if htmx else request.path


def _asks_to_confirm(here: str, active: ActiveConfig) -> bool:
    """Whether the page has the countdown and the buttons of its own, so that they do not stand there twice."""
    if active.revision_id is None:
        return False
    return here == reverse("activate", args=[active.revision_id]) or here.startswith(reverse("confirm"))


def _badge(facts: Facts) -> Badge:
    found = verdict(facts)
    return Badge(found.level, found.short)


def _banners(facts: Facts, here: str) -> tuple[Banner, ...]:
    """What holds now. On Status without what leads to Status: there it is told with what to do."""
    return tuple(banner for banner in _all_banners(facts) if not banner.url == here == reverse("status"))


def _all_banners(facts: Facts) -> list[Banner]:
    active = facts.active
    banners = []
    if paused := confirmation.sending_paused(active):
        banners.append(Banner("error", paused, reverse("history"), "Open the history"))
    for problem in facts.problems:
        banners.append(
            Banner(
                "error", f"r{active.revision_id} can't be run as it is. {problem}", EMAIL_PAGE, "Open the configuration"
            )
        )
    if facts.restored is not None:
        banners.append(Banner("warning", facts.restored.sentence, reverse("status"), "Open Status"))
    if returned := confirmation.returned_by_itself(active):
        banners.append(Banner("warning", returned, reverse("history"), "Open the history"))
    if facts.queue.paused:
        by = f" by {facts.queue.paused_by}" if facts.queue.paused_by else ""
        banners.append(Banner("warning", f"No mail leaves: sending was paused{by}.", reverse("status"), "Resume"))
    if facts.suppresses:
        banners.append(Banner("warning", "No mail leaves: all mail is suppressed.", EMAIL_PAGE, "Change"))
    if facts.diverts_to:
        text = f"All mail is diverted to {facts.diverts_to}."
        banners.append(Banner("warning", text, EMAIL_PAGE, "Change"))
    return banners
