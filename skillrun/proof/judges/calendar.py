"""Whether a job computes a date that does not exist: the 31st of a month of thirty days, a
thirteenth month.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.reference import Reference

# What `datetime` and `calendar` say of a day, a month or a year that is none (CPython,
# _datetimemodule.c).
_NO_SUCH_DATE = re.compile(
    r"\b(day|month|year)\b.*(out of range|must be in|is out of)|bad month number", re.IGNORECASE
)
_ERRORS = ("ValueError", "builtins:ValueError", "calendar:IllegalMonthError")


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Refutes a job that fails on a day by its arithmetic with dates alone. How old its rows are on
    such a day is not asked: what the application itself says of them is no fault.
    """
    for delivery in history.runs:
        raised = delivery.raised
        if raised is None or str(raised["error"]) not in _ERRORS:
            continue
        if _NO_SUCH_DATE.search(str(raised["text"])):
            when = f"on {history.schedule.day}"
            if not history.schedule.day:
                when = f"for {history.payloads.get(delivery.job)}"
            yield Judgement(
                Verdict.REFUTED,
                "effect.calendar",
                f"{when} the job cannot be done: {raised['text']}",
                None,
                (raised.number,),
                "as on any other day",
                f"ValueError: {raised['text']}",
            )
            return
