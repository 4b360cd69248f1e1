"""What somebody types first: the version, `-h`, and Tab."""

from __future__ import annotations

import shutil
from pathlib import Path

import helpers
import pytest
from rows import real_but

from skillrun import __version__
from skillrun.__main__ import COMMANDS


def test_the_version_is_said(tmp_path: Path) -> None:
    done = helpers.run_cli("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"skillrun {__version__}\n", "")


@pytest.mark.parametrize(
    "words", [(), *((command,) for command in COMMANDS), ("ledger", "show"), ("spec", "init")]
)
def test_the_short_option_shows_the_same_help(words: tuple[str, ...], tmp_path: Path) -> None:
    short = helpers.run_cli(*words, "-h", cwd=tmp_path)
    assert short.returncode == 0
    assert short.stdout == helpers.run_cli(*words, "--help", cwd=tmp_path).stdout
    assert "-h, --help" in short.stdout


OFFERED = {"pro": "prove", "prove --sc": "--schedule", "ledger que": "query", "spec in": "init"}


@pytest.mark.real
@pytest.mark.parametrize(
    ("shell", "asked"),
    [
        ("bash", {"COMP_WORDS": "skillrun {}", "COMP_CWORD": "{n}"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "skillrun {}"}),
        (
            "fish",
            {"_TYPER_COMPLETE_ARGS": "skillrun {}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        ),
    ],
)
@pytest.mark.parametrize("typed", real_but(OFFERED, "prove --sc"))
def test_a_shell_is_told_what_may_come_next(
    shell: str, asked: dict[str, str], typed: str, tmp_path: Path
) -> None:
    number = str(len(typed.split()))
    env = {name: value.format(typed, n=number) for name, value in asked.items()}
    env["_SKILLRUN_COMPLETE"] = f"complete_{shell}"
    done = helpers.run_cli(cwd=tmp_path, env=env, starts=True)
    assert OFFERED[typed] in done.stdout, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_the_script_for_the_shell_at_hand_can_be_shown(tmp_path: Path) -> None:
    # The shell is found among the parents of the process.
    from_bash = (
        "bash",
        "-c",
        '"$@"; exit $?',
        "bash",
    )
    done = helpers.run_cli("--show-completion", cwd=tmp_path, prefix=from_bash)
    assert done.returncode == 0, done.stderr
    assert "_SKILLRUN_COMPLETE=complete_bash" in done.stdout
