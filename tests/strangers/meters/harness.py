"""Evidence for variants.py, without any tool.  python harness.py [id ...]

Per version one process imports the repository; every scenario runs in forked children of it on a fresh copy of the
database. A message goes through Dramatiq's own worker thread code (process_message, with its middleware), one after
the other; what it puts back (retries, delayed) is read from the StubBroker. A killed child's message is delivered
again, as the Redis broker does with messages that nobody has acknowledged.
"""
import json, os, re, shutil, signal, subprocess, sys, tempfile, time, traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
FULL = bool(os.environ.get("FULL"))  # kill at every line of the repository, not only at every eleventh (slow)
CORRECT = bool(os.environ.get("CORRECT"))
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


class Consumer:
    """Stands for the queue's consumer: notes what became of the message."""

    def __init__(self, bench):
        self.bench = bench

    def post_process_message(self, message):
        self.bench.note("log", level="BENCH", text="nack" if message.failed else "ack")


class Bench:
    def __init__(self, repo):
        self.repo, self.box = repo, Path(os.environ["BOX"])
        self.db, self.template = Path(os.environ["METER_DB"]), self.box / "template.sqlite3"
        from loguru import logger
        logger.remove()
        import queue, httpx, dramatiq.worker
        from meterhub import db, house, intake, jobs, objects
        self.httpx, self.objects, self.intake, self.broker = httpx, objects, intake, house.BROKER
        db.create(); db.demo()
        # M-1001 has a version 2 in addition
        import sqlite3
        con = sqlite3.connect(self.db)
        con.execute("insert into readings values ('M-1001', '2026-03-02T00', 100, 2)")
        con.execute("update meters set version = 2, announced = 2 where meter_id = 'M-1001'")
        con.commit(); con.execute("pragma wal_checkpoint(truncate)"); con.close()
        shutil.copy(self.db, self.template)
        work = queue.PriorityQueue()
        consumers = {name: Consumer(self) for name in ("forecasts", "archive")}
        self.thread = dramatiq.worker._WorkerThread(broker=self.broker, consumers=consumers, work_queue=work, worker_timeout=10)
        work.task_done = lambda: None
        import gc
        gc.collect(); gc.freeze()

    def fresh(self):
        for path in self.box.glob("*"):
            if path.is_file() and path not in (self.template, self.box / "trace.txt"):
                path.unlink()
        shutil.copy(self.template, self.db)

    def child(self, work, wait=True):
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            code = 0
            try:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, 2)
                from loguru import logger
                logger.add(lambda m: self.note("log", level=m.record["level"].name, text=m.record["message"]), level="INFO")
                work()
            except BaseException:
                with open(self.box / "trace.txt", "a") as f:
                    traceback.print_exc(file=f)
                code = 3
            os._exit(code)
        return os.waitpid(pid, 0)[1] if wait else pid

    def note(self, name, **what):
        with open(self.box / f"{name}.jsonl", "ab", buffering=0) as f:
            f.write(json.dumps(what).encode() + b"\n")

    def read(self, name):
        path = self.box / f"{name}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    # -- the world. A plan is a list of steps, the last one goes on for ever.
    def world(self, *plan):
        bench = self

        def step(who):
            n = sum(1 for e in bench.read("world") if e["who"] == who)
            now = plan[min(n, len(plan) - 1)]
            if callable(now):
                return now() or "ok"
            return now

        def post(url, json=None, headers=None, timeout=None):
            who, key = f"{json['meter']} v{json['version']}", headers["Idempotency-Key"]
            what = step(who)
            first = [e for e in bench.read("world") if e["key"] == key and e["step"] in ("ok", "lost")]
            answer = first[0]["answer"] if first else dict(
                forecast_id=f"F-{key}", kwh=[json["version"], sum(r["kwh"] for r in json["series"])])
            bench.note("world", who=who, key=key, step=what, answer=answer)
            if what in ("lost", "down"):
                raise bench.httpx.ReadTimeout("timed out")
            status = 200 if what == "ok" else int(what)
            return bench.httpx.Response(status, json=answer, request=bench.httpx.Request("POST", url))

        class Store:
            def put_object(self, Bucket, Key, Body, ContentType):
                from botocore.exceptions import ClientError, ReadTimeoutError
                who = Key[:len("readings/north/2026-03-01")]
                what = step(who)
                bench.note("world", who=who, key=Key, step=what, answer=Body.decode())
                if what == "lost":
                    raise ReadTimeoutError(endpoint_url="http://objects")
                if what == "down":
                    raise ClientError({"Error": {"Code": "SlowDown", "Message": "slow"}}, "PutObject")
                if what == "denied":
                    raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")
                return {"ETag": '"e"'}

        def arrange():
            bench.httpx.post = post
            bench.objects.client = lambda: Store()
        return arrange

    def done(self):
        return {e["key"] for e in self.read("world") if e["step"] in ("ok", "lost")}

    def calls(self):
        return len(self.read("world"))

    # -- delivery
    def run_one(self, message):
        from dramatiq.broker import MessageProxy
        self.thread.process_message(MessageProxy(message))

    def put_back(self):
        from dramatiq import Message
        found = []
        for name, queue in self.broker.queues.items():
            while not queue.empty():
                m = Message.decode(queue.get_nowait())
                found.append(m.copy(queue_name=m.queue_name.removesuffix(".DQ")))
                wait = m.options.get("eta", 0) - time.time() * 1000
                self.note("waits", wait=wait / 1000)
        return found

    def drain(self, messages):
        todo, attempts = list(messages), 0
        while todo:
            attempts += 1
            if attempts > LIMIT * len(messages):
                self.note("log", level="BENCH", text="unbounded")
                return
            self.run_one(todo.pop(0))
            todo += self.put_back()

    def deliver(self, *messages, world, die_at=None, wait=True):
        def work():
            world()
            if die_at:
                self.die_at(die_at)
            self.drain(messages)
            sys.settrace(None)
        return self.child(work, wait)

    def die_at(self, n, counter=None):
        seen = 0

        def local(frame, event, arg):
            nonlocal seen
            if event == "line":
                seen += 1
                if counter is not None:
                    counter[0] = seen
                elif seen == n:
                    os.kill(os.getpid(), signal.SIGKILL)
            return local
        sys.settrace(lambda frame, event, arg: local if frame.f_code.co_filename.startswith(self.repo) else None)

    def lines(self, messages, world):
        self.fresh()

        def work():
            world()
            counter = [0]
            self.die_at(0, counter)
            self.drain(messages)
            sys.settrace(None)
            self.note("lines", n=counter[0])
        self.child(work)
        return self.read("lines")[-1]["n"]

    # -- looking
    def sql(self, query, *args):
        import sqlite3
        con = sqlite3.connect(self.db, timeout=30)
        try:
            return con.execute(query, args).fetchall()
        finally:
            con.close()

    def parked(self):
        return self.sql("select job, payload, error, attempts from parked_jobs order by 2")

    def errors(self):
        return [e["text"] for e in self.read("log") if e["level"] == "ERROR"]

    def unbounded(self):
        return any(e["text"] == "unbounded" for e in self.read("log"))


def message(actor, queue, **kwargs):
    from dramatiq import Message
    return Message(queue_name=queue, actor_name=actor, args=(), kwargs=kwargs, options={})


def growing(waits):
    return all(w > 1.5 for w in waits) and all(b > a * 0.95 for a, b in zip(waits, waits[1:]))


def common(b, job, other, bad_status, poison, is_done, short):
    """What both jobs promise alike. is_done(which) -> bool"""
    b.fresh(); b.deliver(job(), world=b.world("ok")); b.deliver(job(), world=b.world("ok"))
    expect(b.calls() == 1 and is_done() and not b.parked(), f"delivered twice: {b.calls()} calls, done {is_done()}")

    b.fresh(); b.deliver(job(), world=b.world("lost", "ok"))
    expect(is_done() and len(b.done()) == 1, f"answer lost, then retry: {len(b.done())} {short}, done {is_done()}")

    b.fresh(); b.deliver(job(), world=b.world("down", "ok"))
    expect(is_done() and len(b.done()) == 1 and not b.parked(), f"down once, then up: {len(b.done())} {short}, done {is_done()}")

    b.fresh(); b.deliver(job(), job(), world=b.world("lost", "lost", "ok"))
    expect(is_done() and len(b.done()) == 1, f"enqueued twice: {len(b.done())} {short}")

    b.fresh(); b.deliver(job(), world=b.world(bad_status))
    expect(b.calls() == 1, f"refused: {b.calls()} attempts")
    expect(len(b.parked()) == 1 and not is_done(), f"refused: {len(b.parked())} parked")

    b.fresh(); b.deliver(job(), world=b.world("down"))
    expect(not b.unbounded(), "down for good: tried again without end")
    expect(b.calls() == 5, f"down for good: {b.calls()} attempts, 5 promised")
    expect(len(b.parked()) == 1, f"down for good, attempts used up: {len(b.parked())} parked")
    waits = [e["wait"] for e in b.read("waits")]
    expect(len(waits) == 4 and growing(waits), f"waits {waits}")

    b.fresh(); b.deliver(job(), other(), world=b.world("down"))
    expect(len(b.parked()) == 2 and len(b.errors()) == 2, f"two jobs given up: {len(b.parked())} parked, errors {b.errors()}")
    for m in (job(), other()):
        text = json.dumps(m.kwargs, sort_keys=True)
        expect(any(p[1] == text for p in b.parked()) and any(text in e for e in b.errors()), "which one is not told")

    bads = [message(job().actor_name, job().queue_name, **p) for p in poison]
    b.fresh(); b.deliver(*bads, job(), world=b.world("ok"))
    expect(len(b.parked()) == len(poison) and is_done() and b.calls() == 1, f"{len(poison)} poison messages: {len(b.parked())} parked")

    b.fresh()
    for pid in [b.deliver(job(), world=b.world(lambda: time.sleep(0.2)), wait=False) for _ in range(2)]:
        os.waitpid(pid, 0)
    expect(is_done() and len(b.done()) == 1 and not b.parked(), f"two at once: {len(b.done())} {short}")

    for plan, final, step in ((("lost", "ok"), "done", 11 if CORRECT else 1), ((bad_status,), "parked", 11)):
        for k in range(1, b.lines([job()], b.world(*plan)) + 1, 1 if FULL else step):
            b.fresh()
            b.deliver(job(), world=b.world(*plan), die_at=k)
            b.deliver(job(), world=b.world(*plan))
            if final == "done":
                expect(is_done() and len(b.done()) == 1 and not b.parked(),
                       f"killed at line event {k}, redelivered: {len(b.done())} {short}, done {is_done()}")
            else:
                expect(len(b.parked()) == 1, f"refused, killed at line event {k}: {len(b.parked())} parked")


def publisher(b, enqueue, committed, is_done):
    """Killed at each line of the publishing call; then only the sweep runs."""
    for k in range(1, 200, 1 if FULL else 5):
        b.fresh()

        def call():
            b.broker.enqueue = lambda m, delay=None: b.note("handed", **m.asdict())
            b.die_at(k); enqueue(); sys.settrace(None)

        def sweep():
            b.broker.enqueue = lambda m, delay=None: b.note("handed", **m.asdict())
            b.intake.announce_pending()
        status = b.child(call)
        b.child(sweep)
        b.deliver(*[message(e["actor_name"], e["queue_name"], **e["kwargs"]) for e in b.read("handed")], world=b.world("ok"))
        expect(is_done() or not committed(), f"publisher killed at line event {k}: job never ran")
        if status == 0:
            return expect(is_done(), "published, not done")


def forecast_refresh(b, base):
    job = lambda v=2, m="M-1001": message("forecast_meter", "forecasts", meter_id=m, version=v)
    row = lambda m="M-1001": (b.sql("select version, kwh from forecasts where meter_id = ?", m) or [(0, "[]")])[0]
    right = lambda m="M-1001", v=2: row(m) == (v, {1: "[1, 69.0]", 2: "[2, 169.0]"}[v])

    b.fresh(); b.deliver(job(1), world=b.world("ok")); b.deliver(job(2), world=b.world("ok")); b.deliver(job(1), world=b.world("ok"))
    expect(right(), f"versions 1, 2, 1 again: row is {row()}, orders {sorted(b.done())}")
    b.fresh(); b.deliver(job(1), job(1, "M-1002"), world=b.world("ok"))
    expect(right(v=1) and right("M-1002", 1), "two meters")

    b.fresh()
    started = []

    def first_waits():
        if not started:
            started.append(1)
            b.run_one(job(2))
    b.deliver(job(1), world=b.world(first_waits))
    expect(right(), f"version 2 came while version 1 was under way: row is {row()}")

    b.fresh(); b.deliver(job(), world=b.world("503", "429", "ok"))
    expect(right() and b.calls() == 3, "503, 429, 200")
    poison = [{}, {"meter_id": "M-1001"}, {"meter_id": "M-1001", "version": "2"}, {"meter_id": "kitchen", "version": 1},
              {"meter_id": "M-1001", "version": 2, "x": 1}, {"meter_id": "M-7777", "version": 1}]
    common(b, job, lambda: job(1, "M-1002"), "422", poison, right, "orders")
    if base:
        publisher(b, lambda: b.intake.take_readings("M-1002", {"2026-03-02T00": 100.0}),
                  lambda: b.sql("select version from meters where meter_id = 'M-1002'")[0][0] == 2, lambda: right("M-1002", 2))


def archive_day(b, base):
    job = lambda a="north": message("archive_day", "archive", area=a, day="2026-03-01")
    def done(a="north"):
        row = b.sql("select key, bytes from archives where area = ? and day = '2026-03-01'", a)
        stored = {e["key"]: e["answer"] for e in b.read("world") if e["step"] in ("ok", "lost")}
        return len(row) == 1 and row[0][0] in stored and len(stored[row[0][0]]) == row[0][1] and stored[row[0][0]].count("\n") == 24
    b.fresh(); b.deliver(job(), job("south"), world=b.world("ok"))
    expect(done() and done("south") and len(b.done()) == 2, "two areas")
    poison = [{}, {"area": "north"}, {"area": "north", "day": "yesterday"}, {"area": 7, "day": "2026-03-01"}, {"area": "west", "day": "2026-03-01"}]
    common(b, job, lambda: job("south"), "denied", poison, done, "objects")
    if base:
        publisher(b, lambda: b.intake.close_day("north", "2026-03-01"), lambda: b.sql("select 1 from closed_days"), done)


def drive(repo, job, base):
    sys.path.insert(0, repo)
    os.chdir(repo)
    import logging
    logging.disable(logging.CRITICAL)  # Dramatiq's own; the house logs with loguru
    bench = Bench(repo)
    try:
        {"forecast-refresh": forecast_refresh, "archive-day": archive_day}[job](bench, base)
    except Bad as bad:
        return f"misbehaves: {bad}"
    return "behaves"


def main(wanted):
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS
    counts = {k: sum(v["kind"] == k for v in VARIANTS) for k in ("correct", "mistake")}
    assert counts == {"correct": 3, "mistake": 7}, counts
    jobs = ("forecast-refresh", "archive-day")
    runs = [dict(id=f"base ({j})", kind="correct", job=j, edits=[]) for j in jobs] + VARIANTS
    shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
    wrong = 0
    for variant in runs:
        if wanted and variant["id"].split()[0] not in wanted:
            continue
        started = time.time()
        box = Path(tempfile.mkdtemp(prefix="meters-", dir=shm))
        try:
            lay_out(variant, box / "repo")
            env = dict(os.environ, BOX=str(box), METER_DB=str(box / "meters.sqlite3"), METER_BROKER="stub", PYTHONDONTWRITEBYTECODE="1",
                       CORRECT="1" if variant["kind"] == "correct" else "")
            base = "1" if variant["id"].startswith("base") else ""
            done = subprocess.run([sys.executable, __file__, "--drive", str(box / "repo"), variant["job"], base],
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
    print("all agree" if not wrong else f"{wrong} disagree")
    return wrong


if __name__ == "__main__":
    if sys.argv[1:2] == ["--drive"]:
        print(drive(sys.argv[2], sys.argv[3], bool(sys.argv[4])))
    else:
        sys.exit(main(sys.argv[1:]))
