"""One way through a function: what was decided on it of what nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Choices:
    """`script` says how the first questions are decided; any other is False."""

    script: tuple[bool, ...]
    made: dict[str, bool] = field(default_factory=dict)

    def decide(self, question: str) -> bool:
        """The same question has one answer on one way."""
        if question not in self.made:
            number = len(self.made)
            is_scripted = number < len(self.script)
            self.made[question] = is_scripted and self.script[number]
        return self.made[question]

    def script_next(self) -> tuple[bool, ...] | None:
        """How the next way decides; None where all were gone."""
        decided = list(self.made.values())
        while decided and decided[-1]:
            decided.pop()
        if not decided:
            return None
        return (*decided[:-1], True)


def iterate_choices(most: int) -> Iterator[Choices]:
    """All ways, until `most`; whoever takes one goes it to its end before the next."""
    script: tuple[bool, ...] | None = ()
    for _ in range(most):
        if script is None:
            return
        choices = Choices(script)
        yield choices
        script = choices.script_next()
