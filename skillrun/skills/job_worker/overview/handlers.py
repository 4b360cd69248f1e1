"""The jobs that a repository has: each function or class that one of its libraries runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from skillrun.frameworks.common.callables.loops import poll_loops
from skillrun.frameworks.interface import Send, find_wiring
from skillrun.frameworks.registry import FRAMEWORKS, features_of
from skillrun.repo.places import is_aside, is_shown, is_test
from skillrun.repo.source import last_word
from skillrun.repo.uses import Place
from skillrun.skills.job_worker.overview.memories import find_memories
from skillrun.skills.job_worker.overview.seams import find_seams

if TYPE_CHECKING:
    from skillrun.frameworks.interface import Framework
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition, Module, Project
    from skillrun.repo.uses import FrameworkUse

_DOTTED = re.compile(r"\w+(?:\.\w+)+")
# Below these statements a module's functions still are its own: `if settings.DEBUG: def ...`.
_BLOCKS = (ast.If, ast.Try, ast.With)
# Where a decorator or a class gives a job's name.
_NAMING = frozenset({"name", "actor_name", "task_name"})
# A method of one of these names may be anybody's: a plain value's, a session's, a client's.
_NAMES_OF_ANYBODY = frozenset(
    {
        *(*dir(str), *dir(bytes), *dir(list), *dir(dict), *dir(set)),
        *("post", "put", "patch", "delete", "head", "options", "request", "stream", "urlopen"),
        *("sendmail", "send_message", "send_mail", "put_object", "upload_file", "upload_fileobj"),
        *("publish", "save", "create", "refresh", "execute", "executemany", "commit", "rollback"),
        *("flush", "close", "begin", "cursor", "connect", "query", "filter", "all", "first", "one"),
        *("scalar", "scalars", "fetchone", "fetchall", "run", "start", "call", "info", "error"),
    }
)
_DEPTH = 3  # calls that are followed: as far as the stages of a run read


@dataclass(frozen=True)
class FoundJob:
    """A handler, the library that runs it, and the places that send it."""

    framework: Framework
    use: FrameworkUse
    handler: Definition
    registered: Place | None
    sends: tuple[Send, ...]  # by others than the job itself, tests included

    @property
    def real_sends(self) -> tuple[Send, ...]:
        """What sends it outside of tests."""
        return tuple(send for send in self.sends if not send.in_tests)


def find_jobs(project: Project, uses: Iterable[FrameworkUse]) -> tuple[FoundJob, ...]:
    """Every job, in order of path and line. A function that a library queues is that library's,
    also where a clock calls it as well. A plug-in may have no jobs but those of its demo project.
    """
    found: dict[tuple[str, str], FoundJob] = {}
    uses = sorted(uses, key=lambda one: features_of(one.id).runs_in_place)
    for find in (_find_jobs_of, _find_shown_jobs):
        for use in () if found else uses:
            framework = FRAMEWORKS.get(use.id)
            if framework is None:
                continue
            for job in find(project, framework, use):
                found.setdefault((job.handler.path, job.handler.name), job)
    jobs = _drop_hooks(project, found.values())
    return tuple(sorted(jobs, key=lambda job: (job.handler.path, job.handler.line)))


def _drop_hooks(project: Project, jobs: Iterable[FoundJob]) -> list[FoundJob]:
    """Without what a library calls around a job: it is handed over as a job is."""
    jobs = list(jobs)
    hooks = set[str]()
    for job in jobs:
        around = job.framework.find_hooks(project, job.use, job.handler)
        hooks |= {hook.dotted for hook in around.values()}
    kept = []
    for job in jobs:
        is_named = job.registered is not None and _names_handler(job.handler, job.registered)
        if is_named or job.handler.dotted not in hooks:
            kept.append(job)
    return kept


def find_job(jobs: Iterable[FoundJob], name: str) -> FoundJob | None:
    """The job that a person means: by import path, dotted name, or function name alone where only
    one job is called so; of a class also by the object that is made of it.
    """
    wanted = name.replace(":", ".")
    exact, near = [], []
    for job in jobs:
        names = (job.handler.dotted, name_object(job.handler).replace(":", "."))
        if wanted in names:
            exact.append(job)
        elif any(one.endswith(f".{wanted}") for one in names):
            near.append(job)
    meant = exact or near
    return meant[0] if len(meant) == 1 else None


def make_named_job(
    project: Project, uses: Iterable[FrameworkUse], handler: Definition
) -> FoundJob | None:
    """A function that a person names as a job, where no code shows that it is one: a library that
    runs any function may be given its path out of a row. None where no library would run it.
    """
    if is_aside(handler.path):
        return None
    for use in uses:
        framework = FRAMEWORKS.get(use.id)
        if framework is None or features_of(use.id).runs_in_place:
            continue
        registered = framework.find_registration(project, use, handler)
        if registered is not None:
            sends = find_wiring(framework.find_sends(project, use, handler))
            return FoundJob(framework, use, handler, registered, sends)
    return None


def _find_jobs_of(project: Project, framework: Framework, use: FrameworkUse) -> list[FoundJob]:
    if features_of(use.id).runs_in_place:
        own = _keep_outermost(project, _look_into(project, framework, use, use.task_modules))
        jobs = own or _find_handed_over(project, framework, use)
        return [job for job in jobs if not _sets_process_up(project, job.handler)]
    first = _list_modules(project, framework, use)
    found = list(_look_into(project, framework, use, first))
    # A module of the house that wraps the library: its jobs stand where that wrapper is imported.
    # One that enqueues, or lists what a worker runs: they stand in what it imports or names.
    near = set[str]()
    for path in sorted(set(first) - {job.handler.path for job in found}):
        near |= {*_list_importers(project, path), *_list_named(project, path)}
    return [*found, *_look_into(project, framework, use, sorted(near - set(first)))]


def _sets_process_up(project: Project, handler: Definition) -> bool:
    """Whether another module calls it when it is imported, and nothing of it leaves the process or
    is remembered: that makes a process ready, for a clock's command as for a web server.
    """
    calls = project.calls(handler, depth=_DEPTH)
    if find_seams(calls, {}) or find_memories([handler, *project.reached(handler)], calls):
        return False
    for call in project.references(handler.dotted):
        if call.path == handler.path or is_aside(call.path) or _is_main_part(call):
            continue
        if call.module.function_of(call.node) is None:
            return True
    return False


def _is_main_part(call: Call) -> bool:
    """Whether a call stands below `if __name__ == "__main__":`."""
    for above in call.module.parents(call.node):
        if isinstance(above, ast.If) and "__main__" in ast.unparse(above.test):
            return True
    return call.path.endswith("__main__.py")


def _find_handed_over(project: Project, framework: Framework, use: FrameworkUse) -> list[FoundJob]:
    """`scheduler.add_job(publish_due)`: what it is given stands in a module that it imports."""
    near = set[str]()
    for path in use.task_modules:
        near |= _list_named(project, path)
    others = sorted(near.difference(use.task_modules))
    return _keep_outermost(project, _look_into(project, framework, use, others))


def _find_shown_jobs(project: Project, framework: Framework, use: FrameworkUse) -> list[FoundJob]:
    if features_of(use.id).runs_in_place:
        return []
    paths = set[str]()
    for word in framework.recogniser().words:
        paths.update(project.tree.search(word.decode(), ".py"))
    demos = [path for path in paths if is_shown(path) and not is_test(path)]
    return list(_look_into(project, framework, use, sorted(demos)))


def _list_modules(project: Project, framework: Framework, use: FrameworkUse) -> list[str]:
    """The files in which a job of this library may be defined: those that hold a word of it."""
    paths = set(use.task_modules)
    for word in framework.recogniser().words:
        paths.update(project.tree.search(word.decode(), ".py"))
    return sorted(path for path in paths if not is_aside(path))


def _list_importers(project: Project, path: str) -> list[str]:
    stem = project.import_name(path).rpartition(".")[2]
    return [path for path in project.tree.search(stem, ".py") if not is_aside(path)]


def _list_named(project: Project, path: str) -> set[str]:
    """The repository's files that a module imports from, or names in a text such as
    "shop.tasks.send".
    """
    module = project.module(path)
    if module is None:
        return set()
    found = set()
    for name in sorted(_list_texts_and_origins(module)):
        meant = project.definition(name) if _DOTTED.fullmatch(name) else None
        if meant is not None and not is_aside(meant.path):
            found.add(meant.path)
    return found


def _list_texts_and_origins(module: Module) -> set[str]:
    """Every text of a module, and where each name that it reads comes from."""
    found = set[str]()
    for node in module.all_nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(module.resolve(node) or "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def _look_into(
    project: Project, framework: Framework, use: FrameworkUse, paths: Iterable[str]
) -> Iterator[FoundJob]:
    for path in paths:
        module = project.module(path) if path.endswith(".py") else None
        if module is None:
            continue
        for node in _list_definitions(module.tree.body):
            job = _read_job(project, framework, use, project.define(module, node))
            if job is not None:
                yield job


def _list_definitions(
    body: Iterable[ast.stmt],
) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node
        elif isinstance(node, _BLOCKS):
            for branch in _list_branches(node):
                yield from _list_definitions(branch)


def _list_branches(node: ast.If | ast.Try | ast.With) -> Iterator[list[ast.stmt]]:
    """A job that needs a library which may be missing stands below `else`."""
    yield node.body
    if not isinstance(node, ast.With):
        yield node.orelse
    if isinstance(node, ast.Try):
        for handler in node.handlers:
            yield handler.body


def _read_job(
    project: Project, framework: Framework, use: FrameworkUse, handler: Definition
) -> FoundJob | None:
    registered = framework.find_registration(project, use, handler)
    if registered is None:
        return None
    sends = find_wiring(framework.find_sends(project, use, handler))
    job = FoundJob(framework, use, handler, registered, sends)
    if _names_handler(handler, registered) or any(map(_shows_job, job.real_sends)):
        return job
    return None


def _shows_job(send: Send) -> bool:
    """Whether a place makes a job of what would else be a plain function: one that hands it on as a
    value may hand it to anybody.
    """
    return send.kind == "schedule" or send.call is not None


def _names_handler(handler: Definition, registered: Place) -> bool:
    """Whether a registration is of this very handler: its decorator, or a line that names it.

    Some libraries run any function: its own `def` says nothing then, nor does a worker whose list
    could not be read.
    """
    if registered.path == handler.path:
        first = min((node.lineno for node in handler.decorators), default=handler.line)
        if first <= registered.line < handler.line:
            return True
        if registered.line == handler.line:
            return False
    return handler.name in registered.text


def _keep_outermost(project: Project, jobs: Iterable[FoundJob]) -> list[FoundJob]:
    """Of functions that a clock starts and that call each other, the job is the outermost one; but
    a loop that polls is the clock, and what it calls is the job.
    """
    started = [job for job in jobs if job.real_sends]
    dotted = {job.handler.dotted for job in started}
    dropped = set[str]()
    for job in started:
        inside = _list_called(project, job.handler) & dotted
        is_clock = next(poll_loops(job.handler.node), None) is not None
        if inside and is_clock:
            dropped.add(job.handler.dotted)
        else:
            dropped |= inside
    return [job for job in started if job.handler.dotted not in dropped]


def _list_called(project: Project, handler: Definition) -> set[str]:
    calls = project.calls(handler, depth=0)
    return {call.origin for call in calls if call.resolved} - {handler.dotted}


def list_bodies(project: Project, job: FoundJob, others: frozenset[str]) -> list[Definition]:
    """The handler and the repository's functions that it calls, three deep, without those that are
    jobs of their own.
    """
    bodies = {part.dotted: part for part in project.callables(job.handler)}
    for call in list_calls(project, job, others):
        for name in call.via:
            found = project.definition(name)
            if found is not None:
                bodies.setdefault(found.dotted, found)
    return list(bodies.values())


def list_calls(project: Project, job: FoundJob, others: frozenset[str]) -> list[Call]:
    """Every call on the handler's way, without those inside other jobs: these run elsewhere."""
    found: list[Call] = []
    for call in project.calls(job.handler, depth=_DEPTH):
        if others.isdisjoint(call.via):
            found += _follow_only_method(project, call)
    return found


def _follow_only_method(project: Project, call: Call) -> Iterator[Call]:
    """A call, and those inside `ctx["bank"].order_transfer(...)`: whose method it is nobody can
    tell, and the repository has one of that name.
    """
    called, method = call.node.func, None
    # What lies in a dictionary is nobody's that a name could tell.
    is_untold = not call.resolved or isinstance(getattr(called, "value", None), ast.Subscript)
    if is_untold and isinstance(called, ast.Attribute):
        method = find_only_method(project, called.attr)
    # `actor.send()` is no call of `Gateway.send(to, text)`.
    if method is None or not fits(call.node, method):
        yield call
        return
    yield replace(call, origin=method.dotted)
    way = (*call.via, method.dotted)
    for inner in project.calls(method, depth=_DEPTH):
        yield replace(inner, via=(*way, *inner.via), in_try=inner.in_try + call.in_try)


def fits(node: ast.Call, method: Definition) -> bool:
    """Whether a method takes what a call hands over: it has a parameter for each argument, and each
    that it has no default for is given one. True where `*` or `**` hides what that is, or a
    decorator may hand something in.
    """
    if isinstance(method.node, ast.ClassDef) or is_decorated(method.node) or _hides(node):
        return True
    taken = method.node.args
    places = [one.arg for one in (*taken.posonlyargs, *taken.args)]
    if not is_static(method.node):
        places = places[1:]
    named = {str(keyword.arg) for keyword in node.keywords}
    if len(node.args) > len(places):
        return taken.vararg is not None
    known = {*places, *(one.arg for one in taken.kwonlyargs)}
    has_places = taken.kwarg is not None or named <= known
    return has_places and _list_required(taken, places[len(node.args) :]) <= named


def _hides(node: ast.Call) -> bool:
    """Whether `*` or `**` hides what a call hands over."""
    has_stars = any(isinstance(one, ast.Starred) for one in node.args)
    return has_stars or any(keyword.arg is None for keyword in node.keywords)


def _list_required(taken: ast.arguments, left: list[str]) -> set[str]:
    """The parameters without a default: of those that no position gives, and of the named ones."""
    optional = taken.args[len(taken.args) - len(taken.defaults) :]
    required = set(left) - {one.arg for one in optional}
    for one, default in zip(taken.kwonlyargs, taken.kw_defaults, strict=True):
        if default is None:
            required.add(one.arg)
    return required


def is_decorated(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a decorator stands above a method that may change what it takes."""
    known = {"staticmethod", "classmethod", "abstractmethod"}
    return any(last_word(one) not in known for one in node.decorator_list)


def is_static(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a method is called without its object."""
    return any(last_word(one) == "staticmethod" for one in node.decorator_list)


def find_only_method(project: Project, name: str) -> Definition | None:
    """The method of that name where one class alone has it, tests left out; None as well for a name
    that values and clients of libraries have.
    """
    if name in _NAMES_OF_ANYBODY:
        return None
    return project.remember(("only method", name), lambda: _find_only_method(project, name))


def _find_only_method(project: Project, name: str) -> Definition | None:
    found = []
    for module in project.modules_with(name):
        if is_aside(module.path):
            continue
        for node in module.all_nodes:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if node.name == name and module.class_of(node) is not None:
                found.append(project.define(module, node))
    return found[0] if len(found) == 1 else None


def find_name_in_text(project: Project, job: FoundJob) -> Place | None:
    """Where other code than its own holds a job's name as a text, such as one that writes a row for
    a relay to send; tests left out.
    """
    for name in sorted(_list_names(project, job)):
        for module in project.modules_with(name):
            if is_aside(module.path) or module.path == job.handler.path:
                continue
            line = _find_text(module, name)
            if line is not None:
                return Place(module.path, line, module.line_text(line))
    return None


def _find_text(module: Module, wanted: str) -> int | None:
    """The first line on which a text stands."""
    for node in module.all_nodes:
        if isinstance(node, ast.Constant) and node.value == wanted:
            return node.lineno
    return None


def _list_names(project: Project, job: FoundJob) -> set[str]:
    """By which a message may call a job: its function's name and paths, and what its decorators or
    its class say.
    """
    handler = job.handler
    names = {handler.name, handler.dotted, handler.import_path}
    for node in [*_list_decorator_names(handler), *_list_class_names(handler)]:
        value = project.literal(node, handler.module)
        if isinstance(value, str):
            names.add(value)
    return names


def _list_decorator_names(handler: Definition) -> Iterator[ast.expr]:
    """Yields NAME of `@task(name=NAME)`."""
    for decorator in handler.decorators:
        for keyword in getattr(decorator, "keywords", ()):
            if keyword.arg in _NAMING:
                yield keyword.value


def _list_class_names(handler: Definition) -> Iterator[ast.expr]:
    """Yields NAME of `class Send(Task): name = NAME`."""
    if not isinstance(handler.node, ast.ClassDef):
        return
    for statement in handler.node.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) in _NAMING:
            yield statement.value


def name_object(handler: Definition) -> str:
    """Of a class, the import path of the module's object that is made of it: that is what a library
    runs.
    """
    if not isinstance(handler.node, ast.ClassDef):
        return handler.import_path
    for statement in handler.module.tree.body:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            continue
        target, makes = statement.targets[0], False
        for node in ast.walk(statement.value):
            if isinstance(node, ast.Call):
                makes = makes or handler.module.resolve(node.func) == handler.dotted
        if makes and isinstance(target, ast.Name):
            return f"{handler.module.name}:{target.id}"
    return handler.import_path
