"""Which of the frameworks that were found is the one this job uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.repo.uses import FrameworkUse

if TYPE_CHECKING:
    from skillrun.repo.profile import Profile
    from skillrun.repo.survey import Survey


@dataclass(frozen=True)
class Choice:
    """The framework to work with, and whose word that is; `use` is None where nothing decides."""

    use: FrameworkUse | None
    by: str  # profile | handler | survey | nothing
    candidates: tuple[str, ...] = ()


def choose(
    found: Survey,
    profile: Profile | None,
    path: str | None = None,
    is_registered: Callable[[FrameworkUse], bool] | None = None,
) -> Choice:
    """The profile's `jobs` section wins; else the only framework in use, the one whose tasks stand
    in the handler's module (`path`) and no other's do, or the survey's primary one.

    `is_registered`: whether a library runs the handler itself; a plug-in may offer several beside
    each other in one module.
    """
    by_id = {use.id: use for use in found.frameworks}
    if profile and profile.jobs and profile.jobs.get("framework"):
        seen = by_id.get(str(profile.jobs["framework"]))
        return Choice(_merge_use(profile.jobs, seen), "profile", tuple(by_id))
    for offer in found.offers:
        is_meant = is_registered is None or is_registered(offer)
        if path in offer.task_modules and is_meant:
            return Choice(offer, "handler", (*by_id, offer.id))
    if len(by_id) == 1:
        return Choice(next(iter(by_id.values())), "survey", tuple(by_id))
    in_module = [use for use in found.frameworks if path in use.task_modules]
    if len(in_module) == 1:
        return Choice(in_module[0], "handler", tuple(by_id))
    if found.primary in by_id:
        return Choice(by_id[found.primary], "survey", tuple(by_id))
    return Choice(None, "nothing", tuple(by_id))


def _merge_use(said: dict[str, object], seen: FrameworkUse | None) -> FrameworkUse:
    """What the profile says; where it is silent, what was seen."""
    seen = seen or FrameworkUse(id=str(said["framework"]))
    task_modules = seen.task_modules
    modules = said.get("task_modules")
    if isinstance(modules, list):
        task_modules = tuple(str(path) for path in modules)
    return FrameworkUse(
        id=seen.id,
        app=_read_word(said.get("app")) or seen.app,
        apps=seen.apps,
        task_modules=task_modules,
        scheduler=_read_word(said.get("scheduler")) or seen.scheduler,
        broker=_read_word(said.get("broker")) or seen.broker,
        evidence=seen.evidence,
    )


def _read_word(value: object) -> str | None:
    """A value of the profile that says something."""
    if isinstance(value, str) and value not in ("", "none", "unknown"):
        return value
    return None
