"""A spec drafted from a handler: what its code says, where it says it, and what it cannot say."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from skillrun.contract.job import JobSpec
from skillrun.frameworks.common.reading import import_path, spell_import_path
from skillrun.proof.judges.unpromised import PROMISES
from skillrun.proof.result import DoubtfulEffect
from skillrun.repo.places import is_aside
from skillrun.repo.syntax import find_nodes
from skillrun.skills.job_worker.drafting.counters import find_counters
from skillrun.skills.job_worker.drafting.edges import EDGE, Edges, Position
from skillrun.skills.job_worker.drafting.failing import read_failing
from skillrun.skills.job_worker.drafting.messages import (
    choose_style,
    name_call,
    name_fields,
    read_message,
)
from skillrun.skills.job_worker.drafting.sending import Sender, find_sender
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.overview.handlers import list_bodies, list_calls, name_object
from skillrun.skills.job_worker.overview.memories import find_memories, is_dead_letter
from skillrun.skills.job_worker.overview.rows import find_sending_calls, list_others
from skillrun.skills.job_worker.overview.seams import KEYED, find_adapters, find_seams

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skillrun.repo.python import Definition, Project
    from skillrun.repo.uses import Place
    from skillrun.skills.job_worker.drafting.second_jobs import SecondJob
    from skillrun.skills.job_worker.overview.handlers import FoundJob
    from skillrun.skills.job_worker.overview.memories import Memory
    from skillrun.skills.job_worker.overview.rows import JobReader
    from skillrun.skills.job_worker.overview.seams import Seam

# By which SQLAlchemy, and within Meta Django, is told it.
_TABLE_NAMES = ("__tablename__", "db_table")
# As "effects.0.guarantee: send: it takes no key".
_OF_GUARANTEE = re.compile(r"effects\.\d+\.guarantee: ")


# How often a job is taken to come that a clock starts at an interval.
_GUESSED_PERIOD = "60s"
# An interval of seconds or minutes: who comes at one time of a day has other work the next time.
_INTERVAL = re.compile(r"'interval'|\bIntervalTrigger\(|\bminute='\*/|\bevery\(\d*\)\.(?:sec|min)")
_LONG_INTERVAL = re.compile(r"\b(?:hours|days|weeks)=")


@dataclass
class Draft:
    """Values of a spec, and of each dotted path the place where it was seen. `decisions`: what a
    person has to say; `guesses`: what the code does not say and the draft assumes.
    """

    values: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    decisions: list[str] = field(default_factory=list)
    guesses: list[str] = field(default_factory=list)
    # Import path of an effect -> that of the library's call within it.
    within: dict[str, str] = field(default_factory=dict)
    # Import path of an effect -> the dotted name of the library's call, as it is read.
    clients: dict[str, str] = field(default_factory=dict)
    unsure: tuple[str, ...] = ()  # errors of which nothing says whether another try helps
    # Errors that are listed as permanent, though nobody has said so.
    guessed_errors: set[str] = field(default_factory=set)
    # Error -> the import path of the effect that tests have raise it.
    raised_by: dict[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)  # import path of an effect -> who calls it
    # Names of effects whose key goes by a name that says little.
    doubtful_keys: set[str] = field(default_factory=set)
    # Calls of effects within which the key is made: no stand-in for them sees it.
    inner_keys: set[str] = field(default_factory=set)
    polled_at: str = ""  # where a clock is told to start it every few seconds or minutes
    second_jobs: tuple[SecondJob, ...] = ()  # made of the example; not among the examples yet
    shows_dead_letters: bool = False  # a test has filled the table of them
    counters: frozenset[str] = frozenset()  # what the code holds against the most tries there are
    example_test: str = ""  # which test has shown the first example
    has_other_examples: bool = False  # other tests show one, too
    edges: Edges | None = None  # None: every function may be replaced
    # (import path of what is run as it is, the test that replaces it) -> why.
    opened: dict[tuple[str, str], str] = field(default_factory=dict)
    untried: set[str] = field(default_factory=set)  # import paths of effects that no test reaches

    def list_unpromised(self) -> frozenset[str]:
        """The promises of the draft that nobody has made; what a test shows, somebody has meant."""
        if self.shows_dead_letters:
            return PROMISES - {"dead_letter"}
        return PROMISES

    def drop(self, part: str) -> None:
        """Takes back what was said of a part before more was known of it."""
        self.decisions = [one for one in self.decisions if not one.startswith(part)]
        self.guesses = [one for one in self.guesses if not one.startswith(part)]

    def drop_of_effects(self) -> None:
        """Takes back what reading alone said of the guarantee of each effect, by its number: "it
        takes no key". Those that reading knows to be keyed still are.
        """
        kept = []
        for decision in self.decisions:
            if _OF_GUARANTEE.match(decision) is None:
                kept.append(decision)
        self.decisions = kept

    def drop_blanks(self) -> None:
        """Without what a person would have to fill in: nobody is there to do so."""
        from skillrun.skills.job_worker.scaffold.proof_draft import BLANK

        proof: dict[str, Any] = self.values.get("proof", {})
        for name, value in list(proof.items()):
            if isinstance(value, dict):
                value.pop(BLANK, None)
            elif BLANK in str(value):
                del proof[name]

    def list_calls(self) -> tuple[str, ...]:
        """The import paths of its effects."""
        return tuple(effect["call"] for effect in self.values.get("effects", []))

    def is_opened_by(self, test: str) -> bool:
        """Whether something runs as it is that a test replaces."""
        return any(by == test for _, by in self.opened)

    def list_doubtful(self) -> tuple[DoubtfulEffect, ...]:
        """Those for which a stand-in may leave out what the job is for."""
        found = []
        for effect in self.values.get("effects", []):
            reading = EDGE if self.edges is None else self.edges.read(effect["call"])
            if reading.position is not Position.EDGE:
                is_work = reading.position is Position.WORK
                one = DoubtfulEffect(effect["name"], effect["call"], reading.why, is_work)
                found.append(one)
        return tuple(found)

    def write_effect(self, seam: Seam, project: Project) -> dict[str, Any]:
        """The effect that a way out is, as a spec has it, without its guarantee. Notes which
        library's call it stands for.
        """
        call = import_path(project, seam.name.replace("()", ""))
        library = _spell_library(seam)
        effect = _name_effect(call, project.definition(seam.name))
        reading = EDGE if self.edges is None else self.edges.read(call)
        if reading.position is Position.WORK and library is not None:
            # What the function does besides is the job's own, and runs in the proof as it is.
            effect = _name_effect(library, None)
        self.clients[effect["call"]] = seam.library or seam.name
        if seam.makes_key:
            self.inner_keys.add(effect["call"])
        if library is not None and library != effect["call"]:
            self.within[effect["call"]] = library
        return effect

    def add_effect(self, path: str, library: str, project: Project) -> None:
        """An effect that reading has not found, without its guarantee. `library`: the import path
        of what is called of a client within it.
        """
        effects: list[dict[str, Any]] = self.values.get("effects", [])
        effect = _name_effect(path, project.definition(path.replace(":", ".")))
        effect["name"] = _choose_name(effect["name"], path, effects)
        self.clients[path] = library
        self.values["effects"] = [*effects, effect]

    def guess_clock(self) -> None:
        """Has a clock start the job each minute, where one does at an interval and nobody has said
        which: what one tick has left undone, the next one finds.
        """
        if self.polled_at and "trigger" not in self.values:
            self.drop("trigger:")
            self.put("trigger", {"type": "poller", "every": _GUESSED_PERIOD})
            said = f"trigger: a clock starts it ({self.polled_at}), and each minute is assumed"
            self.guesses.insert(0, said)

    def name_places(self) -> None:
        """Where each effect was seen, by its number in the spec as it is now."""
        for path in [path for path in self.seen if path.startswith("effects.")]:
            del self.seen[path]
        for number, effect in enumerate(self.values.get("effects", [])):
            if effect["call"] in self.told:
                self.seen[f"effects.{number}.call"] = self.told[effect["call"]]

    def put(self, name: str, value: Any, place: Place | None = None) -> None:
        """A part, and where it was seen."""
        self.values[name] = value
        if place is not None:
            self.seen[name] = f"{place.path}:{place.line}"

    def put_sender(self, sender: Sender | None) -> None:
        """What sends the job, where somebody does."""
        if sender is not None:
            self.put("enqueue", {"call": sender.call, "args": sender.args}, sender.place)


def draft_spec(reader: JobReader, job: FoundJob) -> Draft:
    """The spec of a job, as its code has it. The strategy stays unknown: it is a decision."""
    return _Drafter(reader, job).draft()


class _Drafter:
    def __init__(self, reader: JobReader, job: FoundJob) -> None:
        from skillrun.contract.locate import bundled_skill
        from skillrun.contract.skill import load_skill
        from skillrun.skills.job_worker.skill import SKILL

        skill_file = bundled_skill(SKILL.name)
        assert skill_file is not None
        self.reader = reader
        self.project = reader.project
        self.job = job
        self.drafted = Draft()
        spec = JobSpec(version=1, job="drafted", handler=job.handler.import_path)
        self.case = JobCase(load_skill(skill_file), spec, reader.repo, reader.tree)
        others = list_others(reader.jobs, job)
        self.calls = list_calls(self.project, job, others)
        self.bodies = list_bodies(self.project, job, others)
        self.memories = find_memories(self.bodies, self.calls)
        self.edges = self.drafted.edges = make_edges(reader)

    def draft(self) -> Draft:
        self._tell_job()
        self._tell_message()
        self._tell_idempotency()
        self._tell_effects()
        self._tell_failing()
        self._tell_proof()
        self.drafted.counters = find_counters(self.bodies)
        return self.drafted

    def _tell_job(self) -> None:
        handler, drafted = self.job.handler, self.drafted
        name = handler.name.rpartition(".")[2]
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower().strip("_")
        drafted.put("job", re.sub(r"[^a-z0-9]+", "-", words))
        docstring = ast.get_docstring(handler.node)
        if docstring:
            what = docstring.partition("\n\n")[0].replace("\n", " ")
            drafted.put("intent", {"what": what})
            drafted.seen["intent.what"] = f"{handler.path}:{handler.line}"
        else:
            drafted.decisions.append("intent.what: what it does, in one sentence")
        drafted.decisions.append("intent.why_async: why it does not happen in the request")
        self._tell_trigger()
        drafted.values["handler"] = name_object(handler)
        drafted.seen["handler"] = f"{handler.path}:{handler.line}"

    def _tell_trigger(self) -> None:
        sends = self.job.real_sends
        enqueued = [send for send in sends if send.kind == "enqueue"]
        first = next(iter([*enqueued, *sends]), None)
        if enqueued or first is None:
            self.drafted.put("trigger", {"type": "event"}, first.place if first else None)
            if first is None:
                self.drafted.guesses.append("trigger: no code that sends it was found")
            return
        place = f"{first.place.path}:{first.place.line}"
        text = f"{first.how} {_read_call(self.project, first.place)}"
        if _INTERVAL.search(text) and not _LONG_INTERVAL.search(text):
            self.drafted.polled_at = place
        self.drafted.decisions.append(
            f"trigger: it is scheduled at {place}; say"
            " {type: cron, schedule: ...} or {type: poller, every: ...}"
        )

    def _tell_message(self) -> None:
        message = read_message(self.case, self.job, self.bodies)
        self.drafted.values["message"] = choose_style(self.job)
        if message is None:
            self.drafted.decisions.append("payload: the signature hides its fields")
            return
        self.drafted.put("payload", message.make_schema())
        self.drafted.seen["payload.properties"] = self.drafted.seen["handler"]
        if message.style == "payload":
            self.drafted.put("message", message.style)
        if message.seen is not None:
            self.drafted.seen["payload.examples"] = f"{message.seen.path}:{message.seen.line}"
        self.drafted.put_sender(find_sender(self.drafted.values, self.job, self.project))
        if message.guessed:
            fields = ", ".join(message.guessed)
            self.drafted.guesses.append(f"payload.examples: no caller gives literals for {fields}")

    def _tell_idempotency(self) -> None:
        self.drafted.put("idempotency", {"strategy": "unknown"})
        proposal = self._propose_strategy()
        self.drafted.seen["idempotency.strategy"] = f"a person decides; {proposal}"
        self.drafted.decisions.append(f"idempotency: {proposal}")

    def _propose_strategy(self) -> str:
        """What was observed, as the words that a person would write."""
        properties = (self.drafted.values.get("payload") or {}).get("properties", {})
        kept = [one for one in self.memories if one.is_once]
        if not kept or not properties:
            return "nothing was seen that remembers a job that is done"
        key = ", ".join(name_fields(properties))
        place = f"{kept[0].place.path}:{kept[0].place.line}"
        store = _spell_store(kept[0], self.project)
        return (
            f"proposed: {{strategy: keyed, key: [{key}], dedupe: {{store: {store}}}}}, seen at"
            f" {place}"
        )

    def _tell_effects(self) -> None:
        effects: list[dict[str, Any]] = []
        sent = find_sending_calls(self.reader.jobs)
        for seam in find_seams(self.calls, sent):
            if seam.kind == "publish":
                continue
            if _is_of_a_result(seam.name):
                said = f"effects: {seam.name}: name the method of the object that is returned there"
                self.drafted.decisions.append(said)
                continue
            effect = self.drafted.write_effect(seam, self.project)
            if effect["call"] in self.drafted.told:
                continue
            effect["name"] = _choose_name(effect["name"], effect["call"], effects)
            number = len(effects)
            self.drafted.told[effect["call"]] = f"{seam.place.path}:{seam.place.line}"
            if "guarantee" not in effect:
                said = "it takes no key: at_least_once or at_most_once, with a reason"
                if seam.is_keyed:
                    said = "it makes its key itself: keyed, with the key_arg that a receiver sees"
                self.drafted.decisions.append(
                    f"effects.{number}.guarantee: {effect['name']}: {said}"
                )
            effects.append(effect)
        effects += self._guess_effects(len(effects))
        for number, effect in enumerate(effects):
            if effect.get("guarantee") == "keyed":
                self.drafted.guesses.append(
                    f"effects.{number}.guarantee: keyed, since {effect['name']} takes"
                    f" {effect['key_arg']}; whether its receiver looks at it was not read"
                )
        if effects:
            self.drafted.put("effects", effects)
            self.drafted.name_places()
            return
        # An empty list would be a promise that nobody has made.
        self.drafted.decisions.append(
            "effects: none was read; name them, or [] where there is none"
        )

    def _guess_effects(self, number: int) -> list[dict[str, Any]]:
        """A function whose module brings the errors that are tried again, where no way out of it
        was read: it stands for somebody outside who may be away.
        """
        if number:
            return []
        policy = self.job.framework.read_policy(self.project, self.job.use, self.job.handler)
        found: dict[str, dict[str, Any]] = {}
        adapters = find_adapters(self.project, self.job.handler, policy.retried, self.calls)
        for target, call in adapters:
            if self.edges.read(target.dotted).position is Position.WORK:
                continue
            effect = _name_effect(target.dotted, target)
            effect["name"] = _choose_name(effect["name"], effect["call"], found.values())
            found[target.import_path] = effect
            self.drafted.told[effect["call"]] = f"{call.path}:{call.line}"
            self.drafted.guesses.append(
                f"effects: {target.import_path} is one, since errors of its module are tried again"
            )
        return list(found.values())

    def _tell_failing(self) -> None:
        policy = self.job.framework.read_policy(self.project, self.job.use, self.job.handler)
        found = read_failing(self.project, self.job, policy, self.bodies, self.memories)
        self.drafted.put("failures", found.failures)
        self.drafted.unsure = found.unsure
        for key, place in found.seen.items():
            self.drafted.seen[key] = f"{place.path}:{place.line}"
        if found.retry is not None:
            self.drafted.values["retry"] = found.retry
        else:
            self.drafted.decisions.append("retry: the code computes it, so that it was not read")
        if found.dead_letter is not None:
            self.drafted.values["dead_letter"] = found.dead_letter
        else:
            self.drafted.decisions.append("dead_letter: nothing was read that keeps a dead job")

    def _tell_proof(self) -> None:
        from skillrun.skills.job_worker.scaffold.proof_draft import BLANK, draft_proof

        self.case.spec = JobSpec.model_validate({"version": 1, **self.drafted.values})
        drafted = draft_proof(self.case)
        proof = yaml.safe_load(drafted)["proof"] if drafted else {}
        tables = [one.what.partition(" ")[2] for one in self.memories if _is_table(one)]
        state = {
            name: f"select * from {name} order by 1" for name in tables if not is_dead_letter(name)
        }
        if state:
            proof["state"] = state
        blanks = [name for name, value in proof.items() if BLANK in str(value)]
        if blanks:
            self.drafted.decisions.append(f"proof: {', '.join(blanks)}: marked {BLANK}")
        self.drafted.put("proof", proof)


def _read_call(project: Project, place: Place) -> str:
    """The outermost call that begins on a line; "" where there is none."""
    for module in project.modules_with("interval"):
        if module.path != place.path:
            continue
        for node in module.all_nodes:
            if isinstance(node, ast.Call) and node.lineno == place.line:
                return ast.unparse(node)
    return ""


def _name_effect(call: str, definition: Definition | None) -> dict[str, Any]:
    """With the key that it takes, where it takes one."""
    if definition is not None:
        call = definition.import_path
    effect: dict[str, Any] = {"name": name_call(call), "call": call}
    parameters = definition.parameters if definition is not None else ()
    key = next((name for name in parameters if KEYED.search(name)), None)
    if key is not None:
        effect["key_arg"] = key
        effect["guarantee"] = "keyed"
    return effect


def _spell_library(seam: Seam) -> str | None:
    """The import path of the library's call by which a seam leaves the process; None where none
    leads to it.
    """
    if seam.library is None or _is_of_a_result(seam.library):
        return None
    return spell_import_path(seam.library.replace("()", ""))


def make_edges(reader: JobReader) -> Edges:
    """Tells what of the repository lies at its edge."""
    return Edges(reader.project, find_sending_calls(reader.jobs))


def _is_of_a_result(name: str) -> bool:
    """Whether it is called of what a function returns or a mapping holds, as in
    `get_connection().send` and `ctx["sms"].send`: no import path leads there. A class that is
    called makes an object of itself.
    """
    return "[" in name or re.search(r"(?:^|\.)[^A-Z.][^.]*\(\)", name) is not None


def _choose_name(name: str, call: str, others: Iterable[dict[str, Any]]) -> str:
    """The function's name, with its module's where another effect is called so already."""
    plain = name.strip("_") or "effect"
    if plain not in {other["name"] for other in others}:
        return plain
    words = [word.strip("_") for word in re.split(r"[.:]", call)]
    return "-".join(words[-2:])


def _spell_store(memory: Memory, project: Project) -> str:
    """As `idempotency.dedupe.store` is read, such as "table receipts"."""
    kind, _, name = memory.what.partition(" ")
    if kind == "model":
        return f"table {_find_table_name(name, project)}"
    if memory.what == "a key in Redis":
        return "redis KEY"
    return memory.what


def _find_table_name(model: str, project: Project) -> str:
    """What a class of the repository calls its table; its own name where it does not, which stands
    for a table that resembles it.
    """
    for path in project.tree.search(model, ".py"):
        module = project.module(path)
        if module is None or is_aside(path):
            continue
        for node in find_nodes(module.tree, ast.ClassDef):
            if node.name != model:
                continue
            for inner in find_nodes(node, ast.Assign):
                named = ast.unparse(inner.targets[0])
                if named in _TABLE_NAMES and isinstance(inner.value, ast.Constant):
                    return str(inner.value.value)
    return model


def _is_table(memory: Memory) -> bool:
    return memory.what.startswith("table ")
