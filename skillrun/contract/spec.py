"""Reads a job spec: text, positions, schema, and then one frozen `JobSpec`, or every violation at
once.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from referencing.exceptions import NoSuchResource, Unresolvable, Unretrievable

from skillrun.contract import positions
from skillrun.contract.as_written import read_as_written
from skillrun.contract.job import BackoffSpec as BackoffSpec
from skillrun.contract.job import DeadLetter as DeadLetter
from skillrun.contract.job import Effect as Effect
from skillrun.contract.job import Failures as Failures
from skillrun.contract.job import Idempotency as Idempotency
from skillrun.contract.job import JobError as JobError
from skillrun.contract.job import JobSpec as JobSpec
from skillrun.contract.job import Proof as Proof
from skillrun.contract.job import Retry as Retry
from skillrun.contract.job import Trigger as Trigger
from skillrun.contract.job import Waiver as Waiver
from skillrun.contract.languages import LANGUAGES
from skillrun.contract.positions import Document, YamlProblem
from skillrun.contract.specfile import read_raw_spec as read_raw_spec
from skillrun.contract.specfile import spec_sha256
from skillrun.contract.violations import UNKNOWN_KEY, Violation, find_violations, schema_violations
from skillrun.contract.yamlpos import load_positions
from skillrun.core.canonical import sha256
from skillrun.core.errors import SpecInvalid
from skillrun.core.resources import resource

# Below these, every value is the author's own: what YAML made of it cannot be seen from its type.
_FREE = {"examples", "args", "returns", "poison", "inputs", "enum", "const", "default"}
_MAX_SHOWN = 50


def load_spec(
    path: Path, *, overrides: Mapping[str, str] | None = None, root: Path | None = None
) -> JobSpec:
    """The job spec of a YAML or JSON file. `overrides` are `path.to.field` -> value as YAML; `root`
    is the repository, relative to which the file is shown (else to the current folder).

    Raises SpecInvalid with one line per violation: `job.yaml:14: retry.max_attempts: what: what to
    do`.
    """
    data, file_sha256 = read_raw_spec(path)
    shown = _shown_path(path, root)
    return _check_document(
        _parse_spec(data, path, shown), path, shown, file_sha256, overrides or {}
    )


def spec_from_settings(overrides: Mapping[str, str]) -> JobSpec:
    """A spec of `--set` values alone, for skills that ask for inputs and no job. Raises SpecInvalid
    as `load_spec`.
    """
    document = Document({"version": 1, "job": "unnamed"}, {})
    return _check_document(document, Path(), "--set", sha256(b""), overrides)


def _check_document(
    document: Document, path: Path, shown: str, file_sha256: str, overrides: Mapping[str, str]
) -> JobSpec:
    """The spec of a document with its overrides. Raises SpecInvalid with all that is wrong."""
    value, changed, misplaced = _with_overrides(document.value, overrides)
    found = [*misplaced, *_all_violations(value, document, changed)]
    if found:
        raise _make_refusal(found, shown, document, changed)
    beside = {
        "raw": value,
        "sha256": spec_sha256(file_sha256, overrides),
        "path": path,
        "shown_path": shown,
        "lines": document.lines,
    }
    return _build_spec({**value, **beside})


def _build_spec(values: dict[str, Any]) -> JobSpec:
    """The model of values that satisfy the schema. Raises SpecInvalid where they do not satisfy the
    model, too.
    """
    try:
        return JobSpec.model_validate(values)
    except ValidationError as error:
        # The schema is looser than the model in corners such as `version: 1.0`.
        problems = []
        for problem in error.errors():
            place = ".".join(map(str, problem["loc"]))
            problems.append(f"{values['shown_path']}: {place}: {problem['msg']}")
        raise SpecInvalid("\n".join(problems), hint="write the value plainly") from error


def spec_schema() -> dict[str, Any]:
    """The published schema of a job spec."""
    schema: dict[str, Any] = json.loads(resource("schemas", "job-spec.v1.json").read_text("utf-8"))
    return schema


def _parse_spec(data: bytes, path: Path, shown: str) -> Document:
    """The mapping that a spec's bytes hold, with the line of each key. Raises SpecInvalid for bytes
    that hold none.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecInvalid(f"{shown}:{line}: not UTF-8", hint="save the file as UTF-8") from error
    try:
        document = load_positions(text, path.name)
    except YamlProblem as problem:
        raise SpecInvalid(f"{shown}:{problem.line}: {problem.what}", hint=problem.hint) from problem
    if document.value is None:
        raise SpecInvalid(
            f"{shown}:1: the job spec is empty", hint="write one with: skillrun spec init"
        )
    if not isinstance(document.value, dict):
        kind = "a single value"
        if isinstance(document.value, list):
            kind = "a list"
        raise SpecInvalid(
            f"{shown}:1: a job spec is a mapping, this is {kind}", hint="begin with: version: 1"
        )
    return read_as_written(document)


def _shown_path(path: Path, root: Path | None) -> str:
    """Relative to the repository, or to the current folder, where it lies in it: short, and
    something to click on.
    """
    try:
        return path.resolve().relative_to((root or Path.cwd()).resolve()).as_posix()
    except (ValueError, OSError):
        return str(path)


def spec_violations(value: Any) -> list[Violation]:
    """What is wrong with the JSON values of a spec: against the schema, its own payload schema, and
    repeated names.
    """
    return [
        *_name_other_languages(value, find_violations(_schema_for(value), value)),
        *_payload_violations(value),
        *_repeated_names(value),
        *_unknown_effects(value),
    ]


def _schema_for(value: Any) -> dict[str, Any]:
    """The schema that holds for the names of one spec: import paths, or those of its language.

    The published one takes both, since a reference cannot ask what stands elsewhere in the file.
    """
    schema = spec_schema()
    parts = schema["$defs"]
    own = {"importPath": "pythonPath", "errorName": "pythonError"}
    language = LANGUAGES.get(str(value.get("language")))
    if language is not None:
        own = {"importPath": "foreignName", "errorName": "foreignName"}
        parts["foreignName"]["examples"] = [language.handler]
    for name, chosen in own.items():
        parts[name] = parts[chosen]
    return schema


def _name_other_languages(value: Any, found: Iterable[Violation]) -> Iterator[Violation]:
    """A handler that is no import path may be one of another language."""
    for violation in found:
        is_name = violation.path == ("handler",) and isinstance(value.get("handler"), str)
        if is_name and "language" not in value:
            hint = f"{violation.hint}; if it is not Python, say so, e.g. language: ruby"
            yield replace(violation, hint=hint)
        else:
            yield violation


def _all_violations(
    value: Any, document: Document, changed: set[positions.Path]
) -> list[Violation]:
    found = [_with_trap(violation, document) for violation in spec_violations(value)]
    named = {violation.path for violation in found}
    for trap in _find_traps(document, changed):
        if trap.path not in named:
            found.append(trap)
    return found


def _payload_violations(value: Any) -> Iterator[Violation]:
    """A payload that is no JSON Schema, or examples that break it."""
    payload = value.get("payload")
    if not isinstance(payload, dict):
        return
    broken = list(schema_violations(payload, ("payload",)))
    yield from broken
    examples = payload.get("examples")
    if broken or not isinstance(examples, list):
        return
    for index, example in enumerate(examples):
        yield from _example_violations(payload, example, ("payload", "examples", index))


def _example_violations(payload: Any, example: Any, at: positions.Path) -> Iterator[Violation]:
    """How an example breaks its payload's schema, or why that schema cannot be asked."""
    payload_path = ("payload",)
    try:
        for found in find_violations(payload, example, at):
            hint = f"an example must satisfy the payload's schema; {found.hint}"
            yield Violation(found.path, found.what, hint)
    except Unresolvable as error:
        what = f"the $ref {error.ref!r} leads nowhere"
        yield Violation(payload_path, what, "use $defs within the payload; nothing is fetched")
    except RecursionError:
        yield Violation(payload_path, "its $ref leads in a circle", "let it end somewhere")
    except re.error as error:
        what = f"the pattern {str(error.pattern)!r} is no regular expression"
        yield Violation(payload_path, what, "mend it")
    except (ArithmeticError, NoSuchResource, Unretrievable) as error:
        what = f"cannot be used to check an example: {error!r}"
        yield Violation(payload_path, what, "simplify it")


def _repeated_names(value: Any) -> Iterator[Violation]:
    """Two effects of one name could not be told apart in a report."""
    seen: set[str] = set()
    for index, effect in enumerate(_list_or_empty(value.get("effects"))):
        name = None
        if isinstance(effect, dict):
            name = effect.get("name")
        if not isinstance(name, str):
            continue
        if name in seen:
            path = ("effects", index, "name")
            yield Violation(path, f"{name} names two effects", "give each its own name")
        seen.add(name)


def _unknown_effects(value: Any) -> Iterator[Violation]:
    """An error that comes out of an effect which nobody has declared."""
    failures = value.get("failures")
    if not isinstance(failures, dict):
        return
    known = []
    for effect in _list_or_empty(value.get("effects")):
        if isinstance(effect, dict):
            known.append(str(effect.get("name")))
    hint = f"the effects are {', '.join(known) or 'none'}"
    for kind in ("transient", "permanent", "success"):
        for index, error in enumerate(_list_or_empty(failures.get(kind))):
            named = None
            if isinstance(error, dict):
                named = error.get("effects")
            for place, name in enumerate(_list_or_empty(named)):
                if name not in known:
                    path = ("failures", kind, index, "effects", place)
                    yield Violation(path, f"{name} is the name of no effect", hint)


def _list_or_empty(value: Any) -> list[Any]:
    """A list as it is. What should have been one is a violation of the schema, said elsewhere."""
    if isinstance(value, list):
        return value
    return []


def _with_trap(violation: Violation, document: Document) -> Violation:
    """A violation that also says how YAML read the value, where nobody would expect it."""
    trap = document.traps.get(violation.path)
    if trap is None or violation.what == UNKNOWN_KEY:
        return violation
    reading, _, remedy = trap.partition("; ")
    return Violation(violation.path, f"{violation.what} ({reading})", f"{violation.hint}; {remedy}")


def _find_traps(document: Document, changed: set[positions.Path]) -> Iterator[Violation]:
    """Values that YAML reads as something else: always for numbers in base 60, else where nothing
    else would notice.
    """
    for path, trap in document.traps.items():
        is_overridden = any(path[: len(prefix)] == prefix for prefix in changed)
        is_unseen = "base-60" in trap or not _FREE.isdisjoint(path)
        if is_unseen and not is_overridden:
            what, _, hint = trap.partition("; ")
            yield Violation(path, what, hint)


def _make_refusal(
    found: list[Violation], shown: str, document: Document, changed: set[positions.Path]
) -> SpecInvalid:
    """The refusal of a spec, each violation once, in the order of the file."""
    numbered = set()
    for violation in found:
        text = _say_violation(violation, shown, document, changed)
        numbered.add((document.line(violation.path), text))
    lines = sorted(numbered)
    texts = [text for _, text in lines[:_MAX_SHOWN]]
    if len(lines) > _MAX_SHOWN:
        texts.append(f"{shown}: and {len(lines) - _MAX_SHOWN} more")
    return SpecInvalid("\n".join(texts), hint=f"mend it, then: skillrun spec check {shown}")


def _say_violation(
    violation: Violation, shown: str, document: Document, changed: set[positions.Path]
) -> str:
    place = f"{shown}:{document.line(violation.path)}"
    for prefix in changed:
        if violation.path[: len(prefix)] == prefix:
            place = "--set " + ".".join(str(step) for step in prefix)
    return f"{place}: {violation.dotted()}: {violation.what}: {violation.hint}"


def _with_overrides(
    value: Any, overrides: Mapping[str, str]
) -> tuple[Any, set[positions.Path], list[Violation]]:
    """A copy with the overrides in it, the paths that they set, and those that lead nowhere."""
    result = copy.deepcopy(value)
    changed: set[positions.Path] = set()
    wrong: list[Violation] = []
    for dotted, text in overrides.items():
        path = parse_path(dotted)
        changed.add(path)
        try:
            set_value(result, path, override_value(dotted, text))
        except (KeyError, IndexError, TypeError) as error:
            wrong.append(
                Violation(path, str(error.args[0]), "check the path; list items are counted from 0")
            )
    return result, changed, wrong


def parse_path(dotted: str) -> positions.Path:
    """`effects.0.call` -> ("effects", 0, "call")."""
    path: list[str | int] = []
    for step in dotted.split("."):
        if step.isascii() and step.isdigit():
            path.append(int(step))
        else:
            path.append(step)
    return tuple(path)


def override_value(dotted: str, text: str) -> Any:
    """The value of `--set dotted=text`, read as YAML. SpecInvalid where that fails, or reads
    something unexpected.
    """
    try:
        document = load_positions(text)
    except YamlProblem as problem:
        raise SpecInvalid(f"--set {dotted}: {problem.what}", hint=problem.hint) from problem
    for trap in document.traps.values():
        raise SpecInvalid(f"--set {dotted}: {trap}", hint=f"write --set {dotted}='\"{text}\"'")
    return document.value


def set_value(container: Any, path: positions.Path, value: Any) -> None:
    """Puts a value at a path, making what is missing on the way. LookupError or TypeError where it
    cannot be.
    """
    for step, following in itertools.pairwise(path):
        empty: Any = {}
        if isinstance(following, int):
            empty = []
        container = _step_into(container, step, empty)
    _step_into(container, path[-1], value, replace=True)


def _step_into(container: Any, step: str | int, new: Any, *, replace: bool = False) -> Any:
    """The member of a mapping or list, made from `new` where it is missing (a list grows by one at
    most).
    """
    if isinstance(container, dict):
        key = str(step)
        if replace or container.get(key) is None:
            container[key] = new
        return container[key]
    if not isinstance(container, list) or not isinstance(step, int):
        raise TypeError(f"{json.dumps(container)[:40]} has no member {step}")
    if step == len(container):
        container.append(new)
    elif step > len(container):
        raise IndexError(f"has only {len(container)} items")
    elif replace:
        container[step] = new
    return container[step]
