"""python harness.py [ID...]: each version, its own tests and then a bad day at the laboratory. Without ids: all."""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from variants import VARIANTS  # noqa: E402

DAY = r'''
import os, sqlite3, sys, tempfile, logging
folder = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None); os.environ["ZAHNLABOR_BROKER_URL"] = "stub://"
count = iter(range(10**9))
from dramatiq import Message, MessageProxy
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from zahnlabor import clock, desk, mill, orders, tables
from zahnlabor.broker import broker
from zahnlabor.errors import MillRejected, MillUnavailable
from zahnlabor.milling import submit_work_order as actor
logging.disable(logging.CRITICAL)
import time; orders.time = type("t", (), {"sleep": staticmethod(lambda s: None)})
class Kill(BaseException): pass
wrong = []
def expect(what, ok, seen=""):
    if not ok: wrong.append((what, seen))
step = {"n": 0, "at": 0, "what": None}
def point(*_):
    step["n"] += 1
    if step["n"] == step["at"]: raise step["what"]
now = [1_900_000_000]; clock.now = lambda: now[0]
jobs, posts, before, after, hold, queue, down = {}, [], [], [], [], [], []
def find(self, reference): point(); return jobs.get(reference)
def submit(self, reference, **_):
    point()
    if before: raise_(before.pop(0))
    posts.append(reference); number = jobs.setdefault(reference, "M-" + reference)
    if hold: hold.pop(0)()
    point()
    if after: raise_(after.pop(0))
    return number
def raise_(e): raise e
mill.MillClient.find, mill.MillClient.submit = find, submit
def enqueue(message, *, delay=None):
    point()
    if down: down.pop(); raise ConnectionError("redis")
    queue.append(message.copy(options=dict(message.options))); return message
broker.enqueue = enqueue

def fresh():
    path = f"{folder}/{next(count)}.db"; os.environ["ZAHNLABOR_DATABASE_URL"] = "sqlite:///" + path
    step.update(n=0, at=0); now[0] = 1_900_000_000
    for x in (posts, before, after, hold, queue, down): x.clear()
    jobs.clear()
    e = tables.engine(); tables.metadata.create_all(e); tables.demo()
    with e.begin() as c: c.exec_driver_sql("update work_orders set status='released', released_at=1900000000, due_at=1900000000 where id=1")
    event.listen(e, "before_cursor_execute", point); event.listen(e, "commit", point); step["n"] = 0
    global db; db = path
def q(sql):
    c = sqlite3.connect(db); r = c.execute(sql).fetchall(); c.close(); return r
def row(i=1): return q(f"select status, mill_job from work_orders where id={i}")[0]
def dead(): return q("select count(*) from dead_letters")[0][0]
def msg(**kw): return Message(queue_name="mill", actor_name=actor.actor_name, args=(), kwargs=kw or {"order_id": 1}, options={})

def deliver(m):
    """As a dramatiq worker does it. A killed one leaves the message as it was."""
    p = MessageProxy(m.copy(options=dict(m.options)))
    try:
        broker.emit_before("process_message", p)
        try:
            actor(*p.args, **p.kwargs)
        except Exception as e:
            p.stuff_exception(e); broker.emit_after("process_message", p, exception=e); return
        broker.emit_after("process_message", p, result=None)
    except Kill:
        queue.insert(0, m); return "killed"
def drain(n=60):
    while queue and n: deliver(queue.pop(0)); n -= 1
    return n
def whole(what):
    expect(what, row() == ("milling", "M-ZL-1") and dead() == 0, (row(), dead())); expect(what, set(posts) == {"ZL-1"} and len(jobs) == 1, posts)

fresh(); deliver(msg()); total = step["n"]; whole("plain"); deliver(msg()); whole("twice"); expect("twice", len(posts) == 1)
for at in range(1, total + 1):
    fresh(); step.update(at=at, what=Kill()); deliver(msg()); drain(); whole(f"killed at {at}/{total}")
    fresh(); step.update(at=at, what=Kill()); deliver(msg()); queue.clear(); now[0] += 900; desk.sweep(); drain(); whole(f"killed at {at}, message lost, swept")
    fresh(); step.update(at=at, what=OperationalError("x", {}, Exception("disk"))); deliver(msg()); drain(); whole(f"store fails at {at}")
    fresh(); deliver(msg()); now[0] += 7 * 3600; step["at"] = 0; deliver(msg()); whole("hours later")
fresh(); hold.append(lambda: deliver(msg())); deliver(msg()); drain(); whole("two at once")
fresh(); last = msg(); last.options["retries"] = 5
hold.append(lambda: (after.append(MillUnavailable("ReadTimeout")), deliver(last), after.clear())); first = msg(); deliver(first); drain(); whole("one gives up while the other is at it")
for e in (MillUnavailable("HTTP 503"),):
    for n in (1, 5):
        for side in (before, after):
            fresh(); side.extend([e] * n); deliver(msg()); drain(); whole(f"{n}x {e}")
def ends(what, tries):
    expect(what, row() == ("failed", None) and dead() == 1, (row(), dead())); k = len(queue); now[0] += 900; desk.sweep(); deliver(msg()); expect(what, not queue and dead() == 1, (queue, dead()))
def lasting(e, side, retries=0):
    side.extend([e] * 99); m = msg(); m.options["retries"] = retries; return m
fresh(); m = lasting(MillUnavailable("x"), before); n = 0; queue.append(m)
while queue: deliver(queue.pop(0)); n += 1
expect("six tries", n == 6, n); ends("for ever", 6)
for name, e, retries in (("refused", MillRejected("HTTP 422"), 0), ("sixth try", MillUnavailable("HTTP 503"), 5)):
    fresh(); deliver(lasting(e, before, retries)); total = step["n"]; ends(name, 1)
    for at in range(1, total + 1):
        for what in (Kill(), OperationalError("x", {}, Exception("disk"))):
            fresh(); m = lasting(e, before, retries); step.update(at=at, what=what); deliver(m); drain(); ends(f"{name}, {type(what).__name__} at {at}/{total}", 1)
for kw in ({"order_id": "1"}, {"order_id": 0}, {"order_id": True}, {"order_id": 404}, {"order_id": 2**80}, {"order_id": 1, "rush": True}, {"x": 1}):
    fresh(); m = msg(**kw); deliver(m); deliver(m); expect(f"poison {kw}", (dead(), queue, posts) == (1, [], []), (dead(), queue, posts))
def unreleased():
    fresh(); c = sqlite3.connect(db); c.execute("update work_orders set status='draft', released_at=null, due_at=null where id=1"); c.commit(); c.close(); step["n"] = 0
unreleased(); desk.release(1); total = step["n"]; drain(); whole("released")
for at in range(1, total + 1):
    unreleased(); step.update(at=at, what=Kill())
    try: desk.release(1)
    except Kill: pass
    desk.sweep(); now[0] += 900; desk.sweep(); drain()
    if row()[0] != "draft": whole(f"release killed at {at}")
    else: expect("release", not posts and not dead())
unreleased(); down.append(1); desk.release(1); expect("down", not queue); desk.sweep(); drain(); whole("broker down, swept")
fresh(); m = msg(); k = 0
while k < 40:
    hold[:] = [lambda: raise_(Kill())]; queue.clear(); jobs.clear()
    if deliver(m) != "killed": break
    k += 1
expect("each delivery kills", k == 12 and dead() == 1, (k, dead()))
import shutil; shutil.rmtree(folder)
print("HOLDS" if not wrong else f"FAILS in {len(wrong)} places, first: {wrong[0]}; last: {wrong[-1]}")
sys.exit(bool(wrong))
'''


def lay_out(edits, to):
    shutil.copytree(HERE / "base", to, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    for path, old, new in edits:
        file = to / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (path, text.count(old), old[:60])
            new = text.replace(old, new)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(new)


def judge(name, kind, edits):
    with tempfile.TemporaryDirectory() as tmp:
        repo = Path(tmp, "repo")
        lay_out(edits, repo)
        run = lambda *cmd: subprocess.run([sys.executable, *cmd], cwd=repo, capture_output=True, text=True)  # noqa: E731
        tests = run("-m", "pytest", "-q", "-p", "no:cacheprovider")
        Path(repo, "day.py").write_text(DAY)
        day = run("day.py")
    verdict = day.stdout.strip().splitlines()[-1:] or [day.stderr[-1500:]]
    as_said = tests.returncode == 0 and verdict[0].startswith("HOLDS" if kind == "correct" else "FAILS")
    print(f"{'as said' if as_said else 'NOT AS SAID'}: {name} ({kind}); tests: {(tests.stdout.strip().splitlines() or ['?'])[-1]}; {verdict[0]}", flush=True)
    if tests.returncode:
        print(tests.stdout[-2500:])
    return as_said


if __name__ == "__main__":
    known = {"base": ("correct", [])} | {v["id"]: (v["kind"], v["edits"]) for v in VARIANTS}
    sys.exit(not all([judge(name, *known[name]) for name in sys.argv[1:] or known]))
