"""Writes the corpora's handlers otherwise, and shows where what skillrun says of them changes.

usage: written_otherwise.py [--prove] [--only TRANSFORMATION] [CORPUS ...]

Each correct handler of `tests/proof/corpus` by each transformation: no reading may become an error, and no error go
away; with --prove the verdict must stay `proved` too. What a transformation finds nothing of is left out.
Exit 0: nothing changed.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "proof/corpus"), str(HERE)]

import helpers  # noqa: E402 - a script has no other way to its neighbours
import transformations as ways  # noqa: E402
from bundled import bundled_skill  # noqa: E402

from skillrun.contract.spec import load_spec  # noqa: E402
from skillrun.core.errors import SkillrunError  # noqa: E402
from skillrun.core.verdict import Finding  # noqa: E402
from skillrun.repo.git import open_repo  # noqa: E402
from skillrun.repo.tree import Tree  # noqa: E402
from skillrun.skills.job_worker.job_case import JobCase  # noqa: E402
from skillrun.skills.job_worker.stages.registry import STAGES  # noqa: E402

CORPUS = HERE.parent / "proof/corpus"
# These read; the others ask a person, run commands, or wait for the proof.
READING = ("idempotency", "handler", "retry", "dead-letter", "observability")


@dataclass(frozen=True)
class Change:
    """What became of one handler when it was written otherwise."""

    corpus: str
    name: str  # of the transformation
    new_errors: tuple[str, ...]
    lost_errors: tuple[str, ...]
    verdict: str = "proved"
    why: str = ""

    @property
    def is_none(self) -> bool:
        return not self.new_errors and not self.lost_errors and self.verdict == "proved"


def list_corpora() -> list[str]:
    return sorted(path.parent.name for path in CORPUS.glob("*/corpus.py"))


def lay_out(corpus: str, folder: Path) -> Path:
    """The correct handler as a git repository; returns its spec."""
    ignored = shutil.ignore_patterns("corpus.py", "__pycache__")
    shutil.copytree(CORPUS / corpus, folder, ignore=ignored)
    helpers.build_tree(folder, {})
    return next((folder / ".skillrun/jobs").glob("*.yaml"))


def find_handler(root: Path, spec: Path) -> tuple[Path, str]:
    """The handler's file and the function's name."""
    module, _, function = str(load_spec(spec, root=root).handler).partition(":")
    return root / (module.replace(".", "/") + ".py"), function


def write_otherwise(root: Path, spec: Path, name: str) -> bool:
    """Whether there was anything to write otherwise; the repository is changed in place."""
    path, function = find_handler(root, spec)
    written = ways.TRANSFORMATIONS[name](path.read_text(), function)
    if written is None:
        return False
    path.write_text(written.text)
    helpers.build_tree(root, written.more)
    return True


def read_errors(root: Path, spec: Path) -> dict[str, Finding]:
    """Rule -> the first finding that stops a stage."""
    case = JobCase(bundled_skill(), load_spec(spec, root=root), open_repo(root), Tree(root))
    found: dict[str, Finding] = {}
    for stage in STAGES:
        if stage.ID not in READING:
            continue
        for finding in stage.examine(case).findings:
            if finding.severity in ("blocker", "error"):
                found.setdefault(finding.rule, finding)
    return found


def list_cases(corpora: list[str]) -> Iterator[tuple[str, str]]:
    for corpus in corpora:
        for name in ways.list_transformations():
            yield corpus, name


def compare(corpus: str, name: str, folder: Path, *, prove: bool = False) -> Change | None:
    """None where the transformation has nothing to change."""
    plain, written = folder / "plain", folder / "written"
    spec_before = lay_out(corpus, plain)
    spec_after = lay_out(corpus, written)
    if not write_otherwise(written, spec_after, name):
        return None
    before, after = read_errors(plain, spec_before), read_errors(written, spec_after)
    new = [f"{rule}: {after[rule].message}" for rule in after if rule not in before]
    lost = [f"{rule}: {before[rule].message}" for rule in before if rule not in after]
    verdict, why = "proved", ""
    if prove:
        verdict, why = prove_handler(corpus, written, spec_after)
    return Change(corpus, name, tuple(new), tuple(lost), verdict, why)


def prove_handler(corpus: str, root: Path, spec: Path) -> tuple[str, str]:
    """The verdict, and the first thing that speaks against it."""
    from skillrun.proof.prove import prove
    from skillrun.proof.result import Target

    target = Target(load_spec(spec, root=root), root, load_corpus(corpus).DRIVER)
    try:
        proof = prove(target)
    except SkillrunError as error:
        return "error", error.message
    told = [f"{w.judgement.rule} under {w.tried.schedule}" for w in proof.witnesses]
    told += [judgement.message for judgement in proof.incomplete]
    return proof.verdict, "; ".join(told[:1])


def load_corpus(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"corpus_{name}", CORPUS / name / "corpus.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def show(change: Change) -> None:
    mark = "ok " if change.is_none else "BAD"
    print(f"{mark} {change.corpus} {change.name} {change.verdict} {change.why}", flush=True)
    for text in change.new_errors:
        print(f"      new:  {text}")
    for text in change.lost_errors:
        print(f"      gone: {text}")


def main() -> int:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--prove", action="store_true")
    parser.add_argument("--only", choices=ways.list_transformations())
    parser.add_argument("corpora", nargs="*")
    options = parser.parse_args()
    tried = changed = 0
    for corpus, name in list_cases(options.corpora or list_corpora()):
        if options.only not in (None, name):
            continue
        with tempfile.TemporaryDirectory(prefix="metamorphic-") as scratch:
            change = compare(corpus, name, Path(scratch), prove=options.prove)
        if change is None:
            continue
        tried += 1
        changed += not change.is_none
        show(change)
    print(f"{tried} handlers written otherwise, {changed} told otherwise")
    return int(changed > 0)


if __name__ == "__main__":
    sys.exit(main())
