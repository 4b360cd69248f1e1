"""The rules of every library: how one is declared, and that each says why and whence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import helpers
import pytest
import rule_gaps
import rules_page

from skillrun.core.verdict import Finding
from skillrun.frameworks.interface import Job
from skillrun.frameworks.registry import FRAMEWORKS
from skillrun.frameworks.rulebook import rule


@rule("celery.sample", stage="retry", source="a bug")
def sample(job: Job) -> Iterator[Finding]:
    """The reason goes on
    over a line.

    What is looked for.
    """
    yield from ()


def test_the_docstring_begins_with_the_reason() -> None:
    assert sample.why == "The reason goes on over a line."


@pytest.mark.parametrize("library", FRAMEWORKS)
def test_rules_say_why_and_whence(library: str) -> None:
    listed = FRAMEWORKS[library].list_rules()
    ids = [one.id for one in listed]
    assert ids
    assert len(ids) == len(set(ids))
    for one in listed:
        assert one.id.startswith(f"{library}.")
        assert one.why.endswith(".")
        assert one.source


def test_the_page_is_made_from_the_rules() -> None:
    assert rules_page.PAGE.read_text(encoding="utf-8") == rules_page.write_page()


def test_every_gap_of_a_shared_rule_has_its_reason() -> None:
    """A rule that most libraries have is missing in another for a reason, which still holds."""
    owners = rule_gaps.list_owners()
    missing = {}
    for slug in rule_gaps.list_shared():
        lacking = FRAMEWORKS.keys() - owners[slug]
        if lacking:
            missing[slug] = lacking
    assert {slug: why.keys() for slug, why in rule_gaps.GAPS.items()} == missing
    ids = {rule.id for framework in FRAMEWORKS.values() for rule in framework.list_rules()}
    for reasons in rule_gaps.GAPS.values():
        for name, why in reasons.items():
            # Another rule of the same library that says the same.
            other = re.fullmatch(r"`([\w.-]+)`", why)
            assert why
            assert other is None or (other[1] in ids and other[1].startswith(f"{name}.")), why


def test_rules_are_listed(tmp_path: Path) -> None:
    done = helpers.run_cli("rules", "arq", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    assert {one["library"] for one in listed} == {"arq"}
    plain = next(one for one in listed if one["id"] == "arq.plain-exception")
    assert plain["stage"] == "retry"
    assert plain["reason"].startswith("arq runs a job again for Retry")
    assert "arq/worker.py" in plain["source"]
    text = helpers.run_cli("rules", cwd=tmp_path)
    assert text.returncode == 0
    assert "arq.plain-exception (retry)\n" in text.stdout
    assert "celery.retry-unbounded (retry)\n" in text.stdout


def test_a_library_without_rules_is_named(tmp_path: Path) -> None:
    done = helpers.run_cli("rules", "carrots", cwd=tmp_path)
    assert done.returncode == 2
    assert "no rules for carrots" in done.stderr
    assert "celery" in done.stderr
