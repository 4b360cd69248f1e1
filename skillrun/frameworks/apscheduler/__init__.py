"""APScheduler 3 and 4: schedulers and jobs, what their options do, and what people get wrong.

Its jobs are plain functions, so their own retry, their callers and their rows are read by
`common/callables/`: the
library retries nothing, acknowledges nothing, and keeps no dead letters. Of its own: `recognise.py`
finds schedulers,
`jobs.py` finds the places that schedule a function, with the options that then hold, `hooks.py` its
listeners,
`rules.py` what people get wrong.

For a prover: a delivery is a call of the function, in a thread of the scheduler's process. Measured
(3.11): with a persistent store a date job killed within milliseconds of its submission runs again
after a restart; one killed half a second into its work is lost. A tick that comes more than
misfire_grace_time (3.x: 1 s) late is dropped.
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
    from skillrun.frameworks.apscheduler.recognise import APSchedulerRecogniser

    return APSchedulerRecogniser()


def _load_code() -> Code:
    from skillrun.frameworks.apscheduler import hooks, jobs, rules
    from skillrun.frameworks.common import racing
    from skillrun.frameworks.common.callables import callers, marks
    from skillrun.frameworks.rulebook import collect_rules

    return Code(
        find_handler=callers.find_callable,
        find_registration=jobs.find_registration,
        read_policy=hooks.read_policy,
        find_sends=lambda project, use, handler: jobs.find_sends(project, handler),
        find_hooks=lambda project, use, handler: hooks.find_hooks(project),
        rules=collect_rules("apscheduler", marks, racing, rules),
    )


def _load_writer() -> JobWriter:
    from skillrun.frameworks.apscheduler import scaffold

    return scaffold


FRAMEWORK = Framework(
    ID="apscheduler",
    TITLE="APScheduler",
    IDIOMS=IDIOMS,
    DRIVER=None,
    FEATURES=Features(runs_in_place=True, tables=r"apscheduler_jobs|django_apscheduler_\w+"),
    recogniser=_make_recogniser,
    make_broker=refuse_broker,
    load_code=_load_code,
    load_writer=_load_writer,
)
