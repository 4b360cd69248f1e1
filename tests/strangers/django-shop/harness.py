"""Own evidence: lays out each variant in a temp folder and runs its Celery task the way a worker
does (celery.app.trace's tracer, one forked process per delivery, acks as the task declares them).
    python harness.py [variant-id ...]
"""
import json, logging, os, pathlib, shutil, signal, sqlite3, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
SHM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # no fsync to wait for


# ---------------------------------------------------------------- laying out
def lay_out(variant, folder):
    shutil.copytree(HERE / "base", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path, old, new in variant["edits"]:
        file = pathlib.Path(folder) / path
        if old == "":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(new)
            continue
        text = file.read_text()
        assert text.count(old) == 1, f"{variant['id']}: {path}: {text.count(old)} times: {old!r}"
        file.write_text(text.replace(old, new))


def main(wanted):
    from variants import VARIANTS
    base = dict(id="base", kind="correct", edits=[])
    from concurrent.futures import ThreadPoolExecutor, as_completed

    def judge(variant):
        with tempfile.TemporaryDirectory(prefix="one-", dir=SHM) as folder:
            lay_out(variant, folder)
            done = subprocess.run([sys.executable, "-B", __file__, "--drive", folder], cwd=folder,
                                  capture_output=True, text=True)
        lines = [l for l in done.stdout.splitlines() if l.startswith("VERDICT ")]
        return lines[-1][8:] if lines else "HARNESS ERROR: " + (done.stdout + done.stderr)[-3000:]

    wrong = 0
    chosen = [v for v in [base, *VARIANTS] if not wanted or v["id"] in wanted]
    with ThreadPoolExecutor(3) as pool:  # mostly waiting for locks
        jobs = {pool.submit(judge, v): v for v in chosen}
        for job in as_completed(jobs):
            variant, verdict = jobs[job], job.result()
            agrees = verdict.startswith("behaves" if variant["kind"] == "correct" else "misbehaves")
            wrong += not agrees
            note = "" if agrees else "   <-- DISAGREES with " + variant["kind"]
            print(f"{variant['id']:32} {verdict}{note}", flush=True)
    print("all agree" if not wrong else f"{wrong} disagree")
    return 1 if wrong else 0


# ---------------------------------------------------------------- one variant
class Drive:
    A, B = 4711, 4712

    def __init__(self, folder):
        self.repo = pathlib.Path(folder)
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="one-run-", dir=folder))
        self.db, self.template = self.tmp / "shop.db", self.tmp / "template.db"
        self.events = self.tmp / "events.jsonl"
        os.environ.update(SHOP_DB=str(self.db), DJANGO_SETTINGS_MODULE="config.settings",
                          CELERY_BROKER_URL="memory://", PYTHONDONTWRITEBYTECODE="1")
        subprocess.run([sys.executable, "manage.py", "demo"], check=True, cwd=folder, capture_output=True)
        db = sqlite3.connect(self.db)
        for n, pk in enumerate((self.A, self.B)):
            db.execute("insert into shop_order(id, customer_email, address, note, status, tracking)"
                       " values (?, 'bo@example.com', 'x', '', 'paid', '')", (pk,))
            db.execute("insert into shop_orderline(order_id, product_id, quantity) values (?, 1, ?)", (pk, 5 + n))
        db.commit(); db.close()
        shutil.copy(self.db, self.template)
        sys.path.insert(0, folder)
        import django
        django.setup()
        import shop.tasks, shop.services, shop.carrier, config.celery
        from django.core import mail
        from celery.app.trace import build_tracer
        self.app, self.task = config.celery.app, shop.tasks.ship_order
        self.app.loader.import_default_modules()
        self.app.finalize()
        self.services, self.carrier = shop.services, shop.carrier
        self.tracer = build_tracer(self.task.name, self.task, app=self.app)
        drive = self

        def book(self_, *args, **kw):
            return drive.effect("booking", kw) or {"tracking": "T-%s" % kw.get("idempotency_key", "?")[-4:]}

        def send(self_, fail_silently=False):
            try:
                drive.effect("mail", {"subject": self_.subject, "to": self_.to})
            except Exception:
                if not fail_silently:
                    raise
                return 0
            return 1

        shop.carrier.CarrierClient.book = book
        mail.EmailMessage.send = send
        self.app.send_task = self.published
        logging.getLogger().handlers[:] = [Handler(self)]
        self.plan, self.hook = {}, None

    # --- the outside world
    def note(self, **event):
        with open(self.events, "a") as f:
            f.write(json.dumps(event, default=repr) + "\n")

    def seen(self, kind, **match):
        if not self.events.exists():
            return []
        rows = [json.loads(l) for l in self.events.read_text().splitlines()]
        return [r for r in rows if r["kind"] == kind and all(r.get(k) == v for k, v in match.items())]

    def effect(self, name, args):
        before = len(self.seen("call", name=name))
        fails = self.plan.get(name, [])
        error = fails[before] if before < len(fails) else None
        self.note(kind="call", name=name, args=args, error=repr(error) if error else "")
        if self.hook:
            self.hook(name)
        if error:
            raise error

    def published(self, name, args=None, kwargs=None, task_id=None, **options):
        import uuid
        status = {}
        if name == self.task.name:
            db = sqlite3.connect(self.db)
            status = dict(db.execute("select id, status from shop_order"))
            db.close()
        order = (list(args or []) + list((kwargs or {}).values()) + [None])[0]
        self.note(kind="published", name=name, args=list(args or []), kwargs=json.loads(json.dumps(kwargs or {})),
                  id=task_id or str(uuid.uuid4()), retries=options.get("retries", 0), order=order,
                  status=status.get(order))

    # --- processes
    def reset(self):
        for f in self.tmp.glob("shop.db*"):
            f.unlink()
        shutil.copy(self.template, self.db)
        self.events.unlink(missing_ok=True)
        self.plan, self.hook = {}, None

    def fork(self, fn, at=None, sig=None):
        """Run fn in a child; at: deliver sig when that many lines of the shop's code have begun."""
        pid = os.fork()
        if pid:
            return pid
        try:
            signal.alarm(60)
            sys.stdout = sys.stderr = open(os.devnull, "w")
            if at is not None:
                count = 0
                root = str(self.repo / "shop")

                def local(frame, event, arg):
                    nonlocal count
                    if event == "line":
                        count += 1
                        if count == at:
                            os.kill(os.getpid(), sig)
                    return local

                sys.settrace(lambda frame, event, arg: local if frame.f_code.co_filename.startswith(root) else None)
            fn()
            sys.settrace(None)
            if at is not None:
                self.note(kind="lines", n=count)
        finally:
            os._exit(0)

    @staticmethod
    def wait(pid, seconds=None):
        """None: still running; 'killed', 'stopped' or 'done'."""
        end = time.time() + (seconds or 90)
        while time.time() < end:
            got, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
            if got:
                if os.WIFSTOPPED(status):
                    return "stopped"
                return "killed" if os.WIFSIGNALED(status) else "done"
            time.sleep(0.002)
        return None

    def deliver(self, message):
        request = dict(id=message["id"], retries=message["retries"], is_eager=False, called_directly=False,
                       args=message["args"], kwargs=message["kwargs"], hostname="w1", headers={},
                       delivery_info={"routing_key": "celery", "exchange": ""}, root_id=message["id"])
        self.tracer(message["id"], message["args"], message["kwargs"], request)

    def message(self, order=None, id="m1", kwargs=None):
        return dict(id=id, retries=0, args=[], kwargs={"order_id": order} if kwargs is None else kwargs)

    def work(self, *messages, at=None, limit=14):
        """A worker takes the messages, and what they publish, until nothing is left. Returns deliveries."""
        queue, runs = list(messages), 0
        while queue and runs < limit:
            message = queue.pop(0)
            mark = len(self.seen("published"))
            outcome = self.wait(self.fork(lambda: self.deliver(message), at, signal.SIGKILL))
            runs += 1
            at = None
            if outcome == "killed" and self.task.acks_late:
                queue.insert(0, message)
            queue += [m for m in self.seen("published")[mark:] if m["name"] == self.task.name]
        return runs

    # --- looking
    def rows(self, sql):
        db = sqlite3.connect(self.db, timeout=5)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def state(self):
        return (self.rows("select id, status, tracking <> '' from shop_order order by id"),
                self.rows("select sku, stock from shop_product order by sku"))

    def dead(self):
        return self.rows("select count(*) from shop_failedtask")[0][0]

    def check(self, want, orders, dead=0, mails=None):
        got = self.state()
        if got != want:
            return f"state {[x for x in zip(got, want) if x[0] != x[1]][0]} (got, wanted)"
        if self.dead() != dead:
            return f"{self.dead()} dead letters instead of {dead}"
        keys = {}
        for call in self.seen("call", name="booking"):
            keys.setdefault(call["args"]["reference"], set()).add(call["args"].get("idempotency_key"))
        if any(len(k) > 1 for k in keys.values()):
            return f"one order booked under several keys: {keys}"
        if len(set().union(*keys.values())) < len(orders):
            return f"{len(orders)} orders share {len(set().union(*keys.values()))} key"
        sent = self.seen("call", name="mail", error="")
        if len({m["args"]["subject"] for m in sent}) < len(orders):
            return "a mail was never sent"
        if mails is not None and len(sent) != mails:
            return f"{len(sent)} mails instead of {mails}"

    def told(self):
        named = [l for l in self.seen("log") if str(self.A) in l["text"] and l["level"] >= 30]
        in_row = any(str(self.A) in str(r) for r in self.rows("select arguments, error from shop_failedtask"))
        return bool(named) or in_row

    # --- scenarios
    def scenarios(self):
        A, B, msg = self.A, self.B, self.message
        carrier = self.carrier
        import smtplib
        down = lambda: carrier.CarrierUnavailable("503")
        self.reset(); self.work(msg(A)); one = self.state()
        if dict((r[0], r[1]) for r in one[0])[A] != "shipped":
            yield "plain", f"order is {one[0]}"
        yield "plain", self.check(one, [A], mails=1)
        self.reset(); self.work(msg(A), msg(B, "m2")); two = self.state()
        lamp = dict(two[1])["LAMP"]
        yield "two jobs", None if lamp == 89 else f"stock {lamp} instead of 89"
        yield "two jobs", self.check(two, [A, B], mails=2)
        for n in (2, 3):
            self.reset(); self.work(*[msg(A)] * n)
            yield "redelivered", self.check(one, [A], mails=1)
        self.reset(); self.work(msg(A), msg(A, "m2"))
        yield "enqueued twice", self.check(one, [A], mails=1)

        for name, error in (("booking", down()), ("mail", smtplib.SMTPServerDisconnected("x")),
                            ("booking", TimeoutError()), ("mail", TimeoutError())):
            for times in (1, 3):
                self.reset(); self.plan = {name: [error] * times}
                runs = self.work(msg(A))
                yield f"{name} raises {error!r} {times}x", self.check(one, [A], mails=1)
        for name, error in (("booking", down()), ("mail", smtplib.SMTPServerDisconnected("x"))):
            self.reset(); self.plan = {name: [error] * 99}
            runs = self.work(msg(A))
            yield f"{name} stays down", None if runs == 5 else f"{runs} attempts instead of 5"
            yield f"{name} stays down", None if self.dead() == 1 else f"{self.dead()} dead letters"
            yield f"{name} stays down", None if self.told() else "no log record or dead letter names the order"
            held = dict(self.rows("select id, status from shop_order"))[A]
            yield f"{name} stays down", None if held == "on_hold" else f"the order is left {held}"
        self.reset(); self.plan = {"booking": [carrier.AddressRejected("no")] * 99}
        runs = self.work(msg(A))
        yield "permanent error", None if runs == 1 else f"a permanent error was tried {runs} times"
        yield "permanent error", None if self.dead() == 1 else f"{self.dead()} dead letters"
        yield "permanent error", None if self.told() else "no log record or dead letter names the order"

        for poison in ({}, {"order_id": -1}, {"order_id": "x"}, {"order_id": 999999}, {"order_id": None}, {"id": 3}):
            self.reset(); runs = self.work(msg(kwargs=poison))
            bad = runs != 1 or self.dead() != 1 or self.seen("call")
            yield f"poison {poison}", f"{runs} runs, {self.dead()} dead, calls {self.seen('call')}" if bad else None
        self.reset(); db = sqlite3.connect(self.db)
        db.execute("update shop_order set status='cancelled' where id=?", (A,)); db.commit(); db.close()
        self.work(msg(A))
        now = dict(self.rows("select id, status from shop_order"))[A]
        yield "cancelled order", None if now == "cancelled" else f"a cancelled order became {now}"

        # the publisher
        def pending():
            self.reset(); db = sqlite3.connect(self.db)
            db.execute("update shop_order set status='pending' where id=?", (A,)); db.commit(); db.close()
        pending()
        self.wait(self.fork(lambda: self.services.mark_paid(order_id=A), at=10**9, sig=9))
        lines = self.seen("lines")[-1]["n"]
        for at in range(1, lines + 2):
            pending()
            self.wait(self.fork(lambda: self.services.mark_paid(order_id=A), at, signal.SIGKILL))
            early = [p for p in self.seen("published") if p["order"] == A and p["status"] != "paid"]
            yield f"mark_paid killed at line {at}", f"published while the order was {early[0]['status']}" if early else None
            self.wait(self.fork(self.services.requeue_paid_orders))
            if dict(self.rows("select id, status from shop_order"))[A] == "paid":
                yield "relay", None if [p for p in self.seen("published") if p["order"] == A] else "never published"

        # somebody else's edit while the carrier is slow
        self.reset()

        def edit(name):
            if name == "booking":
                db = sqlite3.connect(self.db, timeout=0.2)
                try:
                    db.execute("update shop_order set note='leave at the door' where id=?", (A,)); db.commit()
                    self.note(kind="edited")
                except sqlite3.OperationalError:
                    pass
        self.hook = edit; self.work(msg(A))
        kept = self.rows(f"select note from shop_order where id={A}")[0][0]
        yield "edit meanwhile", "the customer's note was overwritten" if self.seen("edited") and not kept else None
        yield "edit meanwhile", self.check(one, [A])

        # killed at every line
        yield "pool child lost", None if self.task.acks_late and self.task.reject_on_worker_lost else "acked before it ran: a killed worker loses the job"
        self.reset(); self.wait(self.fork(lambda: self.deliver(msg(A)), 10**9, 9))
        lines = self.seen("lines")[-1]["n"]
        for at in range(1, lines + 1):
            self.reset(); self.work(msg(A), at=at)
            yield f"killed at line {at} of {lines}", self.check(one, [A])
        self.reset(); self.plan = {"booking": [carrier.AddressRejected("no")] * 99}
        self.wait(self.fork(lambda: self.deliver(msg(A)), 10**9, 9))
        wrong_lines, failed = self.seen("lines")[-1]["n"], self.state()
        for at in range(1, wrong_lines + 1):
            self.reset(); self.plan = {"booking": [carrier.AddressRejected("no")] * 99}
            self.work(msg(A), at=at)
            ok = self.dead() == 1 and self.state() == failed
            yield f"failing, killed at line {at}", None if ok else f"{self.dead()} dead letters, {self.state()[0]}"

        # two at once: the one stands still at each line while the other runs
        for other, want, orders in ((msg(A, "m2"), one, [A]), (msg(B, "m2"), two, [A, B])):
            for at in range(1, lines + 1, 1):
                self.reset()
                first = self.fork(lambda: self.deliver(msg(A)), at, signal.SIGSTOP)
                if self.wait(first) != "stopped":
                    continue
                second = self.fork(lambda: self.deliver(other))
                ended = self.wait(second, 0.2)
                os.kill(first, signal.SIGCONT)
                self.wait(first)
                ended or self.wait(second)
                yield f"two at once, one paused at line {at}", self.check(want, orders, mails=len(orders))


class Handler(logging.Handler):
    def __init__(self, drive):
        super().__init__()
        self.drive = drive

    def emit(self, record):
        extra = {k: v for k, v in record.__dict__.items() if k not in logging.LogRecord("", 0, "", 0, "", (), None).__dict__}
        if not record.name.startswith(("celery", "django")):
            self.drive.note(kind="log", level=record.levelno, text=f"{record.getMessage()} {extra}")


def drive(folder):
    for scenario, problem in Drive(folder).scenarios():
        if problem:
            print(f"VERDICT misbehaves: {scenario}: {problem}")
            return
    print("VERDICT behaves")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--drive"]:
        drive(sys.argv[2])
    else:
        sys.exit(main(sys.argv[1:]))
