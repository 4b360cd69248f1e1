"""REPO_PROFILE.json: what a repository says of itself, and where that contradicts what the survey
found.

The profile is authoritative. It is validated, compared and completed, but nothing that somebody
wrote into it is replaced, except the word "unknown".
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import ProfileInvalid
from skillrun.core.files import Files, write
from skillrun.core.opening import read_file
from skillrun.core.verdict import Finding, Severity

if TYPE_CHECKING:
    from skillrun.contract.positions import Document
    from skillrun.repo.policy import Policy
    from skillrun.repo.survey import Survey
    from skillrun.repo.uses import FrameworkUse

NAME = "REPO_PROFILE.json"
SCHEMA = "repo-profile.v1.json"
_LARGEST = 1024 * 1024  # bytes
# A crontab may lie on the server, where no file of the repository shows it.
_OUTSIDE = "plain-cron"
_KINDS = ("lint", "typecheck", "test", "build")


@dataclass(frozen=True)
class Profile:
    """A valid profile. `data` is the whole document, `lines` gives the line of each key path in
    it.
    """

    data: dict[str, Any]
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)
    policy: Policy | None = None  # the fleet's that it extends

    @property
    def commands(self) -> dict[str, str]:
        """Kind -> command, "none" or "unknown"."""
        return dict(self._section("commands"))

    @property
    def jobs(self) -> dict[str, Any] | None:
        """The `jobs` section, or None."""
        if not isinstance(self.data.get("jobs"), dict):
            return None
        return dict(self.data["jobs"])

    @property
    def required_checks(self) -> tuple[str, ...]:
        """`quality_bar.required_checks`, and behind them those of the policy."""
        own = tuple(self._section("quality_bar").get("required_checks") or ())
        if self.policy is None:
            return own
        return tuple(dict.fromkeys((*own, *self.policy.required_checks)))

    @property
    def contract_risks(self) -> tuple[str, ...]:
        """The risks that refute a job here: `quality_bar.risks`, and behind them the policy's."""
        own = tuple(self._section("quality_bar").get("risks") or ())
        if self.policy is None:
            return own
        return tuple(dict.fromkeys((*own, *self.policy.risks)))

    @property
    def validation_timeout(self) -> float | None:
        """`quality_bar.validation_timeout` in seconds; None where it is not given."""
        given = self._section("quality_bar").get("validation_timeout")
        if given is None:
            return None
        return _parse_seconds(given)

    @property
    def package_manager(self) -> str | None:
        """`conventions.package_manager`."""
        return self._section("conventions").get("package_manager")

    def line(self, *path: str | int) -> int:
        """The line of a key, or of the nearest thing around it."""
        for n in range(len(path), -1, -1):
            if path[:n] in self.lines:
                return self.lines[path[:n]]
        return 1

    def _section(self, name: str) -> Mapping[str, Any]:
        section = self.data.get(name)
        if not isinstance(section, dict):
            return {}
        return section


def load_profile(root: Path) -> Profile | None:
    """The profile of a repository, None where there is none.

    Raises `ProfileInvalid` with every violation, one a line: `REPO_PROFILE.json:7: commands.lint:
    ...`.
    """
    text = _read_text(root / NAME)
    if text is None:
        return None
    document = _parse_document(text)
    problems = list(_list_problems(document))
    if problems:
        raise ProfileInvalid(
            "\n".join(problems), hint="mend them, or start again with: skillrun detect --write"
        )
    profile = Profile(document.value, dict(document.lines))
    profile = replace(profile, policy=_load_policy(root, profile))
    _check_required(profile)
    return profile


def _check_required(profile: Profile) -> None:
    """Raises ProfileInvalid for a required check that nobody runs: it would be taken for passed."""
    run = {profile.commands.get(kind) for kind in _KINDS} - {"none", "unknown"}
    for name in profile.required_checks:
        if name in _KINDS or name in run:
            continue
        where, line = "quality_bar.required_checks", profile.line("quality_bar", "required_checks")
        if profile.policy is not None and name in profile.policy.required_checks:
            where, line = f"extends: {profile.policy.file}", profile.line("extends", "file")
        said = f"{NAME}:{line}: {where}: nothing runs the check {name}"
        hint = f"a check is one of {', '.join(_KINDS)}, or the command that commands gives for one"
        raise ProfileInvalid(said, hint=hint)


def _load_policy(root: Path, profile: Profile) -> Policy | None:
    from skillrun.repo.policy import PolicyProblem, read_policy

    try:
        return read_policy(root, profile.data)
    except PolicyProblem as problem:
        where = ".".join(map(str, problem.path))
        line = profile.line(*problem.path)
        raise ProfileInvalid(f"{NAME}:{line}: {where}: {problem.what}", hint=problem.hint) from None


def _read_text(path: Path) -> str | None:
    try:
        data = read_file(path, _LARGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _explain_unreadable(error) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProfileInvalid(
            f"{NAME}: not UTF-8 at byte {error.start}", hint="save it as UTF-8"
        ) from None


def _explain_unreadable(error: OSError) -> ProfileInvalid:
    if error.errno == errno.EFBIG:
        hint = "a profile is a page long; remove what is no profile"
        return ProfileInvalid(f"{NAME}: larger than 1 MB", hint=hint)
    return ProfileInvalid(f"{NAME}: cannot be read: {error.strerror}", hint="check the file")


def _parse_document(text: str) -> Document:
    from skillrun.contract.positions import YamlProblem
    from skillrun.contract.yamlpos import load_positions

    try:
        return load_positions(text, NAME)
    except YamlProblem as problem:
        raise ProfileInvalid(f"{NAME}:{problem.line}: {problem.what}", hint=problem.hint) from None


def _list_problems(document: Document) -> Iterator[str]:
    from skillrun.contract.violations import find_violations
    from skillrun.core.resources import resource

    schema = json.loads(resource("schemas", SCHEMA).read_text(encoding="utf-8"))
    found = list(find_violations(schema, document.value))
    for one in found:
        yield f"{NAME}:{document.line(one.path)}: {one.dotted()}: {one.what}: {one.hint}"
    if not found and _limit_is_bad(document.value):
        line = document.line(("quality_bar", "validation_timeout"))
        yield (
            f"{NAME}:{line}: quality_bar.validation_timeout: is no time limit: write seconds, or"
            " for example 10m"
        )


def _limit_is_bad(data: dict[str, Any]) -> bool:
    given = Profile(data)._section("quality_bar").get("validation_timeout")
    try:
        return given is not None and not _parse_seconds(given) > 0
    except ValueError:
        return True


def _parse_seconds(given: Any) -> float:
    """Seconds of a number of seconds or a duration such as "10m". ValueError where it is
    neither.
    """
    from skillrun.contract.duration import parse_duration

    if isinstance(given, str):
        return parse_duration(given)
    return float(given)


def find_contradictions(profile: Profile, survey: Survey) -> list[Finding]:
    """Where the profile says something else than the code shows, and where it deviates from the
    policy that it extends. The profile still wins.
    """
    said = profile.jobs or {}
    framework = said.get("framework")
    findings = [*_list_deviations(profile), *_manager_contradiction(profile, survey)]
    if framework in (None, "unknown"):
        return findings
    use = survey.use(str(framework))
    if use is None:
        return [*findings, *_framework_contradiction(profile, str(framework), survey)]
    return [*findings, *_use_contradictions(profile, said, use)]


def _list_deviations(profile: Profile) -> Iterator[Finding]:
    """A note for each demand of the fleet's policy that is left out here: none is hidden."""
    if profile.policy is None:
        return
    for number, one in enumerate(profile.policy.deviations):
        message = f"without the {one.kind} {one.name} of {profile.policy.file}: {one.reason}"
        line = profile.line("extends", "deviations", number)
        yield Finding("profile.deviation", Severity.NOTE, message, NAME, line)


def _framework_contradiction(profile: Profile, framework: str, survey: Survey) -> Iterator[Finding]:
    found = ", ".join(f"{use.id} ({_show_place(use)})" for use in survey.frameworks)
    line = profile.line("jobs", "framework")
    hint = "correct jobs.framework, or remove what is left of the other library"
    if found and framework != _OUTSIDE:
        message = f"jobs.framework says {framework}, and the code uses {found}"
        yield Finding("profile.framework", Severity.ERROR, message, NAME, line, hint)
    elif framework != "none":
        message = f"jobs.framework says {framework}, and no use of it was found in the code"
        yield Finding("profile.framework", Severity.WARNING, message, NAME, line, hint)


def _use_contradictions(
    profile: Profile, said: Mapping[str, Any], use: FrameworkUse
) -> Iterator[Finding]:
    app = said.get("app")
    if (
        _says_something(app)
        and use.apps
        and not any(_same_object(str(app), known) for known in use.apps)
    ):
        yield _say_difference(profile, "app", app, " and ".join(use.apps))
    for key, found in (("broker", use.broker), ("scheduler", use.scheduler)):
        if not found:
            continue
        is_other = _says_something(said.get(key)) and not _are_alike(str(said[key]), found)
        if is_other or said.get(key) == "none":
            yield _say_difference(profile, key, said[key], found)
    modules = said.get("task_modules")
    if not isinstance(modules, list) or not use.task_modules:
        return
    absent = [name for name in modules if name not in use.task_modules]
    if absent:
        found = "tasks in " + ", ".join(use.task_modules[:5])
        yield _say_difference(profile, "task_modules", ", ".join(absent), found)


def _say_difference(profile: Profile, key: str, said: object, found: str) -> Finding:
    message = f"jobs.{key} says {said}, and the code shows {found}"
    hint = f"correct jobs.{key}, or the code"
    return Finding(
        f"profile.{key.replace('_', '-')}",
        Severity.WARNING,
        message,
        NAME,
        profile.line("jobs", key),
        hint,
    )


def _manager_contradiction(profile: Profile, survey: Survey) -> Iterator[Finding]:
    said, found = profile.package_manager, survey.package_manager
    if _says_something(said) and found and not _are_alike(str(said), found):
        line = profile.line("conventions", "package_manager")
        message = f"conventions.package_manager says {said}, and the lock files and CI show {found}"
        yield Finding(
            "profile.package-manager",
            Severity.WARNING,
            message,
            NAME,
            line,
            "correct the one that is wrong",
        )


def _says_something(value: object) -> bool:
    return isinstance(value, str) and value not in ("", "none", "unknown")


def _are_alike(said: str, found: str) -> bool:
    """Free text such as "redis (dragonfly)" agrees with "redis"."""
    return found.lower() in said.lower() or said.lower() in found.lower()


def _same_object(said: str, known: str) -> bool:
    """ "shop.celery:app" is "shop/celery.py:app"."""
    return _import_path(known).endswith(_import_path(said))


def _import_path(name: str) -> str:
    module, _, inner = name.partition(":")
    return module.removesuffix(".py").replace("/", ".").removesuffix(".__init__") + (
        f":{inner}" if inner else ""
    )


def _show_place(use: FrameworkUse) -> str:
    place = next(iter(use.evidence), None)
    if not place:
        return "in the code"
    return f"{place.path}:{place.line}"


def profile_fields(survey: Survey, test_command: str | None = None) -> dict[str, Any]:
    """The profile that the survey alone would write: "unknown" where nothing is declared, never a
    guess.

    `test_command` is one that is known to be there without a declaration.
    """
    commands = {kind: fact.command for kind, fact in survey.commands.known().items()}
    if test_command is not None:
        commands.setdefault("test", test_command)
    fields: dict[str, Any] = {
        "stack": {
            "frontend": survey.stack.frontend or "none",
            "backend": survey.stack.backend or "none",
            "language": list(survey.languages),
        },
        "commands": {kind: commands.get(kind, "unknown") for kind in _KINDS},
        "paths": {
            "frontend_root": survey.paths.frontend_root or "none",
            "backend_root": survey.paths.backend_root or "none",
        },
        "quality_bar": {"required_checks": []},
        "conventions": {"package_manager": survey.package_manager or "unknown"},
    }
    use = None
    if survey.primary:
        use = survey.use(survey.primary)
    if use:
        return fields | {"jobs": _describe_jobs(use)}
    return fields


def _describe_jobs(use: FrameworkUse) -> dict[str, Any]:
    return {
        "framework": use.id,
        "app": use.app or "unknown",
        "task_modules": list(use.task_modules),
        "broker": use.broker or "unknown",
        "scheduler": use.scheduler or "none",
        "evidence": [f"{place.path}:{place.line}" for place in use.evidence],
    }


def write_profile(root: Path, survey: Survey, test_command: str | None = None) -> tuple[str, ...]:
    """Completes REPO_PROFILE.json and returns the keys that were added or were "unknown", e.g.
    "commands.lint".

    What is there stays: values, unknown keys, their order, and the indentation. Nothing new:
    nothing is written. Raises `ProfileInvalid` where the present file is no valid profile.
    """
    present = _read_text(root / NAME)
    data = {}
    if present is not None:
        data = _parse_document(present).value
    if not isinstance(data, dict):
        raise ProfileInvalid(
            f"{NAME}:1: (top): is not an object", hint="move it away and run this again"
        )
    changed = _fill_in(data, profile_fields(survey, test_command), "")
    if changed:
        _write_whole(root, json.dumps(data, indent=_indent_of(present), ensure_ascii=False) + "\n")
    return tuple(changed)


def _fill_in(data: dict[str, Any], fields: Mapping[str, Any], above: str) -> list[str]:
    changed = []
    for key, value in fields.items():
        if isinstance(value, dict) and isinstance(data.get(key), dict):
            changed += _fill_in(data[key], value, f"{above}{key}.")
        elif key not in data or (data[key] == "unknown" and value != "unknown"):
            data[key] = value
            changed.append(f"{above}{key}")
    return changed


def _indent_of(present: str | None) -> int | str:
    found = re.search(r'\n([ \t]+)"', present or "")
    if not found:
        return 2
    if "\t" in found[1]:
        return "\t"
    return len(found[1])


def _write_whole(root: Path, text: str) -> None:
    """All or nothing: a reader never sees half a profile. A link may lead out of the repository:
    none is followed.
    """
    if (root / NAME).is_symlink():
        raise ProfileInvalid(f"{NAME}: is a symbolic link", hint="replace it by the file itself")
    files = Files(root)
    # A name that is not UTF-8 is kept as JSON's own escapes, which are read as that name again.
    files.put(NAME, text.encode("utf-8", "backslashreplace"))
    write(root, files.changes())
