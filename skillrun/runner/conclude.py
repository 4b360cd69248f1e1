"""After the stages: the skill's checks, one by one, and the other skills that the work calls
for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Finding, Grade, StageResult, Status, weakest
from skillrun.runner.coded import CheckRule, CodedSkill, Measured, Recommendation
from skillrun.runner.declared import DeclaredStage, slug
from skillrun.runner.plugins import skill_code

if TYPE_CHECKING:
    from skillrun.contract.skill import Check, Skill
    from skillrun.runner.case import Case


@dataclass(frozen=True)
class CheckResult:
    """One check of the skill, concluded."""

    id: str
    text: str
    status: Status
    grade: Grade | None
    evidence: tuple[str, ...]  # the stages or files that it rests on
    line: int | None = None
    next: str | None = None


_FILES_SHOWN = 5
# The first status that any of a check's stages has decides.
_WORST_FIRST = (
    Status.BLOCKED,
    Status.FAILED,
    Status.PENDING,
    Status.WAIVED,
    Status.PASSED,
    Status.NOT_APPLICABLE,
)


def conclude_checks(
    skill: Skill, case: Case, results: Mapping[str, StageResult], taken: set[str]
) -> list[CheckResult]:
    """Every check of the skill: by its stages where code answers to it, else by somebody's
    attestation.
    """
    concluded: list[CheckResult] = []
    answered: set[str] = set()
    for text, line, answer in assign_checks(skill, taken):
        if isinstance(answer, DeclaredStage):
            answered.add(answer.ID)
            concluded.append(_conclude_declared(case, answer))
        else:
            answered.add(answer.id)
            concluded.append(_conclude_by_stages(answer, text, line, results))
    # A check that the skill's text does not have, and its code does.
    for rule in skill_code(skill.name).checks:
        if rule.id not in answered:
            concluded.append(_conclude_by_stages(rule, rule.text, None, results))
    return concluded


def assign_checks(
    skill: Skill, taken: set[str]
) -> list[tuple[str, int, CheckRule | DeclaredStage]]:
    """(text, line, who answers) for each check in the skill's text. The first rule with its wording
    answers, or else somebody who attests it.

    `taken` are the ids of the stages; the ids of declared checks differ from them.
    """
    rules, names = list(skill_code(skill.name).checks), set(taken)
    numbers: dict[str, int] = {}
    assigned: list[tuple[str, int, CheckRule | DeclaredStage]] = []
    for check in skill.checks:
        text = check_text(check)
        rule = _find_rule(rules, check.text)
        if rule is None:
            name = slug(check.text, names, numbers)
            assigned.append((text, check.line, DeclaredStage(name, text, check.line)))
        else:
            # A rule answers to one check.
            rules.remove(rule)
            assigned.append((text, check.line, rule))
    return assigned


def _find_rule(rules: Sequence[CheckRule], text: str) -> CheckRule | None:
    """The first rule that answers to a check with this wording."""
    for rule in rules:
        if rule.answers.search(text):
            return rule
    return None


def check_text(check: Check) -> str:
    """A check in one line, with the questions that are nested in it."""
    questions = [_join_lines(question.text).rstrip(".;,") for question in check.questions]
    if not questions:
        return _join_lines(check.text)
    # "Is it bounded?, does it end" reads badly.
    listed = ", ".join(questions).replace("?, ", "? ")
    if not listed:
        return _join_lines(check.text)
    return f"{_join_lines(check.text).rstrip(':')}: {listed}"


def _join_lines(text: str) -> str:
    return " ".join(text.split())


def _conclude_by_stages(
    rule: CheckRule, text: str, line: int | None, results: Mapping[str, StageResult]
) -> CheckResult:
    """A check with the worst status that any of its stages has, and the weakest grade of those that
    passed.
    """
    seen = _pick_results(results, rule.stages)
    statuses = {result.status for result in seen} or {Status.PENDING}
    status = next(status for status in _WORST_FIRST if status in statuses)
    provers = _pick_results(results, rule.proved_by)
    # The proof ran what the others read, so that only its stages count.
    if provers and all(result.grade == Grade.PROVED for result in provers):
        seen = provers
    grades = [result.grade for result in seen if result.status == Status.PASSED]
    return CheckResult(rule.id, text, status, weakest(grades), rule.stages, line)


def _pick_results(results: Mapping[str, StageResult], stages: Sequence[str]) -> list[StageResult]:
    """The results of those of the stages that the skill has."""
    return [results[stage] for stage in stages if stage in results]


def _conclude_declared(case: Case, stage: DeclaredStage) -> CheckResult:
    """A check that somebody attests."""
    result = stage.examine(case)
    evidence = tuple(item.path for item in result.evidence)
    command = None
    if result.status != Status.PASSED:
        command = stage.command
    return CheckResult(
        stage.ID, stage.TITLE, result.status, result.grade, evidence, stage.line, command
    )


def recommend(skill: Skill, case: Case, results: Mapping[str, StageResult]) -> list[Recommendation]:
    """The skills that findings point to, and those that the skill's own code recommends."""
    wanted: dict[str, Recommendation] = {}
    for result in results.values():
        for finding in result.findings:
            if finding.recommends and finding.recommends not in wanted:
                reason = f"{finding.message}{_show_place(finding)}"
                wanted[finding.recommends] = Recommendation(finding.recommends, reason)
    for recommendation in skill_code(skill.name).recommend(case, results):
        wanted[recommendation.skill] = recommendation
    return [replace(one, installed=_is_installed(case, one.skill)) for one in wanted.values()]


def _show_place(finding: Finding) -> str:
    """` (shop/tasks.py:12)`, as it stands behind a message."""
    if not finding.path:
        return ""
    line = ""
    if finding.line:
        line = f":{finding.line}"
    return f" ({finding.path}{line})"


def _is_installed(case: Case, name: str) -> bool:
    """Whether a skill can be run here, under its name or the last part of that."""
    from skillrun.contract.locate import list_skills

    names = (name, name.rpartition("/")[2])
    skills = case.once("skills", lambda: list_skills(case.root))
    return any(skill.id in names for skill in skills)


def skill_promises(code: CodedSkill[Any], measured: Measured) -> list[CheckResult]:
    """What a skill promises besides its checks: a read-only one leaves the tree alone, and
    telemetry is complete.
    """
    promises = []
    if measured.skill.mode == "read":
        promises.append(_check_tree_unchanged(measured.files))
    unknown = code.unknown_fields(measured)
    if unknown:
        how = " ".join(f"--set inputs.{key}=..." for key in unknown)
        text = f"Telemetry is complete (unknown: {', '.join(unknown)})"
        said = f"say what happened: {how}"
        promises.append(CheckResult("telemetry", text, Status.BLOCKED, None, (), None, said))
    return promises


def _check_tree_unchanged(files: Sequence[str] | None) -> CheckResult:
    """The promise of a skill that only reads. `files` are those that differ; None where the tree at
    the run's start is not known any more.
    """
    text = "The skill only reads: the tree is unchanged"
    if files is None:
        text += " (cannot be told: the commit at the run's start is gone; --new-run starts again)"
        return CheckResult("tree-unchanged", text, Status.BLOCKED, None, ())
    shown, status = tuple(files[:_FILES_SHOWN]), Status.PASSED
    if files:
        status = Status.FAILED
        text += f" (changed: {', '.join(shown)})"
    return CheckResult("tree-unchanged", text, status, Grade.EXECUTED, shown)
