"""python harness.py [variant]: what a version does when it is disturbed. No argument: base."""
import os, shutil, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).parent


def lay_out(name, into):
    shutil.copytree(HERE / "base", into, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    if name == "base":
        return
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS
    for path, old, new in next(v for v in VARIANTS if v["id"] == name)["edits"]:
        file = Path(into, path)
        text = file.read_text() if file.exists() else ""
        assert not old or text.count(old) == 1, (path, old, text.count(old))
        file.write_text(text.replace(old, new) if old else new)


PLAY = r'''
import logging, os, sys, tempfile, time
import fakeredis
logging.basicConfig(stream=open(os.environ["LOG"], "a"), format="%(levelname)s %(message)s", level="INFO")
from tilefactory import db, jobs, release, settings, store, sweeps
bad = 0
def check(what, ok, seen=""):
    global bad
    bad += not ok
    print("ok  " if ok else "FAIL", what, "" if ok else seen)
class Kill(BaseException): pass
class Store:
    def __init__(self): self.puts, self.before, self.after = [], [], []
    def head_object(self, **kw): return None
    def put_object(self, *, Bucket, Key, Body, **kw):
        if self.before:
            f = self.before.pop(0)
            if f: self.puts.append(Key); f()
        self.puts.append(Key)
        if self.after:
            f = self.after.pop(0)
            if f: f()
        return {}
def fresh():
    os.environ["TILES_DB"] = tempfile.mktemp(".db"); db.create(sample=True)
    s = Store(); store.client = lambda: s
    server = fakeredis.FakeServer()
    release.Redis = type("R", (), {"from_url": staticmethod(lambda u: fakeredis.FakeStrictRedis(server=server))})
    return s
def q(sql):
    c = db.connect()
    try: return [tuple(r) for r in c.execute(sql)]
    finally: c.close()
def run(m={"batch_id": 1}):
    try: jobs.build_batch(m); return "end"
    except Kill: return "killed"
    except Exception as e: return type(e).__name__
def throw(e):
    def f(): raise e
    return f
END = "select a.key, l.published from artifacts a join layers l on l.name='roads' where a.batch_id=1"
s = fresh(); run(); want = q(END); run(); check("twice in turn", len(s.puts) == 1 and q(END) == want, q(END))
s = fresh(); s.after = [throw(Kill())]; run(); run(); check("killed after the put", len(set(s.puts)) == 1 and q(END) == want, (s.puts, q(END)))
s = fresh(); s.before = [throw(store.StoreUnavailable("503"))]; r = run(); run(); check("transient", r == "StoreUnavailable" and len(set(s.puts)) == 1 and q(END) == want, s.puts)
s = fresh(); s.before = [throw(store.StoreUnavailable("503"))] * 9; rs = [run() for _ in range(6)]
check("bounded, buried", len(s.puts) == 5 and rs[4:] == ["end"] * 2 and q("select count(*) from dead_letters") == [(1,)], rs)
for e in (store.AccessDenied("403"), store.InvalidObject("400")):
    s = fresh(); s.before = [throw(e)] * 9; r = run(); check(f"permanent {type(e).__name__}", r == "end" and len(s.puts) == 1 and len(q("select * from dead_letters")) == 1, r)
s = fresh(); s.before = [lambda: run()]; run(); check("two at once", q(END) == want, q(END))
s = fresh(); s.before = [throw(Kill())] * 9; [run() for _ in range(6)]; check("kills its workers", len(s.puts) == 5 and len(q("select * from dead_letters")) == 1, s.puts)
for m in ({}, {"batch_id": "one"}, {"batch_id": 0}, {"batch_id": True}, {"batch_id": 1, "force": True}, {"batch_id": 99}):
    s = fresh(); r = run(m); check(f"bad {m}", r == "end" and not s.puts and len(q("select * from dead_letters")) == 1, r)
# the publisher dies before Redis has it; the relay; then the message gets lost; the sweep
s = fresh(); enqueue = release.Queue.enqueue; release.Queue.enqueue = lambda *a, **k: throw(Kill())()
try: release.release(1)
except Kill: pass
release.Queue.enqueue = enqueue; sweeps.requeue(); check("publisher killed, relay", release.queue().count == 1, release.queue().count)
s = fresh(); release.release(1); release.queue().connection.delete(release.queue().key); now = time.time; time.time = lambda: now() + 900
sweeps.requeue(); n = release.queue().count; time.time = now; check("message lost, sweep", n == 1, n)
run(); time.time = lambda: now() + 1900; release.queue().connection.delete(release.queue().key); sweeps.requeue(); time.time = now; check("nothing swept once done", release.queue().count == 0)
logging.shutdown(); log = open(os.environ["LOG"]).read()
check("log", all(w in log for w in ("batch=1", "started", "StoreUnavailable: 503", "AccessDenied: 403", "done")))
sys.exit(bool(bad))
'''

if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "base"
    with tempfile.TemporaryDirectory() as folder:
        repo = os.path.join(folder, "repo")
        lay_out(name, repo)
        env = {**os.environ, "LOG": os.path.join(folder, "log"), "PYTHONPATH": repo, "PYTHONDONTWRITEBYTECODE": "1"}
        print("==", name)
        tests = subprocess.run([sys.executable, "-m", "pytest", "-q", "tests"], cwd=repo, env=env, capture_output=True, text=True)
        print("tests:", tests.stdout.strip().splitlines()[-1])
        if tests.returncode and "-v" in sys.argv: print(tests.stdout[-3000:])
        sys.exit(subprocess.run([sys.executable, "-c", PLAY], cwd=repo, env=env).returncode)
