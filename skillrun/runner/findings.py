"""A finding of each severity, as stages make them."""

from __future__ import annotations

from typing import Any

from skillrun.core.verdict import Finding, Severity


def blocker(rule: str, message: str, *, hint: str, **place: Any) -> Finding:
    """Something is missing: a decision, an input, or the work."""
    return Finding(rule, Severity.BLOCKER, message, hint=hint, **place)


def error(rule: str, message: str, *, hint: str | None = None, **place: Any) -> Finding:
    """The evidence contradicts."""
    return Finding(rule, Severity.ERROR, message, hint=hint, **place)


def warning(rule: str, message: str, *, hint: str | None = None, **place: Any) -> Finding:
    """Worth knowing; the stage passes all the same."""
    return Finding(rule, Severity.WARNING, message, hint=hint, **place)


def note(rule: str, message: str, *, hint: str | None = None, **place: Any) -> Finding:
    """Said for completeness, e.g. what could not be read."""
    return Finding(rule, Severity.NOTE, message, hint=hint, **place)


_NOT_READ = "not-read"


def not_read(
    stage: str, question: str, because: str, *, hint: str | None = None, **place: Any
) -> Finding:
    """A question that reading cannot answer, since something on its path is not understood.

    It stops nothing by itself: a stage that rests on it is pending until a proof has answered.
    """
    message = f"not read: {question}: {because}; the proof will say"
    return note(f"{stage}.{_NOT_READ}", message, hint=hint, **place)


def is_not_read(finding: Finding) -> bool:
    """Whether a finding is such a question."""
    return finding.rule.endswith(f".{_NOT_READ}")
