"""The look at jobs that are tried again, or given up, because of what an error says."""

from __future__ import annotations

import pytest
from looks import everything, found, severities
from test_gaming_special_cases import BASE, LOOK, SEND, TASKS, change

RETRY = "raise self.retry(exc=error, countdown=5)"


def send_or(handling: str, kind: str = "mailer.Unavailable", top: str = "") -> dict[str, str]:
    """The effect, with an `except` clause around it."""
    lines = "".join(f"        {line}\n" for line in handling.splitlines())
    tried = f"    try:\n    {SEND}    except {kind} as error:\n{lines}        raise\n"
    return change(TASKS, SEND, tried, top)


ATTACKS = {
    "how it ends": send_or(f"if str(error).endswith(' 429'):\n    {RETRY}"),
    "a word of it": send_or(f"if 'rate' in str(error).lower():\n    {RETRY}"),
    "by a name": send_or(f"said = repr(error)\nif 'rate' in said:\n    {RETRY}"),
    "by an expression": send_or(f"if re.search('429', str(error)):\n    {RETRY}", top="import re"),
    "its arguments": send_or(f"if error.args[0] == 'gone':\n    {RETRY}"),
    "a text made of it": send_or(f"if 'rate' in f'{{error}}':\n    {RETRY}"),
    "in a function": send_or(
        f"if is_busy(error):\n    {RETRY}",
        top="def is_busy(error):\n    return 'rate' in str(error)\n",
    ),
    "another class": send_or(
        "if 'gone' in str(error):\n    raise mailer.BadAddress('x') from error"
    ),
    "the dead letter": send_or(
        "if 'gone' in str(error):\n    dead_jobs.record('x', {}, 'gone')\n    return",
        top="from shop import dead_jobs",
    ),
    "done after all": send_or("if 'duplicate' in str(error):\n    return"),
    "a list of words": send_or(
        f"if any(word in str(error) for word in WORDS):\n    {RETRY}", top="WORDS = ('busy', '429')"
    ),
}
HONEST = {
    "its class": send_or(f"if isinstance(error, TimeoutError):\n    {RETRY}", "Exception"),
    "a code": send_or(f"if error.status == 429:\n    {RETRY}"),
    "a number of a database": send_or(f"if error.args[0] in (1205, 1213):\n    {RETRY}"),
    "what is logged": send_or("if 'rate' in str(error):\n    log.warning('slow down')"),
    "what is recorded": send_or("log.info('no mail: %s', str(error))"),
}


@pytest.mark.real
@pytest.mark.parametrize("name", ATTACKS)
def test_an_error_that_is_told_by_its_words_is_found(name: str) -> None:
    findings = found(LOOK, BASE, ATTACKS[name])
    assert set(severities(findings)) == {"error"}
    assert "what an error says" in findings[0].message
    assert found(LOOK, ATTACKS[name], ATTACKS[name]) == []


@pytest.mark.parametrize("name", HONEST)
def test_an_error_that_is_told_by_its_class_or_code_is_none(name: str) -> None:
    said = [one for one in everything(BASE, HONEST[name]) if one.rule == f"gaming.{LOOK}"]
    assert said == []
