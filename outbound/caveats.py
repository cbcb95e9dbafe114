"""What is true of real mail and not of a test, in sentences, so that neither green nor red misleads anybody."""

import socket
from collections.abc import Iterator

from django.conf import settings
from django.utils import timezone

from emailcfg import activation, confirmation, pins
from emailcfg.models import ActiveConfig, ServiceInstance, TestSend
from emailcfg.providers.base import ErrorClass, Failure
from emailcfg.schema import General, walk
from outbound import explained, instances, queries
from outbound.models import Breaker
from outbound.retry import SOFT
from outbound.silent_tests import DEADLINE_S
from outbound.testsend import Plan


def found(test: TestSend, plan: Plan, failure: Failure | None) -> list[str]:
    """All of them for a test that ended, the gravest first."""
    if failure is not None:
        return [*_of_failure(test, failure), *_of_pins(plan)]
    active = activation.current()
    sentences = [*_of_general(plan.running.general)]
    if active.revision is not None and active.revision.content_hash == test.content_hash:
        sentences += _of_service(active)
    return [*sentences, *_of_place(), *_of_pins(plan)]


def note(test: TestSend) -> str:
    """After a green test of what does not run: that real mail still leaves another way. "" when it runs."""
    active = activation.current()
    if active.revision is not None and active.revision.content_hash == test.content_hash:
        return ""
    until = "until this is activated" if test.revision_id else "until this is saved and activated"
    if active.revision is None:
        return f"No configuration is active: no other mail leaves {until}."
    services = instances.delivering()
    if services and all(one.state == ServiceInstance.State.REJECTED for one in services):
        through = instances.stand_ins(services)
        return f"Real mail still leaves through {through} {until}." if through else f"No other mail leaves {until}."
    return f"Real mail still leaves through r{active.revision_id} {until}."


def _of_general(general: General) -> Iterator[str]:
    if general.suppress_all:
        yield "This configuration suppresses all mail. The test leaves all the same; no other mail would."
    if general.divert_to:
        yield (
            "This configuration diverts all mail. The test goes to the address you entered; all other mail would go to "
            f"{general.divert_to}."
        )


def _of_service(active: ActiveConfig) -> Iterator[str]:
    """What holds other mail under the configuration that runs, which was tested."""
    if stopped := confirmation.sending_paused(active):
        yield f"Other mail does not leave: {stopped}"
    queue = queries.queue_state()
    if queue.paused:
        by = f" by {queue.paused_by}" if queue.paused_by else ""
        yield f"Sending was paused{by}: other mail waits until it is resumed on Status."
    services = instances.delivering()
    for held in queries.open_breakers(*instances.generations_in_use(active.generation, services)):
        what = f"Other mail from {held.sender} was held" if held.sender else "All other mail was held"
        yield f"{what} when this test ended: {explained.of_breaker(held).title}. {_then(held)}"
    yield from _of_processes(active, services)


def _then(held: Breaker) -> str:
    if held.error_class == ErrorClass.RATE:
        return "The service waits as long as the limit asks; Status says until when."
    return "One message is tried now; when it is taken, the others follow."


def _of_processes(active: ActiveConfig, services: list[ServiceInstance]) -> Iterator[str]:
    if not services:
        yield "No process is running that delivers mail: other mail waits until one is started."
    refused = [one for one in services if one.state == ServiceInstance.State.REJECTED]
    if refused:
        who = "Every process" if len(refused) == len(services) else f"{len(refused)} of {len(services)} processes"
        nothing = "" if any(one.stand_in for one in refused) else " Nothing leaves through what refused it."
        yield f"{who} refused r{active.revision_id}: {refused[0].error}{nothing}"


def _of_place() -> Iterator[str]:
    """A test runs in the process that was asked; mail may leave from another machine, with another network."""
    here, there = socket.gethostname(), sorted({one.host for one in instances.delivering()})
    if there and here not in there:
        yield f"This test left from {here}; other mail leaves from {', '.join(there)}."


def _of_pins(plan: Plan) -> Iterator[str]:
    replaced = pins.replaced(plan.config)
    if not replaced:
        return
    titles = {path: title for path, title, _ in walk(plan.config)}
    fields = ", ".join(f"{titles[pin.path]} ({pin.source})" for pin in replaced)
    yield f"Tested as it runs here: the environment fixes {fields}, whatever the configuration says."


def _of_failure(test: TestSend, failure: Failure) -> Iterator[str]:
    """A test tries once and waits a minute; real mail does neither."""
    if failure.error_class is ErrorClass.RATE:
        yield "The test tries once. Real mail waits until the limit is over and leaves then."
    elif failure.error_class in SOFT:
        cut = (timezone.now() - test.started_at).total_seconds() >= DEADLINE_S < settings.ATTEMPT_DEADLINE_S
        longer = f" It also waits longer: {settings.ATTEMPT_DEADLINE_S:.0f} seconds." if cut else ""
        yield (
            "The test tries once. After an answer like this, real mail is tried again, first after a minute and then "
            f"for five days, and may still leave.{longer}"
        )
