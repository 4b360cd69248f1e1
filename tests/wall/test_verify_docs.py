"""`docs/verify.md` names every look, format and option that there is, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import helpers

from skillrun.wall.formats.registry import FORMATS
from skillrun.wall.gaming.registry import LOOKS
from skillrun.wall.verification import EXIT_CODES

TEXT = (helpers.ROOT / "docs" / "verify.md").read_text(encoding="utf-8")


def test_every_look_is_explained_and_no_other() -> None:
    named = set(re.findall(r"^\| `gaming\.([\w-]+)` \|", TEXT, re.MULTILINE))
    assert named == {look.id for look in LOOKS}


def test_every_format_has_an_example() -> None:
    named = set(re.findall(r"^\*\*(\w+)\*\*", TEXT, re.MULTILINE))
    assert named == set(FORMATS)


def test_every_option_is_named(tmp_path: Path) -> None:
    printed = helpers.run_cli("verify", "--help", cwd=tmp_path).stdout
    for option in set(re.findall(r"--[a-z]+", printed)) - {"--help"}:
        assert option in TEXT, option


def test_every_exit_code_is_in_the_table() -> None:
    for outcome, code in EXIT_CODES.items():
        assert re.search(rf"^\| {code} \| {outcome}", TEXT, re.MULTILINE)


def test_every_module_that_it_names_exists() -> None:
    for path in re.findall(r"`(wall/[\w/.]+)`", TEXT):
        assert (helpers.ROOT / "skillrun" / path).exists(), path
