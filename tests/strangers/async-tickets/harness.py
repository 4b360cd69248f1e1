"""Own evidence: lays out each variant in a temp folder and runs its taskiq task through taskiq's
own Receiver (middlewares, acks), one forked process per delivery; what is not acked comes again.
    python harness.py [variant-id ...]
"""
import asyncio, json, os, pathlib, shutil, signal, sqlite3, subprocess, sys, tempfile, time

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
            done = subprocess.run([sys.executable, "-B", __file__, "--drive", folder,
                                   "1" if variant["id"] == "base" else "3", variant.get("look", "")], cwd=folder,
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
    A, B = "ord-4711", "ord-4712"

    def __init__(self, folder):
        self.repo = pathlib.Path(folder)
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="one-run-", dir=folder))
        self.db, self.template = self.tmp / "tickets.db", self.tmp / "template.db"
        self.events, self.stderr = self.tmp / "events.jsonl", self.tmp / "stderr"
        os.environ.update(TICKETS_DATABASE=str(self.db), TICKETS_BROKER="memory")
        sys.path.insert(0, folder)
        import httpx
        import tickets.tasks, tickets.service, tickets.payments, tickets.db, tickets.broker
        tickets.db.create()
        db = sqlite3.connect(self.db)
        db.execute("insert into customers(id, email, credit_cents) values (7, 'bo@example.com', 0)")
        for pk, cents in ((self.A, 1000), (self.B, 4000)):
            db.execute("insert into orders(id, customer_id, event, amount_cents, status) values (?, 7, 'rock', ?, 'cancelled')", (pk, cents))
        db.commit(); db.close()
        shutil.copy(self.db, self.template)
        self.httpx, self.payments, self.service, self.broker = httpx, tickets.payments, tickets.service, tickets.broker.broker
        drive = self

        async def refund(self_, **kw):
            await asyncio.sleep(0)
            drive.effect("refund", kw["order_id"], kw.get("idempotency_key"))
            return {"id": "re_" + kw["order_id"][-4:]}

        async def post(self_, url, **kw):
            await asyncio.sleep(0)
            request = httpx.Request("POST", url)
            status = drive.effect("organiser", kw["json"]["order"], (kw.get("headers") or {}).get("Idempotency-Key")) or 200
            return httpx.Response(status, json={"accepted": status == 200}, request=request)

        tickets.payments.PaymentApi.refund = refund
        httpx.AsyncClient.post = post
        self.broker.kick = self.kick
        self.plan = {}

    def note(self, **event):
        with open(self.events, "a") as f:
            f.write(json.dumps(event, default=repr) + "\n")

    def seen(self, kind, **match):
        if not self.events.exists():
            return []
        rows = [json.loads(l) for l in self.events.read_text().splitlines()]
        return [r for r in rows if r["kind"] == kind and all(r.get(k) == v for k, v in match.items())]

    def effect(self, name, order, key):
        before = len(self.seen("call", name=name))
        fails = self.plan.get(name, [])
        error = fails[before] if before < len(fails) else None
        self.note(kind="call", name=name, order=order, key=key, error=repr(error) if error else "")
        if isinstance(error, int):
            return error
        if error:
            raise error

    async def kick(self, message):
        data = json.loads(message.message)
        order = data["kwargs"].get("order_id") or (data["args"] + [None])[0]
        db = sqlite3.connect(self.db)
        status = dict(db.execute("select id, status from orders")).get(order)
        db.close()
        self.note(kind="published", data=message.message.decode(), order=order, status=status)

    # --- processes
    def reset(self, sql=None):
        for f in self.tmp.glob("tickets.db*"):
            f.unlink()
        shutil.copy(self.template, self.db)
        self.events.unlink(missing_ok=True)
        self.stderr.unlink(missing_ok=True)
        self.plan = {}
        if sql:
            db = sqlite3.connect(self.db); db.execute(sql); db.commit(); db.close()

    def fork(self, coroutine, at=None, sig=None):
        pid = os.fork()
        if pid:
            return pid
        try:
            signal.alarm(60)
            err = os.open(self.stderr, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.dup2(err, 1); os.dup2(err, 2)
            if at is not None:
                count = 0
                root = str(self.repo / "tickets")

                def local(frame, event, arg):
                    nonlocal count
                    if event == "line":
                        count += 1
                        if count == at:
                            os.kill(os.getpid(), sig)
                    return local

                sys.settrace(lambda frame, event, arg: local if frame.f_code.co_filename.startswith(root) else None)
            asyncio.run(coroutine())
            sys.settrace(None)
            if at is not None:
                self.note(kind="lines", n=count)
        except BaseException as exc:
            self.note(kind="crash", error=repr(exc))
        finally:
            os._exit(0)

    @staticmethod
    def wait(pid, seconds=None):
        end = time.time() + (seconds or 90)
        while time.time() < end:
            got, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
            if got:
                if os.WIFSTOPPED(status):
                    return "stopped"
                return "killed" if os.WIFSIGNALED(status) else "done"
            time.sleep(0.002)
        return None

    def message(self, order=None, id="m1", kwargs=None):
        kwargs = {"order_id": order, "reason": "rain"} if kwargs is None else kwargs
        return json.dumps(dict(task_id=id, task_name="tickets.refund_order", labels={k: v for k, v in self.broker.find_task("tickets.refund_order").labels.items() if isinstance(v, str)}, labels_types={}, args=[], kwargs=kwargs))

    async def deliver(self, data):
        from taskiq.abc.broker import AckableMessage
        from taskiq.receiver import Receiver
        receiver = Receiver(self.broker, max_async_tasks=1)
        await receiver.callback(AckableMessage(data=data.encode(), ack=lambda: self.note(kind="ack", data=data)))

    def work(self, *messages, at=None, limit=9):
        queue, runs = list(messages), 0
        while queue and runs < limit:
            data = queue.pop(0)
            published, acks = len(self.seen("published")), len(self.seen("ack"))
            outcome = self.wait(self.fork(lambda: self.deliver(data), at, signal.SIGKILL))
            runs += 1
            at = None
            if outcome == "killed" and len(self.seen("ack")) == acks:
                queue.insert(0, data)
            queue += [m["data"] for m in self.seen("published")[published:]]
        return runs

    # --- looking
    def rows(self, sql):
        db = sqlite3.connect(self.db, timeout=5)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def state(self):
        return self.rows("select id, status, refund_id from orders order by id"), self.rows("select id, credit_cents from customers order by id")

    def dead(self):
        return self.rows("select count(*) from dead_jobs")[0][0]

    def check(self, want, orders, dead=0):
        got = self.state()
        if got != want:
            return f"state {[x for x in zip(got, want) if x[0] != x[1]][0]} (got, wanted)"
        if self.dead() != dead:
            return f"{self.dead()} dead letters instead of {dead}"
        for name in ("refund", "organiser"):
            keys = {}
            for call in self.seen("call", name=name):
                keys.setdefault(call["order"], set()).add(call["key"])
            if any(len(k) > 1 or None in k for k in keys.values()):
                return f"{name}: one order under several keys or none: {keys}"
            if len(set().union(set(), *keys.values())) < len(orders):
                return f"{name}: {len(orders)} orders, keys {keys}"
            if {c["order"] for c in self.seen("call", name=name, error="")} != set(orders):
                return f"{name} was never done for some order"

    def told(self):
        named = False
        for line in self.stderr.read_text().splitlines():
            if line.startswith("{") and "4711" in line and json.loads(line).get("level") in ("warning", "error", "critical"):
                named = True
        return named or any("4711" in str(r) for r in self.rows("select payload, error from dead_jobs"))

    def calls(self):
        return len(self.seen("call"))

    # --- scenarios
    def scenarios(self, stride, look):
        A, B, msg = self.A, self.B, self.message
        self.reset(); self.work(msg(A)); one = self.state()
        if one[0][2][1:] != ("refunded", "re_4711") or dict(one[1])[7] != 50:
            yield "plain", f"{one}"
        yield "plain", self.check(one, [A])
        self.reset(); self.work(msg(A), msg(B, "m2")); two = self.state()
        yield "two jobs", None if dict(two[1])[7] == 250 else f"credit {two[1]} instead of 250"
        yield "two jobs", self.check(two, [A, B])
        for other in (msg(A), msg(A, "m2")):
            self.reset(); self.work(msg(A), other)
            yield "twice", self.check(one, [A])
            yield "twice", None if self.calls() == 2 else f"{self.calls()} calls instead of 2"

        httpx, payments = self.httpx, self.payments
        self.reset(); self.wait(self.fork(lambda: self.deliver(msg(A)), 10**9, 9)); job_lines = self.seen("lines")[-1]["n"]

        def errors():
            for name, error in (("refund", payments.PaymentsDown("x")), ("refund", TimeoutError()), ("organiser", 503),
                                ("organiser", httpx.ConnectTimeout("timed out"))):
                for times in (1, 3):
                    self.reset(); self.plan = {name: [error] * times}
                    self.work(msg(A))
                    yield f"{name} {error!r} {times}x", self.check(one, [A])
                self.reset(); self.plan = {name: [error] * 99}
                runs = self.work(msg(A))
                yield f"{name} {error!r} for ever", None if runs == 5 else f"{runs} attempts instead of 5"
                yield f"{name} {error!r} for ever", None if self.dead() == 1 else f"{self.dead()} dead letters"
                yield f"{name} {error!r} for ever", None if self.told() else "no log record or dead letter names the order"
            for name, error in (("refund", payments.RefundRejected("closed")), ("organiser", 404)):
                self.reset(); self.plan = {name: [error] * 99}
                runs = self.work(msg(A))
                yield f"{name} refuses", None if (runs, self.dead()) == (1, 1) else f"tried {runs} times, {self.dead()} dead letters"
                yield f"{name} refuses", None if self.told() else "no log record or dead letter names the order"
            for poison in ({}, {"order_id": 17, "reason": "x"}, {"order_id": A, "reason": ""}, {"order_id": "ord-none", "reason": "x"},
                           {"order_id": None, "reason": "x"}, {"order_id": A, "why": 1}):
                self.reset(); runs = self.work(msg(kwargs=poison))
                bad = runs != 1 or self.dead() != 1 or self.calls()
                yield f"poison {poison}", f"{runs} runs, {self.dead()} dead letters, {self.calls()} calls" if bad else None
            self.reset(f"update orders set status='used' where id='{A}'"); self.work(msg(A))
            yield "used order", None if self.state()[0][2][1] == "used" and not self.calls() else "a used order was refunded"

        def publisher():
            # the publisher, killed at every line, then the relay
            cancel = lambda: self.service.cancel_order(order_id=A, reason="rain")
            paid = f"update orders set status='paid' where id='{A}'"
            self.reset(paid); self.wait(self.fork(cancel, 10**9, 9)); lines = self.seen("lines")[-1]["n"]
            for at in range(1, lines + 2):
                self.reset(paid); self.wait(self.fork(cancel, at, signal.SIGKILL))
                early = [p for p in self.seen("published") if p["status"] == "paid"]
                yield f"cancel_order killed at line {at}", "published before the commit" if early else None
                self.wait(self.fork(self.service.publish_pending))
                lost = self.state()[0][2][1] == "cancelled" and not self.seen("published")
                yield f"cancel_order killed at line {at}", "cancelled, and never published" if lost else None

        def killed():
            # killed at every line
            for at in range(1, job_lines + 1, 1 if stride == 1 else 2):
                self.reset(); self.work(msg(A), at=at)
                yield f"killed at line {at} of {job_lines}", self.check(one, [A])
            fails = {"refund": [payments.RefundRejected("closed")] * 99}
            self.reset(); self.plan = fails; self.wait(self.fork(lambda: self.deliver(msg(A)), 10**9, 9))
            for at in range(1, self.seen("lines")[-1]["n"] + 1, stride):
                self.reset(); self.plan = fails; self.work(msg(A), at=at)
                yield f"failing, killed at line {at}", None if self.dead() == 1 else f"{self.dead()} dead letters"

        def together():
            # two at once: the one stands still at a line while the other runs
            for other, want, orders in ((msg(A, "m2"), one, [A]), (msg(B, "m2"), two, [A, B])):
                for at in range(1, job_lines + 1, stride):
                    self.reset()
                    first = self.fork(lambda: self.deliver(msg(A)), at, signal.SIGSTOP)
                    if self.wait(first) != "stopped":
                        continue
                    second = self.fork(lambda: self.deliver(other))
                    ended = self.wait(second, 0.5)
                    os.kill(first, signal.SIGCONT)
                    self.wait(first)
                    ended or self.wait(second)
                    yield f"two at once, one paused at line {at}", self.check(want, orders)

        parts = [errors, publisher, killed, together]
        parts.sort(key=lambda part: part.__name__ != look)  # what a variant is about comes first
        for part in parts:
            yield from part()


def drive(folder, stride, look):
    for scenario, problem in Drive(folder).scenarios(stride, look):
        if problem:
            print(f"VERDICT misbehaves: {scenario}: {problem}")
            return
    print("VERDICT behaves")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--drive"]:
        drive(sys.argv[2], int(sys.argv[3]), (sys.argv[4:] or [""])[0])
    else:
        sys.exit(main(sys.argv[1:]))
