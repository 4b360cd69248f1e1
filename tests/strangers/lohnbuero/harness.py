"""python harness.py [ID ...] [--tests]: each version through what may befall it, a process each. RQ is a list
with four more tries a message, a killed worker included; authority and relay are fakes; time is moved by hand."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def tree_of(variant, folder):
    from variants import VARIANTS

    tree = Path(folder) / "repo"
    shutil.copytree(HERE / "base", tree, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    for path, old, new in [] if variant == "base" else next(v["edits"] for v in VARIANTS if v["id"] == variant):
        file = tree / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (path, old)
            new = text.replace(old, new)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(new)
    return tree


def main():
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS

    kinds = {"base": "correct", **{v["id"]: v["kind"] for v in VARIANTS}}
    names = [a for a in sys.argv[1:] if not a.startswith("-")] or list(kinds)
    surprises = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            tree = tree_of(name, folder)
            env = {**os.environ, **environment(folder), "PYTHONDONTWRITEBYTECODE": "1"}
            done = subprocess.run([sys.executable, "-W", "ignore", __file__, "--inside"], cwd=tree, env=env, capture_output=True, text=True)
            broken = [line for line in done.stdout.splitlines() if line.startswith("BROKEN")]
            ran = done.stdout.rstrip().endswith("END") and not done.returncode
            verdict = "did not run" if not ran else "fails" if broken else "holds"
            as_meant = verdict == ("holds" if kinds[name] == "correct" else "fails")
            surprises += not as_meant
            print(f"{name:18} {kinds[name]:8} {verdict:12} {'' if as_meant else 'NOT AS MEANT'}")
            for line in broken[:6]:
                print("   ", line)
            if len(broken) > 6:
                print("    ... and", len(broken) - 6, "more")
            if not ran:
                print(done.stdout[-1500:], done.stderr[-3000:])
            if "--tests" in sys.argv:
                subprocess.call([sys.executable, "-m", "pytest", "-q", "-W", "ignore", "-p", "no:cacheprovider"], cwd=tree, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    sys.exit(bool(surprises))


def environment(folder):
    return {"LOHN_DATABASE_URL": f"sqlite:///{folder}/lohn.db"}


def inside():
    sys.path.insert(0, os.getcwd())
    import itertools
    import smtplib
    from types import SimpleNamespace

    import httpx
    from loguru import logger
    from redis.exceptions import ConnectionError
    from sqlalchemy import event, text
    from sqlalchemy.exc import OperationalError

    from lohnbuero import authority, jobs, mailer, model, queue, schema, service, uow

    engine = uow.new_session.kw["bind"]
    logger.remove()
    lines = []
    logger.add(lambda m: lines.append(str(m)), format="{message} {extra}")

    class Kill(BaseException):
        pass

    waiting, tickets, calls, mails, office, post = [], {}, [], [], [], []
    down, numbers = {"for": 0}, itertools.count(1)

    def put(declaration_id):
        if down["for"]:
            down["for"] -= 1
            raise ConnectionError("redis is away")
        waiting.append([f"rq-{next(numbers)}", {"declaration_id": declaration_id}, 4])

    queue.put = put

    def http(status):
        request = httpx.Request("POST", "http://authority.invalid")
        return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, request=request))

    def transmit(self, *, transmission_no, **fields):
        calls.append(transmission_no)
        step = office.pop(0) if office else None
        if callable(step):
            step = step()
        if step == "killed before":
            raise Kill
        if isinstance(step, int):
            raise http(step)
        tickets.setdefault(transmission_no, f"T-{len(tickets) + 1}")
        if step == "killed after":
            raise Kill
        if step == "lost":
            raise httpx.ReadTimeout("timed out")
        return tickets[transmission_no]

    def send(mail):
        step = post.pop(0) if post else None
        if callable(step):
            step = step()
        if step == "killed before":
            raise Kill
        if isinstance(step, Exception):
            raise step
        mails.append(mail["Message-ID"])
        if step == "killed after":
            raise Kill
        if step == "lost":
            raise smtplib.SMTPServerDisconnected("gone")

    authority.Authority.transmit, mailer.send = transmit, send

    fault = {"at": None}

    def tick():
        if fault["at"] is None:
            return
        fault["n"] += 1
        if fault["n"] == fault["at"]:
            fault["hit"] = True
            raise fault["error"]()

    event.listen(engine, "before_cursor_execute", lambda *a: tick())
    event.listen(engine, "commit", lambda c: tick())
    locked = lambda: OperationalError("x", None, Exception("database is locked"))  # noqa: E731

    def reset():
        fault.update(at=None, hit=False)
        for store in (waiting, tickets, calls, mails, office, post, lines):
            store.clear()
        down["for"] = 0
        model.Base.metadata.drop_all(engine)
        schema.create()
        schema.demo()

    def release():
        try:
            service.release(1)
        except (Kill, OperationalError):
            service.release(1)

    def deliver(message):
        ident, kwargs, left = message
        jobs.get_current_job = lambda: SimpleNamespace(id=ident, number_of_retries=4 - left)
        jobs.transmit_declaration(**kwargs)

    def work(lose=False, limit=60):
        while waiting and limit:
            limit -= 1
            message = waiting.pop(0)
            try:
                deliver(message)
            except (Exception, Kill) as error:
                if message[2] and not (lose and isinstance(error, Kill)):
                    waiting.append([message[0], message[1], message[2] - 1])

    def later(rounds=2):
        for _ in range(rounds):
            with engine.begin() as c:
                c.execute(text("update declarations set due_at = '2020-01-01 00:00:00.000000' where due_at is not null"))
            service.requeue_stalled()
            work()

    def one(sql):
        with engine.connect() as c:
            return c.execute(text(sql)).scalar()

    def look():
        return {
            "transmitted": len(tickets),
            "status": one("select status from declarations where id = 1"),
            "ticket": one("select ticket from declarations where id = 1"),
            "mail": bool(mails),
            "mails": len(mails),
            "dead": one("select count(*) from dead_letters"),
            "calls": len(calls),
            "left": len(waiting),
        }

    GOOD = {"transmitted": 1, "status": "done", "ticket": "T-1", "mail": True, "dead": 0, "left": 0}
    BAD = {"transmitted": 0, "status": "failed", "ticket": None, "mail": False, "dead": 1, "left": 0}
    UNRECEIPTED = {"transmitted": 1, "status": "unreceipted", "ticket": "T-1", "mail": False, "dead": 1, "left": 0}

    def check(name, want):
        have = look()
        wrong = {k: f"{have[k]!r}, not {v!r}" for k, v in want.items() if have[k] != v}
        if wrong:
            print("BROKEN", name, wrong)
        if any(word in line.lower() for line in lines for word in ("lindner", "1834050")):
            print("BROKEN", name, "a name in the log")

    def play(name, want, at_office=(), at_post=(), copies=1, lose=False, rounds=2):
        reset()
        release()
        waiting.extend([list(m) for m in waiting] * (copies - 1))
        office.extend(at_office)
        post.extend(at_post)
        work(lose)
        later(rounds)
        check(name, want)

    refused = lambda: smtplib.SMTPRecipientsRefused({"r.lindner@example.org": (550, b"unknown")})  # noqa: E731
    gone = lambda: smtplib.SMTPServerDisconnected("gone")  # noqa: E731

    def raising(error):
        return lambda: error()

    play("once", {**GOOD, "calls": 1, "mails": 1})
    log = "".join(lines)
    if not all(w in log for w in ("'job_id': 'rq-", "'key': '1'", "'attempt': 1", "'outcome': 'started'", "'outcome': 'done'")):
        print("BROKEN log")
    play("delivered twice", {**GOOD, "calls": 1, "mails": 1}, copies=2)
    play("answer lost", GOOD, ["lost"])
    play("503 twice", GOOD, [503, 503])
    play("killed after the transmission", GOOD, ["killed after"])
    play("killed after the transmission, message lost, swept", GOOD, ["killed after"], lose=True)
    play("killed before the mail went", GOOD, [], ["killed before"])
    play("killed before the mail went, message lost, swept", GOOD, [], ["killed before"], lose=True)
    play("killed after the mail went", GOOD, [], ["killed after"])
    play("mail relay gone twice", {**GOOD, "calls": 1}, [], [gone(), gone()])
    play("mail answer lost", GOOD, [], ["lost"])
    play("mail relay gone for good", UNRECEIPTED, [], [raising(gone)] * 50)
    play("recipient refused", UNRECEIPTED, [], [raising(refused)] * 50)
    play("used up", {**BAD, "calls": 5}, [503] * 50)
    play("refused", {**BAD, "calls": 1}, [422] * 50)
    play("refused, delivered twice", {**BAD, "calls": 1}, [422] * 50, copies=2)
    play("always killed", {**BAD, "calls": 5}, ["killed before"] * 90, rounds=10)
    play("always killed at the mail", UNRECEIPTED, [], ["killed before"] * 90, rounds=10)

    def other():
        deliver(held[0])

    reset(); release(); held = list(waiting); office.append(other); work(); later(); check("two at once", GOOD)
    reset(); release(); held = list(waiting); office.extend([other, 422]); work(); later(); check("two at once, the other one refused", GOOD)
    reset(); release(); held = list(waiting); post.append(other); work(); later(); check("two at once at the mail", GOOD)
    reset(); down["for"] = 1; release(); later(); check("broker away while releasing", GOOD)
    reset(); release(); waiting.clear(); later(); check("message lost before any worker, swept", GOOD)
    for message in ({}, {"declaration_id": "1"}, {"declaration_id": 0}, {"id": 1}, {"declaration_id": 50}, {"declaration_id": 1, "again": True}):
        reset()
        waiting.extend([["p", message, 4], ["p", message, 4]])
        work()
        check(f"poison {message}", {"transmitted": 0, "status": "draft", "dead": 1, "calls": 0, "mails": 0})

    for error, word in ((Kill, "killed"), (locked, "locked")):
        for lose in (False, True):
            paths = (([], [], GOOD, "good"), ([422] * 9, [], BAD, "refused"), ([], [raising(refused)] * 9, UNRECEIPTED, "recipient refused"), ([503] * 9, [], BAD, "used up"))
            for at_office, at_post, want, path in paths:
                for n in range(1, 200):
                    reset()
                    release()
                    office.extend(at_office)
                    post.extend(at_post)
                    fault.update(at=n, n=0, error=error, hit=False)
                    work(lose)
                    fault["at"] = None
                    later()
                    if path == "used up":
                        for _ in range(3):
                            office.extend(at_office)
                            later()
                    check(f"{word} at statement {n}, {path} path{', message lost' if lose else ''}", want)
                    if not fault["hit"]:
                        break
    for error in (Kill, locked):
        for n in range(1, 30):
            reset()
            fault.update(at=n, n=0, error=error, hit=False)
            release()
            fault["at"] = None
            work()
            later()
            check(f"fault at statement {n} of releasing", GOOD)
            if not fault["hit"]:
                break
    print("END")


if __name__ == "__main__":
    inside() if "--inside" in sys.argv else main()
