"""How the code reads, in figures: per package, compared with a budget that may only get better.

    python tests/house/figures.py            the table
    python tests/house/figures.py --check    exit 1 where a package is worse than its budget, or the
                                             budget than the one before it (`make lint`)
    python tests/house/figures.py --keep     the budget becomes what is measured, where that is better

A figure says where to look, and nothing about a single line: a conditional expression that reads
well is welcome.
"""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

try:
    from radon.complexity import cc_visit
except ImportError:
    sys.exit("radon is missing, which counts complexity: make clean, or pip install -e '.[dev]'")

ROOT = Path(__file__).resolve().parents[2]
BUDGET = Path(__file__).with_name("budget.json")
WIDTH = 100
LONGEST_FUNCTION = 50
# A budget is kept with as many digits as are shown, so that half of the last one is no change.
ROUNDED_AWAY = 0.005

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Figure:
    """A figure of a package, and by how much one line more or less changes it."""

    value: float
    of_one_line: float

    @classmethod
    def of(cls, count: float, among: int, *, one_more: int) -> Figure:
        """A share or a mean; of nothing, nothing."""
        if among == 0:
            return cls(0.0, 0.0)
        return cls(round(count / among, 2), one_more / among)


@dataclass
class Figures:
    """Sums of one package; the properties are the figures."""

    code_lines: int = 0
    wide_lines: int = 0
    forks: int = 0
    comprehensions: int = 0
    comments: int = 0
    functions: int = 0
    one_word_names: int = 0
    long_functions: int = 0
    blocks: int = 0
    complexity: int = 0

    def per_hundred(self, count: int) -> Figure:
        """Of so many lines of code."""
        return Figure.of(100 * count, self.code_lines, one_more=100)

    def as_dict(self) -> dict[str, Figure]:
        """Name -> figure. Less is better, but for comments."""
        return {
            "wide lines per 100": self.per_hundred(self.wide_lines),
            "conditional expressions per 100": self.per_hundred(self.forks),
            "comprehensions per 100": self.per_hundred(self.comprehensions),
            "one-word function names, %": Figure.of(
                100 * self.one_word_names, self.functions, one_more=100
            ),
            "functions over 50 lines": Figure(float(self.long_functions), 0.0),
            "own-line comments per 100": self.per_hundred(self.comments),
            # McCabe's number of a function, method or class, as radon counts it.
            "mean complexity": Figure.of(self.complexity, self.blocks, one_more=1),
        }


MORE_IS_BETTER = ("own-line comments per 100",)


def measure_file(text: str, figures: Figures) -> None:
    """Adds one file."""
    lines = text.splitlines()
    comments = set(find_own_line_comments(text))
    for number, line in enumerate(lines, 1):
        if line.strip() and number not in comments:
            figures.code_lines += 1
            figures.wide_lines += len(line) > WIDTH
    figures.comments += len(comments)
    for node in ast.walk(ast.parse(text)):
        figures.forks += isinstance(node, ast.IfExp)
        figures.comprehensions += isinstance(node, COMPREHENSIONS)
        if isinstance(node, FUNCTIONS):
            measure_function(node, figures)
    for block in cc_visit(text):
        figures.blocks += 1
        figures.complexity += block.complexity


def measure_function(node: ast.FunctionDef | ast.AsyncFunctionDef, figures: Figures) -> None:
    """Its name, unless Python gave it, and its length."""
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    figures.long_functions += length > LONGEST_FUNCTION
    if node.name.startswith("__"):
        return
    figures.functions += 1
    figures.one_word_names += "_" not in node.name.strip("_")


def find_own_line_comments(text: str) -> Iterator[int]:
    """The numbers of the lines that are a comment and nothing else; instructions to tools are
    none.
    """
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT or not token.line.lstrip().startswith("#"):
            continue
        if not token.string.startswith(("# fmt:", "# type:", "# noqa", "#!")):
            yield token.start[0]


def measure_tree(root: Path) -> dict[str, Figures]:
    """Package below skillrun/ -> figures; what lies directly in it is `skillrun`, and `all` is
    everything.
    """
    found = {"all": Figures()}
    for path in sorted((root / "skillrun").rglob("*.py")):
        parts = path.relative_to(root / "skillrun").parts
        package = parts[0] if len(parts) > 1 else "skillrun"
        text = path.read_text(encoding="utf-8")
        for name in (package, "all"):
            measure_file(text, found.setdefault(name, Figures()))
    return found


def compare(measured: dict[str, Figure], budget: dict[str, float]) -> list[str]:
    """The figures that are worse than they were, or were never kept, in words. One line is let
    pass: it says nothing about how a package reads.
    """
    worse = []
    for name, figure in measured.items():
        allowed = budget.get(name)
        if allowed is None:
            worse.append(f"{name}: {figure.value:g}, and no budget is kept of it")
            continue
        loss = figure.value - allowed
        if name in MORE_IS_BETTER:
            loss = -loss
        if loss > figure.of_one_line + ROUNDED_AWAY:
            worse.append(f"{name}: {figure.value:g}, was {allowed:g}")
    return worse


def read_earlier_budget(root: Path = ROOT) -> dict[str, dict[str, float]] | None:
    """The budget before the work at hand: where a branch has left main, on main of the commit
    before. None where git does not have it.
    """
    earlier = _ask_git(root, "merge-base", "HEAD", "main")
    head = _ask_git(root, "rev-parse", "HEAD")
    if earlier is None or earlier == head:
        earlier = _ask_git(root, "rev-parse", "--verify", "--quiet", "HEAD^")
    if head is None or earlier is None:
        return None
    text = _ask_git(root, "show", f"{earlier.strip()}:{BUDGET.relative_to(ROOT).as_posix()}")
    if text is None:
        return None
    budget: dict[str, dict[str, float]] = json.loads(text)
    return budget


def _ask_git(root: Path, *words: str) -> str | None:
    """What git answers; None where it is not there, or has no such thing."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=root, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    if done.returncode != 0:
        return None
    return done.stdout


def list_loosened(
    budget: dict[str, dict[str, float]], earlier: dict[str, dict[str, float]]
) -> Iterator[str]:
    """The figures that a budget allows to be worse than the one before it did."""
    for package, figures in sorted(earlier.items()):
        now = budget.get(package, {})
        for name, was in figures.items():
            loss = now.get(name, was) - was
            if name in MORE_IS_BETTER:
                loss = -loss
            if loss > ROUNDED_AWAY:
                yield f"skillrun/{package}: {name}: {now[name]:g} is allowed, {was:g} was"


def tighten(measured: dict[str, Figure], budget: dict[str, float]) -> dict[str, float]:
    """The better of each pair."""
    kept = {}
    for name, figure in measured.items():
        best = max if name in MORE_IS_BETTER else min
        kept[name] = best(figure.value, budget.get(name, figure.value))
    return kept


def show_table(measured: dict[str, dict[str, Figure]]) -> None:
    """One row a package."""
    names = list(measured["all"])
    print("| package | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for package, figures in sorted(measured.items()):
        cells = " | ".join(f"{figures[name].value:g}" for name in names)
        print(f"| {package} | {cells} |")


def main(arguments: list[str]) -> int:
    """Entry point; the exit code."""
    measured = {name: figures.as_dict() for name, figures in measure_tree(ROOT).items()}
    budget: dict[str, dict[str, float]] = {}
    if BUDGET.exists():
        budget = json.loads(BUDGET.read_text(encoding="utf-8"))
    if "--keep" in arguments:
        kept = {name: tighten(figures, budget.get(name, {})) for name, figures in measured.items()}
        BUDGET.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return 0
    if "--check" not in arguments:
        show_table(measured)
        return 0
    failed = False
    earlier = read_earlier_budget()
    if earlier is None:
        print(f"{BUDGET.name} was not compared with the one before it: git does not have that")
    for words in list_loosened(budget, earlier or {}):
        failed = True
        print(f"{words}. A budget only gets better: unpack what made it worse.")
    for package in sorted(budget.keys() - measured.keys()):
        failed = True
        print(f"skillrun/{package} is gone: take it out of {BUDGET.name}.")
    for package, figures in sorted(measured.items()):
        for words in compare(figures, budget.get(package, {})):
            failed = True
            print(
                f"skillrun/{package}: {words}. Unpack it (--keep writes down what is new or better)."
            )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
