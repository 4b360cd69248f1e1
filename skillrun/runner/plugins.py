"""Finds the code of a skill by its name, and says in one line what is wrong with a plug-in."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from skillrun.contract.installed import (
    Entry,
    find_entries,
    installed_first,
    list_modules,
    own_entries,
)
from skillrun.core.canonical import digest
from skillrun.core.errors import SkillInvalid, SkillrunError
from skillrun.core.verdict import StageResult
from skillrun.runner.coded import CodedSkill
from skillrun.runner.declared import DECLARED

if TYPE_CHECKING:
    from skillrun.contract.skill import Skill
    from skillrun.runner.case import Case
    from skillrun.runner.coded import Stage

P = ParamSpec("P")
T = TypeVar("T")

_STAGE_PARTS = ("ID", "TITLE", "ANSWERS", "READS", "COSTLY", "examine")


@cache
def skill_code(name: str) -> CodedSkill[Any]:
    """The code of a skill; `DECLARED` for a skill that no code answers to. Raises SkillInvalid."""
    for entry in own_entries():
        # Its own skill is found without a look at what is installed, which takes as long as the
        # rest of an unchanged resume; `refuse_rivals` has that look before anything runs.
        if entry.name == name:
            return _load_entry(entry)
    refuse_rivals(name)
    for entry in find_entries(name):
        return _load_entry(entry)
    return DECLARED


def examine_stage(code: CodedSkill[Any], stage: Stage[Any], case: Case) -> StageResult:
    """What a stage finds. A plug-in's that fails, or finds something else, is said in one line."""
    entry = _find_plugin(code.name)
    if entry is None:
        return stage.examine(case)
    result = _blame_plugin(entry, f"its stage {stage.ID}", stage.examine)(case)
    if not isinstance(result, StageResult):
        said = f"its stage {stage.ID} gave a {type(result).__name__}, not a StageResult"
        raise _refuse_plugin(entry, said)
    return result


@cache
def plugin_version(name: str) -> str:
    """What a plug-in's code is: its version, and its files, which somebody may be writing. Empty
    for a skill that no plug-in answers to. What it said under another version does not count.
    """
    entry = _find_plugin(name)
    if entry is None:
        return ""
    seen = []
    for path in list_modules(entry):
        stat = path.stat()
        seen.append([str(path), stat.st_size, stat.st_mtime_ns])
    return f"{entry.distribution}+{digest(seen)[:12]}"


def _find_plugin(name: str) -> Entry | None:
    """Who registers a skill, other than skillrun itself."""
    # Skillrun's own come first, and are found without a look at what is installed.
    if not name or any(entry.name == name for entry in own_entries()):
        return None
    for entry in find_entries(name):
        if not entry.is_own:
            return entry
    return None


def refuse_rivals(name: str) -> None:
    """Raises SkillInvalid where several distributions bring a skill of this name."""
    entries = find_entries(name)
    if len(entries) > 1:
        who = " and ".join(entry.distribution for entry in entries)
        raise SkillInvalid(
            f"{name}: several plug-ins bring this skill: {who}",
            hint="uninstall all but one from skillrun's environment",
        )


def list_stages(code: CodedSkill[Any], skill: Skill) -> Sequence[Stage[Any]]:
    """The stages of a coded skill. Raises SkillInvalid where they cannot be loaded or are none."""
    if code is DECLARED:
        return code.stages(skill)
    entry = find_entries(code.name)[0]
    with installed_first(entry.folder):
        stages = tuple(code.stages(skill))
    for stage in stages:
        lacking = []
        for part in _STAGE_PARTS:
            if not hasattr(stage, part):
                lacking.append(part)
        if lacking:
            raise _refuse_plugin(entry, f"{stage!r} is no stage: it has no {', '.join(lacking)}")
    if not stages:
        raise _refuse_plugin(entry, "it has no stages")
    return stages


def _load_entry(entry: Entry) -> CodedSkill[Any]:
    module, _, attribute = entry.value.partition(":")
    with installed_first(entry.folder):
        loaded = _blame_plugin(
            entry, entry.value, lambda: getattr(import_module(module), attribute)
        )()
    if not isinstance(loaded, CodedSkill):
        raise _refuse_plugin(entry, f"{entry.value} is a {type(loaded).__name__}, not a CodedSkill")
    if loaded.name != entry.name:
        raise _refuse_plugin(entry, f"{entry.value} calls itself {loaded.name}")
    if entry.is_own:
        return loaded
    return _blame_parts(entry, loaded)


def _blame_parts(entry: Entry, code: CodedSkill[Any]) -> CodedSkill[Any]:
    """The same skill; what its functions raise is said of the plug-in."""
    spec = replace(code.spec, **_blame_functions(entry, code.spec, "spec."))
    return replace(code, **{**_blame_functions(entry, code, ""), "spec": spec})


def _blame_functions(entry: Entry, owner: Any, prefix: str) -> dict[str, Any]:
    """Each member of a dataclass that is a function, by its name."""
    found: dict[str, Any] = {}
    for member in fields(owner):
        function = getattr(owner, member.name)
        if callable(function):
            found[member.name] = _blame_plugin(entry, f"{prefix}{member.name}", function)
    return found


def _blame_plugin(entry: Entry, what: str, work: Callable[P, T]) -> Callable[P, T]:
    """A function of a plug-in. What it raises is not our bug, so it shows no traceback."""

    def call(*args: P.args, **more: P.kwargs) -> T:
        try:
            return work(*args, **more)
        except SkillrunError:
            raise
        except (Exception, SystemExit) as error:
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise _refuse_plugin(entry, f"{what} fails: {said}{_find_line(error)}") from error

    return call


def _find_line(error: BaseException) -> str:
    """The file and line that raised it, for whoever mends the plug-in."""
    frames = traceback.extract_tb(error.__traceback__)
    # The only frame of a module that is not there is the one that asked for it.
    if len(frames) < 2:
        return ""
    return f" ({frames[-1].filename}:{frames[-1].lineno})"


def _refuse_plugin(entry: Entry, said: str) -> SkillInvalid:
    return SkillInvalid(
        f"the plug-in {entry.distribution} for the skill {entry.name} cannot be used: {said}",
        hint=f"mend it, or: pip uninstall {entry.distribution.partition(' ')[0]}",
    )
