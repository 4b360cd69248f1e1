"""Evidence without the tool: each variant's job runs as Dramatiq's worker runs it, against a bank that remembers.

python harness.py [--every-line] [id ...]
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIRST = {"claim_no": "C-1001", "instalment": 1}
SECOND = {"claim_no": "C-1001", "instalment": 2}
THIRD = {"claim_no": "C-1002", "instalment": 1}
SHM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # SQLite's fsyncs are most of the time elsewhere
CAP = 9  # deliveries of one child, of a message that may be tried 5 times


class Bank:
    """One payment per Idempotency-Key, as the real one."""

    def __init__(self):
        bank = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                key = self.headers["Idempotency-Key"]
                with bank.lock:
                    bank.requests += 1
                    act = bank.plan.pop(0) if bank.plan else bank.default
                    if act in ("ok", "drop") and key not in bank.payments:
                        bank.payments[key] = body
                    number = list(bank.payments).index(key) + 1 if key in bank.payments else 0
                time.sleep(bank.slow)
                self.close_connection = True
                if act == "drop":
                    return
                status, answer = {
                    "ok": (201, {"payment_id": f"pmt-{number}"}),
                    "503": (503, {}),
                    "422": (422, {"code": "AC04"}),
                }[act]
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Connection", "close")
                self.end_headers()
                try:
                    self.wfile.write(data)
                except OSError:
                    pass

        self.lock = threading.Lock()
        self.reset()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def reset(self, default="ok", plan=(), slow=0.0):
        self.payments, self.requests = {}, 0
        self.default, self.plan, self.slow = default, list(plan), slow

    def paid(self, job):
        text = f"Claim {job['claim_no']}, instalment {job['instalment']}"
        return sum(body["reference"] == text for body in self.payments.values())


class Probe:
    def __init__(self, root: Path, every_line: bool):
        self.root, self.every = root, every_line
        self.scratch = Path(tempfile.mkdtemp(prefix="claims-", dir=root.parent))
        self.bank = Bank()
        os.environ.update(CLAIMS_BROKER_URL="stub://", BANK_URL=self.bank.url, NO_PROXY="*", BANK_TIMEOUT="30")
        os.environ["CLAIMS_DB_URL"] = f"sqlite:///{self.scratch}/template.db"
        subprocess.run([sys.executable, "-m", "backoffice.entrypoints.cli", "setup"], cwd=root, check=True)
        sys.path.insert(0, str(root))
        sys.dont_write_bytecode = True
        import httpx._transports.default as transport

        context = transport.create_ssl_context()  # expensive, and of no use here: once for all children
        transport.create_ssl_context = lambda *_args, **_kwargs: context
        from backoffice.entrypoints import actors
        from backoffice.service import release

        self.actors, self.release, self.broker = actors, release, actors.broker
        self.problems: dict[str, str] = {}
        self.n = 0
        self.warm_up()

    def warm_up(self):
        """Once in the parent what each child would do anew: lazy imports, mappers."""
        import gc

        from backoffice.service import unit_of_work

        self.fresh()
        os.environ["CLAIMS_DB_URL"] = "sqlite:///file:claims.db?uri=true"  # each child works in its own folder
        os.chdir(self.folder)
        self.actors.pay_instalment(**FIRST)
        self.release.release(**SECOND)
        self.broker.flush_all()
        unit_of_work.default_sessions().kw["bind"].dispose()
        gc.collect(), gc.freeze()

    # ---- one scenario: a fresh store, the events of a broker, children that may die
    def fresh(self, **bank):
        self.n += 1
        self.folder = self.scratch / str(self.n)
        self.folder.mkdir()
        shutil.copy(self.scratch / "template.db", self.folder / "claims.db")
        self.events, self.log = self.folder / "events", self.folder / "log"
        self.events.touch()
        self.bank.reset(**bank)

    def message(self, fields, **options):
        message = self.actors.pay_instalment.message_with_options(kwargs=fields, **options)
        return message.encode().decode()

    def fork(self, messages, call=None, kill_at=None):
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            code = self.child(messages, call, kill_at)
        finally:
            os._exit(code)

    def child(self, messages, call, kill_at):
        from dramatiq.brokers.stub import _StubMessageProxy
        from dramatiq.message import Message
        from dramatiq.worker import ConsumerThread, PriorityQueue, WorkerThread, _WorkQueueItem

        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1), os.dup2(log, 2)
        os.chdir(self.folder)
        events = os.open(self.events, os.O_WRONLY | os.O_APPEND)

        def note(**event):
            os.write(events, (json.dumps(event) + "\n").encode())

        enqueue = self.broker.enqueue

        def noted_enqueue(message, *, delay=None):
            note(ev="enqueue", data=message.encode().decode(), delay=delay)
            return enqueue(message)

        self.broker.enqueue = noted_enqueue
        for data in messages:
            self.broker.queues["payouts"].put(data.encode())
        work_queue = PriorityQueue()

        class Consumer:
            def ack(self, message):
                note(ev="ack")

            def nack(self, message):
                note(ev="nack")

        consumers = {}
        for name in self.broker.queues:
            thread = ConsumerThread(broker=self.broker, queue_name=name, prefetch=1, work_queue=work_queue, worker_timeout=10)
            thread.consumer = Consumer()
            consumers[name] = thread
        worker = WorkerThread(broker=self.broker, consumers=consumers, work_queue=work_queue, worker_timeout=10)

        count, root = 0, str(self.root)

        def trace(frame, what, arg):
            nonlocal count
            if not frame.f_code.co_filename.startswith(root):
                return None
            if what == "line":
                count += 1
                if count == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        if call:
            call()
        else:
            started = 0
            while True:
                queue = next((q for q in self.broker.queues.values() if not q.empty()), None)
                if queue is None:
                    break
                started += 1
                if started > CAP:
                    note(ev="cap")
                    break
                data = queue.get_nowait()
                note(ev="start", data=data.decode())
                message = _StubMessageProxy(Message.decode(data))
                work_queue.put(_WorkQueueItem(0, message))
                work_queue.get()
                worker.process_message(message)
        sys.settrace(None)
        note(ev="end", lines=count)
        return 0

    def read_events(self):
        return [json.loads(line) for line in self.events.read_text().splitlines()]

    def pending(self, initial):
        """What a broker would still hold: everything that was not acknowledged."""
        held, current = list(initial), None
        for event in self.read_events():
            if event["ev"] == "enqueue":
                held.append(event["data"])
            elif event["ev"] == "start":
                current = event["data"]
            elif event["ev"] in ("ack", "nack"):
                held.remove(current)
        return held

    def run(self, messages=(), call=None, kill_at=None):
        """Run to the end; after a death, what was not acknowledged is delivered again."""
        before = len(self.read_events())
        _, status = os.waitpid(self.fork(messages, call, kill_at), 0)
        died = os.WIFSIGNALED(status)
        new = self.read_events()[before:]
        if not died and not (new and new[-1]["ev"] == "end"):
            raise RuntimeError(self.log.read_text()[-3000:])
        return died, (new[-1].get("lines") if not died else None)

    def work(self, fields, **options):
        first = [self.message(fields, **options)]
        self.run(first)
        return first

    # ---- what can be seen
    def sql(self, query):
        with sqlite3.connect(self.folder / "claims.db", timeout=20) as db:
            return db.execute(query).fetchall()

    def payout(self, job=FIRST):
        return self.sql(f"select status, payment_id, reject_code from payouts where claim_no='{job['claim_no']}' and instalment={job['instalment']}")[0]

    def dead(self):
        return [json.loads(row[0]) for row in self.sql("select payload from dead_letters")]

    def starts(self, actor="pay_instalment"):
        return sum(e["ev"] == "start" and json.loads(e["data"])["actor_name"] == actor for e in self.read_events())

    def complain(self, name, text):
        self.problems.setdefault(name, text)

    def expect(self, name, seen, wanted):
        if seen != wanted:
            self.complain(name, f"{name}: saw {seen!r}, not {wanted!r}")

    def paid_once(self, name, job=FIRST):
        self.expect(name + ", payments", self.bank.paid(job), 1)
        self.expect(name + ", status", self.payout(job)[0], "paid")
        which = f"claim_no='{job['claim_no']}' and instalment={job['instalment']}"
        self.expect(name + ", ledger lines", len(self.sql(f"select 1 from ledger where {which}")), 2)
        self.expect(name + ", dead letters", len(self.dead()), 0)

    def told(self, name):
        for line in self.log.read_text().splitlines():
            if '"level": "error"' in line and "C-1001" in line:
                return
        self.complain(name, f"{name}: no error record names the claim")

    def deaths(self, make, check, messages, calls=None):
        """The job killed at its lines, one after the other, and brought back."""
        self.fresh(**make)
        _, lines = self.run(messages, calls)
        step = 1 if self.every else max(1, lines // 9)
        for at in range(1, lines + 1, step):
            self.fresh(**make)
            died, _ = self.run(messages, calls, kill_at=at)
            if calls:
                self.run(call=calls)
                self.run(call=self.release.publish_pending)
            rest = self.pending(messages)
            if rest:
                self.run(rest)
            check(f"killed at line event {at} of {lines}" + (" of release" if calls else ""))
            if self.problems and not self.every:
                return

    def all(self):
        self.fresh()
        for job in (FIRST, SECOND, THIRD):
            self.run(call=lambda: self.release.release(**job))
        messages = self.pending([])
        self.expect("messages published", len(messages), 3)
        self.run(messages)
        for job in (FIRST, SECOND, THIRD):
            self.expect(f"payments for {job['claim_no']}/{job['instalment']}", self.bank.paid(job), 1)
        self.expect("different payment ids", len(self.sql("select distinct payment_id from payouts where status='paid'")), 3)
        self.expect("sum of bank account", self.sql("select sum(amount_cents) from ledger where account='bank'"), [(-263050,)])
        if self.problems:
            return
        self.fresh()
        self.run(self.work(FIRST))
        self.work(FIRST)
        self.paid_once("delivered three times")
        if self.problems:
            return
        self.fresh(plan=["drop"])
        self.work(FIRST)
        self.paid_once("answer lost after payment")
        if self.problems:
            return
        self.fresh(plan=["503", "503"])
        self.work(FIRST)
        self.paid_once("503 twice")
        delays = [e["delay"] for e in self.read_events() if e["ev"] == "enqueue"]
        if len(delays) == 2 and not 10_000 <= delays[0] <= delays[1] <= 40_000:
            self.complain("backoff", f"waits of {delays} ms")
        if self.problems:
            return
        self.fresh(default="503")
        self.work(FIRST)
        self.expect("deliveries while the bank stays down", self.starts(), 5)
        self.expect("dead letters when the bank stays down", self.dead(), [FIRST])
        self.expect("status when the bank stays down", self.payout()[0], "approved")
        self.told("bank stays down")
        if self.problems:
            return
        self.fresh(default="422")
        sent = self.work(FIRST)
        self.expect("requests after a rejection", self.bank.requests, 1)
        self.expect("dead letters after a rejection", self.dead(), [FIRST])
        self.expect("payout after a rejection", self.payout(), ("rejected", None, "AC04"))
        self.told("rejection")
        self.run(sent)
        self.expect("requests after a rejection, delivered again", self.bank.requests, 1)
        self.expect("payout after a rejection, delivered again", self.payout(), ("rejected", None, "AC04"))
        if self.problems:
            return
        for poison in ({}, {"claim_no": "C-1001"}, {"claim_no": "1001", "instalment": 1},
                       {"claim_no": "C-1001", "instalment": "first"}, {**FIRST, "amount_cents": 9900000},
                       {"claim_no": "C-4040", "instalment": 1}):
            self.fresh()
            self.work(poison)
            self.expect(f"poison {poison}", (self.starts(), self.bank.requests, self.dead()), (1, 0, [poison]))
        if self.problems:
            return
        for _ in range(2):
            self.fresh(slow=0.15)
            both = [self.fork([self.message(FIRST)]) for _ in range(2)]
            for pid in both:
                os.waitpid(pid, 0)
            self.paid_once("two workers at once")
        if self.problems:
            return
        message = self.message(FIRST)
        self.deaths({}, self.paid_once, [message])

        def rejected(name):
            self.expect(name + ", rejected, payout", self.payout(), ("rejected", None, "AC04"))
            self.expect(name + ", rejected, dead letters", self.dead(), [FIRST])

        self.deaths({"default": "422"}, rejected, [message])

        def exhausted(name):
            self.expect(name + ", last attempt, dead letters", self.dead(), [FIRST])

        self.deaths({"default": "503"}, exhausted, [self.message(FIRST, retries=4)])
        self.deaths({}, self.paid_once, [], calls=lambda: self.release.release(**FIRST))


def lay_out(variant, folder: Path):
    shutil.copytree(HERE / "base", folder, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    for path, old, new in variant["edits"]:
        file = folder / path
        if old == "":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(new)
        else:
            text = file.read_text()
            assert text.count(old) == 1, (variant["id"], path, text.count(old), old)
            file.write_text(text.replace(old, new))


def main():
    if sys.argv[1] == "--probe":
        probe = Probe(Path(sys.argv[2]), "--every-line" in sys.argv)
        probe.all()
        texts = list(probe.problems.values())
        print("behaves" if not texts else "misbehaves: " + "; ".join(texts[:3]) + (f" (and {len(texts) - 3} more)" if len(texts) > 3 else ""))
        sys.stdout.flush()
        os._exit(0)
    from variants import VARIANTS

    wanted = [a for a in sys.argv[1:] if not a.startswith("--")]
    every = [a for a in sys.argv[1:] if a == "--every-line"]
    wrong = 0
    for variant in [dict(id="base", kind="correct", edits=[]), *VARIANTS]:
        if wanted and variant["id"] not in wanted:
            continue
        started = time.time()
        with tempfile.TemporaryDirectory(prefix="claims-", dir=SHM) as temp:
            folder = Path(temp) / "repo"
            lay_out(variant, folder)
            done = subprocess.run([sys.executable, __file__, "--probe", str(folder), *every], capture_output=True, text=True)
        line = done.stdout.strip().splitlines()[-1] if done.returncode == 0 else "harness failed: " + done.stderr[-3000:]
        agrees = line.startswith("behaves" if variant["kind"] == "correct" else "misbehaves")
        wrong += not agrees
        print(f"{variant['id']:22} {line}  [{time.time() - started:.0f}s]" + ("" if agrees else "   <-- DOES NOT AGREE"), flush=True)
    print("all agree" if not wrong else f"{wrong} do not agree")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.argv.append("--all")
    main()
