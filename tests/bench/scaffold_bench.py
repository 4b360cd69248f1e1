"""Benchmark: a job written into the demo's shop and verified, as a ratio to its proof alone. No
figure is asserted.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import helpers

from skillrun.core.resources import resource

SPEC = ".skillrun/jobs/send-receipt.yaml"
KEPT = (
    "Makefile",
    "Procfile",
    "pyproject.toml",
    "shop/__init__.py",
    "shop/celery.py",
    "shop/db.py",
    "shop/mailer.py",
)
ROUNDS = 3


def main() -> int:
    """Builds the shop without its job, has it written, and proves it again alone."""
    folder = Path(tempfile.mkdtemp(prefix="skillrun-bench-"))
    try:
        rows = [_measured(folder / str(number)) for number in range(ROUNDS)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    whole, plan, proof = (sorted(times)[ROUNDS // 2] for times in zip(*rows, strict=True))
    print(f"write and verify   {whole:.1f} s = {whole / proof:.1f}x of the proof alone")
    print(f"plan               {plan:.1f} s = {plan / proof:.2f}x of the proof alone")
    print(f"proof alone        {proof:.1f} s")
    return 0


def _measured(folder: Path) -> tuple[float, float, float]:
    """Seconds of the whole, of the plan alone (`--dry-run`), and of `skillrun prove`."""
    repo = _shop(folder)
    plan = _timed(repo, "job-worker-orchestration", "--implement", "scaffold", "--dry-run")
    whole = _timed(repo, "job-worker-orchestration", "--implement", "scaffold", "--trust")
    return whole, plan, _timed(repo, "prove", "--trust")


def _timed(repo: Path, *arguments: str) -> float:
    env = helpers.clean_env(repo.parent / "home")
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', os.environ['PATH'])}"
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "skillrun", *arguments],
        cwd=repo,
        env=env,
        capture_output=True,
        text=True,
    )
    took = time.monotonic() - started
    if done.returncode:
        raise SystemExit(
            f"{' '.join(arguments)}: {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-2000:]}"
        )
    return took


def _shop(folder: Path) -> Path:
    """The demo's shop as it was before anybody wrote its job."""
    example = resource("skills", "job-worker-orchestration", "examples", "celery-shop")
    files = {name: (example / name).read_text("utf-8") for name in KEPT}
    spec = yaml.safe_load((example / SPEC).read_text("utf-8"))
    spec = {part: value for part, value in spec.items() if part not in ("proof", "enqueue")}
    spec["failures"]["permanent"] = ["shop.mailer:BadAddress"]
    files[SPEC.replace(".yaml", ".json")] = json.dumps(spec, indent=2)
    files["tests/test_shop.py"] = "def test_there_is_a_shop():\n    import shop.mailer\n"
    return helpers.build_tree(folder / "repo", files)


if __name__ == "__main__":
    sys.exit(main())
