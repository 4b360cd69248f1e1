"""Evidence for variants.py, without any tool.  python harness.py [id ...]

Per version one process sets up Django and a template database; every scenario runs in forked children of it on a
copy of that database. A message is run by Celery's own tracer, as a worker does it (not eager); what retry() publishes
to the memory:// broker is fetched from there and delivered in turn. A killed child's message comes back only if the
task says acks_late and reject_on_worker_lost, as with Celery's prefork pool.
"""
import json, os, re, shutil, signal, subprocess, sys, tempfile, time, traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
FULL = bool(os.environ.get("FULL"))  # kill at every line of the repository, not only of these files (slow)
WATCHED = ("tasks.py", "ops/jobs.py", "ops/deadletters.py", "services.py")
CORRECT = bool(os.environ.get("CORRECT"))  # with these only every eleventh line is a place to die; FULL: every one
LIMIT = 12  # attempts after which we call it unbounded


def lay_out(variant, folder):
    shutil.copytree(HERE / "base", folder, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3"))
    for path, old, new in variant["edits"]:
        target = folder / path
        if old == "":
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(new)
            continue
        text = target.read_text()
        assert text.count(old) == 1, (variant["id"], path, text.count(old), old)
        target.write_text(text.replace(old, new))


class Bad(Exception):
    pass


def expect(ok, what):
    if not ok:
        raise Bad(what)


# ------------------------------------------------------------------ one version, in its own process

class Bench:
    def __init__(self, repo):
        self.repo, self.box = str(repo), Path(os.environ["BOX"])
        self.db, self.template = Path(os.environ["SCHOOL_DB"]), self.box / "template.sqlite3"
        self.world, self.logs = self.box / "world.jsonl", self.box / "logs.jsonl"
        import django
        django.setup()
        from django.core.management import call_command
        kept = Path(os.environ["KEPT"])  # migrating takes longest: the first version does it for all
        if kept.exists():
            shutil.copy(kept, self.db)
        else:
            call_command("demo_school")
            shutil.copy(self.db, kept)
        from absences.models import Absence, Guardian, Notice
        from billing.models import Invoice
        # ids that are found in a text without doubt
        Invoice.objects.filter(pk=1).update(id=77131); Invoice.objects.filter(pk=2).update(id=77132)
        from django.db import connections
        connections.close_all()
        shutil.copy(self.db, self.template)
        from schooladmin.celery import app
        from absences.tasks import mail_absence
        from billing.tasks import export_invoice
        self.app, self.tasks = app, {t.name: t for t in (mail_absence, export_invoice)}
        app.finalize()
        import gc
        gc.collect(); gc.freeze()

    def fresh(self):
        for path in (self.db, self.world, self.logs, *self.box.glob("*-journal")):
            path.unlink(missing_ok=True)
        shutil.copy(self.template, self.db)

    # -- children
    def child(self, work, wait=True):
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            import gc
            gc.disable()
            code = 0
            try:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 2)
                self.listen()
                work()
            except BaseException:
                with open(self.box / "trace.txt", "a") as f:
                    traceback.print_exc(file=f)
                code = 3
            os._exit(code)
        return os.waitpid(pid, 0)[1] if wait else pid

    def listen(self):
        import logging
        bench = self

        class ToFile(logging.Handler):
            def emit(self, record):
                bench.note(bench.logs, level=record.levelname, name=record.name, text=record.getMessage())
        for name in ("", "school"):
            logger = logging.getLogger(name)
            logger.handlers = [ToFile()]

    def note(self, path, **what):
        with open(path, "ab", buffering=0) as f:
            f.write(json.dumps(what).encode() + b"\n")

    def read(self, path):
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    # -- the world
    def partner(self, plan):
        """plan(n, invoice) -> 'ok' | 'lost' (booked, answer lost) | 'down' | 'fault' | callable run before 'ok'"""
        import requests
        from xml.etree import ElementTree

        def post(url, data=None, **kw):
            root = ElementTree.fromstring(data)
            term, debtor, mid = root.findtext(".//Term"), root.findtext(".//Debtor"), root.findtext(".//MessageID")
            n = sum(1 for e in self.read(self.world) if e["debtor"] == debtor)
            step = plan(n, debtor)
            if callable(step):
                step(); step = "ok"
            self.note(self.world, effect="post", debtor=debtor, key=mid, step=step)
            if step in ("lost",):
                raise requests.ReadTimeout("timed out")
            if step == "down":
                raise requests.ConnectionError("refused")
            response = requests.Response()
            response.status_code = 500 if step == "fault" else 200
            response._content = (b"<E><F><faultstring>debtor is closed</faultstring></F></E>" if step == "fault"
                                 else f"<E><Reference>T-{mid[-12:]}</Reference></E>".encode())
            return response
        requests.post = post

    def smtp(self, plan):
        import smtplib
        from django.core.mail import EmailMessage

        def send(message, *a, **k):
            to = message.to[0]
            n = sum(1 for e in self.read(self.world) if e["to"] == to)
            step = plan(n, to)
            if callable(step):
                step(); step = "ok"
            self.note(self.world, effect="mail", to=to, step=step)
            if step == "down":
                raise smtplib.SMTPServerDisconnected("bye")
            if step == "refused":
                raise smtplib.SMTPRecipientsRefused({to: (550, b"no such user")})
            return 1
        EmailMessage.send = send

    def bookings(self):
        return {(e["debtor"], e["key"]) for e in self.read(self.world) if e["step"] in ("ok", "lost")}

    def mails(self, to=None):
        return [e for e in self.read(self.world) if e["step"] == "ok" and to in (None, e["to"])]

    # -- delivery
    def run_one(self, message):
        from celery.app.trace import build_tracer
        task = self.tasks[message["task"]]
        tracer = build_tracer(task.name, task, loader=self.app.loader, hostname="bench", app=self.app)
        request = {"id": message["id"], "task": task.name, "retries": message["retries"], "is_eager": False,
                   "called_directly": False, "delivery_info": {"routing_key": "celery", "exchange": ""},
                   "root_id": message["id"], "args": message["args"], "kwargs": message["kwargs"], "hostname": "bench",
                   "timelimit": (None, None), "headers": {}, "loglevel": 20}
        tracer(message["id"], message["args"], message["kwargs"], request)

    def published(self):
        found = []
        with self.app.connection_for_read() as connection:
            queue = connection.SimpleQueue("celery")
            while True:
                try:
                    raw = queue.get(block=False)
                except queue.Empty:
                    break
                args, kwargs, _ = raw.payload
                found.append(dict(task=raw.headers["task"], id=raw.headers["id"], retries=raw.headers["retries"] or 0,
                                  args=args, kwargs=kwargs, eta=raw.headers.get("eta")))
                raw.ack()
            queue.close()
        return found

    def drain(self, messages):
        """A worker that works until nothing is left; returns attempts."""
        todo, attempts = list(messages), 0
        while todo:
            message = todo.pop(0)
            attempts += 1
            if attempts > LIMIT * len(messages):
                self.note(self.logs, level="BENCH", name="bench", text="unbounded")
                return
            self.run_one(message)
            for further in self.published():
                if further["retries"]:
                    expect_eta = bool(further["eta"])
                    self.note(self.logs, level="BENCH", name="bench", text=f"retry eta={expect_eta}")
                todo.append(further)

    def deliver(self, *messages, world, die_at=None, wait=True):
        def work():
            world()
            if die_at:
                self.die_at(die_at)
            self.drain(messages)
            sys.settrace(None)
        return self.child(work, wait)

    def die_at(self, n, count_to=None):
        seen = 0

        def local(frame, event, arg):
            nonlocal seen
            if event == "line":
                seen += 1
                if count_to is not None:
                    count_to[0] = seen
                elif seen == n:
                    os.kill(os.getpid(), signal.SIGKILL)
            return local

        def trace(frame, event, arg):
            name = frame.f_code.co_filename
            return local if name.startswith(self.repo) and (FULL or name.endswith(WATCHED)) else None
        sys.settrace(trace)

    def lines(self, messages, world):
        """How many lines of the repository an undisturbed run executes."""
        self.fresh()

        def work():
            world()
            counter = [0]
            self.die_at(0, counter)
            self.drain(messages)
            sys.settrace(None)
            self.note(self.box / "lines.jsonl", n=counter[0])
        (self.box / "lines.jsonl").unlink(missing_ok=True)
        self.child(work)
        n = self.read(self.box / "lines.jsonl")[-1]["n"]
        if os.environ.get("SHOW"):
            print("lines", n, file=sys.stderr)
        return n

    def redelivered(self, message):
        task = self.tasks[message["task"]]
        return bool(task.acks_late and task.reject_on_worker_lost)

    # -- looking
    def sql(self, query, *args):
        import sqlite3
        connection = sqlite3.connect(self.db, timeout=30)
        try:
            rows = connection.execute(query, args).fetchall()
            connection.commit()
            return rows
        finally:
            connection.close()

    def dead(self):
        return self.sql("select task, payload, error from ops_deadjob")

    def errors(self):
        return [e["text"] for e in self.read(self.logs) if e["level"] in ("ERROR", "CRITICAL") and e["name"].startswith("school")]

    def unbounded(self):
        return any(e["text"] == "unbounded" for e in self.read(self.logs))

    def retries_wait(self):
        return all(e["text"] != "retry eta=False" for e in self.read(self.logs))


def message(task, retries=0, id=None, **kwargs):
    message.n += 1
    return dict(task=task, id=id or f"id-{message.n}", retries=retries, args=[], kwargs=kwargs)


message.n = 0


def names(text, *wanted):
    return all(re.search(rf"\b{w}\b", text) for w in wanted)


def invoice_export(b, thorough):
    A, B = 77131, 77132
    job = lambda i=A, **k: message("billing.export_invoice", invoice_id=i, **k)
    always = lambda *steps: lambda: b.partner(lambda n, d: steps[min(n, len(steps) - 1)])
    row = lambda i=A: b.sql("select exported_at is not null, partner_reference != '', remark from billing_invoice where id=?", i)[0]

    b.fresh(); m = job()
    b.deliver(m, world=always("ok")); b.deliver(m, world=always("ok"))
    expect(len(b.bookings()) == 1 and len(b.read(b.world)) == 1, f"delivered twice: {len(b.read(b.world))} calls")
    expect(row()[:2] == (1, 1) and not b.dead(), "plain run: row not marked")

    b.fresh(); b.deliver(job(A), job(B), world=always("ok"))
    expect(len(b.bookings()) == 2 and row(A)[0] and row(B)[0], "two invoices: not both booked")

    b.fresh(); b.deliver(job(), world=always("lost", "ok"))
    expect(len(b.bookings()) == 1, f"timeout after booking, then retry: booked {len(b.bookings())} times")
    expect(row()[0] == 1, "not exported after retry")

    b.fresh(); b.deliver(job(), job(), world=always("lost", "lost", "ok"))
    expect(len(b.bookings()) == 1, f"enqueued twice: booked {len(b.bookings())} times")

    b.fresh(); b.deliver(job(), world=always("fault"))
    expect(len(b.read(b.world)) == 1, f"soap:Fault: {len(b.read(b.world))} attempts")
    expect(len(b.dead()) == 1 and not row()[0], f"soap:Fault: {len(b.dead())} dead letters")

    b.fresh(); b.deliver(job(), world=always("down"))
    expect(not b.unbounded(), "partner down: retried without end")
    expect(len(b.read(b.world)) == 5, f"partner down: {len(b.read(b.world))} attempts, 5 promised")
    expect(b.retries_wait(), "retries do not wait")
    expect(len(b.dead()) == 1, f"partner down, attempts used up: {len(b.dead())} dead letters")

    b.fresh(); b.deliver(job(A), job(B), world=always("down"))
    dead, errors = b.dead(), b.errors()
    told = [i for i in (A, B) if any(names(" ".join(d), i) for d in dead)]
    logged = [i for i in (A, B) if any(names(e, i) for e in errors)]
    expect(told == [A, B] and len(dead) == 2 and logged == [A, B],
           f"two invoices given up: {len(dead)} dead row(s) naming {told}, error log naming {logged}")

    poison = [dict(), dict(invoice_id="twelve"), dict(invoice_id=0), dict(invoice_id=1, copies=3)]
    b.fresh(); b.deliver(*[message("billing.export_invoice", **p) for p in poison], job(), world=always("ok"))
    expect(len(b.dead()) == 4 and len(b.bookings()) == 1 and row()[0],
           f"4 poison messages: {len(b.dead())} dead letters, {len(b.bookings())} bookings")

    b.fresh()
    edit = lambda: b.sql("update billing_invoice set remark='paid in cash' where id=?", A)
    b.deliver(job(), world=lambda: b.partner(lambda n, d: edit))
    expect(row() == (1, 1, "paid in cash"), f"remark written during the call is {row()[2]!r} afterwards")

    b.fresh()
    slow = lambda: b.partner(lambda n, d: lambda: time.sleep(0.25))
    for pid in [b.deliver(job(), world=slow, wait=False) for _ in range(2)]:
        os.waitpid(pid, 0)
    expect(len(b.bookings()) == 1 and row()[0] and not b.dead(), "two at once: booked twice")

    for plan, final, step in ((("lost", "ok"), "done", 11 if CORRECT else 1), (("fault",), "dead", 9)):
        total = b.lines([job()], always(*plan))
        for k in range(1, total + 1, 1 if FULL else step):
            b.fresh(); m = job()
            b.deliver(m, world=always(*plan), die_at=k)
            if b.redelivered(m):
                b.deliver(m, world=always(*plan))
            if final == "done":
                expect(len(b.bookings()) == 1 and row()[0] and not b.dead(),
                       f"killed at line event {k}: bookings {len(b.bookings())}, exported {row()[0]}")
            else:
                expect(len(b.dead()) == 1, f"fault, killed at line event {k}: {len(b.dead())} dead letters")
    if thorough:
        publish(b, A, lambda: __import__("billing.services", fromlist=["x"]).issue_invoice(A), "billing.services",
                always("ok"), lambda: len(b.bookings()) == 1 and row()[0])


def absence_mail(b, thorough):
    job = lambda a=1, g=1: message("absences.mail_absence", absence_id=a, guardian_id=g)
    always = lambda *steps: lambda: b.smtp(lambda n, to: steps[min(n, len(steps) - 1)])
    sent = lambda a=1, g=1: b.sql("select sent_at is not null from absences_notice where absence_id=? and guardian_id=?", a, g)[0][0]

    b.fresh(); m = job()
    b.deliver(m, world=always("ok")); b.deliver(m, world=always("ok")); b.deliver(job(), world=always("ok"))
    expect(len(b.mails()) == 1 and sent() and not b.dead(), f"delivered thrice: {len(b.mails())} mails")

    b.fresh(); b.deliver(job(1, 1), job(1, 2), job(2, 3), world=always("ok"))
    expect(len(b.mails()) == 3, f"three guardians, {len(b.mails())} mail(s): {[e['to'] for e in b.mails()]}")

    b.fresh(); b.deliver(job(), world=always("down", "ok"))
    expect(len(b.mails()) == 1 and sent(), f"server busy, then back: {len(b.mails())} mails")

    b.fresh(); b.deliver(job(), world=always("refused"))
    expect(len(b.read(b.world)) == 1 and len(b.dead()) == 1, f"refused: {len(b.read(b.world))} attempts, {len(b.dead())} dead")

    b.fresh(); b.deliver(job(1, 1), job(1, 2), world=always("down"))
    expect(not b.unbounded() and len(b.read(b.world)) == 10, f"down: {len(b.read(b.world))} attempts of two jobs")
    expect(len(b.dead()) == 2 and len(b.errors()) == 2 and b.retries_wait(), f"down: {len(b.dead())} dead letters")

    poison = [dict(), dict(absence_id=1), dict(absence_id="one", guardian_id=1), dict(absence_id=1, guardian_id=-4)]
    b.fresh(); b.deliver(*[message("absences.mail_absence", **p) for p in poison], job(), world=always("ok"))
    expect(len(b.dead()) == 4 and len(b.mails()) == 1, f"4 poison messages: {len(b.dead())} dead, {len(b.mails())} mails")

    b.fresh()
    slow = lambda: b.smtp(lambda n, d: lambda: time.sleep(0.25))
    for pid in [b.deliver(job(), world=slow, wait=False) for _ in range(2)]:
        os.waitpid(pid, 0)
    expect(len(b.mails()) == 1 and sent() and not b.dead(), f"two at once: {len(b.mails())} mails")

    for plan, final, step in ((("down", "ok"), "done", 11 if CORRECT else 1), (("refused",), "dead", 9)):
        total = b.lines([job()], always(*plan))
        for k in range(1, total + 1, 1 if FULL else step):
            b.fresh(); m = job()
            b.deliver(m, world=always(*plan), die_at=k)
            if b.redelivered(m):
                b.deliver(m, world=always(*plan))
            if final == "done":
                expect(1 <= len(b.mails()) <= 2 and sent() and not b.dead(),
                       f"killed at line event {k}, redelivered: {len(b.mails())} mails, marked as sent: {bool(sent())}")
            else:
                expect(len(b.dead()) == 1, f"refused, killed at line event {k}: {len(b.dead())} dead letters")
    if thorough:
        publish(b, 1, lambda: __import__("absences.services", fromlist=["x"]).notify_guardian(1, 1), "absences.services",
                always("ok"), lambda: len(b.mails("huber@example.com")) == 1 and sent())


def publish(b, ident, enqueue, services, world, done):
    """The publisher is killed at each line; then the user's retry does not come, only the sweep."""
    module = __import__(services, fromlist=["x"])
    for k in range(1, 30, 1 if FULL else 3):
        b.fresh()
        handed = b.box / "handed.jsonl"
        handed.unlink(missing_ok=True)

        def spy():
            for t in b.tasks.values():
                t.apply_async = lambda args=None, kwargs=None, _t=t, **o: b.note(handed, task=_t.name, kwargs=kwargs)

        def call():
            spy(); b.die_at(k); enqueue(); sys.settrace(None)
        status = b.child(call)
        b.child(lambda: (spy(), module.publish_pending()))
        committed = bool(b.sql("select 1 from billing_invoice where id=? and issued_at is not null", ident)) if "billing" in services else True
        b.deliver(*[message(e["task"], **e["kwargs"]) for e in b.read(handed)], world=world)
        expect(done() or not committed, f"publisher killed at line event {k}: job never ran")
        if status == 0:
            return


def drive(repo, job, thorough):
    sys.path.insert(0, repo)
    os.chdir(repo)
    bench = Bench(repo)
    try:
        {"invoice-export": invoice_export, "absence-mail": absence_mail}[job](bench, thorough)
    except Bad as bad:
        return f"misbehaves: {bad}"
    return "behaves"


def main(wanted):
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS
    counts = {k: sum(v["kind"] == k for v in VARIANTS) for k in ("correct", "mistake")}
    assert counts == {"correct": 3, "mistake": 7}, counts
    jobs = ("invoice-export", "absence-mail")
    runs = [dict(id=f"base ({j})", kind="correct", job=j, edits=[]) for j in jobs] + VARIANTS
    shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
    wrong = 0
    kept = Path(tempfile.mkdtemp(prefix="school-", dir=shm))
    for variant in runs:
        if wanted and variant["id"].split()[0] not in wanted:
            continue
        started = time.time()
        box = Path(tempfile.mkdtemp(prefix="school-", dir=shm))
        try:
            lay_out(variant, box / "repo")
            env = dict(os.environ, BOX=str(box), KEPT=str(kept / "db.sqlite3"), SCHOOL_DB=str(box / "school.sqlite3"), SCHOOL_BROKER="memory://",
                       SCHOOL_LOCK_DIR=str(box), DJANGO_SETTINGS_MODULE="schooladmin.settings", PYTHONDONTWRITEBYTECODE="1",
                       CORRECT="1" if variant["kind"] == "correct" else "")
            thorough = "1" if variant["id"].startswith("base") or FULL else ""
            done = subprocess.run([sys.executable, __file__, "--drive", str(box / "repo"), variant["job"], thorough],
                                  env=env, capture_output=True, text=True)
            last = (done.stdout.strip().splitlines() or ["?"])[-1]
            if done.returncode or not last.startswith(("behaves", "misbehaves")):
                last = "harness broke: " + done.stderr[-1500:]
            if os.environ.get("SHOW") and (box / "trace.txt").exists():
                print((box / "trace.txt").read_text()[-3000:])
        finally:
            shutil.rmtree(box, ignore_errors=True)
        agreed = last.startswith("behaves" if variant["kind"] == "correct" else "misbehaves")
        wrong += not agreed
        print(f"{variant['id']:24} {last}" + ("" if agreed else "   <-- DISAGREES") + f"   [{time.time() - started:.1f}s]", flush=True)
    shutil.rmtree(kept, ignore_errors=True)
    print("all agree" if not wrong else f"{wrong} disagree")
    return wrong


if __name__ == "__main__":
    if sys.argv[1:2] == ["--drive"]:
        print(drive(sys.argv[2], sys.argv[3], bool(sys.argv[4])))
    else:
        sys.exit(main(sys.argv[1:]))
