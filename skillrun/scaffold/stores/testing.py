"""What a job's tests need of its store; the fixture itself is the template `<kind>_fixture.jinja`."""

from __future__ import annotations

from dataclasses import dataclass

from skillrun.frameworks.pieces import Symbol


@dataclass(frozen=True)
class Testing:
    """`needed`: imports of the fixture; `opened`: what stands between `with` and the colon to read the database."""

    needed: tuple[Symbol | str, ...] = ()
    opened: str = ""
