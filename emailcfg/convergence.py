"""Which running processes have taken up the active generation, which refused it, which are lost."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from emailcfg.models import ActiveConfig, ServiceInstance

LOST_AFTER = timedelta(seconds=15)  # three heartbeats of five seconds
FORGOTTEN_AFTER = timedelta(hours=1)  # a lost process is no news any more


class Outcome(StrEnum):
    """How far an activation has come."""

    NOTHING_ACTIVE = "nothing_active"
    NO_PROCESS = "no_process"
    WAITING = "waiting"
    CONVERGED = "converged"
    PARTIAL = "partial"
    REFUSED = "refused"


class Fate(StrEnum):
    """What one process has done with the active generation."""

    RUNS = "runs it"
    WAITS = "has not taken it up yet"
    REFUSED = "refused it"
    LOST = "lost: no sign of life"


@dataclass(frozen=True, slots=True)
class Process:
    """One process in the words of the page."""

    name: str
    role: str
    fate: Fate
    error: str
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Convergence:
    """The state of an activation over all processes, and the sentence that says it."""

    outcome: Outcome
    processes: tuple[Process, ...]
    sentence: str

    @property
    def settled(self) -> bool:
        """Whether looking again soon would show nothing new by itself."""
        return self.outcome in (Outcome.CONVERGED, Outcome.NOTHING_ACTIVE)


def _instances(now: datetime) -> list[ServiceInstance]:
    """Processes that carry the configuration: a web process that never loads one has nothing to take up."""
    rows = ServiceInstance.objects.exclude(state=ServiceInstance.State.STOPPED)
    rows = rows.exclude(role="web", generation=None).filter(last_seen__gt=now - FORGOTTEN_AFTER)
    return list(rows.order_by("role", "host", "pid"))


def _fate(row: ServiceInstance, active: ActiveConfig, now: datetime) -> Fate:
    if now - row.last_seen > LOST_AFTER:
        return Fate.LOST
    if row.generation == active.generation and row.state == ServiceInstance.State.RUNNING:
        return Fate.RUNS
    told_since = active.activated_at is None or row.last_seen >= active.activated_at
    if row.state == ServiceInstance.State.REJECTED and told_since:  # else it refused what was active before
        return Fate.REFUSED
    return Fate.WAITS


def look(active: ActiveConfig, now: datetime) -> Convergence:
    """What the running processes have made of the active generation. `now` is the database's time."""
    processes = tuple(
        Process(f"{row.host}/{row.pid}", row.role, _fate(row, active, now), row.error, row.last_seen)
        for row in _instances(now)
    )
    outcome = _outcome(active, processes)
    return Convergence(outcome, processes, _sentence(active, outcome, processes))


def _outcome(active: ActiveConfig, processes: tuple[Process, ...]) -> Outcome:
    if active.revision_id is None:
        return Outcome.NOTHING_ACTIVE
    fates = [process.fate for process in processes if process.fate is not Fate.LOST]
    if not fates:
        return Outcome.NO_PROCESS
    if all(fate is Fate.REFUSED for fate in fates):
        return Outcome.REFUSED
    if Fate.WAITS in fates:
        return Outcome.WAITING
    return Outcome.PARTIAL if Fate.REFUSED in fates else Outcome.CONVERGED


def _sentence(active: ActiveConfig, outcome: Outcome, processes: tuple[Process, ...]) -> str:
    name = f"r{active.revision_id}"
    if outcome is Outcome.NOTHING_ACTIVE:
        return "No revision is active: no mail is accepted."
    if outcome is Outcome.NO_PROCESS:
        return f"{name} is active, and no process runs that could send: start the outbound service."
    running = sum(process.fate is Fate.RUNS for process in processes)
    refused = sum(process.fate is Fate.REFUSED for process in processes)
    lost = sum(process.fate is Fate.LOST for process in processes)
    alive = len(processes) - lost
    text = f"{name} is active. {running} of {alive} {'process runs' if alive == 1 else 'processes run'} it"
    text += f"; {refused} refused it" if refused else ""
    text += f"; {lost} lost" if lost else ""
    return text + "."


def refused_by_all(active: ActiveConfig, now: datetime) -> str:
    """The reason of a process when every living process refused the active generation, else ""."""
    seen = look(active, now)
    if seen.outcome is not Outcome.REFUSED:
        return ""
    return next((process.error for process in seen.processes if process.error), "no reason was given")
