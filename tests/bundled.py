"""The bundled skill, read once in a process: most tests of stages, rules and scaffolds look at the
same one.
"""

from __future__ import annotations

import functools

from skillrun.contract.skill import Skill, load_skill
from skillrun.core.resources import resource


@functools.cache
def bundled_skill() -> Skill:
    """A frozen value; nobody can spoil it for the next test."""
    return load_skill(resource("skills", "job-worker-orchestration"))
