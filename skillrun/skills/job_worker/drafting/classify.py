"""What neither the code nor a test says, and one run of the job shows: whether an error passes,
whether an effect is left out after a death, and whether a message is another job.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from skillrun.proof.judges.superseding import OWN, is_skipped
from skillrun.proof.judges.unpromised import UNKEYED
from skillrun.skills.job_worker.drafting.observed import ONE_JOB
from skillrun.skills.job_worker.drafting.usual_errors import find_usual_error

if TYPE_CHECKING:
    from skillrun.proof.history import History
    from skillrun.proof.reference import Reference
    from skillrun.proof.result import Proof
    from skillrun.skills.job_worker.drafting.draft import Draft
    from skillrun.skills.job_worker.drafting.second_jobs import SecondJob

_MOST = 4  # errors that are tried: each takes a second or two
_OF_BROKER = re.compile(r"broker|queue|redis|taskiq|celery", re.IGNORECASE)


def choose_broker(draft: Draft, prove: Callable[[str], Proof]) -> bool:
    """Tests may set a broker that is none: what the process holds is lost with it. Where the job
    cannot be started with theirs, it gets a private Redis. Returns whether the draft is another one
    now.
    """
    proof = draft.values.get("proof", {})
    env: dict[str, str] = proof.get("env", {})
    names = [name for name in env if _OF_BROKER.search(name) and "{" not in env[name]]
    if not names or not _fails_at_boot(prove("once")):
        return False
    known = dict(env), list(proof.get("services", []))
    for name in names:
        env[name] = "{redis}"
        proof["services"] = [*dict.fromkeys((*known[1], "redis"))]
        if not _fails_at_boot(prove("once")):
            said = f"proof.env: {name}: a private Redis; the tests set {known[0][name]}"
            draft.guesses.append(said)
            return True
        env[name] = known[0][name]
    proof["services"] = known[1]
    if not known[1]:
        del proof["services"]
    return True


def _fails_at_boot(proof: Proof) -> bool:
    """Before any error was made: an error that cannot be made says nothing of a broker."""
    rules = {one.rule for one in proof.incomplete}
    return any(rule.startswith("boot.") for rule in rules - {"boot.error"})


def _cannot_be_made(proof: Proof) -> bool:
    return any(one.rule.startswith("boot.") for one in proof.incomplete)


def classify_errors(draft: Draft, prove: Callable[[str], Proof]) -> bool:
    """Sorts the errors of which nothing is known by what the job does after each of them.

    An error of a module that no effect comes from is raised by the handler itself: no effect raises
    it. `prove` runs one schedule. Returns whether the draft is another one now.
    """
    failures: dict[str, Any] = draft.values.get("failures", {})
    effects: list[dict[str, Any]] = draft.values.get("effects", [])
    homes = {**_find_homes(draft), **_add_usual_errors(draft)}
    tried = 0
    for error in draft.unsure:
        effect = homes.get(error) or _find_effect(error, effects)
        if _find(failures, error) < 0:
            continue
        if effect is None:
            failures["permanent"][_find(failures, error)] = {"type": error, "effects": []}
        elif tried < _MOST:
            # What they do decides the verdict, so that it is said.
            tried += 1
            proof = prove(f"raise={error}@before:{effect['name']}#1")
            if error in homes and _cannot_be_made(proof):
                # A client that has another error for this, or none.
                failures["permanent"].pop(_find(failures, error))
                continue
            if _is_tried_again(proof):
                failures["transient"].append(failures["permanent"].pop(_find(failures, error)))
                said = f"failures: {error} is transient: the job was tried again after it"
            else:
                draft.guessed_errors.add(error)
                said = f"failures: {error} is permanent: the job was not tried again after it"
            draft.guesses.append(said)
        else:
            draft.guessed_errors.add(error)
            draft.guesses.append(f"failures: {error} is permanent, as most errors are")
    return bool(draft.unsure)


def _find_homes(draft: Draft) -> dict[str, dict[str, Any]]:
    """Error -> the effect that tests have raise it."""
    effects = {effect["call"]: effect for effect in draft.values.get("effects", [])}
    homes: dict[str, dict[str, Any]] = {}
    for error, path in draft.raised_by.items():
        if path in effects:
            homes[error] = effects[path]
    return homes


def _add_usual_errors(draft: Draft) -> dict[str, dict[str, Any]]:
    """Where no error is known that passes, no effect would ever fail: each meets what its client
    raises where nobody answers. Error -> an effect that it comes out of.
    """
    failures: dict[str, Any] = draft.values.get("failures", {})
    if not failures or failures["transient"]:
        return {}
    homes: dict[str, dict[str, Any]] = {}
    names: dict[str, list[str]] = {}
    for effect in draft.values.get("effects", []):
        error = find_usual_error(draft.clients.get(effect["call"], effect["call"]))
        kind = error["type"]
        if _find(failures, kind) < 0:
            names[kind] = []
            failures["permanent"] = [*failures["permanent"], {**error, "effects": names[kind]}]
            homes[kind] = effect
            draft.unsure = (*draft.unsure, kind)
        if kind in names:
            names[kind].append(effect["name"])
    return homes


def classify_effects(draft: Draft, prove: Callable[[str], Proof]) -> bool:
    """An effect without a key that a death keeps from taking place takes place at most once: the
    job takes it for done before it does it. One that is done again after an error is not. Returns
    whether the draft is another one now.
    """
    is_other = False
    for effect in draft.values.get("effects", [])[:_MOST]:
        if effect.get("guarantee") != "at_least_once":
            continue
        name = effect["name"]
        # A day later: a lease that the dead process held has run out.
        proof = prove(f"kill@before:{name}#1 lose wait=90000 re-enqueue")
        if _is_left_out(proof, name) and not _is_done_again(draft, name, prove):
            effect["guarantee"] = "at_most_once"
            draft.guesses.append(
                f"effects: {name}: at_most_once: after a death before it, nothing does it"
            )
            is_other = True
    return is_other


def keep_second_jobs(draft: Draft, reference: Reference | None) -> tuple[SecondJob, ...]:
    """Of the draft's second jobs, which stand among its examples, those that do by themselves what
    the example does. `reference`: the single runs with all of them; None where there are none.
    """
    examples: list[Any] = draft.values["payload"]["examples"]
    first, *others = examples
    known = others[len(draft.second_jobs) :]
    numbered = dict(enumerate(draft.second_jobs, 1))
    kept: list[SecondJob] = []
    if reference is not None:
        kept = list(_list_kept(draft, reference, numbered))
    made, words = [], []
    for job in kept:
        made.append(dict(job.payload))
        words.append(", ".join(job.fields))
    draft.values["payload"]["examples"] = [first, *made, *known]
    draft.second_jobs = tuple(kept)
    if kept:
        draft.drop(ONE_JOB)
        fields = "; ".join(words)
        said = f"payload: another job is the first one with another {fields}, its rows copied"
        draft.guesses.append(said)
    return draft.second_jobs


def _list_kept(
    draft: Draft, reference: Reference, numbered: Mapping[int, SecondJob]
) -> Iterator[SecondJob]:
    """What is doubtful and may be the example's own job is left out, and that is said."""
    fit = {}
    sure = []
    for number, job in numbered.items():
        alone = reference.jobs.get(number)
        if alone is not None and _does_the_same(alone, reference):
            fit[number] = job
            sure += [number] * (not job.is_doubtful)
    _drop_doubtful_keys(draft, reference, sure)
    for number, job in fit.items():
        if not job.is_doubtful or not _may_be_one(draft, reference, number):
            yield job
            continue
        fields = ", ".join(job.fields)
        said = f"payload: messages that differ in {fields} alone may be one job: not tried together"
        draft.guesses.append(said)


def _does_the_same(alone: History, reference: Reference) -> bool:
    """Whether a job comes to every effect that the example comes to."""
    effect = itemgetter("effect")
    wanted = Counter(map(effect, reference.once.performed()))
    return Counter(map(effect, alone.performed())) == wanted


def _drop_doubtful_keys(draft: Draft, reference: Reference, jobs: list[int]) -> None:
    """What goes by a name that says little, and is the same for two jobs, is no key."""
    for effect in draft.values.get("effects", []):
        name = effect["name"]
        if name in draft.doubtful_keys and _share_keys(name, reference, jobs):
            draft.drop(f"effects: {name}: keyed by")
            del effect["key_arg"]
            effect["guarantee"] = "at_least_once"
            effect["reason"] = UNKEYED
            draft.guesses.append(f"effects: {name}: at_least_once: it takes no key")


def _may_be_one(draft: Draft, reference: Reference, job: int) -> bool:
    """Whether a message is taken for the example's job: by a key that both have, or since each of
    the two does less after the other.
    """
    for effect in draft.values.get("effects", []):
        if "key_arg" in effect and _share_keys(effect["name"], reference, [job]):
            return True
    orders = reference.orders.get(job)
    if orders is None or len(orders.done) < len((orders.own_first, orders.other_first)):
        return True
    skips_other = is_skipped(orders.own_first, reference, job, OWN)
    return skips_other and is_skipped(orders.other_first, reference, OWN, job)


def _share_keys(effect: str, reference: Reference, jobs: list[int]) -> bool:
    key = itemgetter("key")
    others = set[Any]()
    for job in jobs:
        others.update(map(key, reference.jobs[job].performed(effect)))
    return not others.isdisjoint(map(key, reference.calls(effect)))


def _is_left_out(proof: Proof, name: str) -> bool:
    for tried in proof.tried:
        history = tried.history
        if tried.schedule.faults and any(run.died for run in history.runs):
            done = [event for event in history.events if event.kind == "performed"]
            return not any(event["effect"] == name for event in done)
    return False


def _is_done_again(draft: Draft, name: str, prove: Callable[[str], Proof]) -> bool:
    """Whether an error after it, which the job is tried again for, makes it take place twice."""
    failures: dict[str, Any] = draft.values.get("failures", {})
    for listed in failures.get("transient", ()):
        error, homes = listed, [name]
        if isinstance(listed, dict):
            error, homes = listed["type"], listed.get("effects", homes)
        if name in homes:
            proof = prove(f"raise={error}@after:{name}#1")
            return any(len(history.performed(name)) > 1 for history in proof.histories)
    return False


def _find_effect(error: str, effects: list[dict[str, Any]]) -> dict[str, Any] | None:
    home = error.partition(":")[0]
    for effect in effects:
        if effect["call"].partition(":")[0] == home:
            return effect
    return None


def _find(failures: dict[str, Any], error: str) -> int:
    """Its place among the permanent ones; -1 where a test has shown that it passes."""
    for number, listed in enumerate(failures["permanent"]):
        if listed == error or (isinstance(listed, dict) and listed["type"] == error):
            return number
    return -1


def _is_tried_again(proof: Proof) -> bool:
    """Whether the job came to its handler a second time, without a death in between."""
    return any(tried.schedule.faults and len(tried.history.runs) > 1 for tried in proof.tried)
