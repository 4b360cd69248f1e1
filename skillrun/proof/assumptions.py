"""What a verdict takes for granted: said with it each time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from skillrun.probe.values import shorten_text
from skillrun.proof.before_call import find_uncommitted
from skillrun.proof.blocked import PATIENCE_S, can_see
from skillrun.proof.families.messages import NOT_VARIED
from skillrun.proof.judges.registry import compares_with_server_clock
from skillrun.proof.judges.scratch_files import is_named_aside
from skillrun.proof.judges.uncommitted import is_visible_early
from skillrun.proof.judges.varied import count_reached
from skillrun.proof.store_watch import is_kept_by_library
from skillrun.proof.ticks import is_published_by_clock
from skillrun.proof.varied import ENOUGH, VARIED
from skillrun.proof.world import find_changed

if TYPE_CHECKING:
    from skillrun.contract.job import Effect
    from skillrun.proof.history import Delivery, Event
    from skillrun.proof.result import Proof, Target

SEEN_ALONE = "that its keys differ was seen in the examples alone"
_ADDS = frozenset(
    (
        "incr",
        "incrby",
        "incrbyfloat",
        "decr",
        "decrby",
        "hincrby",
        "hincrbyfloat",
        "zincrby",
        "append",
        "lpush",
        "rpush",
        "xadd",
    )
)

# What scripts write, their names do not say.
_SCRIPTS = ("eval", "evalsha", "fcall")


def assumptions(proof: Proof, target: Target) -> list[str]:
    """Sentences for people, the job's own first."""
    return [
        *(words for effect in target.spec.effects or () for words in _effect(effect)),
        *_other_examples(proof),
        *_never_reached(proof),
        *_second_job(proof, target),
        *_unsent(target),
        *_alone_in_queue(proof, target),
        *_before_commit(proof),
        *_library(proof, target),
        *_last_death(proof, target),
        *_volatile(proof),
        *_lives_on(proof, target),
        *_added(proof, target),
        *_aside(proof),
        *_list_scratch_files(proof),
        *_say_server_clock(proof),
        *_left_aside(target),
        *_varied(proof),
        *_machine(proof, target),
    ]


def _other_examples(proof: Proof) -> Iterator[str]:
    """Which further examples have a proof of their own, and for which effects."""
    for part in proof.parts[1:]:
        if part.reference is None or not part.tried:
            continue
        reached = {str(call["effect"]) for call in part.reference.once.performed()}
        yield (
            f"payload.examples[{part.tried[0].schedule.example}], which comes to"
            f" {', '.join(sorted(reached))}, was proved as a job of its own"
        )


def _second_job(proof: Proof, target: Target) -> Iterator[str]:
    """Where the second, distinct job comes from, if no example gave one."""
    enqueue = target.spec.enqueue
    if proof.reference is None or proof.reference.second is None or enqueue is None:
        return
    changed = []
    for name, value in proof.reference.second.arguments.items():
        if value != enqueue.args.get(name):
            changed.append(f"{name}={shorten_text(repr(value))}")
    given = ", ".join(changed) or "the same arguments"
    yield (
        f"the second, distinct job is the one that {enqueue.call} publishes when it is called once"
        f" more, with {given}"
    )


def _effect(effect: Effect) -> Iterator[str]:
    guarantee = effect.promise
    if guarantee == "keyed" and effect.key_arg:
        window = f"for {duration(effect.window)}" if effect.window else "for ever"
        yield (
            f"the receiver of {effect.name} drops a second call with the same {effect.key_arg}"
            f" {window}"
        )
    if effect.mode == "pass_through":
        yield f"{effect.name} really ran: what it does is judged by the state that it leaves"
    elif guarantee == "transactional":
        yield f"{effect.name} is undone together with the transaction in which it is called"
    if effect.mode == "stand_in":
        yield (
            f"{effect.name} was not really called: a stand-in took the call at its owner, with the"
            " same signature"
        )
    if effect.reason:
        yield f"{effect.name} is declared {guarantee}: {effect.reason}"


def _alone_in_queue(proof: Proof, target: Target) -> Iterator[str]:
    facts = proof.facts
    if facts.ticks or facts.is_called or is_published_by_clock(target.spec):
        return
    if "queued-together" not in proof.plan.skipped:
        return
    yield (
        "each job was published while no other one waited: that two distinct jobs share a lock or"
        " an id in the queue, so that the second one is dropped, was not tried"
    )


def _before_commit(proof: Proof) -> Iterator[str]:
    """Why a publish before the commit of the application's call could not be seen to matter."""
    reference = proof.reference
    if reference is None or is_visible_early(reference):
        return
    for tried in proof.tried:
        made = [one for one in tried.history.deliveries if one.op == "call"]
        if tried.schedule.family != "before-commit" or not made:
            continue
        if find_uncommitted(made[0].all("at")) is not None:
            yield (
                "the application's call publishes the job within an open transaction and changes"
                " nothing here that the handler reads, so that a publish before its commit cannot be"
                " seen: let proof.setup leave the row as it is before the call"
            )
            return


def _say_server_clock(proof: Proof) -> Iterator[str]:
    """That no time passes for a database server, where a statement goes by its time."""
    for tried in proof.tried:
        for event in tried.history.events:
            if event.kind == "at" and compares_with_server_clock(event):
                where = f" ({event.place[0]}:{event.place[1]})" if event.place else ""
                yield (
                    "a statement compares with the time of the database server, which stands"
                    f" still here{where}: what is too old, or due, by it was not tried"
                )
                return


def _never_reached(proof: Proof) -> Iterator[str]:
    """Effects whose real call was made to a receiver that is away, and did not come to any."""
    away = [tried.history for tried in proof.tried if tried.schedule.family == "receiver-away"]
    reached, asked = set[str](), set[str]()
    for history in away:
        for event in history.all("fault"):
            asked.add(str(event["at"]).partition(":")[2].rpartition("#")[0])
        for event in history.all("away"):
            reached.add(str(event["name"]).rpartition("#")[0])
    names = ", ".join(sorted(asked - reached))
    if names:
        yield (
            f"the real call of {names} connects to nothing under proof.env: what its adapter makes of"
            " a receiver that is away was not tried"
        )


def _unsent(target: Target) -> Iterator[str]:
    failures = target.spec.failures
    for error in failures.transient if failures else ():
        if error.unsent:
            yield f"{error.type} comes only where nothing was sent, as the spec says"


def _library(proof: Proof, target: Target) -> Iterator[str]:
    facts = proof.facts
    if target.driver is None:
        yield (
            "the handler runs as a plain callable: the next tick runs it again, and nothing else"
            " does"
        )
    if facts.begun:
        yield f"the worker was begun by `{facts.begun}`, up to where it waits for jobs"
    if facts.on_kill:
        yield f"after a death: {facts.on_kill}"
    tried_each_time = any(tried.schedule.dies_each_time for tried in proof.tried)
    if facts.bounded_kills is False and not tried_each_time:
        yield (
            "nothing bounds crash loops: a message that kills every worker that takes it comes back"
            " for ever"
        )
    if facts.lossy:
        yield (
            f"{facts.library or 'the library'} loses a job whose process dies: that is said"
            " and not blamed"
        )
    worker = target.spec.worker
    if worker is not None and worker.death == "loses":
        yield f"a job that is lost with its worker is accepted: {worker.reason}"
    if facts.acks_late is False:
        yield "the message is acknowledged before the handler runs"


def _last_death(proof: Proof, target: Target) -> Iterator[str]:
    """A death in the last attempt, where the library keeps the job and the declared place does not
    have it.
    """
    letter = target.spec.dead_letter
    if letter is None or letter.kind != "table" or proof.reference is None:
        return
    histories = proof.histories
    if any(h.schedule.has_crash and h.kept and h.dead_letters == 0 for h in histories):
        library = proof.facts.library or "the library"
        yield (
            f"a job whose process dies in its last attempt is kept by {library} alone, not in"
            f" {letter.where}"
        )


def _volatile(proof: Proof) -> Iterator[str]:
    for name in sorted(proof.reference.volatile if proof.reference else ()):
        yield f"proof.state.{name} differs from run to run and was not compared"


def _lives_on(proof: Proof, target: Target) -> Iterator[str]:
    """What ends with each process of the proof, and not with each delivery of a worker."""
    if target.driver is None:
        yield (
            "each run had a process of its own: what a variable remembers from one to the next was"
            " not tried"
        )
    elif proof.facts.same_process:
        yield (
            "a failed attempt leaves no transaction and no lock open in a connection of a worker"
            " that lives on"
        )


def _added(proof: Proof, target: Target) -> Iterator[str]:
    """Redis is no state: a counter that a second delivery adds to is not seen."""
    runs = proof.reference.once.runs if proof.reference else ()
    added = set()
    for call in _find_redis_calls(runs):
        for word in _list_commands(call):
            verb, _, key = word.partition(" ")
            if verb.lower() in _ADDS:
                added.add(key)
    names = sorted(added | _unexplained(proof, target))
    if names:
        yield (
            "what it adds to in Redis was not compared, and a second delivery may add again:"
            f" {', '.join(names[:3])}"
        )


def _find_redis_calls(deliveries: Iterable[Delivery]) -> Iterator[Event]:
    for delivery in deliveries:
        for event in delivery.all("at"):
            if event["kind"] == "redis":
                yield event


def _list_commands(call: Event) -> tuple[str, ...]:
    """A call's own command, and those of a pipeline: "VERB key" each."""
    return (f"{call['verb']} {call['key']}", *(call["commands"] or ()))


def _unexplained(proof: Proof, target: Target) -> set[str]:
    """Keys that the server has otherwise afterwards, and that no command of a client is known to
    have written: a raw socket, a script, the second key of a command.
    """
    histories = proof.histories
    known = set()
    for history in histories:
        for call in _find_redis_calls(history.deliveries):
            if call["verb"] not in _SCRIPTS:
                known |= {word.partition(" ")[2] for word in _list_commands(call)}
    unexplained = set()
    for change in find_changed(histories):
        if change.kind != "key" or change.what == "dropped":
            continue
        is_explained = shorten_text(change.name.removeprefix("db0:")) in known
        if not is_explained and not is_kept_by_library(change, target.driver):
            unexplained.add(change.name)
    return unexplained


def _aside(proof: Proof) -> Iterator[str]:
    """What the repository's own databases hold was not read, and they were not written."""
    for name in sorted(
        {str(event["name"]) for event in _notes(proof) if event["what"] == "database-aside"}
    ):
        yield f"{name} was not opened: {{scratch}}/{name} stood in for it"


def _list_scratch_files(proof: Proof) -> Iterator[str]:
    """What was written into the scratch was held against the single run, as the state is."""
    reference = proof.reference
    if reference is None:
        return
    names = []
    for name in sorted(reference.once.files):
        if not is_named_aside(name, reference):
            names.append(name)
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{{scratch}}/{names[0]}{more}: a file that holds at the end what a single run leaves"


def _left_aside(target: Target) -> Iterator[str]:
    """What the spec itself takes out of the comparison."""
    asked = target.spec.proof
    if asked is None:
        return
    if asked.values:
        yield f"proof.values: {', '.join(asked.values)}: as the spec says it, not as the code does"
    if asked.not_state:
        tables = ", ".join(asked.not_state)
        yield f"proof.not_state: {tables}: said to coordinate only, and not compared"
    if asked.not_rivals:
        rivals = ", ".join(asked.not_rivals)
        yield f"proof.not_rivals: {rivals}: said to be committed by nobody, and not tried"
    if asked.scratch_files:
        files = ", ".join(asked.scratch_files)
        yield f"proof.scratch_files: {files}: said to coordinate only, and not compared"


def _notes(proof: Proof) -> Iterator[Event]:
    """What deliveries said about how they went, and not about the job."""
    for tried in proof.tried:
        for run in tried.history.runs:
            yield from run.all("note")


def _lacks_gate(proof: Proof) -> bool:
    """Whether a delivery was without the kernel's questions, though others of this machine have
    them.
    """
    return any(event["what"] == "no-gate" for event in _notes(proof))


def _varied(proof: Proof) -> Iterator[str]:
    """How many of the payloads with other key fields came to each effect; where they are many,
    nothing need be said.
    """
    if proof.reference is None:
        return
    if proof.varied is None:
        if proof.plan.skipped.get("varied") == NOT_VARIED:
            yield f"only 0 payloads with other key fields could be derived: {SEEN_ALONE}"
        return
    history = proof.varied.history
    count = sum(run.job >= VARIED for run in history.runs)
    for effect, number in count_reached(history, proof.reference).items():
        said = f"{number or 'none'} of {count} payloads with other key fields reached {effect}"
        if number == 0:
            yield f"{said}: {SEEN_ALONE}"
        elif number < ENOUGH:
            yield f"only {said}: that its keys differ was hardly tried"


def _machine(proof: Proof, target: Target) -> Iterator[str]:
    yield "records of level INFO and above are written, as the application's logging sends them"
    yield "time is virtual in the handler: nothing sleeps"
    services: tuple[Any, ...] = target.spec.proof.services if target.spec.proof else ()
    if services:
        yield (
            f"the clock of {' and '.join(services)} is moved on where the server can be told, else"
            " it is its own"
        )
    for words in proof.walls.missing:
        yield f"this machine gave the proof {words}"
    is_open = proof.facts.has_gate is False or _lacks_gate(proof)
    if is_open and not proof.walls.has_network:
        yield (
            "this kernel asks about no connection (seccomp): of those that C code makes, only open"
            " ones are seen"
        )
    if not can_see():
        yield (
            f"this machine does not tell what a process waits for: silence for {PATIENCE_S:g} s"
            " counts as blocked"
        )


def duration(seconds: float) -> str:
    """`24 h`, `7 d`, `90 s`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0 and not (unit == "d" and seconds < 2 * size):
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
