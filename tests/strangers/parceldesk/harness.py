"""Evidence without the tool: delivers print_label as an RQ worker does (fork per attempt, failure
callback, retries, work_horse_killed_handler) against a carrier that keeps its own books.

python harness.py            one line per variant
python harness.py --probe D  the scenarios on the repository laid out in D
"""

import json
import logging
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing

HERE = os.path.dirname(os.path.abspath(__file__))
ATTEMPTS = 5
STRIDE = int(os.environ.get("STRIDE", 3))  # kill at every STRIDE-th line; 1 takes minutes


# ---------------------------------------------------------------- the carrier's side
class Carrier:
    def __init__(self, path):
        self.path = path
        self.answers = []  # status of the n-th request; after the last one, the last
        self.wait_for = 0
        with closing(self._con()) as con:
            con.executescript(
                "create table requests (n integer primary key, key text, body text);"
                "create table labels (id integer primary key, key text unique, body text);"
            )

    def _con(self):
        return sqlite3.connect(self.path, timeout=15, isolation_level=None)

    def handle(self, request):
        import httpx

        key, body = request.headers.get("Idempotency-Key"), request.content.decode()
        with closing(self._con()) as con:
            n = con.execute("insert into requests (key, body) values (?, ?)", (key, body)).lastrowid
            end = time.time() + 0.5
            while self.wait_for > self.count("requests") and time.time() < end:
                time.sleep(0.02)
            status = (self.answers or [200])[min(n, len(self.answers or [200])) - 1]
            if status == "cut":
                raise httpx.ConnectTimeout("cut", request=request)
            if status != 200:
                return httpx.Response(status, json={"error": "no"}, request=request)
            con.execute("insert into labels (key, body) values (?, ?) on conflict do nothing", (key, body))
            number = con.execute("select id from labels where key is ?", (key,)).fetchone()[0]
        return httpx.Response(200, json={"tracking": f"SF{number}", "label_url": f"u/{number}"}, request=request)

    def count(self, table):
        with closing(self._con()) as con:
            return con.execute(f"select count(*) from {table}").fetchone()[0]


# ---------------------------------------------------------------- RQ's side
class Depot:
    """A fresh store, a fresh carrier, an RQ queue whose jobs stay in this process."""

    def __init__(self, folder):
        import httpx
        import rq

        import parceldesk.worker as worker

        self.folder = tempfile.mkdtemp(dir=folder)
        os.environ["PARCELDESK_DB"] = os.path.join(self.folder, "desk.db")
        shutil.copy(os.path.join(folder, "template.db"), os.environ["PARCELDESK_DB"])
        self.carrier = Carrier(os.path.join(self.folder, "carrier.db"))
        self.log = os.path.join(self.folder, "log")
        self.queue, self.executions, self.failed = [], 0, 0
        root = logging.getLogger()
        for handler in list(root.handlers):
            root.removeHandler(handler)
        handler = logging.FileHandler(self.log)
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
        root.addHandler(handler)
        root.setLevel("INFO")
        httpx._transports.default.create_ssl_context = lambda **settings: None  # slow, and nobody connects
        httpx.HTTPTransport.handle_request = lambda transport, request: self.carrier.handle(request)
        depot = self

        def enqueue_call(queue, func, args=None, kwargs=None, **rest):
            for name in ("pipeline", "unique", "at_front"):
                rest.pop(name, None)
            job = queue.create_job(func, args=args, kwargs=kwargs, **rest)
            job.id  # drawn on first sight; RQ does so when it stores the job
            depot.queue.append(job)
            return job

        def enqueue_in(queue, delta, func, *args, **kwargs):
            return queue.enqueue(func, *args, **kwargs)

        rq.Queue.enqueue_call = enqueue_call
        rq.Queue.enqueue_in = enqueue_in

        class Recorder:
            def __init__(self, *args, work_horse_killed_handler=None, **kwargs):
                depot.on_kill = work_horse_killed_handler

            def work(self, **kwargs):
                pass

        worker.Worker = Recorder
        worker.logs.setup = lambda: None
        worker.main()

    def rows(self, sql):
        with closing(sqlite3.connect(os.environ["PARCELDESK_DB"])) as con:
            return con.execute(sql).fetchall()

    def in_child(self, work, kill_at=None):
        """work() in a fork; its answer, or 'killed'. kill_at: the n-th line executed of the job, the service or the adapter."""
        out, into = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(out)
            here, seen = tuple(f"{os.getcwd()}/parceldesk/{name}.py" for name in ("jobs", "carrier", "services")), [0]

            def local(frame, event, arg):
                if event == "line":
                    seen[0] += 1
                    if seen[0] == kill_at:
                        os.kill(os.getpid(), signal.SIGKILL)
                return local

            def tracer(frame, event, arg):
                return local if frame.f_code.co_filename.startswith(here) else None

            del self.queue[:]
            if kill_at:
                sys.settrace(tracer)
            try:
                answer = work()
            except BaseException as exc:
                answer = {"raised": repr(exc)}
            sys.settrace(None)
            more = [(j.func_name, j.args, j.kwargs, j.retries_left, j.retry_intervals, j._failure_callback_name) for j in self.queue]
            os.write(into, pickle.dumps((answer, more)))
            os._exit(0)
        os.close(into)
        return pid, out

    def join(self, child):
        pid, out = child
        data = b""
        while chunk := os.read(out, 65536):
            data += chunk
        os.close(out)
        os.waitpid(pid, 0)
        if not data:
            return "killed"
        answer, more = pickle.loads(data)
        for name, args, kwargs, left, waits, callback in more:
            from rq import Queue
            job = Queue("labels", connection=object()).create_job(name, args=args, kwargs=kwargs)
            job.retries_left, job.retry_intervals, job._failure_callback_name = left, waits, callback
            self.queue.append(job)
        return answer

    def start(self, job, kill_at=None):
        from rq import Retry
        from rq.callbacks import execute_failure_callback
        from rq.timeouts import UnixSignalDeathPenalty

        def attempt():
            try:
                value = job.perform()
            except BaseException:
                try:
                    execute_failure_callback(job, UnixSignalDeathPenalty, *sys.exc_info())
                except BaseException:
                    pass
                return {"end": "failed", "left": job.retries_left}
            if isinstance(value, Retry):
                return {"end": "retry", "max": value.max}
            return {"end": "done"}

        self.executions += 1
        return self.in_child(attempt, kill_at)

    def settle(self, job, answer):
        """What the worker does with the end of an attempt; True: the job comes again."""
        if answer == "killed":
            self.on_kill(job, 0, 9, None)
            answer = {"end": "failed", "left": job.retries_left}
        if answer["end"] == "retry":
            job.number_of_retries = (job.number_of_retries or 0) + 1
            again = job.number_of_retries <= answer["max"]
        elif answer["end"] == "failed":
            again = bool(answer["left"])
            job.retries_left = answer["left"] - 1 if again else 0
        else:
            return False
        self.failed += not again
        return again

    def drain(self, kill_first=None, kill_attempt=None):
        first = True
        while self.queue and self.executions < 30:
            job = self.queue.pop(0)
            tries = 0
            while self.executions < 30:
                tries += 1
                kill = kill_first if first else (1 if tries == kill_attempt else None)
                first = False
                if not self.settle(job, self.join(self.start(job, kill))):
                    break

    def request(self, shipment_id, parcel):
        from parceldesk import services

        services.request_label(shipment_id, parcel)

    def dead(self):
        return self.rows("select message, error from failed_jobs")

    def outcome(self):
        return (
            self.rows("select shipment_id, parcel, tracking from labels order by 1, 2"),
            self.rows("select shipment_id, parcel, label_state from parcels order by 1, 2"),
            self.carrier.count("labels"),
            len(self.dead()),
        )

    def names(self, *words):
        """Does an operator find these words in an error line of the log, or in a dead letter?"""
        with open(self.log) as lines:
            errors = [line for line in lines if line.startswith(("ERROR", "CRITICAL"))]
        return all(any(word in line for line in errors) for word in words)


GOOD = ([(1, 1, "SF1")], [(1, 1, "printed"), (1, 2, "packed"), (2, 1, "packed")], 1, 0)


def scenarios(folder):
    def fresh():
        return Depot(folder)

    d = fresh()
    d.request(1, 1)
    import copy
    again = copy.copy(d.queue[0])
    d.drain()
    if d.outcome() != GOOD:
        yield f"one run ends with {d.outcome()}"
    d.queue = [again]
    d.drain()
    if d.outcome() != GOOD:
        yield f"delivered twice: {d.outcome()}"

    d = fresh()
    for where in ((1, 1), (1, 2), (2, 1)):
        d.request(*where)
    d.drain()
    if d.carrier.count("labels") != 3 or len(set(r[0] for r in d.rows("select tracking from labels"))) != 3:
        yield f"three parcels have {d.carrier.count('labels')} labels at the carrier"

    d = fresh()
    d.request(1, 1)
    d.request(1, 1)
    d.carrier.wait_for = 2
    children = [(job, d.start(job)) for job in d.queue]
    d.queue = []
    for job, child in children:
        while d.settle(job, d.join(child)):
            child = d.start(job)
    if d.outcome() != GOOD:
        yield f"requested twice, two workers at once: {d.outcome()}"

    for error in (503, 429, "cut"):
        d = fresh()
        d.carrier.answers = [error, error, 200]
        d.request(1, 1)
        d.drain()
        if d.outcome() != GOOD or d.carrier.count("requests") != 3:
            yield f"{error} twice, then well: {d.outcome()}"

    d = fresh()
    d.carrier.answers = [503]
    d.request(1, 1)
    waits = d.queue[0].retry_intervals
    if not all(w // 2 <= got <= w for w, got in zip((30, 60, 120, 240), waits, strict=True)):
        yield f"waits {waits}"
    d.drain()
    if d.executions != ATTEMPTS:
        yield f"carrier away: tried {d.executions}{'+' if d.executions >= 30 else ''} times"
    if len(d.dead()) != 1:
        yield f"carrier away: {len(d.dead())} dead letters"
    elif not d.names("1", "print-label"):
        yield "carrier away: no error line names the job"

    d = fresh()
    d.carrier.answers = [422]
    d.request(1, 2)
    d.drain()
    if d.carrier.count("requests") != 1:
        yield f"refused label ordered {d.carrier.count('requests')} times"
    if len(d.dead()) != 1 or d.rows("select label_state from parcels where parcel = 2") != [("failed",)]:
        yield f"refused label: {d.outcome()}"
    if not d.names("print-label"):
        yield "refused label: no error line names the job"

    d = fresh()
    d.carrier.answers = [503]
    d.request(1, 1)
    d.drain(kill_attempt=ATTEMPTS)
    if len(d.dead()) != 1 or d.executions != ATTEMPTS:
        yield f"killed in the last attempt: {len(d.dead())} dead letters, {d.executions} attempts"

    from parceldesk import queueing
    for message in ({}, {"shipment_id": 1}, {"shipment_id": "one", "parcel": 1}, {"shipment_id": 1, "parcel": -1},
                    {"shipment_id": 999, "parcel": 1}, {"shipment_id": 1, "parcel": 1, "rush": True}, {"shipment_id": [1], "parcel": {}}):
        d = fresh()
        queueing.publish_label(1, 1)
        d.queue[0].kwargs = message
        before = d.rows("select * from parcels")
        d.drain()
        if len(d.dead()) != 1 or d.executions != 1 or d.carrier.count("requests") or d.rows("select * from parcels") != before:
            yield f"poison {message}: {d.executions} attempts, {len(d.dead())} dead letters"

    worst = {}
    for line in range(1, 400, STRIDE):
        d = fresh()
        d.request(1, 1)
        job = d.queue[0]
        d.drain(kill_first=line)
        if d.outcome() != GOOD:
            worst.setdefault(str(d.outcome()), line)
        if d.executions == 1:
            break
    for what, line in list(worst.items())[:1]:
        yield f"killed at line event {line}: {what}"

    from parceldesk import services
    for line in range(1, 200, STRIDE):
        d = fresh()
        end = d.join(d.in_child(lambda: services.request_label(1, 1), line))
        left = d.rows("select count(*) from parcels where label_state = 'requested'")[0][0]
        services.requeue_requested()
        d.drain()
        if left and d.outcome() != GOOD:
            yield f"request killed at {line}: {d.outcome()}"
        if end != "killed":
            break


def probe(folder):
    os.chdir(folder)
    sys.path.insert(0, folder)
    scratch = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    os.environ["PARCELDESK_DB"] = os.path.join(scratch, "template.db")
    from parceldesk import db

    db.create(demo=True)
    import parceldesk.jobs  # noqa: F401
    import parceldesk.services  # noqa: F401
    try:
        for number, problem in enumerate(scenarios(scratch), 1):
            print(problem, flush=True)
            if number == 2:
                break  # enough seen
    finally:
        shutil.rmtree(scratch)


def lay_out(variant, into):
    shutil.copytree(os.path.join(HERE, "base"), into, ignore=shutil.ignore_patterns("__pycache__"))
    for path, old, new in variant["edits"]:
        where = os.path.join(into, path)
        if old == "":
            os.makedirs(os.path.dirname(where), exist_ok=True)
            text = new
        else:
            text = open(where).read()
            assert text.count(old) == 1, (variant["id"], path, text.count(old), old)
            text = text.replace(old, new)
        with open(where, "w") as handle:
            handle.write(text)


def main(only):
    from variants import VARIANTS

    sound = True
    for variant in [dict(id="base", kind="correct", edits=[]), *VARIANTS]:
        if only and variant["id"] not in only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            into = os.path.join(folder, "repo")
            lay_out(variant, into)
            run = subprocess.run(
                [sys.executable, "-B", os.path.abspath(__file__), "--probe", into], capture_output=True, text=True
            )
        seen = run.stdout.split("\n")[:-1]
        if run.returncode:
            print(run.stderr)
            sound = False
        print(f"{variant['id']}: " + ("misbehaves: " + "; ".join(seen[:3]) if seen else "behaves"), flush=True)
        sound &= bool(seen) == (variant["kind"] == "mistake")
    print("agrees" if sound else "DOES NOT AGREE")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--probe"]:
        probe(sys.argv[2])
    else:
        sys.path.insert(0, HERE)
        main(sys.argv[1:])
