"""A job's case: what its stages see, and what several of them need, worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrun.runner.case import Case

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from skillrun.contract.languages import Language
    from skillrun.contract.spec import JobSpec
    from skillrun.core.verdict import Finding
    from skillrun.frameworks.common.unfollowed import Unfollowed
    from skillrun.frameworks.interface import Framework, Job, NotRead, Policy, Reading, Send
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.survey import Survey
    from skillrun.repo.uses import FrameworkUse, Place
    from skillrun.skills.job_worker.readings.choice import Choice

PROOF_PARTS = (
    "trigger",
    "payload",
    "handler",
    "message",
    "enqueue",
    "recovers",
    "idempotency",
    "effects",
    "failures",
    "retry",
    "dead_letter",
    "worker",
    "proof",
)
"""The parts of the spec that a proof depends on, and so the stages that it speaks of."""


def _installed_beside(root: Path, named: str | None) -> list[str]:
    """What is installed beside an interpreter; where there is none, that is the fact: the proof
    says what to do.
    """
    from skillrun.core.errors import Blocked
    from skillrun.proof.packages import find_python, installed

    try:
        return installed(find_python(root, named))
    except Blocked as missing:
        return [missing.message]


@dataclass
class JobCase(Case):
    """One skill, one job and one repository, as the stages of the job see them.

    The survey, the framework, the handler and its policy are worked out once.
    """

    spec: JobSpec | None

    def survey_everything(self) -> Survey:
        """One pass over the files. Not recorded: whoever concludes from it records the section with
        `tree.fact`.
        """
        from skillrun.frameworks.registry import recognisers
        from skillrun.repo.survey import survey_tree

        if "survey" not in self._kept:
            found = survey_tree(self.tree, recognisers())
            from skillrun.repo.tree import Lookups

            self._kept["survey"] = (found, Lookups())
        kept: Survey = self._kept["survey"][0]
        return kept

    @property
    def project(self) -> Project:
        from skillrun.repo.python import Project

        return self.once("project", lambda: Project(self.tree))

    def section(self, name: str) -> tuple[Any, tuple[str, ...]]:
        """(JSON value, files it came from) of a named fact: a section of the survey, or
        "packages:<interpreter>".
        """
        if name.startswith("packages:"):
            return _installed_beside(self.root, name.partition(":")[2] or None), ()
        return survey_value(self.survey_everything(), name)

    def survey_section(self, section: str) -> Any:
        """A part of the survey as a JSON value, recorded as a look-up; see `survey_value` for the
        sections.
        """
        value, files = survey_value(self.survey_everything(), section)
        self.tree.record_section(section, value, files)
        return value

    @property
    def use(self) -> FrameworkUse | None:
        """The framework of the job, see `choose`."""
        return self.choice.use

    @property
    def choice(self) -> Choice:
        """The framework of the job, and whose word that is."""
        from skillrun.skills.job_worker.readings.choice import choose

        self.survey_section("frameworks")
        found, path = self.survey_everything(), self._module_of_handler()
        return choose(found, self.profile, path, self._is_registered)

    def _is_registered(self, use: FrameworkUse) -> bool:
        if self.language is not None:
            return False
        from skillrun.frameworks.registry import FRAMEWORKS

        framework = FRAMEWORKS.get(use.id)
        if framework is None or self.spec is None or self.spec.handler is None:
            return False
        handler = framework.find_handler(self.project, use, self.spec.handler)
        if handler is None:
            return False
        return framework.find_registration(self.project, use, handler) is not None

    def _module_of_handler(self) -> str | None:
        """The file of the module that the spec's handler names, whether the handler is in it or
        not.
        """
        found = self.survey_everything()
        is_sure = len(found.frameworks) < 2 and not found.offers
        if self.spec is None or self.spec.handler is None or is_sure:
            return None
        if self.language is not None:
            from skillrun.skills.job_worker.readings.named import find_named

            place = find_named(self.tree, self.language, self.spec.handler)
            if place is None:
                return None
            return place.path
        return self.project.locate(self.spec.handler.partition(":")[0], anywhere=True)

    @property
    def language(self) -> Language | None:
        """That of the handler, where the spec says that it is not Python."""
        from skillrun.contract.languages import LANGUAGES

        if self.spec is None or self.spec.language is None:
            return None
        return LANGUAGES[self.spec.language]

    @property
    def framework(self) -> Framework | None:
        from skillrun.frameworks.registry import FRAMEWORKS

        use = self.use
        if not use:
            return None
        return FRAMEWORKS.get(use.id)

    @property
    def handler(self) -> Definition | None:
        """The job's handler, or None where the spec names none or the code has none."""
        return self.once("handler", self._find_handler)

    def _find_handler(self) -> Definition | None:
        spec, use, framework = self.spec, self.use, self.framework
        if spec is None or spec.handler is None or self.language is not None:
            return None
        if use is None or framework is None:
            return self.project.find(spec.handler)
        return framework.find_handler(self.project, use, spec.handler)

    @property
    def policy(self) -> Policy | None:
        """The handler's effective retry and delivery policy."""

        def work() -> Policy | None:
            if self.framework is None or self.use is None or self.handler is None:
                return None
            return self.framework.read_policy(self.project, self.use, self.handler)

        return self.once("policy", work)

    @property
    def wiring(self) -> tuple[Send, ...]:
        """Every place beside the handler itself that enqueues or schedules it."""

        from skillrun.frameworks.interface import find_wiring

        def work() -> tuple[Send, ...]:
            if self.framework is None or self.use is None or self.handler is None:
                return ()
            sends = self.framework.find_sends(self.project, self.use, self.handler)
            return find_wiring(sends)

        return self.once("wiring", work)

    @property
    def hooks(self) -> dict[str, Definition]:
        """Event -> the repository's function that the framework calls then, e.g. on each retry."""

        def work() -> dict[str, Definition]:
            if self.framework is None or self.use is None or self.handler is None:
                return {}
            return self.framework.find_hooks(self.project, self.use, self.handler)

        return self.once("hooks", work)

    @property
    def unfollowed(self) -> tuple[Unfollowed, ...]:
        """What stands around the handler and cannot be read: nothing is missing for
        certain then.
        """
        from skillrun.frameworks.common.unfollowed import find_unfollowed

        if self.handler is None or self.use is None:
            return ()
        return find_unfollowed(self.project, self.use, self.handler)

    def rule_findings(self, stage: str) -> tuple[Finding, ...]:
        """What the framework's static rules for a stage find in this job."""
        found: list[Finding] = []
        not_read: list[NotRead] = []
        for rule_stage, reading in self.once("rules", self._run_rules):
            if rule_stage == stage:
                found += reading.findings
                not_read += reading.not_read
        return (*found, *_tell_not_read(stage, not_read))

    def _run_rules(self) -> list[tuple[str, Reading]]:
        from skillrun.frameworks.rulebook import read_rule

        job = self._job()
        if job is None or self.framework is None:
            return []
        return [(rule.stage, read_rule(rule, job)) for rule in self.framework.list_rules()]

    def _job(self) -> Job | None:
        from skillrun.frameworks.interface import Job

        use, handler, policy, spec = self.use, self.handler, self.policy, self.spec
        if use is None or handler is None or policy is None or spec is None:
            return None
        return Job(self.project, self.survey_everything(), use, spec, handler, policy)


def _tell_not_read(stage: str, not_read: Iterable[NotRead]) -> Iterator[Finding]:
    """One line for each construct that was not understood, with the rules that rest on it."""
    from skillrun.runner.findings import not_read as ask

    rules: dict[tuple[str, Place], list[str]] = {}
    for one in not_read:
        ids = rules.setdefault((one.because, one.place), [])
        if one.rule not in ids:
            ids.append(one.rule)
    for (because, place), ids in rules.items():
        yield ask(stage, ", ".join(ids), because, path=place.path, line=place.line)


def survey_value(found: Survey, section: str) -> tuple[Any, tuple[str, ...]]:
    """(JSON value, files it came from) of a section of a survey: `frameworks`, `commands` or
    `languages`.
    """
    from dataclasses import asdict

    if section == "frameworks":
        files = set()
        for use in found.frameworks:
            for place in use.evidence:
                files.add(place.path)
        return {
            "primary": found.primary,
            "frameworks": [asdict(use) for use in found.frameworks],
        }, tuple(files)
    if section == "commands":
        facts = asdict(found.commands)
        return facts, tuple({fact["path"] for fact in facts.values() if fact})
    if section == "languages":
        return {"languages": list(found.languages), "package_manager": found.package_manager}, ()
    raise ValueError(f"no such section of a survey: {section}")
