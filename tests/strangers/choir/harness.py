"""Without any tool: lays each version out, forks one process per delivery, kills and disturbs it, and looks.

    PYTHONPATH=<where django_q is> python harness.py [ID ...]        ("base" is an id, too)

The clock is moved by 121 s before a redelivery, as Q_CLUSTER["retry"] would have it.
"""

import json
import os
import pathlib
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
from datetime import timedelta

HERE = pathlib.Path(__file__).resolve().parent
A, B = {"member_id": 1, "season": 2026}, {"member_id": 2, "season": 2026}


def lay_out(variant, folder):
    shutil.copytree(HERE / "base", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path, old, new in variant["edits"]:
        file = folder / path
        if not old:
            assert not file.exists(), path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(new)
            continue
        text = file.read_text()
        assert text.count(old) == 1, (variant["id"], path, text.count(old), old[:80])
        file.write_text(text.replace(old, new))


class Rig:
    def __init__(self, repo):
        self.repo = repo
        self.db, self.clean, self.log = repo / "run.sqlite3", repo / "clean.sqlite3", repo / "events.jsonl"
        os.environ.update(DJANGO_SETTINGS_MODULE="choirsite.settings", CHOIR_DB=str(self.db))
        sys.path.insert(0, str(repo))
        import django

        django.setup()
        from django.core.mail import EmailMultiAlternatives
        from django.core.management import call_command
        from django.db import connections
        from django.utils import timezone

        from invoices import requests, sweep, tasks

        call_command("seed_demo")
        self.connections, self.requests, self.sweep, self.tasks = connections, requests, sweep, tasks
        connections.close_all()
        shutil.copy(self.db, self.clean)
        real, self.shift, self.plan, self.die_in_send = timezone.now, 0, [], False
        timezone.now = lambda: real() + timedelta(seconds=self.shift)

        def send(mail, fail_silently=False):
            n = len(self.mails())
            self.note(mail=mail.subject.split()[-1], to=mail.to[0])
            if self.die_in_send:
                os.kill(os.getpid(), signal.SIGKILL)
            error = self.plan[n] if n < len(self.plan) else None
            if error:
                raise error
            self.note(sent=mail.subject.split()[-1], to=mail.to[0])
            return 1

        EmailMultiAlternatives.send = send

    def note(self, **event):
        with open(self.log, "a") as f:
            f.write(json.dumps(event) + "\n")

    def events(self, kind):
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [e for e in map(json.loads, lines) if kind in e]

    def mails(self):
        return self.events("mail")

    def fresh(self, plan=(), die=False):
        self.connections.close_all()
        for f in self.repo.glob("run.sqlite3*"):
            f.unlink()
        shutil.copy(self.clean, self.db)
        self.log.unlink(missing_ok=True)
        self.plan, self.die_in_send, self.shift = list(plan), die, 0

    def run(self, call, kill_at=None, break_at=None):
        """done, raised or killed; kill_at: a line of the application, break_at: a statement of its SQL."""
        self.connections.close_all()
        pid = os.fork()
        if not pid:
            code = 0
            os.dup2(os.open(self.repo / "stderr", os.O_CREAT | os.O_WRONLY | os.O_APPEND), 2)
            try:
                self.child(call, kill_at, break_at)
            except BaseException as exc:
                self.note(raised=repr(exc))
                code = 7
            os._exit(code)
        _, status = os.waitpid(pid, 0)
        return "killed" if os.WIFSIGNALED(status) else {0: "done", 7: "raised"}[os.WEXITSTATUS(status)]

    def child(self, call, kill_at, break_at):
        lines, root = 0, str(self.repo / "invoices")

        def trace(frame, event, arg):
            nonlocal lines
            if event == "line":
                lines += 1
                if lines == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        statements = 0

        def wrapper(execute, sql, params, many, context):
            from django.db import OperationalError

            nonlocal statements
            statements += 1
            if statements == break_at:
                raise OperationalError("database is locked")
            return execute(sql, params, many, context)

        with self.connections["default"].execute_wrapper(wrapper):
            if kill_at:
                sys.settrace(lambda frame, event, arg: trace if frame.f_code.co_filename.startswith(root) else None)
            try:
                call()
            finally:
                sys.settrace(None)
                self.note(lines=lines, statements=statements)

    def deliver(self, message=A, limit=12, **first):
        """Until the message is gone from the queue; how often it was handed out."""
        for n in range(1, limit + 1):
            if self.run(lambda: self.tasks.issue_invoice(message), **(first if n == 1 else {})) == "done":
                return n
            self.shift += 121
        return limit + 1

    def rows(self, sql):
        import sqlite3

        con = sqlite3.connect(self.db)
        try:
            return con.execute(sql).fetchall()
        finally:
            con.close()

    def state(self):
        return (
            self.rows("select number, member_id, mailed_at is not null from invoices_invoice order by 1"),
            self.rows("select season, last from invoices_series"),
            self.rows("select key, status from invoices_inbox order by 1"),
            self.rows("select count(*) from invoices_deadjob"),
        )

    def queued(self):
        return self.rows("select count(*) from django_q_ormq")[0][0]


GOOD = ([("2026-0001", 1, 1)], [(2026, 1)], [("invoice:1:2026", "done")], [(0,)])


def scenarios(rig):
    def good(at_most=1):
        if rig.state() != GOOD:
            return f"state {rig.state()}"
        sent = len(rig.events("sent"))
        return None if 1 <= sent <= at_most else f"mailed {sent} times"

    rig.fresh()
    rig.deliver()
    rig.deliver()
    yield "delivered twice", good()
    rig.fresh()
    rig.deliver()
    rig.deliver(B)
    yield "two members", None if len(rig.events("sent")) == 2 and rig.state()[1] == [(2026, 2)] else rig.state()

    down = smtplib.SMTPServerDisconnected("gone")
    grey = smtplib.SMTPRecipientsRefused({"ruth@example.org": (450, b"greylisted")})
    no = smtplib.SMTPRecipientsRefused({"ruth@example.org": (550, b"no such user")})
    for error in (down, grey, TimeoutError("timed out"), smtplib.SMTPDataError(451, b"later")):
        rig.fresh([error, error])
        n = rig.deliver()
        yield f"{error!r} twice", good() or (None if n == 3 else f"{n} deliveries")
        rig.fresh([error] * 99)
        n = rig.deliver()
        bad = (n, len(rig.mails()), rig.state()[3]) != (5, 5, [(1,)])
        yield f"{error!r} for ever", f"{n} deliveries, {len(rig.mails())} mails, {rig.state()}" if bad else None
    for error in (no, smtplib.SMTPDataError(554, b"spam")):
        rig.fresh([error] * 99)
        n = rig.deliver()
        yield f"{error!r}", None if (n, rig.state()[3]) == (1, [(1,)]) else f"{n} deliveries, {rig.state()}"

    rig.fresh(die=True)
    n = rig.deliver()
    bad = n > 6 or len(rig.mails()) > 5 or rig.state()[3] != [(1,)]
    yield "every delivery kills its worker", f"{n} deliveries, {rig.state()}" if bad else None

    for poison in ({}, None, {"member_id": "1", "season": 2026}, {"member_id": 99, "season": 2026}):
        rig.fresh()
        n = rig.deliver(poison)
        yield f"poison {poison}", None if (n, rig.state()[3], rig.mails()) == (1, [(1,)], []) else f"{n} {rig.state()}"

    rig.fresh()
    inner = []
    from django.core.mail import EmailMultiAlternatives

    outer = EmailMultiAlternatives.send

    def meanwhile(mail, fail_silently=False):
        if not inner:
            inner.append(1)
            try:
                rig.tasks.issue_invoice(A)
                rig.note(second="done")
            except Exception as exc:
                rig.note(second=type(exc).__name__)
        return outer(mail)

    EmailMultiAlternatives.send = meanwhile
    rig.deliver()
    EmailMultiAlternatives.send = outer
    yield "a second one in the middle", good() or (
        None if rig.events("second") == [{"second": "StillRunning"}] else str(rig.events("second"))
    )

    rig.fresh()
    rig.run(lambda: rig.tasks.issue_invoice(A), kill_at=10**9)
    total = rig.events("lines")[-1]
    for at in range(1, total["statements"] + 1):
        rig.fresh()
        rig.deliver(break_at=at)
        yield f"statement {at} of {total['statements']} fails", good(at_most=2)
    for at in range(1, total["lines"] + 1):
        rig.fresh()
        rig.deliver(kill_at=at)
        yield f"killed at line {at} of {total['lines']}", good(at_most=2)

    def swept():
        rig.rows("select 1")
        import sqlite3

        con = sqlite3.connect(rig.db)
        con.execute("delete from django_q_ormq")
        con.commit()
        con.close()
        rig.shift += 601
        rig.run(rig.sweep.requeue_stuck)
        rig.run(rig.sweep.requeue_stuck)
        return rig.queued()

    ask = lambda: rig.requests.request_invoice(1, 2026)  # noqa: E731
    rig.fresh()
    rig.run(ask)
    rig.run(ask)
    yield "asked twice", None if rig.queued() == 1 else f"{rig.queued()} messages"
    yield "message lost", None if swept() == 1 else f"{rig.queued()} messages"
    rig.fresh([down])
    rig.run(ask)
    rig.run(lambda: rig.tasks.issue_invoice(A))
    yield "message lost after an attempt", None if swept() == 1 else f"{rig.queued()} messages"
    rig.deliver()
    yield "and done then", good() or (None if swept() == 0 else "swept although done")
    rig.fresh()
    rig.run(ask, kill_at=10**9)
    for at in range(1, rig.events("lines")[-1]["lines"] + 1):
        rig.fresh()
        rig.run(ask, kill_at=at)
        ok = len(rig.state()[2]) == rig.queued()
        yield f"asking killed at line {at}", None if ok else "a wish without a message"
    log = (rig.repo / "stderr").read_text()
    yield "logs", "an address in the log" if "ruth@" in log or "Ruth" in log else None
    said = [k for k in ("job", "key", "attempt", "outcome") if k not in log]
    yield "logs", f"no {said} in the log" if said else None


def drive(folder):
    rig, n = Rig(pathlib.Path(folder)), 0
    for name, problem in scenarios(rig):
        n += 1
        if problem:
            print(f"VERDICT fails: {name}: {problem}")
            return
    print(f"VERDICT holds ({n} scenarios)")


def main(wanted):
    from variants import VARIANTS

    wrong = 0
    for variant in [{"id": "base", "kind": "correct", "edits": []}, *VARIANTS]:
        if wanted and variant["id"] not in wanted:
            continue
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
            lay_out(variant, pathlib.Path(folder))
            out = subprocess.run([sys.executable, "-B", __file__, "--drive", folder], capture_output=True, text=True)
        verdict = next((x[8:] for x in out.stdout.splitlines() if x.startswith("VERDICT ")), None)
        verdict = verdict or "HARNESS ERROR " + (out.stdout + out.stderr)[-2000:]
        agrees = verdict.startswith("holds" if variant["kind"] == "correct" else "fails")
        wrong += not agrees
        print(f"{variant['id']:36} {variant['kind']:8} {verdict}{'' if agrees else '   <-- NOT AS DECLARED'}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--drive"]:
        drive(sys.argv[2])
    else:
        sys.exit(main(sys.argv[1:]))
