"""The questions about a draft that no code answers, asked on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skillrun.core.text import visible

if TYPE_CHECKING:
    from skillrun.skills.job_worker.drafting.draft import Draft

_WEAK = ("at_least_once", "at_most_once")
_OF_INTENT = (
    ("what", "What does it do, in one sentence?"),
    ("why_async", "Why does it not happen in the request?"),
)
_STRATEGIES = ("keyed", "invariant", "unknown")


def ask_unseen(draft: Draft, given: Mapping[str, Any]) -> None:
    """Asks what the job does and why it is no part of the request, how a second delivery is known,
    and how often an effect without a key may take place; writes the answers into the draft. An
    empty answer leaves the decision open. `given`: paths that --set has answered.
    """
    print("A few questions that no code answers; an empty answer leaves one open.")
    try:
        _ask_intent(draft, given)
        _ask_strategy(draft, given)
        _ask_guarantees(draft)
    except (EOFError, KeyboardInterrupt):
        print("\nThe rest stays open.")


def _ask_intent(draft: Draft, given: Mapping[str, Any]) -> None:
    for name, question in _OF_INTENT:
        intent = draft.values.get("intent", {})
        if name not in intent and not _is_given(given, f"intent.{name}"):
            answer = _ask(question, f"intent.{name}")
            _keep_intent(draft, name, answer)


def _keep_intent(draft: Draft, name: str, answer: str) -> None:
    if answer:
        draft.values["intent"] = {**draft.values.get("intent", {}), name: answer}
        draft.drop(f"intent.{name}:")


def _is_given(given: Mapping[str, Any], path: str) -> bool:
    """Whether --set says something of a part, or of what it belongs to."""
    return path in given or path.partition(".")[0] in given


def _ask_strategy(draft: Draft, given: Mapping[str, Any]) -> None:
    if _is_given(given, "idempotency.strategy"):
        return
    for decision in draft.decisions:
        if decision.startswith("idempotency:"):
            print(f"  {visible(decision, limit=300)}")
    question = "How is a second delivery of a job known?"
    answer = _ask(question, "idempotency.strategy", _STRATEGIES)
    if answer:
        draft.values["idempotency"] = {**draft.values["idempotency"], "strategy": answer}


def _ask_guarantees(draft: Draft) -> None:
    for effect in draft.values.get("effects", []):
        if "guarantee" not in effect:
            _ask_guarantee(draft, effect)


def _ask_guarantee(draft: Draft, effect: dict[str, Any]) -> None:
    name = visible(effect["name"])
    question = f"{name} takes no key: may it take place again, or get lost?"
    answer = _ask(question, "guarantee", _WEAK)
    if not answer:
        return
    effect["guarantee"] = answer
    reason = _ask(f"Why is {answer} good enough for {name}?", "reason")
    if reason:
        effect["reason"] = reason
        draft.drop(f"effects: {effect['name']}: it takes no key")


def _ask(question: str, path: str, choices: tuple[str, ...] = ()) -> str:
    """The answer; one of `choices`, where there are some, is asked for until it is given."""
    print(question)
    if choices:
        print(f"  {' | '.join(choices)}")
    while True:
        answer = input(f"  {path}: ").strip()
        if not answer or not choices or answer in choices:
            return answer
        print(f"  {visible(answer)}: one of {', '.join(choices)}")
