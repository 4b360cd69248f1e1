"""python harness.py [variant]: runs deliver_copy through Huey with a fake relay and says which promises hold."""
import os, shutil, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).parent

SCENARIOS = r'''
import io, logging, os, smtplib, tempfile, time, datetime
folder = tempfile.mkdtemp()
os.environ["MAILCOURIER_DB"] = folder + "/h.db"; os.environ["MAILCOURIER_QUEUE"] = folder + "/q.db"
from mailcourier import db, deliveries, dispatch, postman, tasks
from mailcourier.tasks import deliver_copy, huey
out = io.StringIO(); logging.getLogger().handlers[0].setStream(out)
real = time.time; ahead = [0]
deliveries.time.time = lambda: real() + ahead[0]

class Killed(BaseException): pass
tried = []; mailed = []; plan = []
def effect(letter):
    tried.append(letter["Message-ID"])
    what = plan.pop(0) if plan else None
    if isinstance(what, Exception): raise what
    if what == "before": raise Killed()
    mailed.append(letter["Message-ID"])
    if what == "after": raise Killed()
    if what == "meanwhile": deliver_copy.call_local(issue_id=1, subscriber_id=1)
own = hasattr(postman, "post")
if own: postman.post = effect
else: tasks.postman.send = effect
later = lambda: postman.TryLater("451") if own else smtplib.SMTPDataError(451, b"later")
never = lambda: postman.Refused("550") if own else smtplib.SMTPRecipientsRefused({"ada@example.org": (550, b"no")})

def fresh(*planned):
    db.create()
    with db.transaction() as con:
        for (t,) in con.execute("select name from sqlite_master where type='table' order by rowid desc").fetchall(): con.execute(f"delete from {t}")
    db.demo(); huey.flush(); ahead[0] = 0
    with db.transaction() as con: con.execute("delete from deliveries where (issue_id, subscriber_id) <> (1, 1)")
    tried.clear(); mailed.clear(); plan[:] = planned; out.seek(0); out.truncate()
def work():
    for _ in range(60):
        task = huey.dequeue()
        if task: 
            try: huey.execute(task)
            except Killed: pass
        elif huey.scheduled():
            waiting = huey.scheduled(); huey.storage.flush_schedule()
            for task in waiting: task.eta = None; huey.enqueue(task)
        else: return
def pass_time():
    for _ in range(8):
        ahead[0] += 300; dispatch.dispatch_due(); work()
        ahead[0] += 600; dispatch.rescue_lost(); work()
def go(): dispatch.request_copy(1, 1); work(); pass_time()
def row():
    with db.transaction() as con: return con.execute("select status from deliveries where issue_id=1 and subscriber_id=1").fetchone()[0]
def dead():
    with db.transaction() as con: return con.execute("select count(*) from undeliverable").fetchone()[0]
bad = []
def check(name, ok):
    print("  " + ("ok  " if ok else "FAIL"), name, "" if ok else (row(), len(tried), len(mailed), dead()))
    if not ok: bad.append(name)

fresh(); go(); check("once", row() == "sent" and len(mailed) == 1)
log = out.getvalue(); check("log of success", "started" in log and ("succeeded" in log or "sent as" in log) and "deliver-copy" in log)
go(); check("twice", len(mailed) == 1 and dead() == 0)
fresh("meanwhile"); go(); check("two at once", row() == "sent" and len(mailed) == 1)
fresh("before"); go(); check("killed before", row() == "sent" and len(mailed) == 1)
fresh("after"); go(); check("killed after", row() == "sent" and len(mailed) == 2)
fresh(later(), later()); go(); check("transient", row() == "sent" and len(mailed) == 1 and "will be retried" in out.getvalue())
fresh(*[later() for _ in range(40)]); go(); check("gives up", len(tried) == 5 and row() == "failed" and dead() == 1)
check("log of giving up", "given up" in out.getvalue())
fresh(*[never() for _ in range(9)]); go(); check("bounce", len(tried) == 1 and row() == "failed" and dead() == 1)
fresh(*["before"] * 20); go(); check("kills workers", len(tried) == 5 and row() == "failed" and dead() == 1)
fresh(); dispatch.request_copy(1, 1); huey.flush(); pass_time(); check("message lost", row() == "sent" and len(mailed) == 1)
for message in ({}, {"issue_id": 1}, {"issue_id": "1", "subscriber_id": 1}, {"issue_id": 1, "subscriber_id": True}, {"issue_id": 1, "subscriber_id": 1, "x": 1}, {"issue_id": 9, "subscriber_id": 9}):
    fresh(); deliver_copy(**message); work(); check(f"bad {message}", not tried and dead() == 1 and "given up" in out.getvalue())
print("  =>", "keeps its promise" if not bad else f"broken: {bad}")
'''


def lay_out(variant):
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS
    root = Path(tempfile.mkdtemp(prefix="mailcourier-")) / "repo"
    shutil.copytree(HERE / "base", root, ignore=shutil.ignore_patterns("__pycache__"))
    if variant != "base":
        for path, old, new in next(v for v in VARIANTS if v["id"] == variant)["edits"]:
            file = root / path
            text = file.read_text() if old else ""
            assert not old or text.count(old) == 1, (path, old, text.count(old))
            file.write_text(text.replace(old, new) if old else new)
    return root


if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "base"
    root = lay_out(name)
    print(name)
    subprocess.run([sys.executable, "-B", "-c", SCENARIOS], cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    if "--keep" in sys.argv:
        print(root)
    else:
        shutil.rmtree(root.parent)
