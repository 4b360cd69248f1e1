"""What skillrun knows of a coding agent; imported on every tool call, so that nothing here imports
anything.
"""

from __future__ import annotations

# The one of typing would cost its import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal, Protocol

    How = Literal["member", "element", "default", "table", "file"]

    class Installable(Protocol):
        """What can be installed into a repository: a coding agent, or a pipeline's workflow."""

        ID: str
        NAME: str

        @property
        def EVENTS(self) -> Mapping[str, str]:
            """Word of `skillrun hook AGENT WORD` -> the agent's own event."""

        @property
        def SKILLS(self) -> tuple[str, ...]:
            """Folders of skills, below the repository and below the home folder alike."""

        @property
        def PROJECT(self) -> tuple[Addition, ...]:
            """What an install adds to a repository, beside the skills."""

        @property
        def USER(self) -> tuple[Addition, ...]:
            """What an install adds to the home folder, beside the skills."""

        @property
        def NEXT(self) -> tuple[str, ...]:
            """What a person must still do after an install."""

        @property
        def NEXT_USER(self) -> tuple[str, ...]:
            """The same after one for the home folder."""

    class Agent(Installable, Protocol):
        """A module of this package."""

        CHECKED: (
            str  # the version or date of the documentation that its formats were checked against
        )
        SOURCE: str
        UNVERIFIED: str  # what was not seen to work, "" where nothing is known to be open

        @property
        def PROGRAMS(self) -> tuple[str, ...]:
            """The names of its command, the usual one first."""

        @property
        def ALLOW(self) -> Mapping[str, Any] | None:
            """What a hook prints to let things go on; None: nothing at all."""

        def read(self, payload: dict[str, Any]) -> HookInput:
            """What the agent told the hook. Fields of another type than documented count as
            missing.
            """

        def stop_block(self, reason: str) -> dict[str, Any]:
            """The JSON that keeps the agent from ending its turn; `reason` is not empty."""

        def tool_deny(self, reason: str) -> dict[str, Any]:
            """The JSON that denies a tool call; `reason` is not empty."""


class HookInput:
    """What an agent told a hook. `paths`: the files a tool would write, as the agent spells
    them.
    """

    __slots__ = ("already_blocked", "command", "cwd", "paths", "session", "tool")

    def __init__(
        self,
        *,
        cwd: str | None = None,
        session: str | None = None,
        already_blocked: bool = False,  # this turn goes on only because a stop hook said so
        tool: str | None = None,
        command: str | None = None,  # of a tool that is a shell
        paths: tuple[str, ...] = (),
    ) -> None:
        self.cwd, self.session, self.already_blocked = cwd, session, already_blocked
        self.tool, self.command, self.paths = tool, command, paths


class Addition:
    """One thing that an install adds to the file `path`.

    `how`: "member" sets the value at `keys` of a JSON document; "default" does where nothing is
    there, and stays as
    long as the file holds anything else; "element" appends to the array at `keys`; "table" adds the
    TOML table `keys`,
    whose text is the value; "file" is a file of its own with the value as its text.
    """

    __slots__ = ("how", "keys", "path", "value")

    def __init__(self, path: str, how: How, keys: tuple[str, ...], value: Any) -> None:
        self.path, self.how, self.keys, self.value = path, how, keys, value
