"""python harness.py [variant]: does the promise hold? Fake mail and push; Huey's tasks run by hand."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def checkout(name):
    from variants import VARIANTS
    target = Path(tempfile.mkdtemp(prefix="adbox-")) / "repo"
    shutil.copytree(HERE / "base", target, ignore=shutil.ignore_patterns("__pycache__", "var"))
    for path, old, new in next((v["edits"] for v in VARIANTS if v["id"] == name), []):
        file = target / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (path, old)
            new = text.replace(old, new)
        file.write_text(new)
    return target


def drive():
    import contextlib
    import io
    import smtplib
    import sqlite3
    import time
    from datetime import datetime
    from unittest import mock
    import httpx
    errors = io.StringIO()
    sys.stderr = errors
    from adbox import worker
    import adbox.db as db, adbox.post as post, adbox.push as push
    from adbox import desk
    from adbox.jobs import confirm_ad, huey
    periodic = [t for t in huey._registry.periodic_tasks]

    class Killed(BaseException):
        pass

    done, faults, clock = [], {"mail": [], "push": []}, [time.time()]

    def fake(name):
        def call(**kwargs):
            key = kwargs.get("dedupe_id", "-")
            before, after = faults[name].pop(0) if faults[name] else (None, None)
            done.append((name, key))
            if before:
                done[-1] = (name + "!", key)
                raise before
            if callable(after) and not isinstance(after, type):
                after()
            elif after:
                raise after
        return call

    def execute(task):
        try:
            huey.execute(task, datetime(2100, 1, 1))
        except Killed:
            pass

    def work(limit=60):
        for _ in range(limit):
            with contextlib.suppress(Exception):
                for data in huey.storage.scheduled_items():
                    huey.storage.enqueue(data)
                huey.storage.flush_schedule()
            task = huey.dequeue()
            if task is None:
                return
            execute(task)

    def tick():
        """Five minutes later Huey's scheduler starts what is due."""
        clock[0] += 301
        for task in periodic:
            if task.validate_datetime(datetime(2026, 1, 1, 12, 5)):
                execute(task)
        work()

    def reset():
        db.PATH.unlink(missing_ok=True)
        conn = sqlite3.connect(db.PATH)
        conn.executescript(db.SCHEMA)
        db.demo(conn)
        conn.commit()
        conn.close()
        huey.flush()
        done.clear(), faults["mail"].clear(), faults["push"].clear()
        errors.truncate(0), errors.seek(0)

    def check(what, state, mails, pushes, graves=0, tries=99):
        with db.transaction() as conn:
            row = conn.execute("select state from confirmations where ref = 'KA-0001'").fetchone()
            count = conn.execute("select count(*) from graveyard").fetchone()[0]
        names = [n for n, _ in done]
        got = (row and row[0], names.count("mail"), len({x for x in done if x[0] == "push"}), count, len(done))
        good = got[:4] == (state, mails, pushes, graves) and got[4] <= tries
        print(f"  {'ok  ' if good else 'FAIL'} {what}: state, mails, pushes, graves, calls = {got}")
        reset()

    def status(code):
        request = httpx.Request("POST", "http://push.invalid")
        return httpx.HTTPStatusError(str(code), request=request, response=httpx.Response(code, request=request))

    later = smtplib.SMTPDataError(451, "later")
    place = getattr(post, "letterbox", post)
    with mock.patch.object(place, "send", fake("mail")), mock.patch.object(push, "notify", fake("push")), \
            mock.patch.object(time, "time", lambda: clock[0]):
        reset()
        go = lambda: desk.accept("KA-0001")
        go(); work(); check("once", "done", 1, 1)
        go(); go(); work(); tick(); check("twice", "done", 1, 1)
        faults["mail"] = [(None, lambda: execute(confirm_ad.s(ref="KA-0001")))]
        go(); work(); check("two at once", "done", 1, 1)
        faults["mail"] = [(later, None)]; go(); work(); check("mail down once", "done", 1, 1)
        faults["push"] = [(None, httpx.ReadTimeout("timed out"))]; go(); work(); check("push's answer lost", "done", 1, 1)
        faults["push"] = [(status(409), None)]; go(); work(); check("push known", "done", 1, 0)
        faults["mail"] = [(later, None)] * 99; go(); work(); tick(); check("down for ever", "dead", 0, 0, 1, 4)
        refused = smtplib.SMTPRecipientsRefused({"anna@example.org": (550, b"no such user")})
        faults["mail"] = [(refused, None)] * 99; go(); work(); tick(); check("address refused", "dead", 0, 0, 1, 1)
        faults["push"] = [(status(400), None)] * 99; go(); work(); tick(); check("push refused", "dead", 1, 0, 1, 2)
        faults["mail"] = [(Killed, None)]; go(); work(); tick(); check("killed before mail", "done", 1, 1)
        faults["push"] = [(Killed, None)]; go(); work(); tick(); check("killed before push", "done", 1, 1)
        faults["push"] = [(None, Killed)]; go(); work(); tick(); check("killed after push", "done", 1, 1)
        faults["mail"] = [(Killed, None)] * 99; go(); work(); [tick() for _ in range(8)]
        check("kills always", "dead", 0, 0, 1, 3)
        go(); huey.flush(); tick(); check("task lost", "done", 1, 1)
        for bad in ({}, {"ad": "KA-0001"}, {"ref": 7}, {"ref": "KA-1"}, {"ref": "KA-0001", "again": True}):
            execute(confirm_ad.s(**bad))
        go(); work(); check("malformed", "done", 1, 1, 5)
        faults["mail"] = [(later, None)]; faults["push"] = [(status(400), None)]; go(); work()
        lines = [x for x in errors.getvalue().splitlines() if any(w in x for w in ("attempt", "given up"))]
        print("  ok  " if lines and all("KA-0001" in x for x in lines) else "  FAIL", "log tells which ad:", lines[-1:])


if __name__ == "__main__":
    if os.environ.get("HARNESS_DRIVE"):
        sys.path.insert(0, os.getcwd())
        drive()
    else:
        name = (sys.argv[1:] or ["base"])[0]
        repo = checkout(name)
        env = dict(os.environ, HARNESS_DRIVE="1", ADBOX_HOME=str(repo.parent / "home"), PYTHONDONTWRITEBYTECODE="1")
        print(name)
        run = subprocess.run([sys.executable, __file__], cwd=repo, env=env, capture_output=True, text=True)
        print(run.stdout.rstrip() + run.stderr[-1500:])
        test = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=repo, env=env,
                              capture_output=True, text=True)
        print("  tests:", test.stdout.strip().splitlines()[-1])
        shutil.rmtree(repo.parent)
