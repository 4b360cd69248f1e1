"""python harness.py [ID...] -- lays out each version, runs its tests and a script of misfortunes. Without ids: all."""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from variants import VARIANTS  # noqa: E402

MISFORTUNES = r'''
import logging, os, shutil, sqlite3, sys, tempfile, time
folder = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
logging.disable(logging.CRITICAL)
from campingplatz import db, gate_queue, gatekeeper, reception
from campingplatz.barrier import Barrier
from campingplatz.http import Refused, Unavailable
class Kill(BaseException): pass
START = 1_900_000_000
now = [START]; time.time = lambda: now[0]; time.sleep = lambda s: None
bad = []
def expect(what, ok, seen=""):
    if not ok: bad.append((what, seen))
step = {"n": 0, "at": 0, "what": None}
def point():
    step["n"] += 1
    if step["n"] == step["at"]: raise step["what"]
class Conn(sqlite3.Connection):
    def execute(self, sql, *args):
        if not sql.startswith(("pragma", "rollback")): point()
        return super().execute(sql, *args)
real = sqlite3.connect
def connect(path=None):
    c = real(os.environ["CAMP_DATABASE"], timeout=5, isolation_level=None, factory=Conn); c.row_factory = sqlite3.Row; return c
keys, opened, before, after, during = [], {}, [], [], []
def open_(self, gate, plate, until, key):
    point()
    if before: raise before.pop(0)
    keys.append(key); receipt = opened.setdefault(key, "rc-" + key)
    if during: during.pop(0)()
    point()
    if after: raise after.pop(0)
    return receipt
Barrier.open = open_
count = 0
db.connect = connect; reception.connect = connect
if hasattr(gate_queue, "connect"): gate_queue.connect = connect
def fresh(arrived=True):
    global count; count += 1
    os.environ["CAMP_DATABASE"] = f"{folder}/{count}.db"; now[0] = START
    for x in (keys, before, after, during): x.clear()
    opened.clear(); step.update(n=0, at=0); db.main([])
    c = real(os.environ["CAMP_DATABASE"]); c.execute("insert into bookings values (1, 'N', 'HH-AB 12', 'B7', '2031-08-14', 'booked')"); c.commit(); c.close()
    if arrived: reception.check_in(1)
    step["n"] = 0
def q(sql):
    c = real(os.environ["CAMP_DATABASE"]); r = c.execute(sql).fetchall(); c.close(); return r
def row(): return q("select receipt, opened_at is not null, parked_at is not null from gate_queue")
def poll():
    try: gatekeeper.run_once()
    except Kill: return "killed"
    except Exception: pass
def polls(n=12, wait=601):
    for _ in range(n): poll(); now[0] += wait
GOOD = [("rc-gate-1", 1, 0)]
def whole(what): expect(what, row() == GOOD and set(keys) == {"gate-1"}, (row(), keys))

fresh(); poll(); total = step["n"]; whole("plain"); polls(); whole("polled on"); expect("polled on", len(keys) == 1)
for at in range(1, total + 1):
    fresh(); step.update(at=at, what=Kill()); poll(); polls(); whole(f"killed at {at}/{total}")
    fresh(); step.update(at=at, what=sqlite3.OperationalError("disk")); poll(); polls(); whole(f"store fails at {at}/{total}")
for n in (1, 5):
    for side in (before, after):
        fresh(); side.extend([Unavailable("HTTP 503")] * n); polls(); whole(f"{n} failures")
for e, tries in ((Unavailable("HTTP 503"), 6), (Refused("HTTP 422"), 1), (KeyError("x"), 6)):
    fresh(); before.extend([e] * 99); polls(20); expect(f"{e!r}", row() == [(None, 0, 1)] and 99 - len(before) == tries, (row(), 99 - len(before)))
    fresh(); before.extend([e] * 99); poll(); total = step["n"]
    for at in range(1, total + 1):
        fresh(); before.extend([e] * 99); step.update(at=at, what=Kill()); polls(20); expect(f"{e!r}, killed at {at}", row() == [(None, 0, 1)], row())
fresh(); n = 0
for _ in range(20):
    during[:] = [lambda: (_ for _ in ()).throw(Kill())]
    n += poll() == "killed"; now[0] += 700
expect("each try kills", n == 6 and row() == [(None, 0, 1)], (n, row()))
fresh(); during.append(poll); poll(); polls(); whole("two at once"); expect("two at once", len(keys) == 1, keys)
def late(*then):
    def go(): now[0] += 61; [f() for f in then]
    return go
fresh(); during.append(late(poll)); poll(); polls(); whole("late, another poller opens it")
def fail_poll(e):
    def go(): before.append(e); poll()
    return go
for e in (Unavailable("HTTP 503"), Refused("HTTP 410")):
    fresh(); during.append(late(fail_poll(e))); poll(); polls(); whole(f"late, the other gets {e!r}")
for tries in (4, 5):
    fresh(); before.extend([Unavailable("x")] * tries); polls(tries); before.clear(); keys.clear()
    during.append(late(fail_poll(Unavailable("x")) if tries == 4 else poll)); poll(); whole(f"try {tries + 1} is late, the other poller gives up")
fresh(); after.append(Unavailable("x")); during.append(late(poll)); poll(); polls(); whole("late and lost, the other opens it")
fresh(); after.append(Unavailable("x")); poll(); now[0] += 4 * 86400; polls(); expect("after the window", len(keys) == 1 and row()[0][2] == 1, (keys, row()))
fresh(False); reception.check_in(1); total = step["n"]
for at in range(1, total + 1):
    fresh(False); step.update(at=at, what=Kill())
    try: reception.check_in(1)
    except Kill: pass
    arrived = q("select status from bookings")[0][0] == "arrived"; expect("check-in", arrived == bool(row()), at)
    reception.check_in(1); polls(); whole(f"check-in killed at {at}")
shutil.rmtree(folder)
print("HOLDS" if not bad else f"FAILS in {len(bad)} places: {bad[:3]}")
sys.exit(bool(bad))
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
        Path(repo, "misfortunes.py").write_text(MISFORTUNES)
        tests, script = (
            subprocess.run([sys.executable, *cmd], cwd=repo, capture_output=True, text=True)
            for cmd in (("-m", "pytest", "-q", "-p", "no:cacheprovider"), ("misfortunes.py",))
        )
    said = (script.stdout.strip().splitlines() or [script.stderr[-1500:]])[-1]
    right = tests.returncode == 0 and said.startswith("HOLDS" if kind == "correct" else "FAILS")
    print(f"{'right' if right else 'WRONG'}  {kind:7}  {name}  [{(tests.stdout.strip().splitlines() or ['?'])[-1]}]  {said}", flush=True)
    if tests.returncode:
        print(tests.stdout[-2500:])
    return right


if __name__ == "__main__":
    versions = {"base": ("correct", []), **{v["id"]: (v["kind"], v["edits"]) for v in VARIANTS}}
    sys.exit(not all([judge(name, *versions[name]) for name in sys.argv[1:] or versions]))
