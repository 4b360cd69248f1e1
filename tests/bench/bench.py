"""Benchmark: hooks, start-up, status, resume and survey, as ratios within this one run. No figure
is asserted.
"""

from __future__ import annotations

import ast
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import helpers

from skillrun.core.resources import resource
from skillrun.frameworks.registry import recognisers
from skillrun.repo.survey import survey_tree
from skillrun.repo.tree import Tree

ROUNDS = 15


def main() -> int:
    """Builds the repositories, measures in interleaved rounds, prints the table."""
    folder = Path(tempfile.mkdtemp(prefix="skillrun-bench-"))
    try:
        rows = [*_hook(folder), *_start_up(folder), *_survey(folder)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{'what':<44} {'ratio':>6} {'limit':>6}  against")
    for what, ratio, limit, against in rows:
        mark = "" if ratio <= limit else "  OVER"
        print(f"{what:<44} {ratio:>6.2f} {limit:>6.2f}  {against}{mark}")
    return 0


def _start_up(folder: Path) -> list[tuple[str, float, float, str]]:
    repo = _shop_of(folder / "shop", 1_000)
    env = helpers.clean_env(folder / "home")
    skillrun = [sys.executable, "-m", "skillrun"]
    run = [*skillrun, "job-worker-orchestration", "--trust"]
    done = subprocess.run(run, cwd=repo, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(
            "the run did not succeed"
            f" ({done.returncode}):\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    times = _interleaved(
        {
            "typer": [sys.executable, "-c", "import typer"],
            "help": [*skillrun, "--help"],
            "status": [*skillrun, "status"],
            "resume": run,
        },
        repo,
        env,
    )
    base = times["typer"]
    files = len(Tree(repo).files)
    return [
        ("skillrun --help", times["help"] / base, 1.3, "python -c 'import typer'"),
        (f"skillrun status, {files} files", times["status"] / base, 4.0, "the same"),
        (f"resume, nothing changed, {files} files", times["resume"] / base, 4.0, "the same"),
    ]


def _shop_of(path: Path, files: int) -> Path:
    """The example shop in a git repository of so many files, its own checks replaced by quick
    ones.
    """
    shutil.copytree(resource("skills", "job-worker-orchestration", "examples", "celery-shop"), path)
    (path / "Makefile").write_text("test:\n\ttrue\nlint:\n\ttrue\n", encoding="utf-8")
    for number in range(files - sum(1 for p in path.rglob("*") if p.is_file())):
        _module(path / f"library/part{number % 40}/module{number}.py", number)
    helpers.git(path, "init", "--quiet")
    helpers.commit(path)
    return path


def _module(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    functions = "\n\n".join(
        f"def function_{i}(value: int) -> int:\n    total = value + {i}\n    for n in range({i}):\n"
        f"        total += n * {number}\n    return total"
        for i in range(12)
    )
    path.write_text(f'"""Module {number}."""\n\n{functions}\n', encoding="utf-8")


def _hook(folder: Path) -> list[tuple[str, float, float, str]]:
    """What every tool call of an agent pays, and every end of a turn where no run was made."""
    payload = json.dumps(
        {"cwd": str(folder), "tool_name": "Bash", "tool_input": {"command": "ls -la"}}
    ).encode()
    hook = [sys.executable, "-m", "skillrun", "hook", "claude"]
    commands = {
        "pass": [sys.executable, "-c", "pass"],
        "tool": [*hook, "pre-tool"],
        "stop": [*hook, "stop"],
    }
    times = _interleaved(commands, folder, helpers.clean_env(folder / "home"), payload)
    return [
        ("skillrun hook claude pre-tool", times["tool"] / times["pass"], 3.0, "python -c pass"),
        ("skillrun hook claude stop, no run", times["stop"] / times["pass"], 3.0, "the same"),
    ]


def _interleaved(
    commands: dict[str, Sequence[str]], cwd: Path, env: dict[str, str], given: bytes = b""
) -> dict[str, float]:
    """The median seconds of each command over rounds in which each runs once."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            begin = time.perf_counter()
            subprocess.run(command, cwd=cwd, env=env, input=given, capture_output=True)
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def _survey(folder: Path) -> list[tuple[str, float, float, str]]:
    """20,000 files, of which 400 mention Celery and must be parsed."""
    repo = folder / "large"
    for number in range(20_000):
        _module(repo / f"area{number % 20}/part{number % 200}/module{number}.py", number)
    for number in range(400):
        path = repo / f"area{number % 20}/tasks{number}.py"
        path.write_text(
            "from celery import shared_task\n\n\n@shared_task(bind=True, max_retries=3)\n"
            f"def task_{number}(self, order_id: int) -> None:\n    print(order_id)\n\n\n"
            + (repo / f"area0/part0/module{number // 200 * 200}.py").read_text(encoding="utf-8"),
            encoding="utf-8",
        )
    helpers.git(repo, "init", "--quiet")
    helpers.commit(repo)
    parsed = [path for path in repo.rglob("*.py") if b"celery" in path.read_bytes()]
    rest = [path for path in repo.rglob("*.py") if path not in set(parsed)]
    ours = _best(lambda: survey_tree(Tree(repo), recognisers()))
    parse = _best(lambda: [ast.parse(path.read_bytes()) for path in parsed])
    cat = _best(lambda: _cat(rest))
    ratio = ours / (1.3 * parse + 8 * cat)
    return [
        (
            "survey of 20,400 files",
            ratio,
            1.0,
            f"1.3 x ast.parse of {len(parsed)} + 8 x cat of {len(rest)}",
        )
    ]


def _cat(paths: list[Path]) -> None:
    """One `cat` over the files, in as few processes as the argument limit allows."""
    for start in range(0, len(paths), 5_000):
        command = ["cat", *map(str, paths[start : start + 5_000])]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


if __name__ == "__main__":
    raise SystemExit(main())
