"""`skillrun trust`: a person allows code of this working tree to run, and what agents may say
here.
"""

from __future__ import annotations

import sys
from pathlib import Path

from skillrun.core.actor import ActorKind, person
from skillrun.core.errors import Blocked, Refused, SkillrunError
from skillrun.repo.git import Repo, open_repo
from skillrun.reports.watchers import Live, at_terminal, show
from skillrun.validations.consent import CommandPlan, Consent, Question, remove_repetition

_NOTHING_KNOWN = "whatever a skill runs here: its tests, its validations, the handler of its job"


def trust(repo: Path, *, agents: bool, agent_waivers: bool, scripts: bool, revoke: bool) -> int:
    """Gives, or takes away, what a person can allow in a working tree. Raises Refused for an
    agent.
    """
    actor = person("skillrun trust")
    opened = open_repo(repo)
    consent = Consent(opened)
    if revoke:
        show(f"{opened.root}: {'taken back' if consent.revoke() else 'nothing was allowed here'}")
        return 0
    if actor.kind != ActorKind.CI:
        _ask(opened)
    consent.give("skillrun trust")
    consent.allow_agents(trust=agents, waive=agent_waivers)
    if scripts:
        consent.allow_scripts()
    for said in _describe(consent):
        show(said)
    return 0


def _ask(repo: Repo) -> None:
    """Shows everything that would run, and asks. Raises Refused where nobody is there to answer,
    Blocked for a no.
    """
    if not (at_terminal() and sys.stdin.isatty()):
        hint = "type it on a terminal; where a script means it, run the skill with --trust"
        raise Refused("skillrun trust: it asks a person, and there is no terminal", hint=hint)
    question = Question(repo.root, repo.head, tuple(_list_plans(repo)))
    if Live().may_run(question) is None:
        raise Blocked(f"{repo.root}: nothing was allowed", hint="skillrun trust asks again")


def _list_plans(repo: Repo) -> list[CommandPlan]:
    """What would run for each job here; in short where there is none yet, or one cannot be read."""
    from skillrun.contract.specfile import specs_in
    from skillrun.runner.target import shown

    specs = specs_in(repo.root)
    if not specs:
        return _list_plans_of(repo, None) or [_plan_unknown("do what a skill asks for")]
    plans: list[CommandPlan] = []
    for spec in specs:
        of_spec = _list_plans_of(repo, spec)
        plans += of_spec or [_plan_unknown(f"do what {shown(repo.root, spec)} asks for")]
    return list(remove_repetition(plans))


def _list_plans_of(repo: Repo, spec: Path | None) -> list[CommandPlan]:
    """What would run for one job; nothing where it cannot be read."""
    from skillrun.runner.advance import list_command_plans
    from skillrun.runner.target import Request
    from skillrun.skills.job_worker.skill import SKILL

    try:
        return list_command_plans(Request(skill=SKILL.name, repo=repo.root, spec=spec))
    except SkillrunError:
        return []


def _plan_unknown(purpose: str) -> CommandPlan:
    return CommandPlan(purpose, (_NOTHING_KNOWN,))


def _describe(consent: Consent) -> list[str]:
    """What is allowed now, a line each."""
    record, repo = consent.read(), consent.repo
    commit = "its first commit"
    if repo.head:
        commit = repo.head[:12]
    lines = [f"{repo.root}: its code may run, at {commit} and what is made here on it"]
    if record.agents:
        lines.append("agents may say --trust here")
    if record.agent_waivers:
        lines.append("agents may waive items here")
    if record.scripts:
        lines.append("CI and scripts may attest here what only a person can")
    return lines
