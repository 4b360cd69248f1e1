"""Each rule of plain callables on code that has the mistake, and on code that looks like it and is
right.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plain_repo import CRONTAB, Plain, build

from skillrun.core.verdict import Severity
from skillrun.frameworks.plain_cron import FRAMEWORK

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
HEAD = """\
import fcntl, logging
from shop import dead, mailer
from shop.db import db, connect
from shop.models import Mail
log = logging.getLogger(__name__)
"""
TAIL = "\nif __name__ == '__main__':\n    sweep()\n"
OPEN = "db.execute('SELECT id FROM mails WHERE sent_at IS NULL')"
MARK = 'db.execute("UPDATE mails SET sent_at = now() WHERE id = ?", (row,))'
Check = Callable[..., None]


def opened(root: Path, body: str, files: dict[str, str]) -> Plain:
    every = {
        "shop/dead.py": "def record(x): db.execute('INSERT INTO dead VALUES (1)')\n",
        **(files or CRONTAB),
    }
    text = (
        body
        if "def sweep" in body
        else "def sweep():\n" + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ") + "\n"
    )
    return Plain(build(root, {**every, "shop/sweep.py": HEAD + text + TAIL}))


@pytest.fixture
def check_finds(tmp_path: Path) -> Check:
    numbers = itertools.count()

    def check(
        rule: str,
        body: str,
        severity: Severity,
        words: str,
        *,
        line: str | None = None,
        spec: Any = None,
        **files: str,
    ) -> None:
        plain = opened(tmp_path / f"r{next(numbers)}", body, files)
        (finding,) = plain.findings(rule, spec)
        assert (finding.rule, finding.severity) == (f"plain-cron.{rule}", severity)
        assert words in finding.message
        if line is not None:
            text = (plain.project.tree.read(finding.path or "") or b"").decode().splitlines()
            assert text[(finding.line or 0) - 1].strip() == line

    return check


@pytest.fixture
def check_ignores(tmp_path: Path) -> Check:
    numbers = itertools.count()

    def check(rule: str, body: str, *, spec: Any = None, **files: str) -> None:
        assert opened(tmp_path / f"i{next(numbers)}", body, files).findings(rule, spec) == []

    return check


def loop(*lines: str, after: str = "", rows: str = OPEN) -> str:
    return f"for row in {rows}:\n" + "".join(f"    {line}\n" for line in lines) + after


@pytest.mark.real
def test_unlocked_poll(check_finds: Check, check_ignores: Check) -> None:
    rule, send = "unlocked-poll", "mailer.send(row)"
    check_finds(rule, loop(send, MARK), WARNING, "two runs at once", line=f"for row in {OPEN}:")
    check_finds(
        rule, loop(send, rows="Mail.objects.filter(sent=False)"), WARNING, "two runs at once"
    )
    check_finds(
        rule,
        loop(send, rows="Mail.objects.filter(status='pending')[:50]"),
        WARNING,
        "two runs at once",
    )
    keyed = {
        "effects": [
            {
                "name": "email",
                "call": "shop.mailer:send",
                "guarantee": "keyed",
                "key_arg": "idempotency_key",
            }
        ]
    }
    check_finds(rule, loop(send), NOTE, "two runs at once", spec=keyed)
    check_ignores(rule, loop(send, rows=OPEN.replace("NULL", "NULL FOR UPDATE SKIP LOCKED")))
    check_ignores(rule, loop(send, rows="Mail.objects.select_for_update().filter(sent=False)"))
    check_ignores(rule, loop(send, rows=OPEN.replace("sent_at IS NULL", "customer = 7")))
    check_ignores(rule, "fcntl.flock(open('l'), fcntl.LOCK_EX)\n" + loop(send))
    check_ignores(rule, "db.execute(\"UPDATE mails SET status = 'claimed'\")\n" + loop(send))
    check_ignores(rule, loop("print(row)"))
    check_ignores(rule, loop(send), crontab="*/5 * * * * flock -n /tmp/l python -m shop.sweep\n")


@pytest.mark.real
def test_marked_before_effect(check_finds: Check, check_ignores: Check) -> None:
    rule, send, commit = "marked-before-effect", "mailer.send(row)", "db.commit()"
    check_finds(rule, loop(MARK, commit, send), WARNING, "before shop.mailer.send", line=MARK)
    check_finds(
        rule, loop("row.sent = True", "row.save()", send), WARNING, "never done", line="row.save()"
    )
    check_finds(
        rule, loop("Mail.objects.filter(id=row).update(sent=True)", send), WARNING, "never done"
    )
    check_ignores(rule, loop(send, MARK, commit))
    check_ignores(rule, loop(MARK, send, commit))  # one transaction
    check_ignores(
        rule,
        loop(MARK.replace("sent_at = now()", "status = 'claimed'"), commit, send, MARK, commit),
    )
    check_ignores(rule, loop("row.sent = False", "row.save()", send))
    undone = ["try:", "    mailer.send(row)", "except OSError:", "    undo(row)"]
    check_ignores(rule, loop(MARK, commit, *undone))


@pytest.mark.real
def test_marked_after_batch(check_finds: Check, check_ignores: Check) -> None:
    rule, send = "marked-after-batch", "mailer.send(row)"
    check_finds(rule, loop(send, after=MARK), WARNING, "marked after the loop", line=MARK)
    check_finds(
        rule,
        loop(send, MARK, after="db.commit()"),
        WARNING,
        "committed after the loop",
        line="db.commit()",
    )
    check_finds(
        rule,
        loop(send, after="Mail.objects.filter(sent=False).update(sent=True)"),
        WARNING,
        "marked after",
    )
    check_ignores(rule, loop(send, MARK, "db.commit()"))
    check_ignores(rule, loop(send, MARK))  # who commits is not known
    check_ignores(rule, loop(send))
    check_ignores(rule, f"row = 1\n{send}\n{MARK}\ndb.commit()")


@pytest.mark.real
def test_failed_marked_done(check_finds: Check, check_ignores: Check) -> None:
    rule = "failed-marked-done"

    def tried(clause: str, *inside: str, after: str = MARK) -> str:
        return loop(
            "try:",
            "    mailer.send(row)",
            f"except {clause}:",
            *(f"    {i}" for i in inside or ["log.error('x')"]),
            after,
        )

    check_finds(rule, tried("Exception"), ERROR, "marked as done", line=MARK)
    check_finds(rule, tried("mailer.Unavailable", "pass"), ERROR, "marked as done")
    check_finds(
        rule,
        tried("Exception", after="Mail.objects.filter(id=row).update(sent=True)"),
        ERROR,
        "goes on",
    )
    check_ignores(rule, tried("Exception", "log.error('x')", "continue"))
    check_ignores(rule, tried("Exception", "raise"))
    check_ignores(rule, tried("Exception", "dead.record(row)"))
    check_ignores(rule, tried("Exception", "failed = True"))
    check_ignores(rule, tried("mailer.BadAddress"))
    check_ignores(rule, tried("Exception", after="if ok(row): " + MARK))
    check_ignores(rule, tried("Exception", after="print(row)"))


def test_rules_of_racing_carry_this_name(check_finds: Check, check_ignores: Check) -> None:
    look = (
        "found = db.execute('SELECT 1 FROM sent_mails WHERE id = 1')\nif not found:\n   "
        " mailer.send(1)\n"
    )
    insert = "    db.execute('INSERT INTO sent_mails (id) VALUES (1)')"
    schema = {**CRONTAB, "schema.sql": "CREATE TABLE sent_mails (id INTEGER);\n"}
    check_finds("check-then-act", look + insert, WARNING, "no UNIQUE key", **schema)
    check_ignores(
        "check-then-act",
        look + insert,
        **{**schema, "schema.sql": "CREATE TABLE sent_mails (id INTEGER UNIQUE);\n"},
    )
    rule = "select-for-update-outside-transaction"
    check_finds(
        rule,
        "for row in Mail.objects.select_for_update().all():\n    mailer.send(row)",
        WARNING,
        "outside",
    )
    check_ignores(rule, "for row in Mail.objects.all():\n    mailer.send(row)")


def test_crontab_minute(check_finds: Check, check_ignores: Check) -> None:
    rule, body = "crontab-minute", "mailer.send(1)"
    line = "{} python -m shop.sweep\n"
    check_finds(rule, body, WARNING, "sixty times", crontab=line.format("* 3 * * *"))
    for when in ("0 3 * * *", "* * * * *", "* 8-18 * * *", "@daily"):
        check_ignores(rule, body, crontab=line.format(when))


def test_cronjob_overlap(check_finds: Check, check_ignores: Check) -> None:
    rule, body = "cronjob-overlap", "mailer.send(1)"
    job = (
        "kind: CronJob\nspec:\n  schedule: '0 3 * * *'\n  {}\n  command: [python, -m, shop.sweep]\n"
    )
    check_finds(
        rule, body, NOTE, "beside one", **{"k8s/job.yaml": job.format("concurrencyPolicy: Allow")}
    )
    check_ignores(rule, body, **{"k8s/job.yaml": job.format("concurrencyPolicy: Forbid")})
    check_ignores(rule, body)


def clock(do: str = ".do(sweep)", pending: str = "schedule.run_pending()") -> dict[str, str]:
    head = f"import schedule, time\nfrom shop.sweep import sweep\nschedule.every().day{do}\n"
    text = f"{head}while True:\n    {pending}\n    time.sleep(1)\n"
    return {"shop/clock.py": text}


def test_called_not_scheduled(check_finds: Check, check_ignores: Check) -> None:
    rule = "called-not-scheduled"
    check_finds(
        rule,
        "mailer.send(1)",
        ERROR,
        "once, now",
        line="schedule.every().day.do(sweep())",
        **clock(".do(sweep())"),
    )
    check_ignores(rule, "mailer.send(1)", **clock())


def test_schedule_dies(check_finds: Check, check_ignores: Check) -> None:
    rule, caught = (
        "schedule-dies",
        "try:\n    mailer.send(1)\nexcept Exception:\n    log.exception('x')",
    )
    check_finds(
        rule, "mailer.send(1)", WARNING, "ends the loop", line="schedule.run_pending()", **clock()
    )
    check_finds(rule, caught.replace("Exception", "OSError"), WARNING, "ends the loop", **clock())
    check_ignores(rule, caught, **clock())
    inside = "try:\n        schedule.run_pending()\n    except Exception:\n        pass"
    check_ignores(rule, "mailer.send(1)", **clock(pending=inside))
    check_ignores(rule, "mailer.send(1)")


def test_every_rule_is_tried_here() -> None:
    tried = Path(__file__).read_text()
    assert all(f'"{rule.id.partition(".")[2]}"' in tried for rule in FRAMEWORK.list_rules())
    assert all(rule.why.endswith(".") and rule.source for rule in FRAMEWORK.list_rules())
