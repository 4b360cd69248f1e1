"""The static rules that hold for a plain function whoever calls it: each with its reason and where
it comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module

from skillrun.core.verdict import Finding
from skillrun.frameworks.interface import Job, Rule


def found_in(module: str, function: str) -> Callable[[Job], Iterable[Finding]]:
    """A rule's function, imported when it is first used."""

    def find(job: Job) -> Iterable[Finding]:
        found: Iterable[Finding] = getattr(
            import_module(f"skillrun.frameworks.{module}"), function
        )(job)
        return tuple(found)

    return find


def rules_of_callables(framework: str) -> tuple[Rule, ...]:
    """The rules that hold for a plain function whoever calls it, under the name of a framework."""
    return tuple(
        Rule(f"{framework}.{slug}", stage, why, source, find)
        for slug, stage, why, source, find in _CALLABLES
    )


_CALLABLES = (
    (
        "unlocked-poll",
        "idempotency",
        "Two runs at once both read the same unprocessed rows, and both do the work.",
        "makeplane/plane#9609: a poller reads unprocessed rows without a lock, duplicate mails",
        found_in("common.callables.marks", "unlocked_poll"),
    ),
    (
        "marked-before-effect",
        "retry",
        (
            "A row that is marked as done before the effect is lost when the process dies between"
            " the two."
        ),
        "makeplane/plane#9609: the fix for duplicates lost what crashed after the mark",
        found_in("common.callables.marks", "marked_before_effect"),
    ),
    (
        "marked-after-batch",
        "idempotency",
        (
            "Marks that are written after the whole batch repeat all of it when the process dies,"
            " or one item fails."
        ),
        (
            "hypothesis/lms#5346, LaunchNotes post-mortem of Sidekiq batches: the whole batch was"
            " sent again"
        ),
        found_in("common.callables.marks", "marked_after_batch"),
    ),
    (
        "failed-marked-done",
        "retry",
        (
            "A clause that swallows the failure, before a mark that says done, loses the item: the"
            " next tick skips it."
        ),
        "stock-screener#49: the error was caught and the job counted as a success",
        found_in("common.callables.marks", "failed_marked_done"),
    ),
    (
        "check-then-act",
        "idempotency",
        (
            "Two runs at once both look before either writes; only a unique key or one atomic step"
            " keeps one out."
        ),
        "hermes-agent#57832, cetmix-tower#299",
        found_in("common.racing", "check_then_act"),
    ),
    (
        "select-for-update-outside-transaction",
        "idempotency",
        "A row lock ends with its transaction: outside of one it protects nothing.",
        "DhananjayThomble/URL-Shortener-App#282",
        found_in("common.racing", "select_for_update_outside_transaction"),
    ),
)
