"""The one tree of errors that users may see; everything else is our bug and keeps its traceback.

    SkillrunError        70
    ├── Misuse            2   the command line says something impossible
    ├── Blocked           3   a decision, an input or the work is missing
    └── Refused           4   nothing ran, nothing was written
        ├── SkillInvalid
        ├── SpecInvalid
        ├── ProfileInvalid
        ├── RepoUnusable
        └── LedgerUnusable

The library raises; the entry points (command line, later MCP and web) turn an error into words and
an exit code.
"""

from __future__ import annotations


class SkillrunError(Exception):
    """An error with one line for the person who reads it: where, what; `hint` says what to do.

    A message may hold several lines when several violations were found at once.
    """

    exit_code = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Misuse(SkillrunError):
    """The command line asks for something impossible."""

    exit_code = 2


class Blocked(SkillrunError):
    """A decision, an input or the work is missing."""

    exit_code = 3


class Refused(SkillrunError):
    """The input cannot be used: nothing ran and nothing was written."""

    exit_code = 4


class SkillInvalid(Refused):
    """A SKILL.md that is missing, malformed, or has no workflow."""


class SpecInvalid(Refused):
    """A job spec that does not satisfy `schemas/job-spec.v1.json`."""


class ProfileInvalid(Refused):
    """A REPO_PROFILE.json that does not satisfy `schemas/repo-profile.v1.json`."""


class RepoUnusable(Refused):
    """No git repository here, or a bare one."""


class LedgerUnusable(Refused):
    """A ledger that is locked for good, of a newer version, or no database."""
