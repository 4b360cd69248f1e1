"""python harness.py [ID ...] [--tests]: every version lives through some bad days at the pharmacy, without skillrun.
Celery's tracer delivers, the broker is a list, the insurer a dict by key, the clock is moved by hand."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def plant(variant, tree):
    shutil.copytree(HERE / "base", tree, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    for path, old, new in variant["edits"] if variant else []:
        file = tree / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (path, old)
            new = text.replace(old, new)
        else:
            assert not file.exists(), path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(new)


def main():
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS

    versions = {"base": None, **{v["id"]: v for v in VARIANTS}}
    wanted = [a for a in sys.argv[1:] if not a.startswith("-")] or list(versions)
    wrong = 0
    for name in wanted:
        kind = versions[name]["kind"] if versions[name] else "correct"
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
            tree = Path(folder) / "repo"
            plant(versions[name], tree)
            env = {
                **os.environ, "PYTHONDONTWRITEBYTECODE": "1", "APOTHEKE_BROKER_URL": "memory://",
                "APOTHEKE_INSURER_URL": "http://insurer.invalid", "HARNESS_FOLDER": folder,
            }
            out = subprocess.run([sys.executable, __file__, "--inside"], cwd=tree, env=env, capture_output=True, text=True)
            lines = out.stdout.splitlines()
            broken = [line for line in lines if line.startswith("BROKEN")]
            verdict = "did not run" if out.returncode or not lines or lines[-1] != "END" else "fails" if broken else "holds"
            meant = verdict == {"correct": "holds", "mistake": "fails"}[kind]
            wrong += not meant
            print(f"{name:16} {kind:8} {verdict:11} {'' if meant else '<-- NOT AS MEANT'}")
            print("".join(f"    {line}\n" for line in broken[:8]), end="")
            if verdict == "did not run":
                print(out.stdout[-1500:], out.stderr[-3000:])
            if "--tests" in sys.argv:
                test_env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
                done = subprocess.run(
                    [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=tree, env=test_env, capture_output=True, text=True
                )
                print("    tests:", done.stdout.strip().splitlines()[-1])
                wrong += bool(done.returncode)
    sys.exit(bool(wrong))


def inside():
    sys.path.insert(0, os.getcwd())
    import itertools
    import logging
    import uuid
    from datetime import timedelta

    import requests
    from celery.app.trace import build_tracer
    from kombu.exceptions import OperationalError as BrokerAway
    from sqlalchemy import event
    from sqlalchemy.exc import OperationalError

    from apotheke import claims, config, db, desk, manage
    from apotheke.celery_app import app
    from apotheke.model import Claim, ClaimStatus, DeadLetter
    from apotheke.tasks import submit_claim

    class Kill(BaseException):
        pass

    records = []
    keeper = logging.Handler()
    keeper.emit = records.append
    logging.getLogger().handlers = [keeper]
    logging.getLogger().setLevel("INFO")
    logging.raiseExceptions = True
    trace = build_tracer(submit_claim.name, submit_claim, app=app)
    real_now = claims.now
    numbers = itertools.count()

    class World:
        """One day, with a database of its own."""

        def __init__(self):
            config.DATABASE_URL = f"sqlite:///{os.environ['HARNESS_FOLDER']}/{next(numbers)}.db"
            db.engine.cache_clear()
            db.sessions.cache_clear()
            manage.demo()
            self.queue, self.keys, self.posts, self.plan = [], {}, [], []
            self.broker_down = 0
            self.after_publish = None
            self.offset = timedelta()
            self.statements, self.trip_at, self.trip_with = 0, None, None
            event.listen(db.engine(), "before_cursor_execute", self.statement)
            event.listen(db.engine(), "commit", lambda conn: self.statement())
            claims.now = lambda: real_now() + self.offset
            submit_claim.apply_async = self.publish
            requests.Session.post = lambda session, url, **more: self.post(**more)

        def statement(self, *_):
            self.statements += 1
            if self.statements == self.trip_at:
                if self.trip_with is Kill:
                    raise Kill
                raise OperationalError("statement", None, Exception("disk I/O error"))

        def publish(self, args=None, kwargs=None, task_id=None, retries=0, **options):
            if self.broker_down:
                self.broker_down -= 1
                raise BrokerAway("redis is away")
            self.queue.append((task_id or uuid.uuid4().hex, dict(kwargs), retries or 0))
            if self.after_publish:
                raise self.after_publish

        def post(self, json=None, headers=None, **options):
            key = headers["Idempotency-Key"]
            self.posts.append(key)
            step = self.plan.pop(0) if self.plan else 200
            if callable(step):
                step = step()
            if step == "killed before":
                raise Kill
            if isinstance(step, int) and step != 200:
                answer = requests.Response()
                answer.status_code = step
                return answer
            reference = self.keys.setdefault(key, f"KK-{len(self.keys) + 1}")
            if step == "killed after":
                raise Kill
            if step == "lost":
                raise requests.ReadTimeout("timed out")
            answer = requests.Response()
            answer.status_code, answer._content = 200, b'{"reference": "%s"}' % reference.encode()
            return answer

        def deliver(self, message):
            """False if the worker died: the broker then has the message still."""
            ident, kwargs, retries = message
            request = {
                "id": ident, "args": [], "kwargs": kwargs, "retries": retries, "is_eager": False, "delivery_info": {},
                "called_directly": False, "task": submit_claim.name,
            }
            try:
                trace(ident, [], kwargs, request)
            except Kill:
                return False
            return True

        def drain(self, limit=60):
            while self.queue and limit:
                limit -= 1
                message = self.queue.pop(0)
                if not self.deliver(message):
                    self.queue.append(message)
            return not self.queue

        def later(self, **by):
            self.offset += timedelta(**by)

        def quarters(self, count=4):
            for _ in range(count):
                self.later(minutes=16)
                desk.requeue_stalled()
                if not self.drain():
                    return False
            return True

        def claim(self, number=1):
            with db.sessions()() as session:
                return session.get(Claim, number)

        def letters(self):
            with db.sessions()() as session:
                return session.query(DeadLetter).count()

        def end(self):
            claim = self.claim()
            return claim.status.name, bool(claim.insurer_ref), len(self.keys), self.letters()

    done, refused, gone = ("ACCEPTED", True, 1, 0), ("FAILED", False, 0, 1), ("FAILED", False, 0, 1)

    def must(what, got, wanted):
        if got != wanted:
            print(f"BROKEN {what}: {got}, not {wanted}")

    # An ordinary day, and messages that come again.
    world = World()
    desk.release_claim(1)
    first = world.queue[0]
    world.drain()
    must("ordinary", world.end(), done)
    world.deliver(first)
    world.later(hours=30)
    world.deliver((uuid.uuid4().hex, {"claim_id": 1}, 0))
    must("delivered again", (world.end(), len(world.posts)), (done, 1))
    must("second release", desk.release_claim(1), False)

    # The insurer is slow, busy, dead, or its answer is lost.
    for plan in ([503], [429, 409], ["lost"], ["lost", "lost", 503], ["killed before"], ["killed after"], ["killed after", "lost", 503, "killed before"]):
        world = World()
        desk.release_claim(1)
        world.plan = list(plan)
        world.drain()
        must(f"{plan}", (world.end(), world.quarters()), (done, True))
    world = World()
    desk.release_claim(1)
    world.plan = [503] * 40
    world.drain()
    must("five attempts", (world.end(), len(world.posts)), (gone, 5))
    world.quarters()
    must("five attempts, later", (world.end(), len(world.posts)), (gone, 5))
    world = World()
    desk.release_claim(1)
    world.plan = [422]
    world.drain()
    must("refused", (world.end(), len(world.posts), world.quarters()), (refused, 1, True))

    # A message that kills its workers.
    world = World()
    desk.release_claim(1)
    world.plan = ["killed before"] * 100
    emptied = world.drain()
    must("kills its workers", (emptied, world.end(), len(world.posts) <= 11), (True, gone, True))

    # The retry cannot be published: Celery rejects the message, it is lost.
    for step in (503, "lost"):
        world = World()
        desk.release_claim(1)
        world.plan, world.broker_down = [step], 1
        world.deliver(world.queue.pop(0))
        world.broker_down = 0
        must(f"message lost after {step}", (world.quarters(), world.end()), (True, done))

    # Release: the broker is away; the process dies between publishing and noting it.
    world = World()
    world.broker_down = 1
    desk.release_claim(1)
    desk.requeue_stalled()
    world.drain()
    must("released, broker away", world.end(), done)
    world = World()
    world.after_publish = Kill()
    try:
        desk.release_claim(1)
    except Kill:
        pass
    world.after_publish = None
    desk.requeue_stalled()
    one, two = world.queue
    world.queue.clear()
    world.plan = [lambda: world.deliver(two) and 200]
    world.deliver(one)
    must("two workers at once", world.end(), done)

    # One of two gives up while the other hears from the insurer.
    world = World()
    desk.release_claim(1)
    one = world.queue.pop()
    world.plan = [lambda: world.deliver((uuid.uuid4().hex, {"claim_id": 1}, 4)) and 200, 503]
    world.deliver(one)
    must("late acceptance", world.end(), done)

    # The store fails at any statement, or the worker is killed at any.
    for fault in (OperationalError, Kill):
        for label, plan, wanted in (("taken", [], done), ("refused", [422], refused), ("away", [503] * 5, gone)):
            for at in range(1, 60):
                world = World()
                desk.release_claim(1)
                world.plan = list(plan) if label != "refused" else [422] * 50
                if label == "away":
                    world.plan = [503] * 50
                world.statements, world.trip_at, world.trip_with = 0, at, fault
                emptied = world.drain()
                reached = world.statements >= at
                world.trip_at = None
                swept = world.quarters()
                must(f"{fault.__name__} at statement {at}, {label}", (emptied, swept, world.end()), (True, True, wanted))
                if not reached:
                    break

    # Too late, a draft, nonsense.
    world = World()
    desk.release_claim(1)
    world.later(days=3)
    world.drain()
    must("too late", (world.end(), world.posts), (gone, []))
    world = World()
    for number, message in enumerate(({}, {"claim_id": "1"}, {"claim_id": 0}, {"claim": 1}, {"claim_id": True}, {"claim_id": 1, "urgent": True}, {"claim_id": 99}, {"claim_id": 2}), 1):
        for _ in range(2):
            world.deliver((uuid.uuid4().hex, message, 0))
        must(f"nonsense {message}", (world.letters(), world.queue, world.posts), (number, [], []))
    must("untouched", world.claim().status, ClaimStatus.DRAFT)

    # What is in the log.
    ours = [record for record in records if record.name == "apotheke.jobs"]
    for field in ("job", "job_id", "key", "attempt", "outcome"):
        must(f"{field} in the log", [record.getMessage() for record in ours if not hasattr(record, field)][:1], [])
    text = "".join(f"{record.getMessage()} {vars(record)}" for record in records)
    must("insured persons in the log", [no for no in ("A123456780", "M445120078", "T900318465") if no in text], [])
    print("END")


if __name__ == "__main__":
    inside() if "--inside" in sys.argv else main()
