"""A clone and its upstream, and who consents in it."""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest

from skillrun.core.actor import Actor, ActorKind
from skillrun.repo.git import open_repo
from skillrun.validations.consent import CommandPlan, Consent, Question

AGENT = Actor("me", ActorKind.AGENT, "claude-code")
PERSON = Actor("me", ActorKind.HUMAN)
SCRIPT = Actor("me", ActorKind.UNKNOWN)
PIPELINE = Actor("github-actions", ActorKind.CI)
PLAN = CommandPlan("try it", ("make test",))


class Person:
    """Who answers each question in the same way, and remembers what was asked and shown."""

    def __init__(self, answer: str | None = None) -> None:
        self.answer = answer
        self.asked: list[Question] = []
        self.ran: list[CommandPlan] = []

    def may_run(self, question: Question) -> str | None:
        self.asked.append(question)
        return self.answer

    def runs(self, plan: CommandPlan) -> None:
        self.ran.append(plan)


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A repository that others push to."""
    return helpers.build_tree(tmp_path / "upstream", {"Makefile": "test:\n\ttrue\n"})


@pytest.fixture
def clone(tmp_path: Path, upstream: Path) -> Path:
    """A clone of it, for which somebody has said yes."""
    helpers.git(tmp_path, "clone", "--quiet", str(upstream), str(tmp_path / "clone"))
    give(tmp_path / "clone")
    return tmp_path / "clone"


def give(root: Path) -> None:
    Consent(open_repo(root)).give("terminal", ["make test"])


def covered(root: Path) -> bool:
    return Consent(open_repo(root)).covers_head()


def edit(root: Path, text: str = "test:\n\techo edited\n") -> None:
    (root / "Makefile").write_text(text)


# -- from elsewhere


def pull(root: Path) -> None:
    helpers.git(root, "pull", "--quiet", "--ff-only")
