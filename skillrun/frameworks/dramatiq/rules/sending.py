"""Rules about how a job is sent: too early, again at every attempt, or with arguments that cannot
arrive.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.common.facts import (
    at,
    atomic_function,
    call_place,
    calls_of,
    is_atomic,
    tell,
)
from skillrun.frameworks.dramatiq.actors import (
    MESSAGE_OPTIONS,
    SENDING,
    Site,
    read_actor,
    run_node,
    sites,
)
from skillrun.frameworks.dramatiq.rules.flow import options_of
from skillrun.frameworks.interface import Job
from skillrun.repo.python import Call, Module
from skillrun.verdict import Finding, Severity

_ROW_METHODS = (
    ".objects.get()",
    ".objects.create()",
    ".objects.first()",
    ".objects.last()",
    ".objects.latest()",
)
_MODEL_CLASSES = (
    "django.db.models.Model",
    "sqlalchemy.orm.DeclarativeBase",
    "peewee.Model",
    "mongoengine.Document",
)
_MODEL_MAKERS = ("declarative_base()", ".Model")


def _real_sites(job: Job) -> list[Site]:
    found = sites(job.project, options_of(job).actor)
    return [site for site in found if not site.in_tests and site.method in SENDING]


def send_in_transaction(job: Job) -> Iterator[Finding]:
    """A worker may take the message before the commit, or although the transaction is rolled
    back.
    """
    for site in _real_sites(job):
        if _deferred(site):
            continue
        call = job.project.call_at(site.module, site.call)
        opened = next((name for name in call.in_with if _opens_transaction(job, name)), None)
        if opened is None and not atomic_function(job.project, site.module, site.call):
            continue
        certain = opened is None or is_atomic(job.project, opened) or _is_sqlalchemy(job, opened)
        message = (
            f"{SENDING[site.method]} inside a transaction: a worker may start before the commit,"
            " or although it is rolled back"
        )
        severity = Severity.ERROR if certain else Severity.WARNING
        hint = "transaction.on_commit(lambda: ...), or send after the block"
        yield tell(job, "send-in-transaction", severity, site.place, message, hint)


def _deferred(site: Site) -> bool:
    """In a lambda or function that `on_commit` or an event of the session is given."""
    for above in site.module.parents(site.call):
        if isinstance(above, ast.Call) and ast.unparse(above.func).endswith("on_commit"):
            return True
        if isinstance(above, ast.FunctionDef):
            outer = site.module.function_of(above) or site.module.tree
            given = (
                n
                for n in ast.walk(outer)
                if isinstance(n, ast.Call) and "on_commit" in ast.unparse(n.func)
            )
            names = {a.id for call in given for a in call.args if isinstance(a, ast.Name)}
            return above.name in names or any(
                "on_commit" in ast.unparse(d) for d in above.decorator_list
            )
    return False


def _opens_transaction(job: Job, name: str) -> bool:
    return is_atomic(job.project, name) or (
        "." in name and name.endswith((".begin", ".begin_nested", ".transaction"))
    )


def _is_sqlalchemy(job: Job, name: str) -> bool:
    origin = job.project.origin(name.removesuffix("()"))
    return origin.startswith(("sqlalchemy.", "sqlmodel.")) and origin.endswith(
        (".begin", ".begin_nested")
    )


def send_again(job: Job) -> Iterator[Finding]:
    """A handler that sends another job sends it once for every delivery and attempt."""
    for call in calls_of(job):
        func = call.node.func
        if (
            not isinstance(func, ast.Attribute)
            or func.attr not in SENDING
            or call.in_except is not None
        ):
            continue
        owner = call.module.resolve(func.value)
        target = job.project.definition(owner) if owner else None
        if target is None or read_actor(job.project, target).registered is None:
            continue
        message = (
            f"{ast.unparse(func)}(...) in a job that may run again: each run sends one more, under"
            " a new id"
        )
        hint = "let the receiver de-duplicate by a key of the job, not by message_id"
        yield tell(job, "send-again", Severity.WARNING, call_place(call), message, hint)


def object_argument(job: Job) -> Iterator[Finding]:
    """A database row as an argument: JSON cannot carry it."""
    pickled = job.policy.serializer == "pickle"
    if "serializer" in job.policy.unknown:
        return
    for site in _real_sites(job):
        for node in _arguments(site):
            what = _row(job, site.module, node)
            if what is None:
                continue
            then = (
                "it will be stale when the job runs"
                if pickled
                else "JSON cannot carry it: sending raises"
            )
            message = f"{ast.unparse(node)} is {what}, given to {SENDING[site.method]}: {then}"
            severity = Severity.WARNING if pickled else Severity.ERROR
            hint = "send its primary key and load it in the job"
            yield tell(job, "object-argument", severity, site.place, message, hint)


def _arguments(site: Site) -> list[ast.expr]:
    """What reaches the job."""
    if site.method == "send":
        return [*site.call.args, *(keyword.value for keyword in site.call.keywords)]
    found: list[ast.expr] = []
    for name in ("args", "kwargs"):
        node = site.options[name].node if name in site.options else None
        found += getattr(node, "elts", []) if not isinstance(node, ast.Dict) else node.values
    return found


def _row(job: Job, module: Module, node: ast.expr) -> str | None:
    """What kind of row an expression is; None where it is none or cannot be told."""
    name = module.resolve(node) if isinstance(node, ast.Name | ast.Call) else None
    if not name:
        return None
    if name.endswith(_ROW_METHODS):
        return f"a row of {name.partition('.objects')[0]}"
    if name == "self":
        owner = module.class_of(node)
        name = f"{module.name}.{module.qualname(owner)}()" if owner else ""
    classes = job.project.ancestors(name.removesuffix("()")) if name.endswith("()") else ()
    if any(one in _MODEL_CLASSES or one.endswith(_MODEL_MAKERS) for one in classes[1:]):
        return f"a row of {classes[0]}"
    return None


def wrong_arguments(job: Job) -> Iterator[Finding]:
    """A literal call that leaves out an argument or gives one that is not taken: only the worker
    notices.
    """
    node = run_node(job.handler)
    plain = node is not None and not (node.args.vararg or node.args.kwarg)
    if not plain or node is None or job.handler.is_class or len(node.decorator_list) > 1:
        return
    for site in _real_sites(job):
        wrong = _stray(site, node.args) or _wrong(site, node.args)
        if wrong:
            message = f"{wrong}: every attempt ends with TypeError in the worker"
            hint = f"the actor takes {ast.unparse(node.args) or 'no argument'}"
            yield tell(job, "wrong-arguments", Severity.ERROR, site.place, message, hint)


def _stray(site: Site, taken: ast.arguments) -> str | None:
    """`send_with_options(order_id=7)`: an argument of the actor that becomes an option nobody
    reads.
    """
    names = {
        arg.arg for arg in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)
    } - MESSAGE_OPTIONS
    stray = sorted(names & site.options.keys()) if site.method == "send_with_options" else []
    return f"{', '.join(stray)} is given as an option, not in kwargs" if stray else None


def _wrong(site: Site, taken: ast.arguments) -> str | None:
    given = _given(site)
    if given is None:
        return None
    count, named = given
    positional = [arg.arg for arg in (*taken.posonlyargs, *taken.args)]
    only_named = [arg.arg for arg in taken.kwonlyargs]
    unknown = [name for name in named if name not in (*positional, *only_named)]
    if unknown:
        return f"the actor takes no {', '.join(unknown)}"
    if count > len(positional):
        return f"{count} arguments for an actor that takes {len(positional)}"
    needed = positional[: len(positional) - len(taken.defaults)][count:]
    needed += [
        name for name, value in zip(only_named, taken.kw_defaults, strict=True) if value is None
    ]
    missing = [name for name in needed if name not in named]
    return f"{', '.join(missing)} is missing" if missing else None


def _given(site: Site) -> tuple[int, list[str]] | None:
    """How many positional and which named arguments; None where that is not written out."""
    if site.method == "send":
        names = [keyword.arg for keyword in site.call.keywords]
        if None in names or any(isinstance(arg, ast.Starred) for arg in site.call.args):
            return None
        return len(site.call.args), [str(name) for name in names]
    if site.unread:
        return None
    args = site.options["args"].node if "args" in site.options else ast.Tuple([], ast.Load())
    kwargs = site.options["kwargs"].node if "kwargs" in site.options else ast.Dict([], [])
    if not isinstance(args, ast.Tuple | ast.List) or any(
        isinstance(arg, ast.Starred) for arg in args.elts
    ):
        return None
    if not isinstance(kwargs, ast.Dict) or not all(
        isinstance(key, ast.Constant) for key in kwargs.keys
    ):
        return None
    return len(args.elts), [str(key.value) for key in kwargs.keys if isinstance(key, ast.Constant)]


def pickle_encoder(job: Job) -> Iterator[Finding]:
    """pickle runs code from the broker, and breaks old messages when a class moves."""
    if job.policy.serializer != "pickle":
        return
    message = (
        "messages are pickled: whoever can write to the broker runs code here, and a moved class"
        " breaks them"
    )
    place = at(job, job.policy.sources.get("serializer"))
    yield tell(job, "pickle-encoder", Severity.WARNING, place, message, "keep JSONEncoder")


def _is_limiter(call: Call) -> bool:
    return call.origin.endswith("ConcurrentRateLimiter.acquire")


def limiter_ttl(job: Job) -> Iterator[Finding]:
    """A ConcurrentRateLimiter forgets its holder after `ttl` (15 min by default), also while the
    job still runs.
    """
    limit = job.policy.time_limit_s
    if limit is None or "time_limit_s" in job.policy.unknown:
        return
    for call in calls_of(job):
        made = _limiter(job, call) if _is_limiter(call) else None
        if made is None:
            continue
        node, module = made
        given = next((k.value for k in node.keywords if k.arg == "ttl"), None)
        ttl = job.project.literal(given, module) if given is not None else 900_000
        if isinstance(ttl, int | float) and ttl / 1000 < limit:
            message = (
                f"the limiter's ttl is {ttl / 1000:g} s, the time limit {limit:g} s: a second job"
                " gets in meanwhile"
            )
            yield tell(
                job,
                "limiter-ttl",
                Severity.WARNING,
                call_place(call),
                message,
                f"ttl above {limit * 1000:g}",
            )


def _limiter(job: Job, call: Call) -> tuple[ast.Call, Module] | None:
    """Where the limiter is made: a variable of a module, or the expression itself."""
    func = call.node.func
    owner = func.value if isinstance(func, ast.Attribute) else None
    if isinstance(owner, ast.Call):
        return owner, call.module
    name = call.module.resolve(owner) if owner is not None else None
    found = job.project.lookup(name.removesuffix("()")) if name else None
    value = found.binding.value if found and found.binding else None
    return (value, found.module) if found and found.module and isinstance(value, ast.Call) else None
