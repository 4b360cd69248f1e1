"""The proof for an entry point: whatever a repository does wrong becomes one incomplete verdict
with one clear line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skillrun.core.errors import Misuse, SkillrunError
from skillrun.proof.exploring.run import NotPublished
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.observe import look
from skillrun.proof.prove import prove
from skillrun.proof.result import Proof, Target
from skillrun.proof.services.errors import ServiceFailed, ServiceMissing
from skillrun.proof.state import StateError
from skillrun.proof.zygote import BootFailed


def try_prove(target: Target, **options: Any) -> Proof:
    """As `prove`; an error that the repository or this machine causes is an incomplete proof.
    Misuse is raised.
    """
    return _attempt(lambda: prove(target, **options))


def try_look(target: Target, **options: Any) -> Proof:
    """As `look`, with the same promise."""
    return _attempt(lambda: look(target, **options))


def _attempt(work: Callable[[], Proof]) -> Proof:
    try:
        return work()
    except Misuse:
        raise
    except NotPublished as error:
        hint = (
            "enqueue.call must publish the job"
            if error.job == 0
            else "every example must be publishable"
        )
        return _incomplete("not-published", error.why, hint)
    except BootFailed as error:
        return _incomplete(f"boot.{error.what}", str(error), error.hint)
    except (ServiceMissing, ServiceFailed) as error:
        return _incomplete("service", str(error), error.hint)
    except StateError as error:
        return _incomplete("state.unreadable", str(error), "check proof.database and proof.state")
    except SkillrunError as error:
        return _incomplete("blocked", str(error), error.hint)


def _incomplete(rule: str, message: str, hint: str | None) -> Proof:
    return Proof(
        Verdict.INCOMPLETE,
        incomplete=[Judgement(Verdict.INCOMPLETE, rule, message, expected=hint or "")],
    )
