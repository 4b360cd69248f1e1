"""A function that a clock calls and that publishes a job, which no spec names: the job is proved
with it, too.

A proof lets the sweeps of `recovers` come behind each fault. One that the branch adds, or changes,
and that `recovers` does not name is no part of that world: it may bring back for ever what was
given up.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from skillrun.core.verdict import Finding, Severity
from skillrun.repo.places import is_taken_for_tests
from skillrun.repo.python import Definition
from skillrun.repo.source import FunctionNode, Module, last_word
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import quoted
from skillrun.wall.gaming.specs import at, listed
from skillrun.wall.proved import proved_stages, say_why_not
from skillrun.wall.sources import CommitSources
from skillrun.wall.verification import Job

RULE = "verify.not-proved-with-sweep"
HELP = {
    RULE: (
        "A function that the branch adds or changes, that a clock calls and that publishes the job,"
        " is a sweep, whether `recovers` names it or not. The job is proved with it: it leaves"
        " alone what is done, what was given up, and what only waits for its next attempt."
    )
}
_HINT = (
    "let it take only what has stood still for longer than a retry waits, and nothing that was"
    " given up; skillrun prove with it in recovers shows the same"
)
_CLOCK = re.compile(r"schedul|beat|cron|period|every|interval|repeat|timer", re.IGNORECASE)
_STARTED = re.compile(r"schedul|beat|cron|sleep|timer|every|interval", re.IGNORECASE)
# Who publishes for somebody, who is called by a clock: a service, a command and a task between.
_DEEPEST = 4
# Where the schedule does not say in plain numbers how often.
_USUAL_PERIOD_S = 900
_UNITS = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
_EVERY_NTH_MINUTE = re.compile(r"\*/(\d+)")

ProveSaying = Callable[[File, Mapping[str, str]], Job]
"""Runs HEAD's job as far as a proof speaks of it, with these values in its spec."""


@dataclass(frozen=True)
class NewSweep:
    """A function that a clock calls, and how often."""

    call: str
    path: str
    line: int
    period_s: int


def judge_sweeps(job: Job, spec: File, diff: Diff, prove_saying: ProveSaying) -> Job:
    """The job, no success where it is not proved with such a sweep. Costs nothing where the branch
    has none, or the job fails anyway.
    """
    if job.proof is None or not job.is_passing:
        return job
    sweeps = list_new_sweeps(diff, spec)
    if not sweeps or spec.new_document is None:
        return job
    named = listed(at(spec.new_document.value, "recovers"))
    added = [{"call": sweep.call, "every": f"{sweep.period_s}s"} for sweep in sweeps]
    other = prove_saying(spec, {"recovers": json.dumps([*named, *added])})
    if set(proved_stages(job)) <= set(proved_stages(other)):
        return job
    finding = _describe(sweeps[0], say_why_not(other))
    proof = replace(job.proof, findings=(*job.proof.findings, finding))
    return replace(job, proof=proof, outcome="partial")


def _describe(sweep: NewSweep, why: str) -> Finding:
    said = (
        f"a clock calls {quoted(sweep.call)}, which publishes the job and is not in recovers; with"
        f" it the job is not proved: {why}"
    )
    return Finding(RULE, Severity.ERROR, said, sweep.path, sweep.line, _HINT)


def list_new_sweeps(diff: Diff, spec: File) -> list[NewSweep]:
    """What the branch adds or changes, and the spec does not name."""
    document = spec.new_document
    if document is None or next(iter(diff.python_files()), None) is None:
        return []
    handler = at(document.value, "handler")
    if not isinstance(handler, str):
        return []
    named = set(_list_named(document.value))
    before = dict(_Publishers(diff.before, handler).list_texts())
    publishers = _Publishers(diff.after, handler)
    found = []
    for call, text in publishers.list_texts():
        if call in named or before.get(call) == text:
            continue
        period = publishers.find_period(call, diff)
        if period is not None:
            place = publishers.sweeps[call]
            found.append(NewSweep(call, place.path, place.line, period))
    return found


@dataclass(frozen=True)
class BothPublishers:
    """The functions that lead to a job, need nothing to be called, and that the spec does not
    name. `changed`: both sides have it, and the branch changes it or something on its way to the
    job. `gone`: the base alone has one of that name.
    """

    changed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


def compare_publishers(diff: Diff, spec: File) -> BothPublishers:
    """Those of the base and of HEAD."""
    document = spec.new_document
    if document is None:
        return BothPublishers()
    handler = at(document.value, "handler")
    if not isinstance(handler, str):
        return BothPublishers()
    named = set(_list_named(document.value))
    before = dict(_Publishers(diff.before, handler).list_texts())
    after = dict(_Publishers(diff.after, handler).list_texts())
    found = BothPublishers()
    for call, text in after.items():
        if call not in named and before.get(call, text) != text:
            found.changed.append(call)
    found.gone.extend(call for call in before if call not in named and call not in after)
    return found


def list_starting_names(sources: CommitSources, call: str) -> Iterator[str]:
    """The functions and tasks that end in a call of a function and need nothing themselves: what a
    clock calls may be one of them.
    """
    for function in _Publishers(sources, call).sweeps.values():
        yield function.node.name
        yield from _list_task_names(function)


def _list_named(spec: object) -> Iterator[str]:
    """The functions of which the proof knows."""
    yield str(at(spec, "handler"))
    yield str(at(spec, "enqueue", "call"))
    yield str(at(spec, "enqueue", "relay"))
    for sweep in listed(at(spec, "recovers")):
        yield str(at(sweep, "call"))


class _Publishers:
    """The functions of one side that lead to a job's handler and need nothing to be called."""

    def __init__(self, sources: CommitSources, handler: str) -> None:
        self.project = sources.project
        self.sweeps: dict[str, Definition] = {}
        # Function -> those on its way to the handler, itself among them.
        self._ways: dict[ast.AST, set[ast.AST]] = {}
        target = self.project.find(handler)
        if target is not None:
            self._follow(target)

    def _follow(self, target: Definition) -> None:
        known = {target.node}
        waiting = [(target, 0)]
        while waiting:
            callee, depth = waiting.pop(0)
            for user in self._list_users(callee):
                way = {user.node, *self._ways.get(callee.node, ())}
                self._ways.setdefault(user.node, set()).update(way)
                if user.node in known:
                    continue
                known.add(user.node)
                if _needs_nothing(user):
                    self.sweeps[f"{user.module.name}:{user.name}"] = user
                if depth < _DEEPEST:
                    waiting.append((user, depth + 1))

    def _list_users(self, callee: Definition) -> Iterator[Definition]:
        """The functions that name another one, by its name or by a text that ends with it."""
        for module in self.project.modules_with(callee.node.name):
            if is_taken_for_tests(module.path):
                continue
            for node in module.all_nodes:
                if not isinstance(node, FunctionNode) or node is callee.node:
                    continue
                if any(self._names(module, part, callee) for part in ast.walk(node)):
                    yield self.project.define(module, node)

    def _names(self, module: Module, node: ast.AST, callee: Definition) -> bool:
        if isinstance(node, ast.Constant):
            names = {callee.dotted, *_list_task_names(callee)}
            return isinstance(node.value, str) and node.value in names
        if not isinstance(node, ast.Name | ast.Attribute):
            return False
        if last_word(node) != callee.node.name:
            return False
        name = module.resolve(node)
        return bool(name) and self.project.origin(name or "") == callee.dotted

    def list_texts(self) -> Iterator[tuple[str, str]]:
        """(sweep, what it does, as text): itself, what lies between it and the handler, and the
        values of the modules that these name.
        """
        for call, sweep in self.sweeps.items():
            way = self._ways[sweep.node]
            texts = [ast.dump(node) for node in way]
            for node in way:
                texts += _list_module_values(sweep.module, node)
            yield call, "\n".join(sorted(texts))

    def find_period(self, call: str, diff: Diff) -> int | None:
        """Seconds between two calls; None where no clock calls it."""
        sweep = self.sweeps[call]
        for decorator in sweep.decorators:
            if _CLOCK.search(ast.unparse(decorator)):
                return _read_period(decorator)
        for module in self.project.modules_with(sweep.node.name):
            if is_taken_for_tests(module.path):
                continue
            for node in module.all_nodes:
                if self._names(module, node, sweep):
                    entry = _find_entry(module, node)
                    if entry is not None:
                        return _read_period(entry)
        return self._find_started(sweep, diff)

    def _find_started(self, sweep: Definition, diff: Diff) -> int | None:
        """A line of the deployment: `while sleep 900; do python manage.py sweep; done`."""
        words = {sweep.node.name}
        for user in self._list_users(sweep):
            words.add(user.module.name.rpartition(".")[2])
        for file in diff.deployment:
            for line in (file.new or "").splitlines():
                if _STARTED.search(line) and any(word in line for word in words):
                    return _USUAL_PERIOD_S
        return None


def _needs_nothing(function: Definition) -> bool:
    """It can be called without an argument; a task's own `self` is none."""
    assert isinstance(function.node, FunctionNode)
    args = function.node.args
    positional = [one.arg for one in (*args.posonlyargs, *args.args)]
    required = positional[: len(positional) - len(args.defaults)]
    is_free = "." not in function.name
    needed = [name for name in required if name not in ("self", "ctx", "context")]
    return is_free and not needed and all(default is not None for default in args.kw_defaults)


def _list_task_names(function: Definition) -> Iterator[str]:
    """`@app.task(name="shop.sweep")`."""
    for decorator in function.decorators:
        for keyword in getattr(decorator, "keywords", ()):
            if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                yield str(keyword.value.value)


def _list_module_values(module: Module, function: ast.AST) -> list[str]:
    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    found = []
    for name in names:
        for binding in module.bindings(module.tree).get(name, ()):
            if binding.value is not None:
                found.append(ast.dump(binding.value))
    return found


def _find_entry(module: Module, node: ast.AST) -> ast.AST | None:
    """The entry of a schedule in which a function stands."""
    entry: ast.AST | None = None
    for parent in module.parents(node):
        if isinstance(parent, FunctionNode | ast.ClassDef):
            return None
        if isinstance(parent, ast.Dict | ast.Call) and entry is None:
            entry = parent
        if _says_clock(parent):
            return entry or parent
    return None


def _says_clock(node: ast.AST) -> bool:
    if isinstance(node, ast.keyword):
        return bool(_CLOCK.search(node.arg or ""))
    if isinstance(node, ast.Call):
        return bool(_CLOCK.search(ast.unparse(node.func)))
    if isinstance(node, ast.Assign):
        return any(_CLOCK.search(ast.unparse(target)) for target in node.targets)
    if isinstance(node, ast.AnnAssign):
        return bool(_CLOCK.search(ast.unparse(node.target)))
    return False


def _read_period(entry: ast.AST) -> int:
    """Of `{"schedule": 60.0}`, `timedelta(minutes=5)`, `crontab(minute="*/10")`."""
    for node in ast.walk(entry):
        if isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
            given = node.value.value
            if node.arg in _UNITS and isinstance(given, int | float):
                return _hold_period(given * _UNITS[node.arg])
            nth = _EVERY_NTH_MINUTE.fullmatch(str(given))
            if node.arg == "minute" and nth:
                return _hold_period(int(nth[1]) * 60)
    for node in ast.walk(entry):
        is_number = isinstance(node, ast.Constant) and type(node.value) in (int, float)
        if isinstance(node, ast.Constant) and is_number:
            return _hold_period(float(node.value))  # type: ignore[arg-type]
    return _USUAL_PERIOD_S


def _hold_period(seconds: float) -> int:
    """A number that is no period, such as a priority, is left."""
    if 1 <= seconds <= _UNITS["days"]:
        return int(seconds)
    return _USUAL_PERIOD_S
