import json
import smtplib
import sqlite3
from datetime import date, timedelta

import pytest

from tierheim import adoptions, db, followups, notify
from tierheim.lock import only_one
from tierheim.post import Never, NotNow, Post


@pytest.fixture
def conn(tmp_path, monkeypatch):
    for name, file in {"DB": "t.db", "LOCK": "t.lock", "LOG": "t.log"}.items():
        monkeypatch.setenv(f"TIERHEIM_{name}", str(tmp_path / file))
    monkeypatch.setattr(notify, "MARK_PAUSES", (0.01, 0))
    db.create(str(tmp_path / "t.db"))
    conn = db.connect(str(tmp_path / "t.db"))
    adoptions.record_adoption(conn, "Mia", "Jana Probe", "jana@probe.invalid", date.today() - timedelta(days=15))
    yield conn
    conn.close()


class Mails(list):
    """The Message-IDs that went out. `script` raises, or does, something first."""

    def __init__(self):
        self.script = []

    def send(self, to, subject, text, message_id):
        step = self.script.pop(0) if self.script else None
        if callable(step):
            step = step()
        if isinstance(step, BaseException):
            raise step
        self.append(message_id)


@pytest.fixture
def mails(monkeypatch):
    mails = Mails()
    monkeypatch.setattr(Post, "send", lambda self, **mail: mails.send(**mail))
    return mails


def row(conn, followup_id=1):
    return dict(conn.execute("select * from followups where id = ?", (followup_id,)).fetchone())


def later(conn):
    conn.execute("update followups set next_try = ''")


def test_sends_once_what_is_due(conn, mails):
    assert notify.run() == {"sent": 1}
    later(conn)
    assert notify.run() == {}
    assert mails == ["<followup-1@tierheim-lindenau.example>"]
    assert row(conn)["status"] == "sent" and row(conn, 2)["status"] == "due"


def test_second_run_meanwhile(conn, mails, tmp_path):
    mails.script.append(lambda: seen.append(notify.run()))
    seen = []
    assert notify.run() == {"sent": 1}
    assert seen == [{"skipped": 1}] and len(mails) == 1


def test_two_without_the_lock(conn, mails):
    stale = followups.due(conn)[0]
    assert notify.run() == {"sent": 1}
    assert followups.begin(conn, stale) is None


def test_waits_after_a_failure(conn, mails):
    mails.script.append(NotNow("recipient [450]"))
    assert notify.run() == {"retry": 1}
    assert notify.run() == {}
    later(conn)
    assert notify.run() == {"sent": 1}


def test_parks_after_five(conn, mails):
    mails.script.extend([NotNow("TimeoutError", server=True)] * 5)
    outcomes = []
    for _ in range(6):
        outcomes.append(notify.run())
        later(conn)
    assert outcomes == [{"retry": 1}] * 4 + [{"parked": 1}, {}]
    assert [tuple(r)[:3] for r in conn.execute("select * from parked")] == [(1, "TimeoutError", 5)]


def test_refused_for_good(conn, mails):
    mails.script.append(Never("recipient [550]"))
    assert notify.run() == {"parked": 1}
    assert row(conn)["attempts"] == 1


def test_one_bad_row_does_not_hold_up_the_rest(conn, mails):
    adoptions.record_adoption(conn, "Bo", "K", "k@probe.invalid", date.today() - timedelta(days=15))
    mails.script.append(RuntimeError("bug"))
    assert notify.run() == {"retry": 1, "sent": 1}


def test_server_away_cuts_the_run_short(conn, mails):
    for _ in range(4):
        adoptions.record_adoption(conn, "Bo", "K", "k@probe.invalid", date.today() - timedelta(days=15))
    mails.script.extend([NotNow("ConnectionRefusedError", server=True)] * 5)
    assert notify.run() == {"retry": 3}


def test_killed_while_sending(conn, mails):
    for attempt in range(1, 6):
        mails.script.append(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            notify.run()
        assert row(conn)["attempts"] == attempt
        later(conn)
    assert notify.run() == {"parked": 1} and mails == []


def test_database_locked_at_the_mark(conn, mails, monkeypatch):
    real, fails = followups.mark_sent, [sqlite3.OperationalError("database is locked")]
    monkeypatch.setattr(followups, "mark_sent", lambda *a: real(*a) if not fails else _raise(fails.pop()))
    assert notify.run() == {"sent": 1}
    assert row(conn)["status"] == "sent"


def _raise(exc):
    raise exc


def test_called_off(conn, mails):
    mails.script.append(lambda: adoptions.returned(conn, 1))
    assert notify.run() == {"sent": 1}
    assert row(conn)["status"] == "called_off" and row(conn)["sent_at"]
    assert row(conn, 2)["status"] == "called_off"


def test_main_logs_json_without_addresses(conn, mails, tmp_path):
    assert notify.main() == 0
    text = (tmp_path / "t.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {"key": "followup-1", "outcome": "sent", "attempt": 1}.items() <= lines[0].items() and lines[0]["run"]
    assert "probe.invalid" not in text


def test_lock_is_free_again(tmp_path):
    path = str(tmp_path / "x.lock")
    with only_one(path) as a, only_one(path) as b:
        assert a and not b
    with only_one(path) as c:
        assert c


class Server:
    error, quit_error, mails = None, None, 0

    def __init__(self, *args, **kwargs):
        pass

    def send_message(self, mail):
        if Server.error:
            raise Server.error
        Server.mails += 1

    def quit(self):
        if Server.quit_error:
            raise Server.quit_error

    def close(self):
        pass


@pytest.mark.parametrize("error, quit_error, expected", [
    (None, None, None),
    (None, smtplib.SMTPServerDisconnected("bye"), None),
    (smtplib.SMTPRecipientsRefused({"j@probe.invalid": (550, b"no j@probe.invalid")}), None, Never),
    (smtplib.SMTPRecipientsRefused({"j@probe.invalid": (450, b"grey")}), None, NotNow),
    (smtplib.SMTPDataError(554, b"spam"), None, Never),
    (smtplib.SMTPAuthenticationError(535, b"no"), None, NotNow),
    (smtplib.SMTPServerDisconnected("gone"), None, NotNow),
    (ConnectionResetError(), None, NotNow),
])
def test_post(monkeypatch, error, quit_error, expected):
    monkeypatch.setattr(smtplib, "SMTP", Server)
    monkeypatch.setattr(Server, "error", error)
    monkeypatch.setattr(Server, "quit_error", quit_error)
    mail = dict(to="j@probe.invalid", subject="s", text="t", message_id="<x@y.invalid>")
    if expected is None:
        Post("mail.invalid").send(**mail)
    else:
        with pytest.raises(expected) as caught:
            Post("mail.invalid").send(**mail)
        assert "probe.invalid" not in str(caught.value)
