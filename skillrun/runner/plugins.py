"""Finds the code of a skill by its name, and says in one line what is wrong with a plug-in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from skillrun.contract.installed import Entry, find_entries, installed_first, own_entries
from skillrun.errors import SkillInvalid, SkillrunError
from skillrun.runner.coded import CodedSkill
from skillrun.runner.declared import DECLARED

if TYPE_CHECKING:
    from skillrun.contract.skill import Skill
    from skillrun.runner.coded import Stage

T = TypeVar("T")

_STAGE_PARTS = ("ID", "TITLE", "ANSWERS", "READS", "COSTLY", "examine")


@cache
def skill_code(name: str) -> CodedSkill[Any]:
    """The code of a skill; `DECLARED` for a skill that no code answers to. Raises SkillInvalid."""
    for entry in own_entries():
        # Its own skill is found without a look at what is installed, which takes as long as the
        # rest of an unchanged resume; `refuse_rivals` has that look before anything runs.
        if entry.name == name:
            return _load(entry)
    refuse_rivals(name)
    for entry in find_entries(name):
        return _load(entry)
    return DECLARED


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
        stages = tuple(_call(entry, "its stages", lambda: code.stages(skill)))
    for stage in stages:
        lacking = [part for part in _STAGE_PARTS if not hasattr(stage, part)]
        if lacking:
            raise _broken(entry, f"{stage!r} is no stage: it has no {', '.join(lacking)}")
    if not stages:
        raise _broken(entry, "it has no stages")
    return stages


def _load(entry: Entry) -> CodedSkill[Any]:
    module, _, attribute = entry.value.partition(":")
    with installed_first(entry.folder):
        loaded = _call(entry, entry.value, lambda: getattr(import_module(module), attribute))
    if not isinstance(loaded, CodedSkill):
        raise _broken(entry, f"{entry.value} is a {type(loaded).__name__}, not a CodedSkill")
    if loaded.name != entry.name:
        raise _broken(entry, f"{entry.value} calls itself {loaded.name}")
    return loaded


def _call(entry: Entry, what: str, work: Callable[[], T]) -> T:
    """The result of a plug-in's code. What it raises is not our bug, so it shows no traceback."""
    try:
        return work()
    except SkillrunError:
        raise
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        raise _broken(entry, f"{what} cannot be loaded: {said}") from error


def _broken(entry: Entry, said: str) -> SkillInvalid:
    return SkillInvalid(
        f"the plug-in {entry.distribution} for the skill {entry.name} cannot be used: {said}",
        hint=f"mend it, or: pip uninstall {entry.distribution.partition(' ')[0]}",
    )
