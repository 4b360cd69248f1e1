"""Plain callables that the clock starts: crontab lines, systemd timers, CronJobs, `schedule`, loops
that poll.

No library queues, retries or acknowledges anything: the handler's own loop or the next tick is the
retry, and what the database says decides after a kill. So for a prover: a delivery is a call of the
handler; a redelivery is the next tick (call it again); there is no attempt number, no dead letter
but what the code writes, no hook.

What APScheduler's jobs share is in `common/callables/`: `starts.py` reads command lines, `loops.py`
finds loops that
poll, `callers.py` climbs from the handler to its callers, `wiring.py` says who starts those,
`attempts.py` and
`policy.py` read its own retry, `marks.py` and `rules.py` hold what people get wrong. Here,
`recognise.py` judges
whether there is such a job at all, `rules.py` is about schedules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.broker import NotConfirmed
from skillrun.frameworks.common.callables.idioms import IDIOMS as IDIOMS
from skillrun.frameworks.features import Features

if TYPE_CHECKING:
    from skillrun.frameworks.broker import Broker, Premises
    from skillrun.frameworks.interface import Policy, Rule, Send
    from skillrun.frameworks.writer import JobWriter
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.survey import Recogniser
    from skillrun.repo.uses import FrameworkUse, Place

ID = "plain-cron"
TITLE = "plain cron"
DRIVER: str | None = None
FEATURES = Features(runs_in_place=True)


def recogniser() -> Recogniser:
    """A fresh recogniser for one pass over the files."""
    from skillrun.frameworks.plain_cron.recognise import PlainCronRecogniser

    return PlainCronRecogniser()


def find_handler(project: Project, use: FrameworkUse, handler: str) -> Definition | None:
    """The function behind an import path "module:function", or the `handle` of a Django command; or
    None.
    """
    from skillrun.frameworks.common.callables.callers import find_callable

    return find_callable(project, use, handler)


def find_registration(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
    """Its own `def`: a plain callable registers with nobody. None for one inside another
    function.
    """
    from skillrun.frameworks.common.callables.callers import is_nested, own_place

    if is_nested(handler):
        return None
    return own_place(handler)


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The effective policy of a handler."""
    from skillrun.frameworks.common.callables import policy

    return policy.read_policy(project, use, handler)


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that starts or schedules the handler."""
    from skillrun.frameworks.plain_cron import wiring

    return wiring.find_sends(project, use, handler)


def find_hooks(project: Project, use: FrameworkUse, handler: Definition) -> dict[str, Definition]:
    """Nothing calls anything around a plain callable."""
    return {}


def list_rules() -> tuple[Rule, ...]:
    """What people get wrong with it."""
    from skillrun.frameworks.common import racing
    from skillrun.frameworks.common.callables import marks
    from skillrun.frameworks.plain_cron import rules
    from skillrun.frameworks.rulebook import collect_rules

    return collect_rules(ID, marks, racing, rules)


def make_broker(premises: Premises) -> Broker:
    """Nobody stands between the clock and the handler. Raises NotConfirmed."""
    raise NotConfirmed("there is no worker for it that could be started here")


def load_writer() -> JobWriter:
    """What writes its jobs; much is imported for that, and only a scaffold needs it."""
    from skillrun.frameworks.plain_cron import scaffold

    return scaffold
