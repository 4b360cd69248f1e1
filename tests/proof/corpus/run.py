"""Runs the corpus: correct handlers must be proved, every mutant that changes behaviour must be refuted.

    python tests/proof/corpus/run.py [NAME ...] [--only MUTANT] [--quick]

Each folder beside this file is a small repository with a correct handler, and a `corpus.py` with MUTANTS and VARIANTS.
A library that has an environment of its own (`make frameworks`) is proved in that one.
Prints a table; exit 1 where a mutant survives unargued or a correct handler is not proved.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

WIDTHS = (8, 7, 9, 6, 8, 13)
HERE = Path(__file__).resolve().parent
VENVS = HERE.parents[2] / ".venv-frameworks"


@dataclass(frozen=True)
class Mutant:
    """One bug: `edits` are (file, old text, new text). `keeps`: why it changes no behaviour, argued; None: it does."""

    id: str  # class letter of the catalogue (A-G) and a number, e.g. "C03"
    what: str
    edits: tuple[tuple[str, str, str], ...]
    keeps: str | None = None
    quick: bool = False  # part of `make test`
    source: str | None = None  # the real bug that it rebuilds


@dataclass(frozen=True)
class Variant:
    """A correct handler in another style: `files` replace those of the folder."""

    id: str
    what: str
    files: dict[str, str] = field(default_factory=dict)
    edits: tuple[tuple[str, str, str], ...] = ()
    quick: bool = False


@dataclass(frozen=True)
class Outcome:
    """What the proof said of one handler."""

    corpus: str
    id: str
    what: str
    kind: str  # correct | mutant | keeps
    verdict: str
    detail: str
    seconds: float

    @property
    def right(self) -> bool:
        """A correct handler and one that keeps the behaviour must be proved, a mutant refuted."""
        return self.verdict == ("refuted" if self.kind == "mutant" else "proved")


def load(name: str) -> ModuleType:
    """The corpus.py of a folder; it imports Mutant and Variant from this module as `run`."""
    sys.modules.setdefault("run", sys.modules[__name__])
    spec = importlib.util.spec_from_file_location(f"corpus_{name}", HERE / name / "corpus.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(name: str, made: Mutant | Variant | None, folder: Path) -> Path:
    """The repository with the edits in it. An edit whose old text is not there exactly once is an error."""
    shutil.copytree(HERE / name, folder, ignore=shutil.ignore_patterns("corpus.py", "__pycache__"))
    for file, text in (made.files if isinstance(made, Variant) else {}).items():
        (folder / file).write_text(text)
    for file, old, new in made.edits if made else ():
        text = (folder / file).read_text()
        assert text.count(old) == 1, (
            f"{name}/{made.id if made else ''}: {text.count(old)} times in {file}: {old!r}"
        )
        (folder / file).write_text(text.replace(old, new))
    return folder


def try_one(name: str, module: ModuleType, made: Mutant | Variant | None) -> Outcome:
    """Proves one handler."""
    from skillrun.contract.spec import load_spec
    from skillrun.core.errors import SkillrunError
    from skillrun.proof.prove import prove
    from skillrun.proof.result import Target

    kind = (
        "correct" if not isinstance(made, Mutant) else "mutant" if made.keeps is None else "keeps"
    )
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="corpus-") as temporary:
        root = build(name, made, Path(temporary).resolve() / name)
        spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
        try:
            proof = prove(Target(spec, root, module.DRIVER), stop_early=kind == "mutant")
            verdict = proof.verdict
            first = [f"{w.judgement.rule} under {w.tried.schedule}" for w in proof.witnesses]
            detail = "; ".join(
                first[:1] if kind == "mutant" else [*first, *(j.message for j in proof.incomplete)]
            )
        except SkillrunError as error:
            verdict, detail = "error", error.message
    id_, what = (made.id, made.what) if made else ("correct", "as it is")
    return Outcome(name, id_, what, kind, verdict, detail, time.monotonic() - begun)


@contextmanager
def environment_of(driver: str | None) -> Iterator[None]:
    """The library's own environment is the activated one, where it was built."""
    own = VENVS / (driver or "plain_cron")
    before = os.environ.get("VIRTUAL_ENV")
    if (own / ".installed").exists():
        os.environ["VIRTUAL_ENV"] = str(own)
    try:
        yield
    finally:
        os.environ.pop("VIRTUAL_ENV", None)
        if before is not None:
            os.environ["VIRTUAL_ENV"] = before


def outcomes(
    names: list[str], only: str | None = None, *, quick: bool = False
) -> Iterator[Outcome]:
    """One after the other: a proof uses every core itself."""
    for name in names:
        module = load(name)
        cases = [None, *module.VARIANTS, *module.MUTANTS]
        for made in cases:
            if (made.id if made else "correct") == only or (
                only is None and (not quick or made is None or made.quick)
            ):
                with environment_of(module.DRIVER):
                    done = try_one(name, module, made)
                yield done


def summary(done: list[Outcome]) -> str:
    """The table that closes a run."""
    heads = ("mutants", "killed", "survived", "keeps", "correct", "false alarms")
    lines = [
        f"{'corpus':<24} "
        + " ".join(f"{head:>{width}}" for head, width in zip(heads, WIDTHS, strict=True))
    ]
    for name in [*dict.fromkeys(item.corpus for item in done), "all"]:
        mine = [item for item in done if name in (item.corpus, "all")]
        mutants = [item for item in mine if item.kind == "mutant"]
        keeps = [item for item in mine if item.kind == "keeps"]
        correct = [item for item in mine if item.kind == "correct"]
        killed = sum(item.right for item in mutants)
        alarms = sum(item.verdict == "refuted" for item in (*correct, *keeps))
        lines.append(
            f"{name:<24} {len(mutants):>8} {killed:>7} {len(mutants) - killed:>9} {len(keeps):>6}"
            f" {len(correct):>8} {alarms:>13}"
        )
    return "\n".join(lines)


def main() -> int:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--only")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    names = options.names or sorted(path.parent.name for path in HERE.glob("*/corpus.py"))
    done = []
    unstable = 0
    for item in outcomes(names, options.only, quick=options.quick):
        show(item)
        if not item.right:  # is it wrong each time?
            item = next(outcomes([item.corpus], item.id))
            show(item)
            unstable += item.right
        done.append(item)
    print(f"\n{summary(done)}")
    wrong = [item for item in done if not item.right]
    print(
        f"\n{len(done)} handlers, {len(wrong)} judged wrongly; {unstable} wrongly at first, rightly"
        " when run again"
    )
    return 1 if wrong else 0


def show(item: Outcome) -> None:
    mark = "ok " if item.right else "BAD"
    print(
        f"{mark} {item.corpus}/{item.id:<8} {item.verdict:<10} {item.seconds:5.1f} s  {item.what}:"
        f" {item.detail}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
