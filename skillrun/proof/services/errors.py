"""What goes wrong with a private server, said to the person who wants a proof."""

from __future__ import annotations

from skillrun.core.errors import Blocked, SkillrunError


class ServiceMissing(Blocked):
    """The server's binary is not installed here."""


class ServiceFailed(SkillrunError):
    """The server does not start, has ended, or refuses a command."""
