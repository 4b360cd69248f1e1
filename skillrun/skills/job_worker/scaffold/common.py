"""The pieces that every framework's job has: adapters that are still to be filled in, and the
tests.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from skillrun.frameworks.pieces import (
    EffectCall,
    Facts,
    Module,
    NewFile,
    Piece,
    Symbol,
    name_of,
)
from skillrun.frameworks.writer import RunsNeed
from skillrun.skills.job_worker.scaffold.render import Renderer, key_source, parameter
from skillrun.skills.job_worker.scaffold.stores.testing import Testing


def adapters(facts: Facts, render: Renderer) -> Iterator[Piece]:
    """A stub for each adapter that is not there, and the errors that nobody has defined yet."""
    missing: dict[str, list[Symbol]] = {}
    for symbol in (*facts.transient, *facts.permanent, facts.invalid):
        if not symbol.exists:
            missing.setdefault(symbol.module, []).append(symbol)
    effects: dict[str, list[EffectCall]] = {}
    for effect in facts.effects:
        if not effect.call.exists:
            effects.setdefault(effect.call.module, []).append(effect)
    for module in dict.fromkeys((*missing, *effects)):
        yield _write_adapter(
            facts, render, module, effects.get(module, []), missing.get(module, [])
        )


def _write_adapter(
    facts: Facts, render: Renderer, module: str, effects: list[EffectCall], missing: list[Symbol]
) -> Piece:
    """One module, with its own effects and errors."""
    errors = {symbol.name: symbol for symbol in missing}
    passing = {symbol.name for symbol in facts.transient if symbol.module == module}
    signatures = {effect.name: stub_parameters(facts, effect) for effect in effects}
    needed = []
    if "Any" in " ".join(itertools.chain.from_iterable(signatures.values())):
        needed.append("from typing import Any")
    if effects:
        about, path = f"Adapters of {facts.job}.", effects[0].call.path
    else:
        about, path = f"Errors of {facts.job}.", missing[0].path
    text = render(
        "adapter.py.jinja",
        facts,
        about=about,
        effects=effects,
        errors=list(errors.values()),
        passing=passing,
        module=module,
        needed=needed,
        signatures=signatures,
    )
    return Module(path, text)


def stub_parameters(facts: Facts, effect: EffectCall) -> list[str]:
    """The parameters of an adapter that is still to be written."""
    parameters = []
    if effect.handle_arg:
        parameters.append(f"{effect.handle_arg}: Any")
    for field in facts.fields:
        if field.name in effect.arguments:
            parameters.append(parameter(field))
    if effect.key_arg:
        parameters += ["*", f"{effect.key_arg}: str"]
    return parameters


# -- tests


def tests(
    facts: Facts, render: Renderer, testing: Testing, *, words: str, runs_need: RunsNeed
) -> Piece:
    """The job's tests: what each framework's `runs.jinja` runs, over what each store's fixture
    prepares.

    `runs_need`: the framework's own. Functions of pytest, or a TestCase where the repository's
    tests are such classes or the store needs one.
    """
    case = find_test_case(facts, testing)
    template = "tests.py.jinja"
    if case:
        template = "tests_unittest.py.jinja"
    text = render(
        template,
        facts,
        case=name_of(case),
        words=words,
        needed=[*_list_needed(facts, testing, case, runs_need)],
        fixtures=testing.fixtures,
        store=testing.values,
        buries=facts.dead_letter == "table",
        told=_only_told(facts),
        payload=list_examples(facts),
        other=list_others(facts),
        expected=expected,
        poison=poison(facts),
    )
    # One file has all tests of a package: it gets what it lacks.
    if "{}" not in facts.conventions.test_pattern:
        return Module(test_path(facts), text)
    return NewFile(test_path(facts), text)


def list_examples(facts: Facts) -> dict[str, Any]:
    """The payload of the first example, without the fields that it leaves out."""
    return {field.name: field.example for field in facts.fields if field.example is not None}


def list_others(facts: Facts) -> dict[str, Any]:
    """The same of the second job."""
    return {field.name: field.other for field in facts.fields if field.other is not None}


def _list_needed(
    facts: Facts, testing: Testing, case: Symbol | None, runs_need: RunsNeed
) -> Iterator[Symbol | str]:
    """What the module of the tests imports."""
    yield "from typing import Any"
    yield from testing.needed
    yield from runs_need(facts, case=case is not None)
    if case:
        yield from testing.for_unittest
        yield "from unittest.mock import patch"
        yield case
    else:
        yield from testing.for_pytest
        yield "import pytest"
    yield from stand_ins_need(facts)
    for effect in facts.effects:
        yield effect.call
    for error in (*facts.transient[:1], *facts.permanent[:1]):
        if error.module:
            yield error
    yield Symbol(facts.module, facts.name)


def stand_ins_need(facts: Facts) -> list[str]:
    """What stands in for an adapter that is awaited."""
    if not any(effect.awaited for effect in facts.effects):
        return []
    return ["from unittest.mock import AsyncMock"]


def _only_told(facts: Facts) -> bool:
    """Whether a failure shows in the log alone, and there to the tests: nothing tries again, and no
    table keeps it.
    """
    retried = facts.retries.bounded and facts.transient
    stdlib = (
        facts.conventions.log_style == "percent" and "loguru" not in facts.conventions.logger_import
    )
    return bool(
        not retried
        and (facts.transient or facts.permanent)
        and facts.dead_letter != "table"
        and stdlib
    )


def test_path(facts: Facts) -> str:
    """The file of the job's tests."""
    folder, pattern = facts.conventions.tests, facts.conventions.test_pattern
    return f"{folder}/{pattern.format(facts.name)}".removeprefix("/")


def find_test_case(facts: Facts, testing: Testing) -> Symbol | None:
    """The class of the test cases; None for functions of pytest."""
    if facts.conventions.test_runner == "pytest" and not testing.only_cases:
        return None
    if testing.case is not None:
        return testing.case
    if facts.conventions.test_runner == "django":
        return Symbol("django.test", "TestCase")
    return Symbol("unittest", "TestCase")


def expected(facts: Facts, effect: EffectCall, *, other: bool = False) -> dict[str, Any]:
    """The arguments of the one call that a delivery of the first example makes, or of the other
    job.
    """
    examples = {}
    for field in facts.fields:
        if other:
            examples[field.name] = field.other
        else:
            examples[field.name] = field.example
    given: dict[str, Any] = {name: examples.get(name) for name in effect.arguments}
    if effect.key_arg:
        given[effect.key_arg] = key_of(facts, examples)
    return given


def key_of(facts: Facts, values: dict[str, Any]) -> str:
    """What `key_source` gives for these values."""
    text = key_source(facts)[2:-1]
    for name in facts.key:
        text = text.replace(f"{{{name}}}", str(values.get(name))).replace(
            f"{{{name}!r}}", repr(values.get(name))
        )
    return text


def poison(facts: Facts) -> str:
    """Source of a payload that breaks its schema, or "" where every payload satisfies it."""
    broken = None
    for field in facts.fields:
        if field.valid and field.required:
            broken = field
            break
    if broken is None:
        return ""
    wrong: Any = None
    if broken.annotation in ("int", "float") and "<" not in broken.valid and ">" in broken.valid:
        wrong = -1
    return f'{{**PAYLOAD, "{broken.name}": {wrong}}}'
