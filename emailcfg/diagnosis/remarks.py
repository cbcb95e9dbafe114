"""What a step that went well has to tell all the same: it worked, and something about it wants looking after."""

from emailcfg.diagnosis.explain import Explanation, explain
from emailcfg.diagnosis.facts import Context
from emailcfg.providers.base import ErrorClass, Failure, Step


def remark(step: Step, *, provider: str, host: str) -> Explanation | None:
    """The remark on a step, told by a rule like a failure; None when there is nothing to say."""
    if step.ok is False or "other_version" not in step.facts:
        return None
    noted = Failure(step.stage, ErrorClass.HOST, "ip_version_fails")
    return explain(noted, context=Context(provider=provider, host=host, learnt=step.facts))
