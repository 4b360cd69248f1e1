"""Small repositories, one a framework, and the job specs that a scaffold turns into code in them.

    files(Combination("celery", store="redis"))  ->  path: text, with the job spec

`combinations` says what varies, `specs` and `repositories` what comes of it; each framework has a
module.
"""

from __future__ import annotations

from samples.combinations import FRAMEWORKS, IN_DJANGO, Combination, combinations, every, usual
from samples.repositories import COMMON, files
from samples.specs import spec

__all__ = [
    "COMMON",
    "FRAMEWORKS",
    "IN_DJANGO",
    "SKILL",
    "Combination",
    "combinations",
    "every",
    "files",
    "spec",
    "usual",
]

SKILL = "job-worker-orchestration"
