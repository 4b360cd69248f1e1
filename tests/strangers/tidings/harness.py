"""Evidence without the tool: arq's own Worker.run_job runs deliver_letter, a fork per try, on a pool
that stands for redis; the relay keeps its own books behind httpx.

python harness.py            one line per variant
python harness.py --probe D  the scenarios on the repository laid out in D
"""

import asyncio
import os
import pickle
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing

HERE = os.path.dirname(os.path.abspath(__file__))
TRIES = 4
STRIDE = int(os.environ.get("STRIDE", 7))  # kill at every STRIDE-th line; 1 takes minutes
SHM = "/dev/shm" if os.path.isdir("/dev/shm") else None


class Relay:
    def __init__(self, path):
        self.path, self.answers, self.wait_for = path, [], 0
        with closing(self._con()) as con:
            con.executescript(
                "create table requests (n integer primary key, token text);"
                "create table letters (id integer primary key, token text unique, body text);"
            )

    def _con(self):
        return sqlite3.connect(self.path, timeout=15, isolation_level=None)

    async def handle(self, request):
        import httpx

        token, body = request.url.path.rsplit("/", 1)[1], request.content.decode()
        with closing(self._con()) as con:
            n = con.execute("insert into requests (token) values (?)", (token,)).lastrowid
        end = time.time() + 0.5
        while self.wait_for > self.count("requests") and time.time() < end:
            await asyncio.sleep(0.02)
        answers = self.answers or [200]
        status = answers[min(n, len(answers)) - 1]
        if status == "cut":
            raise httpx.ConnectError("cut", request=request)
        if status == "slow":
            await asyncio.sleep(30)
        if status != 200:
            return httpx.Response(status, request=request)
        with closing(self._con()) as con:
            con.execute("insert into letters (token, body) values (?, ?) on conflict do nothing", (token, body))
            number = con.execute("select id from letters where token = ?", (token,)).fetchone()[0]
        return httpx.Response(200, json={"id": f"m-{number}"}, request=request)

    def count(self, table):
        with closing(self._con()) as con:
            return con.execute(f"select count(*) from {table}").fetchone()[0]


class Pool:
    """What Worker.run_job asks of redis, for one job; and what the application asks of it."""

    def __init__(self, job=None, tries=0):
        self.job, self.tries, self.finished, self.wait, self.queued = job, tries, False, None, []

    def pipeline(self, transaction=True):
        return self

    async def __aenter__(self):
        self.answers = []
        return self

    async def __aexit__(self, *exc):
        pass

    def get(self, key):
        self.answers.append(self.job)

    def incr(self, key):
        self.tries += 1
        self.answers.append(self.tries)

    def zrem(self, queue, job_id):
        self.finished |= queue == "arq:queue"

    def zincrby(self, queue, by, job_id):
        self.wait = by / 1000

    def expire(self, *args):
        self.answers.append(True)

    set = delete = pexpire = lambda self, *args, **kwargs: None

    async def execute(self):
        return self.answers

    async def enqueue_job(self, name, *args, _job_id=None, **kwargs):
        self.queued.append((_job_id, name, args, kwargs))

    async def aclose(self):
        pass


class Press:
    """A fresh store, a fresh relay, a queue of (job id, name, args, kwargs)."""

    def __init__(self, folder):
        import httpx

        from tidings import editions, letters

        self.folder = tempfile.mkdtemp(dir=folder)
        self.db = os.path.join(self.folder, "tidings.db")
        os.environ["TIDINGS_DATABASE_URL"] = f"sqlite:///{self.db}"
        shutil.copy(os.path.join(folder, "template.db"), self.db)
        self.relay = Relay(os.path.join(self.folder, "relay.db"))
        self.log = os.path.join(self.folder, "log")
        self.queue, self.runs, self.waits = [], 0, []
        self.pool = Pool()
        letters.SEND_TIMEOUT = 0.8
        httpx._transports.default.create_ssl_context = lambda **settings: None  # slow, and nobody connects
        httpx.AsyncHTTPTransport.handle_async_request = lambda transport, request: self.relay.handle(request)

        async def create_pool(redis_settings, **rest):
            return self.pool

        editions.create_pool = create_pool

    def rows(self, sql):
        with closing(sqlite3.connect(self.db, timeout=15)) as con:
            return con.execute(sql).fetchall()

    def fork(self, coroutine, kill_at=None):
        """Runs coroutine() in a child; kill_at: at the n-th line of the job, the service or the adapter."""
        out, into = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(out)
            sys.stderr = open(self.log, "a", buffering=1)
            seen = [0]
            here = tuple(f"{os.getcwd()}/tidings/{name}.py" for name in ("letters", "policy", "mailhouse", "editions"))

            def local(frame, event, arg):
                if event == "line":
                    seen[0] += 1
                    if seen[0] == kill_at:
                        os.kill(os.getpid(), signal.SIGKILL)
                return local

            def tracer(frame, event, arg):
                return local if frame.f_code.co_filename.startswith(here) else None

            if kill_at:
                sys.settrace(tracer)
                threading.settrace(tracer)
            try:
                answer = asyncio.run(coroutine())
            except BaseException as exc:
                answer = repr(exc)
            sys.settrace(None)
            os.write(into, pickle.dumps((answer, self.pool.queued)))
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
        answer, queued = pickle.loads(data)
        for job in queued:  # arq refuses a job id that it has
            if job[0] not in [have[0] for have in self.queue]:
                self.queue.append(job)
        return answer

    def request(self, *where):
        from tidings import editions

        return self.join(self.fork(lambda: editions.send_to(*where)))

    def start(self, job, tries, kill_at=None):
        from arq.jobs import serialize_job
        from arq.worker import create_worker

        from tidings.worker import WorkerSettings

        job_id, name, args, kwargs = job

        async def work():
            pool = Pool(serialize_job(name, args, kwargs, None, int(time.time() * 1000)), tries)
            worker = create_worker(WorkerSettings, redis_pool=pool, handle_signals=False)
            await worker.on_startup(worker.ctx)
            worker.ctx["redis"] = self.pool
            await worker.run_job(job_id, int(time.time() * 1000))
            return pool.finished, pool.tries, pool.wait

        self.runs += 1
        return self.fork(work, kill_at)

    def drain(self, kill_first=None, kill_try=None):
        first = True
        while self.queue and self.runs < 25:
            job, tries = self.queue[0], 0
            while self.runs < 25:
                kill = kill_first if first else (1 if tries + 1 == kill_try else None)
                first = False
                end = self.join(self.start(job, tries, kill))
                if end == "killed":
                    tries += 1
                    continue
                assert isinstance(end, tuple), end
                finished, tries, wait = end
                if finished:
                    break
                self.waits.append(wait)
            self.queue.pop(0)

    def dead(self):
        return self.rows("select payload, reason from dead_letters")

    def outcome(self):
        return (
            self.rows("select issue_id, subscriber_id, status, house_id from deliveries order by 1, 2"),
            self.relay.count("letters"),
            len(self.dead()),
        )

    def named(self, issue_id, subscriber_id):
        with open(self.log) as lines:
            texts = [line for line in lines if '"level": "error"' in line or line.startswith("ERROR")]
        texts += [payload for payload, _ in self.dead()]
        return any(
            re.search(rf"issue(_id)?\D{{1,4}}{issue_id}\b", text) and re.search(rf"(subscriber_id|reader)\D{{1,4}}{subscriber_id}\b", text)
            for text in texts
        )


GOOD = ([(1, 1, "sent", "m-1")], 1, 0)


def scenarios(folder):
    from tidings import editions

    def fresh(*answers):
        press = Press(folder)
        press.relay.answers = list(answers)
        return press

    p = fresh()
    p.request(1, 1)
    job = p.queue[0]
    p.drain()
    if p.outcome() != GOOD:
        yield f"one run ends with {p.outcome()}"
    p.queue = [job]
    p.drain()
    if p.outcome() != GOOD:
        yield f"delivered twice: {p.outcome()}"

    p = fresh()
    for where in ((1, 1), (1, 2), (2, 1)):
        p.request(*where)
    p.drain()
    if p.outcome()[1:] != (3, 0) or [row[2] for row in p.outcome()[0]] != ["sent"] * 3:
        yield f"three letters: {p.outcome()}"

    p = fresh()
    p.request(1, 1)
    p.relay.wait_for = 2
    children = [p.start(p.queue[0], 0), p.start(p.queue[0], 0)]
    ends = [p.join(child) for child in children]
    p.queue = [p.queue[0] for end in ends if not end[0]]
    p.drain()
    if p.outcome() != GOOD:
        yield f"two workers at once: {p.outcome()}"

    for error in (503, "cut", "slow"):
        p = fresh(error, error, 200)
        p.request(1, 1)
        p.drain()
        if p.outcome() != GOOD or p.relay.count("requests") != 3:
            yield f"{error} twice, then well: {p.outcome()}, {p.relay.count('requests')} requests"
        elif not all(low * 0.5 - 1 <= wait <= low + 2 for low, wait in zip((20, 60), p.waits, strict=True)):
            yield f"waits {p.waits}"

    p = fresh(503)
    p.request(2, 1)
    p.drain()
    if p.relay.count("requests") != TRIES:
        yield f"relay away: tried {p.relay.count('requests')} times"
    if len(p.dead()) != 1 or p.outcome()[0] != [(2, 1, "failed", None)]:
        yield f"relay away: {p.outcome()}"
    elif not p.named(2, 1):
        yield "relay away: nothing tells which letter failed"

    p = fresh(422)
    p.request(2, 1)
    p.drain()
    if p.relay.count("requests") != 1 or len(p.dead()) != 1 or p.outcome()[0] != [(2, 1, "failed", None)]:
        yield f"refused address: {p.outcome()}, {p.relay.count('requests')} requests"
    elif not p.named(2, 1):
        yield "refused address: nothing tells which letter failed"

    p = fresh(503)
    p.request(1, 1)
    p.drain(kill_try=TRIES)
    if len(p.dead()) != 1 or p.relay.count("requests") != TRIES - 1:
        yield f"killed in the last try: {p.outcome()}"

    for message in ({}, {"issue_id": 1}, {"issue_id": "one", "subscriber_id": 1}, {"issue_id": 1, "subscriber_id": 0},
                    {"issue_id": 999, "subscriber_id": 1}, {"issue_id": 1, "subscriber_id": 1, "again": True}):
        p = fresh()
        p.queue = [("x", "deliver_letter", (), message)]
        p.drain()
        if p.runs != 1 or len(p.dead()) != 1 or p.relay.count("requests") or p.outcome()[0]:
            yield f"poison {message}: {p.runs} runs, {p.outcome()}"

    for requested in (True, False):  # with the row of send_to(), and from the bare message
        for line in range(1, 400, STRIDE):
            p = fresh()
            p.request(1, 1)
            if not requested:
                with closing(sqlite3.connect(p.db)) as con:
                    con.execute("delete from deliveries")
                    con.commit()
            p.drain(kill_first=line)
            if p.outcome() != GOOD:
                yield f"killed at line event {line}: {p.outcome()}"
                break
            if p.runs == 1:
                break

    for line in range(1, 200, STRIDE):
        p = fresh()
        end = p.join(p.fork(lambda: editions.send_to(1, 1), line))
        left = p.rows("select count(*) from deliveries where queued_at is null")[0][0]
        p.join(p.fork(editions.publish_pending))
        p.drain()
        if left and p.outcome() != GOOD:
            yield f"request killed at {line}: {p.outcome()}"
        if end != "killed":
            break


def probe(folder):
    os.chdir(folder)
    sys.path.insert(0, folder)
    scratch = tempfile.mkdtemp(dir=SHM)
    os.environ["TIDINGS_DATABASE_URL"] = f"sqlite:///{scratch}/template.db"
    subprocess.run([sys.executable, "-B", "-m", "tidings.store", "--demo"], check=True)
    import tidings.editions
    import tidings.letters
    import tidings.worker
    from tidings.settings import settings

    settings.cache_clear()
    # each child reads the settings of its own press
    tidings.worker.WorkerSettings.redis_settings = None
    try:
        for number, problem in enumerate(scenarios(scratch), 1):
            print(problem, flush=True)
            if number == 2:
                break  # enough seen
    finally:
        shutil.rmtree(scratch)


def lay_out(variant, into):
    shutil.copytree(os.path.join(HERE, "base"), into, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    for path, old, new in variant["edits"]:
        where = os.path.join(into, path)
        text = new
        if old:
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
        with tempfile.TemporaryDirectory(dir=SHM) as folder:
            into = os.path.join(folder, "repo")
            lay_out(variant, into)
            run = subprocess.run(
                [sys.executable, "-B", os.path.abspath(__file__), "--probe", into], capture_output=True, text=True
            )
        seen = run.stdout.split("\n")[:-1]
        if run.returncode:
            print(run.stderr)
            sound = False
        print(f"{variant['id']}: " + ("misbehaves: " + "; ".join(seen) if seen else "behaves"), flush=True)
        sound &= bool(seen) == (variant["kind"] == "mistake")
    print("agrees" if sound else "DOES NOT AGREE")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--probe"]:
        probe(sys.argv[2])
    else:
        sys.path.insert(0, HERE)
        main(sys.argv[1:])
