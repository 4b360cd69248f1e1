"""Writes a refutation as a regression test of the repository: it fails now, and passes once the
handler is mended.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Misuse

if TYPE_CHECKING:
    from skillrun.proof.result import Target

_TEST = '''\
"""Written by `skillrun prove --pytest`: {message}

It runs the job's handler under one schedule of faults, in a scratch folder. It needs skillrun in the environment of the
tests, from the same place as yours, and is skipped where it is missing.
"""

from pathlib import Path

import pytest

replay = pytest.importorskip("skillrun.proof.replay", reason="skillrun is not installed: the proof cannot run")

ROOT = Path(__file__).resolve().parents[{up}]


def test_{name}() -> None:
    """Cause, when this was written: {cause}."""
    replay.assert_holds(
        spec={spec},
        schedule={schedule},
        root=ROOT,
        driver={driver},
        paths={paths},
    )
'''

_TEST_OF_A_DRAFT = '''\
"""Written by `skillrun prove --pytest`: {message}

It drafts the job from the repository's own tests, as `pytest --prove` does, and runs it under one schedule of
faults. It needs skillrun in the environment of the tests, and is skipped where it is missing.
"""

from pathlib import Path

import pytest

holding = pytest.importorskip(
    "skillrun.cli.proving_tests.holding", reason="skillrun is not installed: the proof cannot run"
)

ROOT = Path(__file__).resolve().parents[{up}]


def test_{name}() -> None:
    """Cause, when this was written: {cause}."""
    holding.assert_job_holds({handler}, schedule={schedule}, root=ROOT)
'''


def write_test(
    report: Mapping[str, Any], target: Target, root: Path, file: Path, *, is_drafted: bool = False
) -> str:
    """Writes the test of the first witness; what was done, as a sentence. Raises Misuse where the
    file exists. `is_drafted`: there is no spec that a clone of the repository would have.
    """
    witness = next(iter(report["witnesses"]), None)
    if witness is None:
        return f"no test was written: the verdict is {report['verdict']}"
    template = _TEST
    if is_drafted:
        template = _TEST_OF_A_DRAFT
    text = test_text(report, witness, target, root, file.absolute(), template)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise Misuse(
            f"--pytest {file}: exists already", hint="name a new file; nothing is overwritten"
        ) from None
    except OSError as error:
        raise Misuse(
            f"--pytest {file}: cannot be written: {error.strerror}", hint="name another file"
        ) from None
    return f"written: {file} (it fails until the handler is mended)"


def test_text(
    report: Mapping[str, Any],
    witness: Mapping[str, Any],
    target: Target,
    root: Path,
    file: Path,
    template: str = _TEST,
) -> str:
    """The test file. What comes from the repository goes into literals and into one line of a
    docstring.
    """
    if not file.is_relative_to(root):
        raise Misuse(
            f"--pytest {file}: outside of the repository",
            hint="a regression test lies beside the code",
        )
    schedule = None if witness["rule"].startswith("logs.") else witness["schedule"]
    return template.format(
        message=_in_docstring(witness["message"]),
        cause=_in_docstring(witness["cause"]),
        up=len(file.relative_to(root).parts) - 1,
        name=_name(report["job"], witness),
        spec=_literal(os.path.relpath(target.spec.path.absolute(), root)),
        schedule=_literal(schedule),
        handler=_literal(target.spec.handler),
        driver=_literal(target.driver),
        paths=_literal(target.paths),
    )


def _literal(value: object) -> str:
    """As Python source; in double quotes where that needs no escape."""
    if isinstance(value, tuple):
        return f"({''.join(f'{_literal(item)}, ' for item in value).rstrip()})"
    if isinstance(value, str) and not {"'", '"'} & set(value):
        return f'"{repr(value)[1:-1]}"'
    return repr(value)


def _in_docstring(text: str) -> str:
    return text.replace("\\", "/").replace('"', "'").rstrip(".")


def _name(job: str, witness: Mapping[str, Any]) -> str:
    words = (
        f"{job} {witness['effect'] or ''} {witness['rule'].rpartition('.')[2]}"
        f" {witness['schedule'].split('@')[0]}"
    )
    return re.sub(r"\W+", "_", words.lower()).strip("_")
