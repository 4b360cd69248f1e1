"""Adapters of effects: whether they use the key that they are given."""

from __future__ import annotations

import textwrap

import pytest
from cases import SENT, SILENT, build, examine, finding, has, rules, with_task

VOLATILE = "idempotency.volatile-key"


def adapter(root, body, changes=None):
    lines = [
        "import requests, smtplib, time, uuid",
        "class Unavailable(Exception): ...",
        "class BadAddress(Exception): ...",
    ]
    head = "def send(order_id, email, *, idempotency_key):"
    text = (
        "\n".join([*lines, head, textwrap.indent(textwrap.dedent(body).strip(), "    "), STORE])
        + "\n"
    )
    return examine("idempotency", build(root, {"shop/mailer.py": text}, changes))


STORE = "    db.execute('INSERT INTO receipts VALUES (1) ON CONFLICT DO NOTHING')"
IGNORED = {
    "never used": "requests.post('https://m', json={'to': email})",
    "thrown away": "del idempotency_key\nrequests.post('https://m')",
}
USED = {
    "a header": "requests.post('https://m', headers={'Idempotency-Key': idempotency_key})",
    "in a text": "text = f'X-Key: {idempotency_key}'\nrequests.post('https://m', data=text)",
    "all locals": "requests.post('https://m', json=locals())",
}
MADE_INSIDE = {
    "header": (
        "requests.post('https://m', headers={'Idempotency-Key': str(uuid.uuid4()), 'X':"
        " idempotency_key})"
    ),
    "set": (
        "h = {'X': idempotency_key}\nh['Idempotency-Key'] ="
        " str(time.time())\nrequests.post('https://m', headers=h)"
    ),
}


@pytest.mark.parametrize("body", IGNORED.values(), ids=IGNORED)
def test_an_adapter_that_ignores_its_key_fails(tmp_path, body):
    found = finding(adapter(tmp_path / "repo", body), "idempotency.key-ignored")
    assert (found.severity, found.path, found.line) == ("error", "shop/mailer.py", 4)


@pytest.mark.parametrize("body", USED.values(), ids=USED)
def test_an_adapter_that_uses_its_key_is_left_alone(tmp_path, body):
    assert rules(adapter(tmp_path / "repo", body)) == []


def test_an_adapter_without_a_body_is_left_alone(tmp_path):
    assert not has(with_task(tmp_path / "repo", SENT, mailer=SILENT), "idempotency.key-ignored")


@pytest.mark.parametrize("body", MADE_INSIDE.values(), ids=MADE_INSIDE)
def test_a_key_made_anew_inside_the_adapter_fails(tmp_path, body):
    assert finding(adapter(tmp_path / "repo", body), VOLATILE).path == "shop/mailer.py"


REMOTE = {"http": "requests.post('https://m')", "smtp": "smtplib.SMTP('m').send_message(email)"}
LOCAL = {
    "a row": "db.execute('INSERT INTO outbox VALUES (1)')",
    "a question": "requests.get('https://m')",
}


@pytest.mark.parametrize("body", REMOTE.values(), ids=REMOTE)
def test_a_remote_call_is_not_transactional(tmp_path, body):
    result = adapter(tmp_path / "repo", body, {"effects.0.guarantee": "transactional"})
    assert finding(result, "idempotency.not-transactional").path == "shop/mailer.py"


@pytest.mark.parametrize("body", LOCAL.values(), ids=LOCAL)
def test_a_row_may_be_transactional(tmp_path, body):
    assert rules(adapter(tmp_path / "repo", body, {"effects.0.guarantee": "transactional"})) == []


def test_a_missing_table_is_code_to_be_written(tmp_path):
    case = build(tmp_path / "repo", changes={"idempotency.dedupe.store": "table deliveries"})
    assert [action.action for action in examine("idempotency", case).next] == ["edit-code"]


def test_a_key_that_is_not_passed_fails(tmp_path):
    result = with_task(tmp_path / "repo", "mailer.send(order_id, email)")
    assert finding(result, "idempotency.key-not-passed").path == "shop/tasks.py"


def test_unpacked_arguments_are_no_alarm_and_no_silence(tmp_path):
    result = with_task(tmp_path / "repo", "mailer.send(**os.environ)")
    assert rules(result) == []
    assert finding(result, "idempotency.key-not-read").severity == "note"
    assert result.grade == "declared"
