"""What the tests share: real git repositories in a folder, and the command line as a real
process.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import first_commit
import forks

ROOT = Path(__file__).resolve().parent.parent
IDENTITY = (
    *("-c", "user.name=Test"),
    *("-c", "user.email=test@example.invalid"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "commit.gpgsign=false"),
    *("-c", "tag.gpgsign=false"),
    *("-c", "init.defaultBranch=main"),
    *("-c", "protocol.file.allow=always"),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),  # each commit would ask in a process of its own
)
NOTHING_CONFIGURED = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
FIXED_DATE = {
    "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
}


def write_files(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Writes files below a folder: text is dedented and loses its leading newline, bytes are kept
    as they are.
    """
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = (
            content
            if isinstance(content, bytes)
            else textwrap.dedent(content).lstrip("\n").encode()
        )
        path.write_bytes(data)
    return root


def git(root: Path, *args: str) -> str:
    """Runs git in a folder with an identity of its own and nobody's configuration; returns its
    output, stripped.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *IDENTITY, *args],
        cwd=root,
        env={**inherited, **NOTHING_CONFIGURED, **FIXED_DATE},
        capture_output=True,
        text=True,
        errors="surrogateescape",
    )
    if done.returncode:
        raise AssertionError(
            f"git {' '.join(args)} ended with {done.returncode}: {done.stderr.strip()}"
        )
    return done.stdout.strip()


def commit(root: Path, message: str = "Change") -> str:
    """Commits everything that is not ignored, also when nothing changed; returns the full commit
    id.
    """
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(root, "rev-parse", "HEAD")


def build_tree(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """A real git repository on branch main with these files in one commit; the folder is made if it
    is missing.
    """
    root.mkdir(parents=True, exist_ok=True)
    is_empty = not any(root.iterdir())
    if not (root / ".git").exists():
        shutil.copytree(_initialised(), root / ".git", ignore=shutil.ignore_patterns("*.sample"))
    write_files(root, files)
    if is_empty and first_commit.is_plain(files):
        first_commit.write_first_commit(root, files)
        return root
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "First")
    return root


@functools.cache
def _initialised() -> Path:
    """What `git init` makes, once in this process: the tests begin thousands of repositories."""
    folder = tempfile.mkdtemp(prefix="skillrun-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    git(Path(folder), "init", "--quiet")
    return Path(folder, ".git")


def clean_env(home: Path, **extra: str) -> dict[str, str]:
    """An environment that says nothing of this machine: no CI, no agent, no user configuration.

    `home` holds the HOME and the state folder (consent) of the process. The running interpreter
    leads PATH.
    """
    home.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {
        "PATH": path,
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "SKILLRUN_STATE_DIR": str(home / "state"),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # the shop needs none, and each start is quicker
        **NOTHING_CONFIGURED,
        **extra,
    }


# After so long a command has hung: a whole run takes two minutes on a busy machine.
HUNG_S = 600.0


def run_cli(
    *args: str | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
    timeout: float = HUNG_S,
    prefix: Sequence[str] = (),
    starts: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m skillrun ARGS`, piped; `env` is laid over the clean environment.

    HOME and the state folder stand beside `cwd` (`<cwd>.home`), so that a repository in `cwd` stays
    clean. Without `input` the process reads an empty standard input. `prefix` is a command that
    runs the command. The process is a fork of one that has loaded skillrun, see `forks.py`, and a
    start of Python where `starts` or one is needed.
    """
    whole = {**clean_env(cwd.parent / f"{cwd.name}.home"), **(env or {})}
    given = input or ""
    if not starts and not prefix and forks.is_enough(given, env or {}):
        return forks.run_forked([*map(str, args)], cwd=cwd, env=whole, input=given, timeout=timeout)
    return subprocess.run(
        [*prefix, sys.executable, "-m", "skillrun", *map(str, args)],
        cwd=cwd,
        env=whole,
        input=given,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=timeout,
    )
