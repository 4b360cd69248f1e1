"""Rules about how a job is published: inside a transaction, or with a database row for an
argument.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from skillrun.frameworks.common.facts import atomic_function, is_atomic, tell
from skillrun.frameworks.interface import Job, Send
from skillrun.repo.python import Call, Module
from skillrun.verdict import Finding, Severity

_MODEL_CLASSES = (
    "django.db.models.Model",
    "sqlalchemy.orm.DeclarativeBase",
    "peewee.Model",
    "mongoengine.Document",
)
_MODEL_MAKERS = ("declarative_base()", ".Model")
_ROW_METHODS = (
    ".objects.get()",
    ".objects.create()",
    ".objects.first()",
    ".objects.last()",
    ".objects.latest()",
)
_SQLALCHEMY = ("sqlalchemy.", "sqlmodel.")


def publish_in_transaction(
    job: Job, published: Iterable[tuple[Send, Call]], hint: str
) -> Iterator[Finding]:
    """A worker may take the message before the commit, or although the transaction is rolled
    back.
    """
    for wiring, call in published:
        if _deferred(call):
            continue
        opened = next((name for name in call.in_with if _opens_transaction(job, name)), None)
        if opened is None and not atomic_function(job.project, call.module, call.node):
            yield from _in_request(job, wiring, call)
            continue
        certain = opened is None or is_atomic(job.project, opened) or _is_sqlalchemy(job, opened)
        message = (
            f"{wiring.how} inside a transaction: a worker may start before the commit, or although"
            " it is rolled back"
        )
        severity = Severity.ERROR if certain else Severity.WARNING
        yield tell(job, "publish-in-transaction", severity, wiring.place, message, hint)


def _deferred(call: Call) -> bool:
    """Inside a lambda or an inner function that `on_commit` receives."""
    for above in call.module.parents(call.node):
        if (
            isinstance(above, ast.Call)
            and isinstance(above.func, ast.Attribute)
            and above.func.attr == "on_commit"
        ):
            return True
        if isinstance(above, ast.FunctionDef):
            return _handed_to_on_commit(call.module, above)
    return False


def _handed_to_on_commit(module: Module, function: ast.FunctionDef) -> bool:
    outer = module.function_of(function)
    calls = (n for n in ast.walk(outer or module.tree) if isinstance(n, ast.Call))
    decorated = any("on_commit" in ast.unparse(d) for d in function.decorator_list)
    return decorated or any(
        isinstance(c.func, ast.Attribute)
        and c.func.attr == "on_commit"
        and any(isinstance(a, ast.Name) and a.id == function.name for a in c.args)
        for c in calls
    )


def _opens_transaction(job: Job, name: str) -> bool:
    if is_atomic(job.project, name):
        return True
    last = name.rpartition(".")[2]
    return last in ("begin", "begin_nested", "transaction") and "." in name


def _is_sqlalchemy(job: Job, name: str) -> bool:
    """`Session.begin()` of a sessionmaker, `engine.begin()`: the block is the transaction."""
    origin = job.project.origin(name.removesuffix("()"))
    return origin.startswith(_SQLALCHEMY) and origin.endswith((".begin", ".begin_nested"))


def _in_request(job: Job, wiring: Send, call: Call) -> Iterator[Finding]:
    """ATOMIC_REQUESTS makes every view one transaction."""
    if not (_looks_like_view(call.path) or _called_from_view(job, call)) or not _atomic_requests(
        job
    ):
        return
    message = (
        f"{wiring.how} in a view, and ATOMIC_REQUESTS makes the whole request one transaction; not"
        " certain, because a view can be exempt (non_atomic_requests), and other callers have no"
        " request"
    )
    yield tell(
        job,
        "publish-in-transaction",
        Severity.WARNING,
        wiring.place,
        message,
        "publish with transaction.on_commit",
    )


def _called_from_view(job: Job, call: Call) -> bool:
    """The function that publishes is used by a module of views."""
    function = call.module.function_of(call.node)
    name = f"{call.module.name}.{call.module.qualname(function)}" if function else ""
    return bool(name) and any(_looks_like_view(use.path) for use in job.project.uses(name))


def _looks_like_view(path: str) -> bool:
    return "views" in path.removesuffix(".py").split("/") or path.endswith(
        ("views.py", "viewsets.py")
    )


def _atomic_requests(job: Job) -> bool:
    for module in job.project.settings_modules():
        databases = job.project.variable(module, "DATABASES")
        options = databases.values() if isinstance(databases, dict) else ()
        if any(isinstance(one, dict) and one.get("ATOMIC_REQUESTS") is True for one in options):
            return True
    return False


def row_in(job: Job, module: Module, node: ast.expr) -> str | None:
    """What kind of row an expression is; None where it is none or cannot be told."""
    name = module.resolve(node) if isinstance(node, ast.Name | ast.Call) else None
    if not name:
        return None
    if name.endswith(_ROW_METHODS):
        return f"a row of {name.partition('.objects')[0]}"
    if name == "self":
        owner = module.class_of(node)
        name = f"{module.name}.{module.qualname(owner)}()" if owner else ""
    if not name.endswith("()"):
        return None
    classes = job.project.ancestors(name.removesuffix("()"))
    if any(c in _MODEL_CLASSES or c.endswith(_MODEL_MAKERS) for c in classes[1:]):
        return f"a row of {classes[0]}"
    return None
