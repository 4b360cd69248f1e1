"""What the templates may know of a job: the spec and the repository, brought into the words of
generated code.
"""

from __future__ import annotations

import ast
import keyword
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from skillrun.core.errors import Refused
from skillrun.frameworks.pieces import Conventions, EffectCall, Facts, Field, Retries, Store, Symbol

if TYPE_CHECKING:
    from skillrun.contract.job import DeadLetter, Effect, Intent, JobError, JobSpec, Trigger
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.uses import FrameworkUse
    from skillrun.skills.job_worker.job_case import JobCase

_TYPES = {
    "integer": "int",
    "string": "str",
    "number": "float",
    "boolean": "bool",
    "array": "list[Any]",
    "object": "dict[str, Any]",
}
_SQL = {"integer": "INTEGER", "string": "TEXT", "number": "REAL", "boolean": "BOOLEAN"}
HANDLES = frozenset(
    {"connection", "conn", "session", "db", "cursor", "transaction", "tx", "db_session"}
)
"""Parameters by which an adapter takes the open transaction."""


def _choose_message(spec: JobSpec) -> str | None:
    """A publisher that is written gives the fields their names, whatever others do."""
    if spec.message == "args":
        return "kwargs"
    return spec.message


def read_facts(
    case: JobCase,
    spec: JobSpec,
    use: FrameworkUse,
    store: Store,
    conventions: Conventions,
    message: str = "kwargs",
) -> Facts:
    """The facts of one job. Raises Refused for names that no code can have.

    `message`: what holds where the spec does not say how the payload is passed.
    """
    module, name = _import_path(spec.handler or "", spec, "handler")
    names = Names(case.project, conventions.source_root, flat="." not in module)
    fields = tuple(_list_fields(spec))
    enqueue = _choose_publisher(spec, f"{module}:enqueue_{name}")
    facts = Facts(
        job=spec.job,
        name=name,
        title="".join(part.title() for part in name.split("_")),
        what=_write_sentence(spec.job, ""),
        why="",
        module=module,
        path=names.path(module),
        package=module.rpartition(".")[0],
        message=_choose_message(spec) or message,
        fields=fields,
        key=(),
        effects=_effect_calls(case, spec, names),
        transient=_declared_errors(spec, names, "transient"),
        permanent=_declared_errors(spec, names, "permanent"),
        invalid=names.symbol(_choose_invalid_error(spec, module)),
        retries=_read_retries(spec),
        dead_letter="none",
        dead_letter_where="",
        dead_letter_reason=None,
        trigger="event",
        schedule=None,
        timezone=None,
        every_s=None,
        enqueue=names.symbol(enqueue),
        store=store,
        use=use,
        app=app_symbol(names, use, names.path(module)),
        conventions=conventions,
    )
    if spec.idempotency:
        facts = replace(facts, key=spec.idempotency.key)
    facts = _add_intent(facts, spec.intent)
    return _add_end(_add_start(facts, spec.trigger), spec.dead_letter)


def _choose_publisher(spec: JobSpec, otherwise: str) -> str:
    """The import path of what publishes the job. Raises Refused for one that no code can have."""
    publisher = otherwise
    if spec.enqueue:
        publisher = spec.enqueue.call
    _import_path(publisher, spec, "enqueue", "call")
    return publisher


def _add_intent(facts: Facts, intent: Intent | None) -> Facts:
    """What it is for, in the spec's words where it has some."""
    if intent is None:
        return facts
    what = _write_sentence(intent.what, facts.job)
    return replace(facts, what=what, why=_write_sentence(intent.why_async, ""))


def _add_start(facts: Facts, trigger: Trigger | None) -> Facts:
    """What starts the job, where the spec says it."""
    if trigger is None:
        return facts
    return replace(
        facts,
        trigger=trigger.type,
        schedule=trigger.schedule,
        timezone=trigger.timezone,
        every_s=trigger.every,
    )


def _add_end(facts: Facts, dead: DeadLetter | None) -> Facts:
    """Where a job goes that was given up, where the spec says it."""
    if dead is None:
        return facts
    return replace(
        facts,
        dead_letter=dead.kind,
        dead_letter_where=dead.where or "",
        dead_letter_reason=dead.reason,
    )


def _effect_calls(case: JobCase, spec: JobSpec, names: Names) -> tuple[EffectCall, ...]:
    count = len(spec.effects or ())
    return tuple(_read_effect(case, spec, names, number) for number in range(count))


def _declared_errors(
    spec: JobSpec, names: Names, kind: Literal["transient", "permanent"]
) -> tuple[Symbol, ...]:
    if spec.failures is None:
        return ()
    if kind == "transient":
        errors = spec.failures.transient
    else:
        errors = spec.failures.permanent
    return tuple(names.error(error) for error in errors)


def _write_sentence(text: str | None, otherwise: str) -> str:
    """One line without a full stop, safe in a docstring."""
    words = " ".join((text or otherwise).split()).rstrip(".")
    return words.replace("\\", "/").replace('"', "'")


# -- names


class Names:
    """Import paths of the spec as symbols: whether the repository has them, and where they live."""

    def __init__(self, project: Project, source_root: str = "", *, flat: bool = False) -> None:
        """`flat`: the handler's module lies in no package, so a new module beside it does not
        either.
        """
        self.project = project
        self._flat = flat
        self._root = ""
        if source_root:
            self._root = f"{source_root}/"

    def symbol(self, import_path: str) -> Symbol:
        """ "module:name", or the name of a builtin."""
        module, colon, name = import_path.partition(":")
        if not colon:
            return Symbol("", import_path.removeprefix("builtins."))
        if module == "builtins":
            return Symbol("", name)
        path = self.project.locate(module)
        ours = path is not None or self.is_ours(module)
        first = name.partition(".")[0]
        found = path is not None and self._has_name(module, path, first)
        if not ours:
            return Symbol(module, name)
        return Symbol(module, name, exists=found, path=self.path(module))

    def error(self, error: JobError) -> Symbol:
        """A declared error, with what it is raised with."""
        return replace(self.symbol(error.type), args=error.args)

    def _has_name(self, module: str, path: str, name: str) -> bool:
        read = self.project.module(path)
        return self.project.lookup(f"{module}:{name}") is not None or (
            read is not None and bool(read.stars)
        )

    def is_ours(self, module: str) -> bool:
        """Whether a module lies, or would lie, in a package of this repository."""
        if self.project.locate(module.partition(".")[0], anywhere=True) is not None:
            return True
        return self._flat and "." not in module and not self._is_library(module)

    def _is_library(self, name: str) -> bool:
        """A module of the standard library, a dependency, or what some module imports already."""
        from skillrun.repo.manifests import read_manifests

        if name in sys.stdlib_module_names or read_manifests(self.project.tree).find(name):
            return True
        imports = re.compile(rf"(?m)^\s*(?:from|import)\s+{name}\b")
        return any(imports.search(module.text) for module in self.project.modules_with(name))

    def path(self, module: str) -> str:
        """Where a module is, or where it would be written."""
        found = self.project.locate(module)
        if found is not None:
            return found
        parent = module
        while "." in parent:
            parent = parent.rpartition(".")[0]
            package = self.project.locate(parent)
            if package is not None:
                folder = package.removesuffix("/__init__.py")
                rest = module[len(parent) + 1 :].replace(".", "/")
                return f"{folder}/{rest}.py"
        return f"{self._root}{module.replace('.', '/')}.py"


def _import_path(text: str, spec: JobSpec, *at: str) -> tuple[str, str]:
    """(module, name) of what a scaffold is to write. Raises Refused where code cannot be named
    so.
    """
    module, _, name = text.partition(":")
    for part in (*module.split("."), name):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part) or keyword.iskeyword(part):
            where = f"{spec.shown_path}:{spec.line(*at)}: {'.'.join(at)}"
            raise Refused(
                f"{where}: {text!r} is no import path of a function",
                hint="write package.module:function",
            )
    return module, name


def app_symbol(names: Names, use: FrameworkUse, handler_path: str = "") -> Symbol | None:
    """The framework's app object as something to import; None where none was found, or where it is
    made in a call.

    Of several it is the one that the handler's module imports, else the one that most modules of
    tasks do.
    """
    project = names.project
    imported = _imported_apps(project, use, handler_path)
    if not imported:
        for task_module in use.task_modules:
            imported.update(_imported_apps(project, use, task_module))
    chosen = use.app
    if imported:
        chosen = max(imported, key=lambda one: imported[one])
    path, _, name = (chosen or "").partition(":")
    module = None
    if path:
        module = project.module(path)
    if module is None or not name.isidentifier():
        return None
    return Symbol(module.name, name, exists=True, path=path)


def _imported_apps(project: Project, use: FrameworkUse, path: str) -> Counter[str]:
    """ "path:object" of the app objects that a module imports."""
    imported: Counter[str] = Counter()
    module = project.module(path)
    if module is None:
        return imported
    apps = {}
    for app in use.apps:
        home, _, name = app.partition(":")
        apps[f"{project.import_name(home)}.{name}"] = app
    for node in module.nodes(ast.ImportFrom):
        for alias in node.names:
            dotted = f"{module.absolute(node.module, node.level)}.{alias.name}"
            if dotted in apps:
                imported[apps[dotted]] += 1
    return imported


# -- the payload


def _list_fields(spec: JobSpec) -> Iterator[Field]:
    payload = spec.payload or {}
    required = payload.get("required", ())
    first, other = _choose_two_jobs(spec)
    for name, schema in payload.get("properties", {}).items():
        if not name.isidentifier() or keyword.iskeyword(name):
            where = f"{spec.shown_path}:{spec.line('payload', 'properties', name)}"
            raise Refused(
                f"{where}: the field {name!r} is no name of an argument",
                hint="rename it, or write by hand",
            )
        kind = None
        if isinstance(schema, dict):
            kind = schema.get("type")
        annotation = "Any"
        if isinstance(kind, str):
            annotation = _TYPES.get(kind, "Any")
        yield Field(
            name,
            annotation,
            name in required,
            _write_check(name, annotation, schema, name in required),
            first.get(name),
            _SQL.get(str(kind), "TEXT"),
            other.get(name),
        )


def _choose_two_jobs(spec: JobSpec) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The payload of the first example, and one with another key: an example, else one that is
    made of the first.
    """
    examples = [example for example in spec.examples if isinstance(example, dict)]
    if not examples:
        return {}, _make_another(spec, {})
    first = examples[0]
    for other in examples[1:]:
        if other and _is_another_job(spec, first, other):
            return first, other
    return first, _make_another(spec, first)


def _is_another_job(spec: JobSpec, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if spec.idempotency is None:
        return False
    return any(one.get(key) != other.get(key) for key in spec.idempotency.key)


def _make_another(spec: JobSpec, example: Mapping[str, Any]) -> dict[str, Any]:
    """Another job than the first example's: its first key field is changed."""
    made = dict(example)
    if spec.idempotency is None or not spec.idempotency.key:
        return made
    key = spec.idempotency.key[0]
    value = made.get(key)
    if isinstance(value, int | float):
        made[key] = value + 1
    else:
        made[key] = f"{value}2"
    return made


def _write_check(name: str, annotation: str, schema: Any, required: bool) -> str:
    """A Python expression for what the schema says of a field, as far as plain comparisons can say
    it.
    """
    if not isinstance(schema, dict):
        return ""
    kind = {"list[Any]": "list", "dict[str, Any]": "dict", "float": "(int, float)"}.get(
        annotation, annotation
    )
    parts = []
    if annotation != "Any":
        parts = [f"isinstance({name}, {kind})"]
    for word, sign in (
        ("minimum", ">="),
        ("exclusiveMinimum", ">"),
        ("maximum", "<="),
        ("exclusiveMaximum", "<"),
    ):
        if isinstance(schema.get(word), int | float):
            parts.append(f"{name} {sign} {schema[word]!r}")
    for word, sign in (
        ("minLength", ">="),
        ("maxLength", "<="),
        ("minItems", ">="),
        ("maxItems", "<="),
    ):
        if isinstance(schema.get(word), int):
            parts.append(f"len({name}) {sign} {schema[word]}")
    if isinstance(schema.get("enum"), list):
        parts.append(f"{name} in {tuple(schema['enum'])!r}")
    if schema.get("format") == "email":
        parts.append(f'"@" in {name}')
    said = " and ".join(parts)
    if required or not said:
        return said
    if len(parts) > 1:
        return f"{name} is None or ({said})"
    return f"{name} is None or {said}"


def _choose_invalid_error(spec: JobSpec, module: str) -> str:
    """The permanent error for a payload outside its schema: one of the handler's own module, else
    ValueError.
    """
    if spec.failures:
        for error in spec.failures.permanent:
            if error.type.partition(":")[0] == module and not error.args:
                return error.type
    return "ValueError"


# -- the effects


def _read_effect(case: JobCase, spec: JobSpec, names: Names, number: int) -> EffectCall:
    effect = (spec.effects or ())[number]
    module, _, attribute = effect.call.partition(":")
    for part in (*module.split("."), *attribute.split(".")):
        if not part.isidentifier() or keyword.iskeyword(part):
            where = f"{spec.shown_path}:{spec.line('effects', number, 'call')}"
            raise Refused(
                f"{where}: {effect.call!r} is no import path", hint="write package.module:function"
            )
    symbol = names.symbol(effect.call)
    fields = tuple((spec.payload or {}).get("properties", {}))
    adapter = None
    if symbol.exists:
        adapter = case.project.find(effect.call)
    key_arg = None
    if effect.guarantee == "keyed":
        key_arg = effect.key_arg
    return EffectCall(
        name=effect.name,
        call=symbol,
        arguments=_list_arguments(fields, adapter),
        key_arg=key_arg,
        guarantee=effect.guarantee or "at_least_once",
        reason=effect.reason,
        returns=effect.returns,
        window_s=effect.window,
        handle_arg=_name_handle(effect, adapter),
    )


def _list_arguments(fields: tuple[str, ...], adapter: Definition | None) -> tuple[str, ...]:
    """The payload fields that an adapter takes; all of them where it is still to be written, or
    hides what it takes.
    """
    if adapter is None or adapter.is_class or _hides_parameters(adapter):
        return fields
    arguments = []
    for name in adapter.parameters:
        if name in fields:
            arguments.append(name)
    return tuple(arguments)


def _hides_parameters(adapter: Definition) -> bool:
    node = adapter.node
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.args.kwarg is not None


def _name_handle(effect: Effect, adapter: Definition | None) -> str | None:
    """The parameter for the open transaction: only a transactional effect has one."""
    if effect.guarantee != "transactional":
        return None
    if adapter is None:
        return "connection"
    for name in adapter.parameters:
        if name in HANDLES:
            return name
    return None


def takes(adapter: Definition, name: str) -> bool:
    """Whether an adapter has a parameter of that name, or hides what it takes."""
    return adapter.is_class or _hides_parameters(adapter) or name in adapter.parameters


def unfilled(adapter: Definition, effect: EffectCall) -> tuple[str, ...]:
    """Parameters of an adapter that must be given and that neither the payload nor the key nor a
    transaction fills.
    """
    node = adapter.node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return ()
    positional = [*node.args.posonlyargs, *node.args.args]
    needed = [arg.arg for arg in positional[: len(positional) - len(node.args.defaults)]]
    pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    for arg, default in pairs:
        if default is None:
            needed.append(arg.arg)
    given = {*effect.arguments, effect.key_arg, effect.handle_arg, "self", "cls"}
    return tuple(name for name in needed if name not in given)


# -- retries


def _read_retries(spec: JobSpec) -> Retries:
    retry = spec.retry
    none_asked = "the spec asks for none"
    if retry is None:
        return Retries(reason=none_asked)
    if retry.kind == "none" or (retry.max_attempts or 1) <= 1:
        return Retries(reason=_write_sentence(retry.reason, none_asked))
    backoff = retry.backoff
    if backoff is None:
        return Retries(max_attempts=retry.max_attempts or 1, delays=retry.delays())
    if backoff.kind == "linear" or backoff.first is not None:
        where = f"{spec.shown_path}:{spec.line('retry', 'backoff')}"
        hint = "write the job by hand, or give it fixed or exponential waits"
        raise Refused(f"{where}: linear backoff and a first wait are not written yet", hint=hint)
    return Retries(
        max_attempts=retry.max_attempts or 1,
        kind=backoff.kind,
        base_s=backoff.base or 0.0,
        factor=backoff.factor,
        cap_s=backoff.cap,
        jitter=backoff.jitter,
        delays=retry.delays(),
    )
