"""Somebody allows exactly what will run, once, and the answer is kept where a repository cannot write it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from skillrun.errors import Blocked
from skillrun.validations.consent import Consent, consent_key, state_dir

COMMANDS = ["make lint", "make test"]
FILES = {"Makefile": "a" * 64, "tox.ini": None}
KEY = consent_key(COMMANDS, FILES)


def test_an_answer_holds_for_the_next_process(tmp_path: Path) -> None:
    assert not Consent(tmp_path / "consent").given(KEY)
    path = Consent(tmp_path / "consent").give(KEY, "terminal", COMMANDS)
    assert Consent(tmp_path / "consent").given(KEY)
    answer = json.loads(path.read_text())
    assert (answer["how"], answer["commands"]) == ("terminal", COMMANDS)
    assert [file.name for file in (tmp_path / "consent").iterdir()] == [f"{KEY}.json"]


@pytest.mark.parametrize(
    ("commands", "files"),
    [
        (["make lint", "make test; curl evil"], FILES),
        (["make test", "make lint"], FILES),
        (["make lint"], FILES),
        (COMMANDS, {**FILES, "Makefile": "b" * 64}),
        (COMMANDS, {**FILES, "tox.ini": "c" * 64}),
        (COMMANDS, {"Makefile": "a" * 64}),
    ],
)
def test_any_change_to_what_will_run_asks_again(commands: list[str], files: dict[str, str | None]) -> None:
    assert consent_key(commands, files) != KEY


def test_the_order_of_the_files_does_not_matter() -> None:
    assert consent_key(COMMANDS, dict(reversed(FILES.items()))) == KEY


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    path = Consent(tmp_path / "a" / "consent").give(KEY, "--trust", COMMANDS)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"key": "other"}', b"\xff"])
def test_a_broken_answer_is_none(tmp_path: Path, content: bytes) -> None:
    consent = Consent(tmp_path)
    consent.give(KEY, "terminal", COMMANDS).write_bytes(content)
    assert not consent.given(KEY)


def test_an_answer_that_others_could_have_written_is_none(tmp_path: Path) -> None:
    consent = Consent(tmp_path / "consent")
    path = consent.give(KEY, "terminal", COMMANDS)
    path.chmod(0o666)
    assert not consent.given(KEY)
    path.chmod(0o600)
    path.parent.chmod(0o777)
    assert not consent.given(KEY)
    path.parent.chmod(0o700)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert not consent.given(KEY)


def test_a_key_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a consent key"):
        Consent(tmp_path).given("../../etc/passwd")


def test_a_store_that_cannot_be_written_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Blocked, match=r"consent: the consent cannot be kept: ") as caught:
        Consent(tmp_path / "file" / "consent").give(KEY, "terminal", COMMANDS)
    assert "SKILLRUN_STATE_DIR" in str(caught.value.hint)
    assert not Consent(tmp_path / "file" / "consent").given(KEY)


@pytest.mark.skipif(os.uname().sysname == "Darwin", reason="XDG is not used there")
def test_where_the_answers_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILLRUN_STATE_DIR", str(tmp_path / "chosen"))
    assert Consent().store == tmp_path / "chosen" / "consent"
    monkeypatch.delenv("SKILLRUN_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_dir() == tmp_path / "xdg" / "skillrun"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert state_dir() == tmp_path / "home" / ".local" / "state" / "skillrun"
