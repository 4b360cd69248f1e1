"""To which queues the code of a commit publishes a job, and from which its workers take jobs, as
far as both are written down.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch

from skillrun.frameworks.known.launchers import Start
from skillrun.repo.places import is_taken_for_tests
from skillrun.repo.python import Definition, Project, is_known
from skillrun.repo.source import FunctionNode, Module, last_word
from skillrun.wall.gaming.settings_named import list_keys, list_named
from skillrun.wall.gaming.starts import list_starts, read_queue_names
from skillrun.wall.sources import CommitSources

# `apply_async(queue=...)`, an actor's `queue_name=`, `enqueue_job(..., _queue_name=...)`.
_OPTIONS = ("queue", "queue_name", "_queue_name")
_ROUTES = ("task_routes", "CELERY_TASK_ROUTES", "CELERY_ROUTES")
_DEFAULTS = ("task_default_queue", "CELERY_TASK_DEFAULT_QUEUE", "CELERY_DEFAULT_QUEUE")
_SIDE_SETTINGS = re.compile(r"(?:^|[/_])(?:dev|develop|development|local|tests?|testing|ci)[/_.]")
# Celery's: `send.s(1).apply_async(queue="mail")`.
_SIGNATURES = ("s", "si", "signature", "subtask")
# Methods of a job whose keywords are the job's own: `send.delay(1, queue="vip")`.
_KEYWORDS_OF_JOB = {"delay", "delay_on_commit", "send", "s", "si", "defer", "defer_async", "kiq"}
# Those of Celery that publish, to the default queue where nothing names one.
_PUBLISHES = {"delay", "delay_on_commit", "apply_async", "apply_async_on_commit", "send_task"}
_MAKES_QUEUE = ("Queue", "get_queue")  # RQ's, and that of its plug-ins for Django and Flask
_PUTS_INTO_QUEUE = re.compile(r"enqueue(_call|_at|_in|_many)?$")
# `@job("mail", connection=...)`
_RQ_DECORATOR = "job"
# A program of the repository's own that takes jobs: nobody has read from which queues.
_OWN_WORKERS = {"Worker", "SimpleWorker", "worker_main", "run_worker", "run_worker_async"}
_CLOCKS = re.compile(r"beat|scheduler|periodiq")
_FILLED_IN_LATER = re.compile(r"[$<{%*`]")
_DOCUMENTS = (".md", ".rst")
_ARQ, _ARQ_QUEUE = "arq", "arq:queue"
USUAL_QUEUES = ("celery", "default", _ARQ_QUEUE)
"""Those of a job for which no code names one."""
_DEEPEST = 3


@dataclass(frozen=True)
class Named:
    """A place that names the queue of a job. `queue` None: only running could tell which."""

    queue: str | None
    path: str
    line: int

    @property
    def is_of_side_settings(self) -> bool:
        """Whether it may be of a machine that runs none of the workers: settings/dev.py."""
        return bool(_SIDE_SETTINGS.search(self.path))


class JobQueues:
    """The places of one commit that name the queue of one job."""

    def __init__(self, sources: CommitSources, handler: str) -> None:
        self.project = sources.project
        self.target = self.project.find(handler)
        self.names: set[object] = set()
        if self.target is not None:
            self.names = {self.target.dotted, self.target.node.name, *self._list_task_names()}

    def list_named(self) -> list[Named]:
        """In no order; a commit without the handler has none."""
        if self.target is None:
            return []
        declared = [*self._list_decorated(self.target), *self._list_routes(self.target)]
        sent: list[Named] = []
        is_default = False
        for module in self.project.modules_with(self.target.node.name):
            if not is_taken_for_tests(module.path):
                for call in module.nodes(ast.Call):
                    if self._sends_job(module, call):
                        sent += self._list_sent(module, call)
                        is_default = is_default or _names_no_queue(call)
        if not declared and (is_default or not sent):
            # Where nothing else says it, Celery's default queue is the job's.
            declared = [self._name(*given) for given in self._list_settings(_DEFAULTS)]
        return [*declared, *sent]

    def _list_task_names(self) -> Iterator[str]:
        assert self.target is not None
        for decorator in self.target.decorators:
            for keyword in getattr(decorator, "keywords", ()):
                if keyword.arg in ("name", "actor_name"):
                    yield str(self.project.literal(keyword.value, self.target.module))

    def _list_decorated(self, target: Definition) -> Iterator[Named]:
        for decorator in target.decorators:
            if isinstance(decorator, ast.Call):
                yield from self._read_options(target.module, decorator)
                if last_word(decorator.func) == _RQ_DECORATOR and decorator.args:
                    yield self._name(target.module, decorator.args[0])

    def _list_routes(self, target: Definition) -> Iterator[Named]:
        """Yields what Celery's routes say of the task: {"shop.tasks.*": {"queue": "mail"}}."""
        names = {target.dotted, *self._list_task_names()}
        for module, routes in self._list_settings(_ROUTES):
            for pattern, route in list_keys(routes):
                queue = dict(list_keys(route)).get("queue")
                if queue is not None and any(fnmatch(one, pattern) for one in names):
                    yield self._name(module, queue)

    def _list_settings(self, names: Iterable[str]) -> Iterator[tuple[Module, ast.expr]]:
        """Yields (module, value) of everything that the code gives one of the names."""
        for name in names:
            for module in self.project.modules_with(name):
                if is_taken_for_tests(module.path):
                    continue
                for given, value in (*list_named(module.tree), *_list_items_set(module)):
                    if given == name:
                        yield module, value

    def _sends_job(self, module: Module, call: ast.Call) -> bool:
        """Whether a call sends the job: by its name as text, by its object as an argument, or as
        one of the object's own methods, `send.configure(...).defer(...)` among them, or of a
        signature of it.
        """
        for argument in call.args[:2]:
            if isinstance(argument, ast.Constant) and argument.value in self.names:
                return True
        if self._is_own_method(module, call):
            return True
        return any(self._is_job(module, node) for node in call.args[:2])

    def _is_own_method(self, module: Module, call: ast.Call) -> bool:
        """Whether a call is one of a method of the job, or of a signature of it."""
        if not isinstance(call.func, ast.Attribute):
            return False
        value = call.func.value
        return self._is_job(module, value) or self._is_signature_by_name(value)

    def _is_signature_by_name(self, node: ast.expr) -> bool:
        """Whether it is `signature("shop.jobs.send")`, also with `.set(...)` behind it."""
        while isinstance(node, ast.Call):
            if last_word(node.func) in _SIGNATURES:
                named = node.args[:1]
                return any(
                    isinstance(one, ast.Constant) and one.value in self.names for one in named
                )
            if not isinstance(node.func, ast.Attribute):
                return False
            node = node.func.value
        return False

    def _is_job(self, module: Module, node: ast.expr) -> bool:
        """Whether an expression is the job's object, or a signature of it:
        "shop.jobs.send.s().set()" is one of "shop.jobs.send".
        """
        assert self.target is not None
        name = module.resolve(node)
        if name is None:
            return False
        made, called, _ = name.partition("()")
        job, _, method = made.rpartition(".")
        if called and method in _SIGNATURES:
            name = job
        return self.project.origin(name) == self.target.dotted

    def _list_sent(self, module: Module, call: ast.Call) -> Iterator[Named]:
        received: list[Named] = []
        method = last_word(call.func)
        if isinstance(call.func, ast.Attribute) and _PUTS_INTO_QUEUE.match(method):
            received += self._read_receiver(module, call.func.value, _DEEPEST)
        # RQ hands on what it is called with, and so do these methods of a job.
        is_of_job = method in _KEYWORDS_OF_JOB and self._is_own_method(module, call)
        if not received and not is_of_job:
            yield from self._read_options(module, call)
        yield from received

    def _read_options(self, module: Module, call: ast.Call) -> Iterator[Named]:
        for keyword in call.keywords:
            is_none = isinstance(keyword.value, ast.Constant) and keyword.value.value is None
            if keyword.arg in _OPTIONS and not is_none:
                yield self._name(module, keyword.value)
            elif keyword.arg is None:  # `**options`
                yield Named(None, module.path, call.lineno)

    def _read_receiver(self, module: Module, node: ast.expr, depth: int) -> Iterator[Named]:
        """Yields what is said of RQ's queue object: where it is made, through variables and the
        functions that return it.
        """
        if isinstance(node, ast.Call) and last_word(node.func) in _MAKES_QUEUE:
            named = [one.value for one in node.keywords if one.arg == "name"]
            for first in (*node.args[:1], *named):
                yield self._name(module, first)
            return
        place = node
        if isinstance(node, ast.Call):
            place = node.func
        name = module.resolve(place)
        if depth == 0 or name is None:
            return
        found = self.project.lookup(self.project.origin(name))
        if found is None or found.module is None:
            return
        made: list[ast.expr | None] = []
        if found.definition is not None and isinstance(found.definition.node, FunctionNode):
            inner = ast.walk(found.definition.node)
            made = [one.value for one in inner if isinstance(one, ast.Return)]
        elif found.binding is not None:
            made = [found.binding.value]
        for value in made:
            if value is not None:
                yield from self._read_receiver(found.module, value, depth - 1)

    def _name(self, module: Module, node: ast.expr) -> Named:
        value = self.project.literal(node, module)
        if not is_known(value) or not isinstance(value, str):
            value = None
        return Named(value, module.path, node.lineno)


def _names_no_queue(call: ast.Call) -> bool:
    """Whether a call publishes and neither it nor what it is called on names a queue:
    `send.s(1).set(queue="mail").delay()` does.
    """
    if last_word(call.func) not in _PUBLISHES:
        return False
    called_on = [node for node in ast.walk(call.func) if isinstance(node, ast.Call)]
    keywords = [keyword.arg for one in (call, *called_on) for keyword in one.keywords]
    return not any(name in _OPTIONS for name in keywords)


def _list_items_set(module: Module) -> Iterator[tuple[str, ast.expr]]:
    """Yields (key, value) of `app.conf["task_default_queue"] = "mail"`."""
    for node in module.nodes(ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
                yield str(target.slice.value), node.value


@dataclass(frozen=True)
class Consumed:
    """The queues that the workers of a commit take jobs from. `is_open`: one of them names none, or
    names what is filled in elsewhere, so that it may take from others. `told`: those of command
    lines in a README and its kin, which start nothing.
    """

    queues: frozenset[str]
    told: frozenset[str]
    is_open: bool


def read_consumed(sources: CommitSources, starting: CommitSources) -> Consumed:
    """What the workers of a commit take from. `starting`: the files that may start workers."""
    project = sources.project
    is_open = any(_starts_worker(module) for module in _list_modules(project))
    queues: set[str] = set()
    told: set[str] = set()
    for path, text in starting.texts.items():
        is_document = path.endswith(_DOCUMENTS)
        for start in list_starts(path, text):
            if _CLOCKS.search(start.command) and "worker" not in start.words:
                continue
            named = list(_list_taken(project, start))
            # An address is the value of an option.
            taken = [queue for queue in named if "://" not in queue]
            if is_document:
                told.update(taken)
                continue
            queues.update(taken)
            if not named or any(_FILLED_IN_LATER.search(queue) for queue in named):
                is_open = True
    return Consumed(frozenset(queues), frozenset(told), is_open)


def _list_modules(project: Project) -> Iterator[Module]:
    for word in sorted(_OWN_WORKERS):
        for module in project.modules_with(word):
            if not is_taken_for_tests(module.path):
                yield module


def _starts_worker(module: Module) -> bool:
    return any(last_word(call.func) in _OWN_WORKERS for call in module.nodes(ast.Call))


def _list_taken(project: Project, start: Start) -> Iterator[str]:
    if start.words[0].rpartition("/")[2] != _ARQ:
        yield from read_queue_names(start)
        return
    # `arq shop.worker.WorkerSettings`: the class says it.
    for word in start.words[1:2]:
        settings = project.find(word)
        if settings is not None and settings.is_class:
            queue: object = _ARQ_QUEUE
            for name, value in list_named(
                ast.Module(body=list(settings.node.body), type_ignores=[])
            ):
                if name == "queue_name":
                    queue = project.literal(value, settings.module)
            yield str(queue) if is_known(queue) else "$"
