"""What work orders say of the stages of a job: where the work lies, how it is usually written, and
what will be checked. Fits `runner.coded.Guide`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.core.errors import SkillrunError
from skillrun.repo.places import is_test, is_test_module
from skillrun.skills.job_worker.checked import CHECKED, IDEMPOTENT
from skillrun.skills.job_worker.readings.foreign import ATTESTED
from skillrun.skills.job_worker.readings.named import find_last_word, find_named
from skillrun.skills.job_worker.readings.unread import unread

if TYPE_CHECKING:
    from skillrun.contract.languages import Language
    from skillrun.contract.spec import JobSpec
    from skillrun.repo.uses import Place
    from skillrun.skills.job_worker.job_case import JobCase

_WANTED = {
    "identify": ("app", "tasks"),
    "contract": ("spec",),
    "idempotency": ("spec", "handler", "adapter"),
    "handler": ("handler", "app", "tasks", "publisher", "adapter"),
    "retry": ("handler", "hook", "spec"),
    "dead-letter": ("handler", "hook", "spec"),
    "observability": ("handler", "hook"),
    "tests": ("handler", "test"),
}
_MOST = 8


def list_places(case: JobCase, stage: str) -> list[str]:
    """ "kind: path:line symbol" of what a stage is about; at most eight. Empty where nothing could
    be read.
    """
    wanted = _WANTED.get(stage, ())
    try:
        found = case.once("places", lambda: list(_list_all(case)))
    except SkillrunError:
        return []
    places = []
    for name in wanted:
        for kind, text in found:
            if kind.partition(" ")[0] == name:
                places.append(f"{kind}: {text}")
    return places[:_MOST]


def _list_all(case: JobCase) -> Iterator[tuple[str, str]]:
    spec, use = case.spec, case.use
    if spec is not None:
        yield "spec", spec.shown_path
    yield from _list_handler(case)
    if use is not None:
        for app in use.apps[:2]:
            yield ("app", app)
        yield from (("tasks", path) for path in use.task_modules[:3])
    for wiring in case.wiring:
        if not wiring.in_tests:
            yield ("publisher", f"{wiring.place.path}:{wiring.place.line} {wiring.how}")
    for event, hook in case.hooks.items():
        yield (f"hook ({event})", f"{hook.path}:{hook.line} {hook.name}")
    if spec is not None:
        yield from _list_adapters(case, spec)
    for path in _list_tests(case):
        yield ("test", path)


def _list_adapters(case: JobCase, spec: JobSpec) -> Iterator[tuple[str, str]]:
    for effect in spec.effects or ():
        if case.language is not None:
            place = find_named(case.tree, case.language, effect.call)
            yield f"adapter {effect.name}", _show_named(place, effect.call)
            continue
        found = case.project.find(effect.call)
        where = "to write"
        if found is not None:
            where = f"{found.path}:{found.line}"
        yield f"adapter {effect.name}", f"{where} {effect.call}"


def _list_handler(case: JobCase) -> Iterator[tuple[str, str]]:
    if case.language is not None:
        yield from _list_named(case, case.language)
    elif case.handler is not None:
        yield "handler", f"{case.handler.path}:{case.handler.line} {case.handler.name}"
    elif case.spec is not None and case.spec.handler:
        module, _, name = case.spec.handler.partition(":")
        yield "handler to write", f"{module.replace('.', '/')}.py {name}"


def _list_named(case: JobCase, language: Language) -> Iterator[tuple[str, str]]:
    """The handler by its name in its own language."""
    if case.spec is None or case.spec.handler is None:
        return
    place = find_named(case.tree, language, case.spec.handler)
    kind = "handler"
    if place is None:
        kind = "handler to write"
    yield kind, _show_named(place, case.spec.handler)


def _show_named(place: Place | None, name: str) -> str:
    if place is None:
        return name
    return f"{place.path}:{place.line} {name}"


def _list_tests(case: JobCase) -> list[str]:
    """Test files that name the handler first, then others, by path."""
    if case.language is not None:
        return _list_foreign_tests(case, case.language)
    tests = []
    for path in case.tree.files:
        if is_test_module(path):
            tests.append(path)
    naming: set[str] = set()
    if case.spec is not None and case.spec.handler:
        naming.update(case.tree.search(case.spec.handler.rpartition(":")[2]))
    return sorted(tests, key=lambda path: (path not in naming, path))[:3]


def _list_foreign_tests(case: JobCase, language: Language) -> list[str]:
    """Test files of another language that name the handler, else the first ones."""
    tests = []
    for path in case.tree.files:
        if path.endswith(language.suffixes) and is_test(path):
            tests.append(path)
    naming: set[str] = set()
    if case.spec is not None and case.spec.handler:
        word = find_last_word(case.spec.handler)
        for suffix in language.suffixes:
            naming.update(case.tree.search(word, suffix))
    return sorted(naming.intersection(tests) or tests)[:3]


def find_idiom(case: JobCase, stage: str) -> str | None:
    """How the library in use says it; idempotency is made in the same way with all of them."""
    framework = case.framework
    if framework is None:
        return None
    own = framework.IDIOMS.get(stage)
    if own is None and stage == "idempotency":
        return IDEMPOTENT
    return own


def _is_unread(case: JobCase, stage: str) -> bool:
    return case.language is not None or unread(case, stage) is not None


def list_checked(case: JobCase | None, stage: str) -> tuple[str, ...]:
    """What a stage of the job worker will look at; a declared step has its own words. Nothing is
    looked at, and no fault injected, in another language than Python, nor where the library is only
    recognised, whether there is a spec yet or not.
    """
    if case is not None and stage in ATTESTED and _is_unread(case, stage):
        return ()
    return CHECKED.get(stage, ())
