"""Writes every combination into a sample repository and has it judged: linter, types, its own
tests, the nine stages.

`python tests/scaffold/matrix.py [every] [WORD...]`: only combinations whose line has all words;
with `every` of the
whole product of the factors, which takes hours. Prints a line for each, and a Markdown table of all
at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import brokers
import helpers
import samples
import shops

SKILL = "job-worker-orchestration"
GRADES = {
    **dict.fromkeys(("idempotency", "retry", "dead-letter", "observability"), "proved"),
    "tests": "executed",
}


def judge(combination: samples.Combination, folder: Path) -> list[str]:
    """What is wrong with what the scaffold wrote; nothing where the run is a success with what it
    proves proved.
    """
    with brokers.database(combination, folder) as env:
        return _judge(combination, folder, env)


def _judge(combination: samples.Combination, folder: Path, env: Mapping[str, str]) -> list[str]:
    repo = helpers.build_tree(folder / "repo", samples.files(combination))
    report, problems = scaffolded(repo, env=env)
    if not report:
        return problems
    stale = cli(repo, "status").stdout.partition("stale since then:")[2]
    problems += [f"stale at once: {stale.strip()}"] if stale else []
    added = shops.telemetry(shops.ledger_of(repo))[-1]["tests_added"]
    problems += (
        [f"tests_added: {added}"]
        if added != ("integration" if combination.broker else "unit")
        else []
    )
    return [
        *problems,
        *(brokers.wrong_over_broker(repo, combination.framework) if combination.broker else []),
    ]


def judge_second(combination: samples.Combination, folder: Path) -> list[str]:
    """As `judge`, of another job beside a first one: it uses what the first has made, and leaves it
    alone.
    """
    repo = helpers.build_tree(folder / "repo", samples.files(combination))
    first = repo / ".skillrun" / "jobs" / "send-receipt.json"
    _, problems = scaffolded(repo, "--spec", str(first.relative_to(repo)))
    spec = json.loads(samples.files(combination)[str(first.relative_to(repo))])
    handler = spec["handler"].replace("send_receipt", "notify_customer")
    store = spec["idempotency"]["dedupe"]["store"].replace("receipts", "notified")
    idempotency = {
        **spec["idempotency"],
        "dedupe": {**spec["idempotency"]["dedupe"], "store": store},
    }
    second = first.with_name("notify-customer.json")
    second.write_text(
        json.dumps(
            {**spec, "job": "notify-customer", "handler": handler, "idempotency": idempotency}
        )
    )
    for job in (second, first):  # what stands there already is seen once more
        problems += scaffolded(repo, "--spec", str(job.relative_to(repo)))[1]
    return problems


def scaffolded(
    repo: Path, *given: str, env: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """(the report, empty where there is none; what is wrong with it)."""
    done = cli(
        repo, "run", SKILL, "--implement", "scaffold", "--trust", "--json", *given, **(env or {})
    )
    if not done.stdout.startswith("{"):
        return {}, [f"no report: {done.stderr.strip()[-300:]}"]
    report = json.loads(done.stdout)
    problems = [
        f"{stage['id']}: {finding['rule']}: {finding['message']}"
        for stage in report["stages"]
        for finding in stage["findings"]
        if finding["severity"] in ("error", "blocker")
    ]
    problems += [
        f"{stage['id']}: {stage['status']} {stage['grade']}"
        for stage in report["stages"]
        if stage["status"] != "not_applicable"
        and (
            stage["status"] != "passed"
            or stage["grade"] not in (GRADES.get(stage["id"], stage["grade"]), None)
        )
    ]
    again = cli(repo, "run", SKILL, "--implement", "scaffold", "--dry-run", *given)
    if again.stdout.strip():
        problems.append(f"not the same the second time: {again.stdout[:300]}")
    return report, problems


def cli(repo: Path, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    """skillrun on a repository, with this interpreter's tools first on PATH; `more` is added to the
    environment.
    """
    env = helpers.clean_env(repo.parent / "home", **more)
    # What mypy knows of the libraries is the same for every row: most of its time goes there.
    env["MYPY_CACHE_DIR"] = str(repo.parent.parent / f"mypy-{threading.current_thread().name}")
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', os.environ['PATH'])}"
    command = [sys.executable, "-m", "skillrun", *args]
    return subprocess.run(
        command, cwd=repo, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def table(results: dict[samples.Combination, bool]) -> str:
    """Frameworks against stores; in each cell what was tried there, crossed out where it failed."""
    stores = list(dict.fromkeys(one.store for one in results))
    lines = [["framework", *stores], ["---"] * (len(stores) + 1)]
    for framework in dict.fromkeys(one.framework for one in results):
        cells = [
            [one for one in results if (one.framework, one.store) == (framework, store)]
            for store in stores
        ]
        words = [
            ", ".join(brief(one) if results[one] else f"~~{brief(one)}~~" for one in cell)
            for cell in cells
        ]
        lines.append([framework, *(word or "-" for word in words)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def brief(one: samples.Combination) -> str:
    """What sets it apart from a bounded, keyed job of an event with a dead-letter table."""
    usual = samples.Combination(one.framework)
    parts = ["bounded" if one.retry else "none"]
    parts += [one.trigger] if one.trigger != usual.trigger else []
    parts += [f"dead {one.dead}"] if one.dead != usual.dead else []
    parts += [
        word
        for word, other in ((one.effect, usual.effect), (one.backoff, usual.backoff))
        if word != other
    ]
    parts += ["payload"] if one.message != usual.message else []
    return " ".join([*parts, *(["with a broker"] if one.broker else [])])


def main(words: list[str], say: Callable[[str], None] = print) -> int:
    given = samples.every() if words[:1] == ["every"] else samples.combinations()
    words = words[words[:1] == ["every"] :]
    wanted = [one for one in given if all(word in str(one) for word in words)]
    results: dict[samples.Combination, bool] = {}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:

        def go(number: int) -> tuple[list[str], float]:
            place, started = Path(folder) / str(number), time.monotonic()
            place.mkdir()
            return judge(wanted[number], place), time.monotonic() - started

        for combination, (problems, took) in zip(
            wanted, pool.map(go, range(len(wanted))), strict=True
        ):
            results[combination] = not problems
            say(f"{'failed' if problems else 'proved'}  {combination}  {took:.0f} s")
            for problem in problems:
                say(f"        {problem}")
    say(f"{sum(results.values())} passed, {len(wanted) - sum(results.values())} failed")
    say(table(results))
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
