"""The look at errors of the job that are newly swallowed."""

from __future__ import annotations

import pytest
from looks import SPEC, everything, found, severities, spec

# -- swallowed errors

TASK = """
from shop import mailer, receipts


def send_receipt(order_id, email):
    mailer.send(order_id, email)
    receipts.mark_sent(order_id)
"""
CALL = "    mailer.send(order_id, email)\n"
JOB = {SPEC: spec()}


TRY = "    try:\n        mailer.send(order_id, email)\n"


@pytest.mark.parametrize(
    "around",
    (
        f"{TRY}    except Exception:\n        pass\n",
        f"{TRY}    except:\n        return\n",
        f"{TRY}    except (ValueError, Exception) as e:\n        log.warning(e)\n",
        (
            "    while 1:\n        try:\n            mailer.send(1)\n        except"
            " BaseException:\n            break\n"
        ),
        "    with contextlib.suppress(Exception):\n        mailer.send(order_id, email)\n",
        f"{TRY}    except OSError:\n        return\n",
        f"{TRY}    except sqlite3.OperationalError as e:\n        log.warning(e)\n",
        f"{TRY}    except ConnectionError as e:\n        if e.errno:\n            return\n        raise\n",
        "    with contextlib.suppress(ValueError):\n        mailer.send(order_id, email)\n",
    ),
)
def test_an_error_that_is_newly_swallowed_is_found(around: str) -> None:
    new = TASK.replace(CALL, around)
    (finding,) = found(
        "swallowed-error", {**JOB, "shop/tasks.py": TASK}, {**JOB, "shop/tasks.py": new}
    )
    assert finding.severity == "error"
    assert "mailer.send" in finding.message
    assert ("except" in new.splitlines()[(finding.line or 0) - 1]) or "suppress" in new


@pytest.mark.parametrize(
    "around",
    (
        f"{TRY}    except mailer.BadAddress:\n        return\n",
        f"{TRY}    except Exception:\n        log.error('x')\n        raise\n",
        f"{TRY}    except Exception as e:\n        dead.record(e)\n",
        f"{TRY}    except TimeoutError:\n        return\n",
        f"{TRY}    except OSError as e:\n        if e.errno:\n            log.error(e)\n        raise\n",
        (
            "    mailer.send(order_id, email)\n    try:\n        metrics.count()\n    except"
            " Exception:\n        pass\n"
        ),
    ),
)
def test_other_handlers_are_no_finding(around: str) -> None:
    new = TASK.replace(CALL, around)
    assert everything({**JOB, "shop/tasks.py": TASK}, {**JOB, "shop/tasks.py": new}) == []


@pytest.mark.parametrize("runs", ("super().__call__(*args)", "self.run(*args)"))
def test_errors_of_the_job_that_its_class_swallows_are_found(runs: str) -> None:
    loud = f"class Job(Task):\n    def __call__(self, *args):\n        return {runs}\n"
    quiet = (
        f"class Job(Task):\n    def __call__(self, *args):\n        try:\n            return {runs}\n"
        "        except OSError:\n            return None\n"
    )
    base = {**JOB, "shop/tasks.py": TASK, "shop/jobs.py": loud}
    assert severities(found("swallowed-error", base, {**base, "shop/jobs.py": quiet})) == ["error"]


def test_errors_of_what_reaches_the_effect_are_swallowed_as_well() -> None:
    helper = TASK.replace(CALL, "    deliver(order_id, email)\n")
    helper += "\n\ndef deliver(order_id, email):\n    mailer.send(order_id, email)\n"
    quiet = helper.replace(
        "    deliver(order_id, email)\n",
        "    try:\n        deliver(order_id, email)\n    except OSError:\n        return\n",
    )
    base = {**JOB, "shop/tasks.py": helper}
    findings = found("swallowed-error", base, {**base, "shop/tasks.py": quiet})
    assert severities(findings) == ["error"]


def test_a_handler_that_was_there_before_is_no_finding() -> None:
    swallowing = TASK.replace(CALL, f"{TRY}    except Exception:\n        pass\n")
    moved = "import os\n" + swallowing
    assert everything({**JOB, "shop/tasks.py": swallowing}, {**JOB, "shop/tasks.py": moved}) == []
