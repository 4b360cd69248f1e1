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

from skillrun.frameworks.broker import refuse_broker
from skillrun.frameworks.common.callables.idioms import IDIOMS
from skillrun.frameworks.features import Features
from skillrun.frameworks.interface import Code, Framework

if TYPE_CHECKING:
    from skillrun.frameworks.writer import JobWriter
    from skillrun.repo.survey import Recogniser


def _make_recogniser() -> Recogniser:
    from skillrun.frameworks.plain_cron.recognise import PlainCronRecogniser

    return PlainCronRecogniser()


def _load_code() -> Code:
    from skillrun.frameworks.common import racing, reading
    from skillrun.frameworks.common.callables import callers, marks, policy
    from skillrun.frameworks.plain_cron import rules, wiring
    from skillrun.frameworks.rulebook import collect_rules

    return Code(
        find_handler=callers.find_callable,
        find_registration=reading.find_own_place,
        read_policy=policy.read_policy,
        find_sends=wiring.find_sends,
        rules=collect_rules("plain-cron", marks, racing, rules),
    )


def _load_writer() -> JobWriter:
    from skillrun.frameworks.plain_cron import scaffold

    return scaffold


FRAMEWORK = Framework(
    ID="plain-cron",
    TITLE="plain cron",
    IDIOMS=IDIOMS,
    DRIVER=None,
    FEATURES=Features(runs_in_place=True),
    recogniser=_make_recogniser,
    make_broker=refuse_broker,
    load_code=_load_code,
    load_writer=_load_writer,
)
