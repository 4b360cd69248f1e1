"""How long the hooks of pre-commit take on one changed file, from the start of Python to its end.

    python tests/bench/hook_bench.py            a table; exit code 1 where a hook takes more CPU than its limit

The first run of each is not counted: a file that was just installed has no bytecode. CPU seconds say what the
command costs, and the clock what a person waits, which a busy machine makes longer. Beside them, as what a machine
makes slower alike: how often `python -c pass` and `import typer` fit into the CPU's time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import cases  # noqa: E402
import helpers  # noqa: E402

LIMIT_MS = 300
RUNS = 9
SIZES = (0, 400)  # further modules of the repository
LINES = {"a spec": (cases.SPEC_PATH,), "a module with a job": ("shop/tasks.py",)}


BESIDE = {"pass": ("-c", "pass"), "import typer": ("-c", "import typer")}


def measure(repo: Path, *arguments: str) -> tuple[float, float]:
    """(milliseconds by the clock, milliseconds of CPU), the median of several runs of Python."""
    waited, spent = [], []
    for number in range(RUNS + 1):
        before, began = os.times(), time.perf_counter()
        env = helpers.clean_env(repo.parent / "home")
        # An installer leaves bytecode; without it each start would compile skillrun anew.
        env.pop("PYTHONDONTWRITEBYTECODE")
        env["PYTHONPYCACHEPREFIX"] = str(repo.parent / "bytecode")
        done = subprocess.run([sys.executable, *arguments], cwd=repo, env=env)
        after = os.times()
        assert done.returncode == 0
        if number:
            waited.append(1000 * (time.perf_counter() - began))
            own, system = after[2] - before[2], after[3] - before[3]
            spent.append(1000 * (own + system))
    return statistics.median(waited), statistics.median(spent)


def tell_ratios(repo: Path, spent: float) -> str:
    """`31 x pass, 4.5 x import typer`."""
    told = []
    for name, arguments in BESIDE.items():
        _, beside = measure(repo, *arguments)
        told.append(f"{spent / beside:.1f} x {name}")
    return ", ".join(told)


def main() -> int:
    slow = False
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            more = {f"lib/m{n}.py": f"def f{n}(x):\n    return x + {n}\n" for n in range(size)}
            files = {cases.SPEC_PATH: yaml.safe_dump(cases.SPEC)} | dict(cases.FILES) | more
            repo = helpers.build_tree(Path(folder) / "repo", files)
            for name, given in LINES.items():
                waited, spent = measure(repo, "-m", "skillrun", "lint", *given)
                slow |= spent > LIMIT_MS
                print(
                    f"{name:<22}{size:>5} modules  {waited:6.0f} ms  {spent:6.0f} ms CPU", end="  "
                )
                print(tell_ratios(repo, spent))
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
