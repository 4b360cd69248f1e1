"""What the repository's tests showed of a job, written into its draft: the tests are
the fixtures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from skillrun.proof.fixtures.seen import is_unsaid
from skillrun.proof.judges.unpromised import UNKEYED
from skillrun.repo.places import is_test
from skillrun.skills.job_worker.drafting.making_errors import find_making, has_own_beginning
from skillrun.skills.job_worker.drafting.messages import describe_value, name_call
from skillrun.skills.job_worker.drafting.moving import DATABASE, Mover, is_in_memory
from skillrun.skills.job_worker.drafting.rows_seen import (
    ask_for_all,
    find_dead_letters,
    find_store,
    list_told,
    write_state,
)
from skillrun.skills.job_worker.drafting.second_jobs import find_second_jobs
from skillrun.skills.job_worker.drafting.stand_ins import find_effect_of
from skillrun.skills.job_worker.overview.memories import is_dead_letter
from skillrun.skills.job_worker.overview.seams import KEYED
from skillrun.skills.job_worker.scaffold.proof_draft import BLANK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from skillrun.proof.fixtures.seen import CallSeen, DeliverySeen, SeenInTests, Table
    from skillrun.repo.python import Project
    from skillrun.skills.job_worker.drafting.draft import Draft

# Where a receiver takes a key under a name that says less. Taken for one it is asked for more: an
# effect without a key may take place again, with whatever it was given.
_MAY_BE_KEY = re.compile(r"(?:^|_)(?:key|token|ref|reference|txn|nonce|id)$", re.IGNORECASE)
_INNER_KEY = "it gives its receiver a key that it makes itself"
_SETTINGS = "proof_settings"
_SCRATCH = "SKILLRUN_SCRATCH"  # in the place of {scratch}, while braces are looked for
_MOVED = (
    "db = dict(ENGINE='django.db.backends.sqlite3', NAME='{scratch}/app.db')",
    "DATABASES = dict(DATABASES, default=db)",
)
_MAILS_IN_MEMORY = "django.core.mail.backends.locmem"
# What a shell, or the spec's own places, would take for something else.
_UNQUOTABLE = re.compile(r"[\"$`\\\\{}\n]")
_UNASKED = ("TZ", "PYTHONPATH", "PYTHONHASHSEED", "TMPDIR")
_OF_COVERAGE = "COV_CORE_"  # of the process that is measured
# What a test raises in the place of just anything, and what its own checks raise.
_OF_ANY_BUG = frozenset({"Exception", "RuntimeError", "AssertionError", "NotImplementedError"})
_RETRY = re.compile(r"(?:^|[.:])Retry")
_OWN_TRIES = 3
_REDIS_IN_MEMORY = "fakeredis"
_TWO_JOBS = 2
ONE_JOB = "payload: one job alone is known: what two distinct jobs do to each other was not tried"


@dataclass(frozen=True)
class _Example:
    """The delivery that the draft's first example is, and another job beside it where there is
    one.
    """

    first: DeliverySeen
    others: tuple[DeliverySeen, ...]

    @property
    def does_something(self) -> bool:
        """Whether it did what can be seen."""
        return bool(self.first.list_changed() or self.first.calls)


def add_observed(
    draft: Draft,
    seen: SeenInTests,
    project: Project,
    needed: Iterable[str] = (),
    *,
    guesses: bool = True,
    without: Collection[str] = (),
) -> str | None:
    """Writes what was seen into the draft; the rows as SQL, None where no database was seen.

    `needed`: the arguments without which the handler cannot be called.
    `guesses`: an effect without a key gets the weakest guarantee; else that stays a decision.
    `without`: tests whose messages are no example.
    """
    needed = drop_handed_in(draft, seen, needed)
    example = choose_example(seen, needed, without)
    if example is None:
        reason = seen.problem or _explain_no_example(seen)
        draft.guesses.append(f"payload, setup, state: read from the code alone: {reason}")
        settle_guarantees(draft, guesses=guesses)
        return None
    draft.example_test = example.first.test
    another = choose_example(seen, needed, (*without, draft.example_test))
    draft.has_other_examples = another is not None
    done = (example.first, *example.others)
    if seen.needs_redis:
        _add_redis(draft, "the tests look for one on this machine")
    elif project.tree.search(_REDIS_IN_MEMORY, ".py"):
        _add_redis(draft, "the tests put one in memory in its place")
    _add_payload(draft, example, tuple(needed))
    if len(draft.values["payload"]["examples"]) < _TWO_JOBS:
        draft.guesses.append(ONE_JOB)
    if not seen.tests[example.first.test].passed:
        draft.guesses.append(f"payload: from {example.first.test}, which fails")
    _say_whence(draft, example.first, is_idle=not example.does_something)
    _add_effects(draft, done, project)
    settle_guarantees(draft, guesses=guesses)
    _add_errors(draft, seen, project)
    store = find_store(done)
    _add_values(draft, example.first, Mover(store))
    script = _add_store(draft, example, seen, store)
    if guesses:
        first = draft.values["payload"]["examples"][0]
        draft.second_jobs = find_second_jobs(first, _find_tables(example, store))
    return script


def drop_handed_in(draft: Draft, seen: SeenInTests, needed: Iterable[str]) -> tuple[str, ...]:
    """The needed arguments without those that a decorator of the application hands in: the tests
    deliver the job without them, and it comes to its end. They leave the draft's message, too.
    """
    needed = tuple(needed)
    done = []
    for one in seen.deliveries:
        # One that shows none of them was not understood.
        is_shown = any(name in one.arguments for name in needed)
        if is_shown and _is_undisturbed(one, seen) and not one.through:
            done.append(one)
    handed_in = []
    for name in needed:
        if done and not any(name in delivery.arguments for delivery in done):
            handed_in.append(name)
    payload = draft.values.get("payload")
    if payload is not None and handed_in:
        kept = {key: value for key, value in payload["properties"].items() if key not in handed_in}
        required = [name for name in payload["required"] if name not in handed_in]
        draft.values["payload"] = {**payload, "required": required, "properties": kept}
    return tuple(name for name in needed if name not in handed_in)


def _say_whence(draft: Draft, first: DeliverySeen, *, is_idle: bool) -> None:
    """What is to be known of an example that no test simply delivers."""
    if first.works_on:
        said = f"payload: no test calls the job: the rows are those that {first.test} leaves"
        draft.guesses.append(f"{said}, and the message leads to one of them")
    elif is_idle:
        said = f"payload: from {first.test}, where nothing that the job does was seen"
        draft.guesses.append(said)
    if first.through:
        said = f"payload: as the tests call {first.through}"
        draft.guesses.append(f"{said}, to which the handler gives its arguments")


def _explain_no_example(seen: SeenInTests) -> str:
    for delivery in seen.deliveries:
        for name, value in delivery.arguments.items():
            if _is_undisturbed(delivery, seen) and is_unsaid(value):
                return f"the tests give {name} as an object, which no JSON says"
    return "no test lets the handler come to its end undisturbed"


def _find_tables(example: _Example, store: str | None) -> Mapping[str, Table]:
    for one in example.first.before:
        if one.name == store:
            return one.tables
    return {}


def choose_example(
    seen: SeenInTests, needed: Iterable[str], without: Collection[str] = ()
) -> _Example | None:
    """The first delivery of its job, with as many effects as any; best where its test delivers a
    second job beside it. What came to its end and did nothing that can be seen comes after all.
    `without`: tests that show none.
    """
    needed = tuple(needed)
    by_test: dict[str, list[DeliverySeen]] = {}
    begun = set[tuple[str, str]]()
    direct = {delivery.test for delivery in seen.deliveries if not delivery.through}
    for delivery in seen.deliveries:
        if delivery.through and delivery.test in direct:
            # Before or after the job itself, the test has called a part of it alone.
            continue
        # What came before may have left half of the work done.
        job = (delivery.test, _name_job(delivery.arguments, needed))
        is_message = _holds_all(delivery.arguments, needed)
        if job not in begun and is_message and _is_undisturbed(delivery, seen):
            by_test.setdefault(delivery.test, []).append(delivery)
        begun.add(job)
    found = []
    for test, (first, *others) in by_test.items():
        if test not in without:
            found.append(_Example(first, tuple(others[:1])))
    return max(found, key=lambda one: _rank(one, seen), default=None)


def _name_job(arguments: Mapping[str, Any], needed: tuple[str, ...]) -> str:
    """Which job a delivery is of, by what its message must say: what else it is handed, such as a
    worker's context, is another one for each delivery of a job.
    """
    if needed and all(name in arguments for name in needed):
        return repr([arguments[name] for name in needed])
    return repr(arguments)


def _holds_all(arguments: Mapping[str, Any], needed: Iterable[str]) -> bool:
    """Whether a message could have said each of the needed arguments."""
    return all(name in arguments and not is_unsaid(arguments[name]) for name in needed)


def _rank(example: _Example, seen: SeenInTests) -> tuple[bool, bool, int, int, int]:
    """A test that fails may fail because of the job: what it delivers is better than nothing. One
    that changes settings shows how the job is when they are not as usual.
    """
    first = example.first
    calls = {call.path for call in first.calls}
    passed = seen.tests[first.test].passed
    is_usual = -len(first.settings)
    return example.does_something, passed, len(calls), is_usual, len(example.others)


def _is_undisturbed(delivery: DeliverySeen, seen: SeenInTests) -> bool:
    """It ended well, nothing refused it on the way, and it was not given up."""
    for _, table in delivery.list_changed():
        if is_dead_letter(table):
            return False
    is_good = delivery.test in seen.tests and delivery.is_ended and delivery.raised is None
    is_refused = any(call.raised is not None for call in delivery.calls)
    return is_good and not is_refused


def _add_payload(draft: Draft, example: _Example, needed: tuple[str, ...]) -> None:
    known = draft.values.get("payload", {}).get("properties", {})
    if known:
        # Callers may show less than the signature asks for.
        known = {**dict.fromkeys(needed), **known}
    first = _take_message(draft, example.first.arguments, known)
    if first is None:
        return
    examples = [first]
    for other in example.others:
        message = _take_message(draft, other.arguments, known)
        if message is None or message == first:
            continue
        if message.keys() == first.keys():
            examples.append(message)
    properties = {}
    for name, value in first.items():
        properties[name] = {"type": describe_value(value)}
    payload = {"type": "object", "required": list(first), "properties": properties}
    draft.values["payload"] = {**payload, "examples": examples}
    if not example.first.works_on:
        draft.seen["payload.examples"] = f"delivered by {example.first.test}"
    draft.drop("payload")


def _take_message(
    draft: Draft, arguments: Mapping[str, Any], known: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The message of a delivery: its arguments, or the one mapping that it was handed."""
    plain = {}
    whole = []
    for name, value in arguments.items():
        if is_unsaid(value):
            continue
        plain[name] = value
        if isinstance(value, dict):
            whole.append(value)
    if len(plain) == 1 and len(whole) == 1 and next(iter(plain)) not in known:
        draft.values["message"] = "payload"
        return whole[0]
    if known and known.keys() <= plain.keys():
        plain = {name: plain[name] for name in known}
    if draft.values.get("message") != "args":
        draft.values["message"] = "kwargs"
    return plain


# -- effects


def _add_effects(draft: Draft, done: tuple[DeliverySeen, ...], project: Project) -> None:
    effects: list[dict[str, Any]] = draft.values.get("effects", [])
    found: dict[str, list[CallSeen]] = {}  # import path of an effect -> its calls
    names: dict[str, str] = {}  # what was called -> the effect that it is
    for delivery in done:
        for call in _drop_makers(delivery.calls):
            drafted = _list_calls(effects)
            path = find_effect_of(project, call, drafted)
            if path is None:
                continue
            if path not in drafted:
                effects.append({"name": name_call(path), "call": path})
            found.setdefault(path, []).append(call)
            names[call.path] = path
            draft.told.setdefault(path, f"{delivery.test} calls it")
    if effects:
        draft.drop("effects:")
    _open_replaced(draft, done[0].test, effects, project)
    effects, dropped = _keep_narrowest(effects, found, names, project)
    for path in dropped & draft.within.keys():
        # What leaves the process within it still has to be declared.
        if not any(_made_within(path, calls) for calls in found.values()):
            within = draft.within[path]
            effects.append({"name": name_call(within), "call": within})
            found[draft.within[path]] = []
    fields = tuple(draft.values.get("payload", {}).get("properties", ()))
    if found.keys() & set(_list_calls(effects)):
        effects = _drop_unreached(draft, effects, found)
    for effect in effects:
        for call in found.get(effect["call"], ()):
            _describe_effect(draft, effect, call, fields)
    if effects:
        draft.values["effects"] = effects


def _list_calls(effects: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(effect["call"] for effect in effects)


def _open_replaced(
    draft: Draft, test: str, effects: list[dict[str, Any]], project: Project
) -> None:
    """Adds the ways out of what a test has replaced and the proof runs as it is."""
    for (path, by), why in draft.opened.items():
        if by != test:
            continue
        draft.guesses.append(
            f"effects: {path} runs as it is, although {test} replaces it: it {why}"
        )
        seams = draft.edges.find_seams_within(path) if draft.edges is not None else ()
        for seam in seams:
            effect = draft.write_effect(seam, project)
            if effect["call"] not in _list_calls(effects):
                effects.append(effect)
                draft.told[effect["call"]] = f"{seam.place.path}:{seam.place.line}"
            draft.untried.add(effect["call"])


def _drop_unreached(
    draft: Draft, effects: list[dict[str, Any]], found: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Without those that the draft's example does not come to: a proof compares what
    one run did.
    """
    kept = []
    for effect in effects:
        if effect["call"] in found or effect["call"] in draft.untried:
            kept.append(effect)
        else:
            draft.guesses.append(f"effects: {effect['call']} is left out: no test reaches it")
    return kept


def _keep_narrowest(
    effects: list[dict[str, Any]],
    found: Mapping[str, list[CallSeen]],
    names: Mapping[str, str],
    project: Project,
) -> tuple[list[dict[str, Any]], set[str]]:
    """(those that are kept, those that are not). Of two effects, one within the other, one is
    meant.

    A stand-in for the outer one would leave out the rows that it writes, and the application's own
    adapter within it. Where the inner one is a library's call and the outer one writes nothing, the
    outer one is the adapter.
    """
    dropped = set[str | None]()
    writing = set[str | None]()  # the application's own code, that ran and wrote rows
    for path, calls in found.items():
        if any(call.wrote for call in calls):
            writing.add(path)
    for path, calls in found.items():
        for call in calls:
            outer = set(map(names.get, call.inside)) - {path, None}
            is_ours = project.definition(path.replace(":", ".")) is not None
            if outer and not is_ours and not outer & writing:
                dropped.add(path)
            else:
                dropped |= outer
    dropped |= writing
    kept = [effect for effect in effects if effect["call"] not in dropped]
    return kept, {path for path in dropped if path is not None}


def _made_within(path: str, calls: Iterable[CallSeen]) -> bool:
    return any(path in call.inside for call in calls)


def _drop_makers(calls: Iterable[CallSeen]) -> list[CallSeen]:
    """Without the calls that hand out an object which stands for the outside world: what is called
    of it is the effect.
    """
    calls = tuple(calls)
    owners = {call.path.rpartition(":")[2].rpartition(".")[0] for call in calls}
    kept = []
    for call in calls:
        made = ""
        if isinstance(call.returned, dict):
            made = call.returned.get("?", "")
        if not made or made.rpartition(":")[2] not in owners:
            kept.append(call)
    return kept


def _describe_effect(
    draft: Draft, effect: dict[str, Any], call: CallSeen, fields: Iterable[str]
) -> None:
    if "returns" not in effect and not is_unsaid(call.returned) and call.returned is not None:
        effect["returns"] = call.returned
    if "key_arg" in effect:
        return
    key = _find_key(call, fields)
    if key is not None:
        effect["key_arg"] = key
        if not KEYED.search(key):
            draft.doubtful_keys.add(effect["name"])


def _find_key(call: CallSeen, fields: Iterable[str]) -> str | None:
    """`fields` of the message: what is handed on as it came is the call's subject."""
    for name, value in call.arguments.items():
        if KEYED.search(name) and isinstance(value, str) and name not in fields:
            return name
    # Of what an argument holds, such as the headers of a request or the fields of a letter, a name
    # that says less is the name of anything.
    for path in call.within:
        if KEYED.search(path.rpartition(".")[2]):
            return path
    for name, value in call.arguments.items():
        if _MAY_BE_KEY.search(name) and isinstance(value, str) and name not in fields:
            return name
    return None


def settle_guarantees(draft: Draft, *, guesses: bool) -> None:
    """Gives each effect that has none the weakest guarantee that it may have, and says that this is
    a guess; without `guesses` that stays a decision. Takes back what reading alone said of it.
    """
    draft.drop_of_effects()
    for effect in draft.values.get("effects", []):
        if "guarantee" not in effect:
            _settle_guarantee(draft, effect, guesses)


def _settle_guarantee(draft: Draft, effect: dict[str, Any], guesses: bool) -> None:
    name = effect["name"]
    if "key_arg" not in effect and not guesses:
        said = f"{name}: it takes no key: at_least_once or at_most_once, with a reason"
        draft.decisions.append(f"effects: {said}")
        return
    if "key_arg" in effect:
        effect["guarantee"] = "keyed"
        said = (
            f"{name}: keyed by {effect['key_arg']}; whether its receiver looks at it was not read"
        )
    elif effect["call"] in draft.inner_keys:
        effect["guarantee"] = "at_least_once"
        effect["reason"] = _INNER_KEY
        said = f"{name}: it makes its key itself, and two of its calls were not compared by that"
    else:
        effect["guarantee"] = "at_least_once"
        effect["reason"] = UNKEYED
        said = f"{name}: at_least_once: it takes no key"
    draft.guesses.append(f"effects: {said}")


# -- errors


def _add_errors(draft: Draft, seen: SeenInTests, project: Project) -> None:
    """What the tests show of an error counts more than what the code seems to say."""
    failures = draft.values.get("failures")
    if failures is None:
        return
    seen = _drop_inner_calls(seen, set(_list_calls(draft.values.get("effects", []))))
    transient = _list_tried_again(seen)
    for error in sorted(transient):
        failures["permanent"] = [one for one in failures["permanent"] if one != error]
        if error not in failures["transient"]:
            failures["transient"] = [*failures["transient"], error]
    known = {*failures["transient"], *failures["permanent"]}
    draft.raised_by = _find_raisers(draft, seen, project)
    raised = [error for error in draft.raised_by if error not in known]
    failures["permanent"] = [*failures["permanent"], *raised]
    # Of these nothing says whether they pass: a run of the job does.
    draft.unsure = (*draft.unsure, *raised)
    known.update(raised)
    given_up = _list_given_up(seen)
    draft.unsure = tuple(one for one in draft.unsure if one not in transient | given_up)
    failures["permanent"] = [*failures["permanent"], *sorted(given_up - known)]
    arguments = _find_arguments(seen, project)
    for name in ("transient", "permanent"):
        written = []
        for error in failures[name]:
            written.append(_write_error(draft, error, arguments, project))
        failures[name] = written


def _find_raisers(draft: Draft, seen: SeenInTests, project: Project) -> dict[str, str]:
    """Error -> the import path of the effect that tests have raise it; without those that only a
    test knows.
    """
    effects = draft.list_calls()
    found: dict[str, str] = {}
    for delivery in seen.deliveries:
        for call in delivery.calls:
            name = _spell_error(call.raised or "")
            if not name or name in _OF_ANY_BUG or _is_of_tests(name, project):
                continue
            path = find_effect_of(project, call, effects)
            if path in effects:
                found.setdefault(name, path)
    return found


def _is_of_tests(error: str, project: Project) -> bool:
    """Whether a test file defines it. "test_send:Refused": pytest imports some from
    their folder.
    """
    module, _, name = error.partition(":")
    if not name:
        return False
    for path in project.tree.search(name, ".py"):
        stem = f"/{path}".removesuffix(".py")
        if is_test(path) and stem.endswith("/" + module.replace(".", "/")):
            return True
    return False


def _spell_error(path: str) -> str:
    """As a spec names it: "builtins:KeyError" is KeyError."""
    return path.removeprefix("builtins:")


def _drop_inner_calls(seen: SeenInTests, effects: set[str]) -> SeenInTests:
    """Without the calls that an effect makes itself: what they raise comes out of it as something
    else, or not at all.
    """
    deliveries = []
    for delivery in seen.deliveries:
        outer = [call for call in delivery.calls if not effects & set(call.inside)]
        deliveries.append(replace(delivery, calls=tuple(outer)))
    return replace(seen, deliveries=tuple(deliveries))


def _find_arguments(seen: SeenInTests, project: Project) -> dict[str, list[Any]]:
    """With what the tests make an error: one may not be made without. What one holds that has its
    own `__init__` is what that has made of its arguments.
    """
    found: dict[str, list[Any]] = {}
    for delivery in seen.deliveries:
        for call in delivery.calls:
            given = list(call.error_args)
            if call.raised is None or not given or is_unsaid(given):
                continue
            if not has_own_beginning(project, call.raised):
                found.setdefault(_spell_error(call.raised), given)
    return found


def _write_error(
    draft: Draft, error: Any, arguments: Mapping[str, list[Any]], project: Project
) -> Any:
    if error in arguments:
        return {"type": error, "args": arguments[error]}
    making: dict[str, Any] | None = None
    if isinstance(error, str):
        making = find_making(project, error)
    if making is None:
        return error
    given = (*making.get("args", ()), *making.get("kwargs", {}).values())
    said = ", ".join(map(str, given))
    draft.guesses.append(f"failures: {error} is made with {said}, as a place in the code makes it")
    return {"type": error, **making}


def _list_tried_again(seen: SeenInTests) -> set[str]:
    """The errors of the outside world after which the handler asks its library for another try, or
    the same job came three times and more: two deliveries may be the test's own.
    """
    counts: dict[tuple[str, str, str], int] = {}
    asked = set[str]()
    for delivery in seen.deliveries:
        for call in delivery.calls:
            if call.raised is None:
                continue
            error = _spell_error(call.raised)
            key = (delivery.test, repr(delivery.arguments), error)
            counts[key] = counts.get(key, 0) + 1
            if _RETRY.search(delivery.raised or ""):
                asked.add(error)
    return asked | {error for (_, _, error), count in counts.items() if count >= _OWN_TRIES}


def _list_given_up(seen: SeenInTests) -> set[str]:
    """The errors of the outside world after which a table of dead jobs has one more."""
    found = set[str]()
    for delivery in seen.deliveries:
        if any(is_dead_letter(table) for _, table in delivery.list_changed()):
            for call in delivery.calls:
                found.add(_spell_error(call.raised or ""))
    return found - {""}


# -- stores


def _add_redis(draft: Draft, why: str) -> None:
    """The job gets one of its own where its tests do not run without, or stand one in."""
    proof: dict[str, Any] = draft.values.setdefault("proof", {})
    proof["services"] = [*dict.fromkeys((*proof.get("services", ()), "redis"))]
    draft.guesses.append(f"proof.services: a private Redis, empty at first: {why}")


def _add_values(draft: Draft, first: DeliverySeen, mover: Mover) -> None:
    """What the test has put in the place of the configuration holds in the proof, too."""
    values: dict[str, Any] = {}
    for path, value in first.values.items():
        if not is_unsaid(value):
            values[path] = mover.move(value)
    if not values:
        return
    proof: dict[str, Any] = draft.values.setdefault("proof", {})
    proof["values"] = values
    draft.guesses.append(f"proof.values: as {first.test} has it: {', '.join(values)}")


def _add_store(draft: Draft, example: _Example, seen: SeenInTests, store: str | None) -> str | None:
    proof: dict[str, Any] = draft.values.setdefault("proof", {})
    done = (example.first, *example.others)
    _add_environ(proof, example.first, store)
    if store is None:
        settings = _keep_filled(proof.get("env", {})).get("DJANGO_SETTINGS_MODULE")
        lines = _list_settings(example.first)
        if settings is not None and lines:
            _write_settings(draft, proof, settings, lines)
        return None
    proof.pop("setup", None)
    is_there = _add_database(draft, proof, example.first, store)
    fields = draft.values.get("payload", {}).get("properties", {})
    state = write_state(done, store, fields, draft.counters)
    if example.first.works_on:
        state = ask_for_all(done, store, fields)
    elif draft.is_opened_by(example.first.test):
        # What the test has replaced may write where no delivery has.
        state = {**ask_for_all(done, store, fields, with_empty=True), **state}
    if state:
        proof["state"] = state
    if draft.counters and state != write_state(done, store, fields):
        counted = ", ".join(sorted(draft.counters))
        draft.guesses.append(f"proof.state: {counted}: only counts tries, and is not compared")
    told = list_told(done, store, state)
    if told:
        proof["not_state"] = told
        draft.guesses.append(f"proof.not_state: {', '.join(told)}: only told, and not compared")
    letters, draft.shows_dead_letters = find_dead_letters(seen, tuple(state))
    if letters is not None:
        draft.values["dead_letter"] = {"kind": "table", "where": letters}
        proof["dead_letters"] = f"select count(*) from {letters}"
        draft.drop("dead_letter")
    draft.drop("proof:")
    if not is_there:
        said = "nothing that the tests set leads to their database: its rows are left out"
        draft.guesses.append(f"proof.database: {said}")
        return None
    for one in example.first.before:
        if one.name == store:
            return one.script
    return None


def _add_environ(proof: dict[str, Any], first: DeliverySeen, store: str | None) -> None:
    """The variables that the tests set, and the folders that they had made for them."""
    env = _take_environ(first.environ)
    if env:
        moved = Mover(store).move(env)
        proof["env"] = {**_keep_filled(proof.get("env", {})), **moved}


def _add_database(draft: Draft, proof: dict[str, Any], first: DeliverySeen, store: str) -> bool:
    """Whether the job finds the tests' database in the proof."""
    mover = Mover(store)
    database = mover.find_database({**_take_environ(first.environ), **first.values})
    if database is None:
        # As reading has it, where the tests say nothing of it.
        database = mover.find_database({**proof.get("env", {}), **proof.get("values", {})})
    settings = proof.get("env", {}).get("DJANGO_SETTINGS_MODULE")
    if settings is not None and (database is None or is_in_memory(store)):
        _write_settings(draft, proof, settings, [*_MOVED, *_list_settings(first)])
        database = DATABASE
    if database is not None:
        proof["database"] = database
    return BLANK not in proof.get("database", BLANK)


def _write_settings(
    draft: Draft, proof: dict[str, Any], settings: str, changed: Iterable[str]
) -> None:
    """A module of Django's settings in the scratch, which says what the tests' own does not."""
    lines = (f"from {settings} import *", *changed)
    words = ", ".join(f'\\"{line}\\"' for line in lines)
    write = f"open('{{scratch}}/{_SETTINGS}.py', 'w').write(chr(10).join([{words}]))"
    proof["setup"] = f'python -c "{write}"'
    roots = proof["env"].get("PYTHONPATH")
    path = "{scratch}" if roots is None else f"{{scratch}}:{roots}"
    proof["env"] = {**proof["env"], "DJANGO_SETTINGS_MODULE": _SETTINGS, "PYTHONPATH": path}
    names = [line.partition(" =")[0] for line in changed if line not in _MOVED]
    said = f"proof.env: {settings} with its database moved into the scratch"
    if names:
        said += f", and as the test has it: {', '.join(names)}"
    draft.guesses.append(said)


def _list_settings(delivery: DeliverySeen) -> list[str]:
    """What a test has set for a while, and where mails go in tests, as lines of Python."""
    lines = []
    for name, value in delivery.settings.items():
        text = repr(Mover(None).move(value)).replace("{scratch}", _SCRATCH)
        if not is_unsaid(value) and not _UNQUOTABLE.search(text) and name != "DATABASES":
            lines.append(f"{name} = {text.replace(_SCRATCH, '{scratch}')}")
    if any(call.path.startswith(_MAILS_IN_MEMORY) for call in delivery.calls):
        lines.append(f"EMAIL_BACKEND = '{_MAILS_IN_MEMORY}.EmailBackend'")
    return lines


def _keep_filled(env: Mapping[str, str]) -> dict[str, str]:
    kept = dict(env)
    kept.pop(BLANK, None)
    return kept


def _take_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """What the tests set of variables that are the application's."""
    found = {}
    for name, value in environ.items():
        if name not in _UNASKED and not name.startswith(_OF_COVERAGE):
            found[name] = value
    return found
