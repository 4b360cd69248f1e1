"""Own evidence: lays out each variant in a temp folder and runs its huey task through
huey.execute, one forked process per delivery. huey drops a task when it hands it out, so after a
death the sweep publishes again, as in production.
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
            done = subprocess.run([sys.executable, "-B", __file__, "--drive", folder,
                                   "1" if variant["id"] == "base" else "3"], cwd=folder,
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
    A, B, C = ("evt-4711", "acme"), ("evt-4711", "globex"), ("evt-4712", "acme")

    def __init__(self, folder):
        self.repo = pathlib.Path(folder)
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="one-run-", dir=folder))
        self.db, self.template = self.tmp / "hooks.db", self.tmp / "template.db"
        self.events, self.stderr = self.tmp / "events.jsonl", self.tmp / "stderr"
        os.environ.update(HOOKS_DB=str(self.db), HOOKS_QUEUE="memory")
        sys.path.insert(0, folder)
        import hooks.jobs, hooks.events, hooks.partners, hooks.db, hooks.queue, hooks.worker
        import requests
        hooks.db.create()
        db = sqlite3.connect(self.db)
        db.execute("delete from deliveries")
        db.executemany("insert into events values (?, 'order.paid', '{}')", [("evt-4711",), ("evt-4712",)])
        db.commit(); db.close()
        shutil.copy(self.db, self.template)
        self.requests, self.partners, self.hooks, self.huey = requests, hooks.partners, hooks, hooks.queue.huey
        self.task = hooks.jobs.deliver
        hooks.partners.post = self.post
        self.huey.enqueue = lambda task: self.publish(task, task.retries)
        self.huey._requeue_task = lambda task, timestamp, retry_eta=None: self.publish(task, task.retries - 1)
        logging.getLogger().handlers[:] = [Handler(self)]
        self.plan = []

    def note(self, **event):
        with open(self.events, "a") as f:
            f.write(json.dumps(event, default=repr) + "\n")

    def seen(self, kind, **match):
        if not self.events.exists():
            return []
        rows = [json.loads(l) for l in self.events.read_text().splitlines()]
        return [r for r in rows if r["kind"] == kind and all(r.get(k) == v for k, v in match.items())]

    def post(self, url, body, secret, webhook_id):
        before = len(self.seen("call"))
        error = self.plan[before] if before < len(self.plan) else None
        what = json.loads(body)["id"] + " " + url.split("//")[1].split(".")[0]
        self.note(kind="call", job=what, key=webhook_id, error=repr(error) if error else "")
        if error:
            raise error
        return "r-" + what

    def publish(self, task, retries):
        payload = dict(task.kwargs)
        try:
            db = sqlite3.connect(self.db)
            known = db.execute("select count(*) from deliveries where event_id=?", (payload.get("event_id"),)).fetchone()[0]
            db.close()
        except sqlite3.Error:
            known = -1
        self.note(kind="published", payload=payload, retries=retries, known=known)

    # --- processes
    def reset(self, *jobs, sql=None):
        for f in self.tmp.glob("hooks.db*"):
            f.unlink()
        shutil.copy(self.template, self.db)
        self.events.unlink(missing_ok=True)
        self.plan = []
        db = sqlite3.connect(self.db)
        db.executemany("insert into deliveries (event_id, partner) values (?, ?)", jobs)
        if sql:
            db.execute(sql)
        db.commit(); db.close()

    def fork(self, fn, at=None, sig=None):
        pid = os.fork()
        if pid:
            return pid
        try:
            signal.alarm(60)
            err = os.open(self.stderr, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.dup2(err, 1); os.dup2(err, 2)
            if at is not None:
                count = 0
                root = str(self.repo / "hooks")

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

    def message(self, job=None, payload=None):
        return dict(payload=dict(zip(("event_id", "partner"), job)) if payload is None else payload, retries=None)

    def deliver(self, message):
        task = self.task.s(**message["payload"])
        if message["retries"] is not None:
            task.retries = message["retries"]
        self.huey.execute(task)

    def work(self, *messages, at=None, limit=9):
        queue, runs = list(messages), 0
        while queue and runs < limit:
            message = queue.pop(0)
            mark = len(self.seen("published"))
            outcome = self.wait(self.fork(lambda: self.deliver(message), at, signal.SIGKILL))
            runs += 1
            at = None
            if outcome == "killed":
                self.wait(self.fork(self.hooks.events.publish_pending))
            queue += self.seen("published")[mark:]
        return runs

    # --- looking
    def rows(self, sql):
        db = sqlite3.connect(self.db, timeout=5)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def state(self):
        return self.rows("select event_id, partner, status, receipt from deliveries order by 1, 2"), self.rows("select name, billed_calls from partners order by 1")

    def dead(self):
        return self.rows("select count(*) from dead_jobs")[0][0]

    def check(self, want, jobs, dead=0):
        got = self.state()
        if got != want:
            return f"state {[x for x in zip(got, want) if x[0] != x[1]][0]} (got, wanted)"
        if self.dead() != dead:
            return f"{self.dead()} dead letters instead of {dead}"
        keys = {}
        for call in self.seen("call"):
            keys.setdefault(call["job"], set()).add(call["key"])
        if any(len(k) > 1 for k in keys.values()):
            return f"one delivery under several ids: {keys}"
        if len(set().union(set(), *keys.values())) < len(jobs):
            return f"{len(jobs)} deliveries, ids {keys}"
        if {c["job"] for c in self.seen("call", error="")} != {" ".join(j) for j in jobs}:
            return "a partner was never called"

    def told(self):
        return any("4711" in l["text"] for l in self.seen("log") if l["level"] >= 30) or any(
            "4711" in str(r) for r in self.rows("select payload, error from dead_jobs"))

    # --- scenarios
    def scenarios(self, stride):
        A, B, C, msg = self.A, self.B, self.C, self.message
        self.reset(A); self.work(msg(A)); one = self.state()
        if one != ([("evt-4711", "acme", "sent", "r-evt-4711 acme")], [("acme", 1), ("globex", 0)]):
            yield "plain", f"{one}"
        yield "plain", self.check(one, [A])
        self.reset(A, B, C); self.work(msg(A))
        rest = [r for r in self.state()[0] if r[2] != "sent"]
        yield "one of three", None if len(rest) == 2 else f"one job changed the others: {self.state()[0]}"
        self.work(msg(B), msg(C)); three = self.state()
        yield "three jobs", self.check(three, [A, B, C])
        yield "three jobs", None if dict(three[1]) == {"acme": 2, "globex": 1} else f"billed {three[1]}"
        self.reset(A); self.work(msg(A), msg(A), msg(A))
        yield "delivered three times", self.check(one, [A])

        busy, reqs = self.partners.PartnerBusy("503"), self.requests
        for error in (busy, reqs.ConnectionError("refused"), reqs.Timeout("slow")):
            for times in (1, 4):
                self.reset(A); self.plan = [error] * times; self.work(msg(A))
                yield f"{error!r} {times}x", self.check(one, [A])
            self.reset(A, B); self.plan = [error] * 99
            runs = self.work(msg(A))
            yield f"{error!r} for ever", None if runs == 5 else f"{runs} attempts instead of 5"
            yield f"{error!r} for ever", None if self.dead() == 1 else f"{self.dead()} dead letters"
            yield f"{error!r} for ever", None if self.told() else "no log record or dead letter names the delivery"
            want = ["dead", "pending"]
            yield f"{error!r} for ever", None if [r[2] for r in self.state()[0]] == want else f"{self.state()[0]}"
        self.reset(A, B); self.plan = [self.partners.PartnerRefused("410")] * 99
        runs = self.work(msg(A))
        yield "refused", None if (runs, self.dead()) == (1, 1) else f"tried {runs} times, {self.dead()} dead letters"
        yield "refused", None if self.told() else "no log record or dead letter names the delivery"
        yield "refused", None if [r[2] for r in self.state()[0]] == ["dead", "pending"] else f"{self.state()[0]}"
        self.work(msg(B))
        yield "two refused", None if self.dead() == 2 else f"{self.dead()} dead letters for two dead jobs"
        for poison in ({}, {"event_id": "evt-4711"}, {"event_id": "evt-4711", "partner": ""}, {"event_id": 5, "partner": "acme"},
                       {"event_id": "evt-4711", "partner": "nobody"}, {"event_id": "evt-4711", "partner": "acme", "x": 1}):
            self.reset(A); runs = self.work(msg(payload=poison))
            bad = runs != 1 or self.dead() != 1 or self.seen("call")
            yield f"poison {poison}", f"{runs} runs, {self.dead()} dead letters" if bad else None

        # the publisher, killed at every line, then the sweep
        emit = lambda: self.hooks.events.emit("evt-new", "order.paid", {"total": 1})
        self.reset(); self.wait(self.fork(emit, 10**9, 9)); lines = self.seen("lines")[-1]["n"]
        for at in range(1, lines + 2):
            self.reset(); self.wait(self.fork(emit, at, signal.SIGKILL))
            early = [p for p in self.seen("published") if p["known"] == 0]
            yield f"emit killed at line {at}", "published before the commit" if early else None
            self.wait(self.fork(self.hooks.events.publish_pending))
            n, sent = len(self.state()[0]), {p["payload"]["partner"] for p in self.seen("published")}
            yield f"emit killed at line {at}", f"{n} deliveries, published {sent}" if len(sent) < n else None

        # killed at every line
        self.reset(A); self.wait(self.fork(lambda: self.deliver(msg(A)), 10**9, 9)); lines = self.seen("lines")[-1]["n"]
        for at in range(1, lines + 1):
            self.reset(A); self.work(msg(A), at=at)
            yield f"killed at line {at} of {lines}", self.check(one, [A])
        fails = [self.partners.PartnerRefused("410")] * 99
        self.reset(A); self.plan = fails; self.wait(self.fork(lambda: self.deliver(msg(A)), 10**9, 9))
        for at in range(1, self.seen("lines")[-1]["n"] + 1):
            self.reset(A); self.plan = fails; self.work(msg(A), at=at)
            yield f"failing, killed at line {at}", None if self.dead() == 1 else f"{self.dead()} dead letters"

        # two at once: the one stands still at a line while the other runs
        self.reset(A, C); self.work(msg(A), msg(C)); two = self.state()
        for other, want, jobs in ((A, one, [A]), (C, two, [A, C])):
            for at in range(1, lines + 1, stride):
                self.reset(*jobs)
                first = self.fork(lambda: self.deliver(msg(A)), at, signal.SIGSTOP)
                if self.wait(first) != "stopped":
                    continue
                second = self.fork(lambda: self.deliver(msg(other)))
                ended = self.wait(second, 0.4)
                os.kill(first, signal.SIGCONT)
                self.wait(first)
                ended or self.wait(second)
                yield f"two at once, one paused at line {at}", self.check(want, jobs)


class Handler(logging.Handler):
    def __init__(self, drive):
        super().__init__()
        self.drive = drive

    def emit(self, record):
        extra = {k: v for k, v in vars(record).items() if k not in vars(logging.makeLogRecord({}))}
        if record.name.startswith("hooks"):
            self.drive.note(kind="log", level=record.levelno, text=f"{record.getMessage()} {extra}")


def drive(folder, stride):
    for scenario, problem in Drive(folder).scenarios(stride):
        if problem:
            print(f"VERDICT misbehaves: {scenario}: {problem}")
            return
    print("VERDICT behaves")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--drive"]:
        drive(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(main(sys.argv[1:]))
