"""The tests of a job meet a broken handler: what they notice, what they miss, and what cannot be
told.
"""

from __future__ import annotations

import stat
import sys
import textwrap
from pathlib import Path

import helpers
import pytest
from breaking_repo import (
    CODE,
    HAPPY,
    HEAD,
    RETRYABLE,
    TERMINAL,
    breaks,
    case,
    cases,
    rule,
    rules,
    tried,
)

from skillrun.core.verdict import StageResult

pytestmark = pytest.mark.real

ALL = (HAPPY, RETRYABLE, TERMINAL)
NOTICED = {
    "effect-dropped": "noticed",
    "transient-swallowed": "noticed",
    "permanent-retried": "noticed",
}


def test_good_tests_notice_every_break(tmp_path: Path) -> None:
    made = case(tmp_path / "repo", *ALL)
    before = sorted(path for path in (tmp_path / "repo").rglob("*") if ".git" not in path.parts)
    with made.tree.recording() as lookups:
        result = cases.examine("tests", made)
    assert (result.status, result.grade, breaks(result)) == ("passed", "executed", NOTICED)
    assert (
        sorted(path for path in (tmp_path / "repo").rglob("*") if ".git" not in path.parts)
        == before
    )
    assert helpers.git(tmp_path / "repo", "status", "--porcelain") == ""
    assert {"shop/running.py", "tests/conftest.py"} <= set(lookups.files)
    assert not any(lookup.kind == "content" for lookup in lookups)
    kinds = [item.detail["kind"] for item in result.evidence if item.role == "command"]
    assert kinds == ["as it is", *NOTICED]


# Permanent errors come before the effect, so that only the happy path can tell that it is gone.
CHECKED = """
    from shop import mailer

    SEEN = []

    def send_receipt(order_id, email):
        SEEN.append(order_id)
        if order_id < 0:
            raise mailer.BadAddress(email)
        mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        return "sent"
    """
BY_NUMBER = """
def test_terminal(mail):
    from shop.tasks import SEEN
    assert mailer.BadAddress and run(send_receipt, -1, "a") == "dead"
    assert SEEN.count(-1) == 1
"""
MISSED = {
    "effect-dropped": (
        HAPPY.replace('    assert mail.outbox == ["receipt-7"]\n', ""),
        RETRYABLE.replace("mail.calls == 2", "mail.calls != 1"),
        BY_NUMBER,
    ),
    "transient-swallowed": (
        HAPPY,
        RETRYABLE.replace('== "sent"\n    assert mail.calls == 2\n', '!= "dead"\n'),
        BY_NUMBER,
    ),
    "permanent-retried": (
        HAPPY,
        RETRYABLE,
        BY_NUMBER.replace("    assert SEEN.count(-1) == 1\n", ""),
    ),
}


@pytest.mark.parametrize("missed", MISSED)
def test_the_break_that_they_miss_is_the_finding(tmp_path: Path, missed: str) -> None:
    result = tried(tmp_path / "repo", *MISSED[missed], files={"shop/tasks.py": CHECKED})
    assert breaks(result) == {**NOTICED, missed: "missed"}
    assert (result.status, rules(result)) == ("failed", [f"tests.missed-{missed}"])
    found = rule(result, f"tests.missed-{missed}")
    assert (found.path, found.line) == ("shop/tasks.py", 5)
    assert "tests/test_tasks.py::test_" in found.message
    assert result.facts["settled"] is False


def test_an_error_that_no_test_raises_in_the_handler_is_said(tmp_path: Path) -> None:
    unraised = (
        "\ndef test_terminal(mail):\n    assert run(send_receipt, 7, 'a') != mailer.BadAddress\n"
    )
    found = rule(
        tried(tmp_path / "repo", HAPPY, RETRYABLE, unraised), "tests.missed-permanent-retried"
    )
    assert "none of them meets it" in found.message


def test_a_test_that_the_text_does_not_show_is_found_before_anything_is_claimed(
    tmp_path: Path,
) -> None:
    head = "import shop.tasks\nfrom shop import mailer\nfrom shop.running import run\n"
    hidden = head + TERMINAL.replace("send_receipt", "getattr(shop.tasks, 'send_' + 'receipt')")
    weak = TERMINAL.replace("    assert mail.calls == 1\n", "")
    result = tried(
        tmp_path / "repo", HAPPY, RETRYABLE, weak, files={"tests/test_hidden.py": hidden}
    )
    assert (result.status, breaks(result)) == ("passed", NOTICED), result.findings


def test_a_red_baseline_stops(tmp_path: Path) -> None:
    red = HAPPY.replace("receipt-7", "receipt-8").replace("test_happy", "test_red")
    result = tried(tmp_path / "repo", *ALL, red)
    assert (result.status, rules(result), breaks(result)) == ("failed", ["tests.baseline-red"], {})
    assert rule(result, "tests.baseline-red").message.startswith(
        "tests/test_tasks.py::test_red fails"
    )


def test_a_red_test_that_does_not_reach_the_handler_is_not_asked(tmp_path: Path) -> None:
    assert (
        tried(tmp_path / "repo", *ALL, "\ndef test_other():\n    assert 1 == 2\n").status
        == "passed"
    )


def test_tests_that_never_reach_the_handler(tmp_path: Path) -> None:
    replaced = (
        "\nimport pytest\n@pytest.fixture(autouse=True)\ndef gone(monkeypatch):\n    import sys\n"
    )
    replaced += "    monkeypatch.setattr(sys.modules[__name__], 'run', lambda *a: SAID.pop(0))\n"
    replaced += "SAID = ['sent', 'sent', 'dead']\n"
    tests = "".join(ALL).replace('    assert mail.outbox == ["receipt-7"]\n', "")
    tests = tests.replace("    assert mail.calls == 2\n", "").replace(
        "    assert mail.calls == 1\n", ""
    )
    result = tried(tmp_path / "repo", tests, replaced)
    assert (result.status, rules(result)) == ("blocked", ["tests.not-reached"])


def incomplete(result: StageResult) -> str:
    """Why nothing was seen; the stage passes on what was read."""
    assert (result.status, result.grade) == ("passed", "static")
    message: str = rule(result, "tests.incomplete").message
    return message


def test_code_imported_from_elsewhere_is_incomplete(tmp_path: Path) -> None:
    first = f"import sys\nsys.path.insert(0, {str(tmp_path / 'repo')!r})\n"
    files = {"tests/conftest.py": first + textwrap.dedent(CODE["tests/conftest.py"])}
    assert str(tmp_path / "repo" / "shop") in incomplete(
        tried(tmp_path / "repo", *ALL, files=files)
    )


def test_a_test_file_that_cannot_be_imported_is_incomplete(tmp_path: Path) -> None:
    result = tried(tmp_path / "repo", "import not_installed_here\n", *ALL)
    said = incomplete(result)
    assert "tests/test_tasks.py" in said
    assert "not_installed_here" in said
    assert result.facts["settled"] is False  # it may be installed the next time


def test_an_interpreter_without_pytest_is_incomplete(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    result = tried(tmp_path / "repo", *ALL, changes={"proof.python": str(python)})
    assert "pytest is missing" in incomplete(result)
    assert "proof.python" in rule(result, "tests.incomplete").hint


def test_a_skipped_test_might_have_noticed(tmp_path: Path) -> None:
    weak = TERMINAL.replace("    assert mail.calls == 1\n", "").replace(
        "test_terminal", "test_weak"
    )
    skipped = (
        "\nimport os, pytest\n@pytest.mark.skipif('NO_SUCH' not in os.environ, reason='x')"
        + TERMINAL
    )
    result = tried(tmp_path / "repo", HAPPY, RETRYABLE, weak, skipped)
    assert breaks(result)["permanent-retried"] == "incomplete"
    assert "test_terminal" in incomplete(result)


def test_what_does_not_apply_is_named(tmp_path: Path) -> None:
    result = tried(tmp_path / "repo", *ALL, changes={"effects": []})
    assert breaks(result) == {**NOTICED, "effect-dropped": "not_applicable"}
    assert (result.grade, rule(result, "tests.not-applicable").severity) == ("executed", "note")


def test_a_job_that_is_tried_once_must_not_lose_its_failures(tmp_path: Path) -> None:
    changes = {"retry": {"kind": "none", "reason": "a second mail does harm"}}
    result = tried(tmp_path / "a", HAPPY, TERMINAL, changes=changes)
    assert (result.status, breaks(result)["failure-swallowed"]) == ("passed", "noticed")
    weak = TERMINAL.replace(
        'assert run(send_receipt, 7, "a") == "dead"', 'run(send_receipt, 7, "a")'
    )
    assert rules(tried(tmp_path / "b", HAPPY, weak, changes=changes)) == [
        "tests.missed-failure-swallowed"
    ]


def test_unittest_cases_and_fixtures_that_are_shared_count(tmp_path: Path) -> None:
    shared = """
import unittest
from unittest import mock

class Sent(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with mock.patch.object(mailer, "send") as cls.sent:
            cls.result = send_receipt(7, "a")

    def test_first(self):
        self.assertIsNotNone(self.result)

    def test_second(self):
        self.sent.assert_called_once()
"""
    happy = HAPPY.replace('    assert mail.outbox == ["receipt-7"]\n', "")
    retryable = RETRYABLE.replace("mail.calls == 2", "mail.calls != 1")
    result = tried(
        tmp_path / "repo", happy, shared, retryable, BY_NUMBER, files={"shop/tasks.py": CHECKED}
    )
    assert breaks(result) == NOTICED
    seen = [
        item.detail["seen"]
        for item in result.evidence
        if item.detail.get("kind") == "effect-dropped"
    ]
    assert seen == ["noticed: tests/test_tasks.py::Sent::test_second"]


def test_the_proof_s_environment_stands_in_for_what_nobody_says(tmp_path: Path) -> None:
    needs = "import os\nassert os.environ['SHOP_KEY'] == 'x' and 'SHOP_DB' not in os.environ\n"
    files = {"shop/tasks.py": needs + textwrap.dedent(CODE["shop/tasks.py"])}
    proof = {"proof": {"env": {"SHOP_KEY": "x", "SHOP_DB": "{scratch}/app.db"}}}
    assert breaks(tried(tmp_path / "repo", *ALL, files=files, changes=proof)) == NOTICED


def test_nothing_runs_without_consent_or_before_all_is_clean(tmp_path: Path) -> None:
    made = case(tmp_path / "repo", *ALL)
    made.consent = lambda plan: False
    refused = cases.examine("tests", made)
    assert (refused.status, rules(refused), refused.next[0].action) == (
        "blocked",
        ["tests.no-consent"],
        "consent",
    )
    made.clean = False
    early = cases.examine("tests", made)
    assert (early.status, early.grade, rules(early)) == ("pending", "static", [])


def test_a_project_in_a_folder_with_sources_of_its_own(tmp_path: Path) -> None:
    """Its tests run there, under its own configuration; a module `tasks` elsewhere is no matter."""
    moved = {f"back/{path.replace('shop/', 'src/shop/')}": text for path, text in CODE.items()}
    tests = {"back/tests/test_tasks.py": HEAD}
    tests["back/tests/test_tasks.py"] += "".join(ALL)
    config = (
        "[tool.pytest.ini_options]\naddopts = '-x -n 1'\ntestpaths = ['tests']\npythonpath ="
        " ['src']\n"
    )
    made = cases.build(
        tmp_path / "repo", {**moved, **tests, "back/pyproject.toml": config}, alone=True
    )
    made.clean, made.consent = True, lambda plan: True
    result = cases.examine("tests", made)
    assert (result.status, breaks(result)) == ("passed", NOTICED), result.findings
    seen = [item.detail["seen"] for item in result.evidence if item.role == "command"]
    assert seen[1].startswith("noticed: back/tests/test_tasks.py::")
