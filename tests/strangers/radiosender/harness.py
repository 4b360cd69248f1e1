"""python harness.py [ID...]: what the versions do when they are disturbed. Without ids: all of them, base first."""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from variants import VARIANTS  # noqa: E402

PLAY = r'''
import asyncio, gc, logging, os, sys, tempfile
os.environ["RADIO_DATABASE_URL"] = "sqlite+aiosqlite:///%s/r.db" % tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
from arq import Retry
from sqlalchemy import event, exc, text
from sqlalchemy.orm import close_all_sessions
from sqlalchemy.util import greenlet_spawn
from radiosender import bookings, db, queue, settings, worker
from radiosender.errors import SendeplanAway, SlotRefused
logging.disable(logging.CRITICAL)
class Kill(BaseException): pass
problems = []
def check(what, ok, seen=""):
    if not ok: problems.append(f"{what}: {seen}")
fail = {"at": 0, "n": 0}
def statement(*a):
    fail["n"] += 1
    if fail["n"] == fail["at"]: raise exc.OperationalError("x", {}, Exception("disk I/O error"))
event.listen(db.engine.sync_engine, "before_cursor_execute", statement)
event.listen(db.engine.sync_engine, "commit", statement)
ids, puts, slots, hooks = [], [], {}, {"before": [], "after": []}
async def publish(some):
    for i in some: ids.append(i); await queue._queued(i)
queue.publish = publish
class Plan:
    async def reserve(self, reservation_id, wanted_at, seconds):
        puts.append(reservation_id)
        if hooks["before"]: await hooks["before"].pop(0)()
        slot = slots.setdefault(reservation_id, f"slot-{len(slots) + 1}")
        if hooks["after"]: await hooks["after"].pop(0)()
        return slot
def throw(e):
    async def f(): raise e
    return f
async def q(sql):
    async with db.engine.connect() as c: return [tuple(r) for r in await c.execute(text(sql))]
async def do(sql):
    async with db.engine.begin() as c: await c.execute(text(sql))
async def fresh():
    fail.update(at=0); ids.clear(); puts.clear(); slots.clear(); hooks["before"].clear(); hooks["after"].clear()
    async with db.engine.begin() as c:
        await c.run_sync(db.Base.metadata.drop_all); await c.run_sync(db.Base.metadata.create_all)
    async with db.Session.begin() as s: s.add(db.Booking(id=1, customer="Kraft", wanted_at="x", seconds=20))
    fail["n"] = 0
async def run(first=1, **message):
    t = first - 1
    while t < 20:
        t += 1
        try: return await worker.book_slot({"job_id": "j", "job_try": t, "sendeplan": Plan()}, **(message or {"booking_id": 1}))
        except Retry: continue
        except Exception as e: return type(e).__name__
async def recover():
    for _ in range(20):
        await do("update bookings set touched_at = '2020-01-01 00:00:00.000000' where touched_at is not null")
        await queue.publish_unqueued(); await queue.sweep()
        if not ids: break
        while ids: ids.pop(); await run()
async def whole(what):
    check(what, await q("select state, slot from bookings") == [("booked", "slot-1")], await q("select state, slot from bookings"))
    check(what, await q("select event, detail from audit") == [("booked", "slot-1")], "audit")
    check(what, await q("select count(*) from dead_letters") == [(0,)], "dead letters")
    check(what, len(slots) == 1, f"reserved {sorted(slots)}")
async def one(what):
    st = await q("select state from bookings"); check(what, st == [("booked",)] and len(await q("select * from audit")) == 1, st)
def kill_at(at):
    n = [0]
    def local(frame, ev, arg):
        if ev == "line":
            n[0] += 1
            if n[0] == at: sys.settrace(None); raise Kill
        return local
    files = ("bookings.py", "worker.py")
    sys.settrace(lambda fr, ev, arg: local if "/radiosender/" in fr.f_code.co_filename and fr.f_code.co_filename.endswith(files) else None)
    return n
async def main():
    await fresh(); await queue.request(1); fail["n"] = 0; n = kill_at(10**9); await run(); sys.settrace(None); lines, count = n[0], fail["n"]; await whole("plain")
    await fresh(); await run(); await run(); await whole("twice")
    for at in range(1, lines + 1):
        await fresh(); await queue.request(1); ids.clear(); kill_at(at)
        try: await run()
        except Kill: pass
        finally: sys.settrace(None)
        gc.collect(); await greenlet_spawn(close_all_sessions)
        if at % 2: await run()
        await recover(); await whole(f"killed at line {at}")
    for at in range(1, count + 1):
        await fresh(); await queue.request(1); ids.clear(); fail.update(at=at, n=0); await run(); await recover(); await whole(f"database failing at {at}")
    for n in (1, 4):
        await fresh(); hooks["after"] = [throw(SendeplanAway("ReadTimeout"))] * n; await run(); await whole(f"{n} answers lost")
    await fresh(); hooks["before"] = [throw(SendeplanAway("503"))] * 9; await run()
    check("five tries", (len(puts), await q("select state from bookings"), await q("select count(*) from dead_letters")) == (5, [("failed",)], [(1,)]), puts)
    await fresh(); hooks["before"] = [throw(SlotRefused("409"))]; await run()
    check("refused", (len(puts), await q("select state from bookings"), await q("select count(*) from dead_letters")) == (1, [("failed",)], [(1,)]), puts)
    for where in ("before", "after"):
        async def other(): await run()
        async def edit():
            v = (await q("select version from bookings"))[0][0]; await bookings.edit_note(1, v, "ring")
        async def other_then_lost(): await run(); raise SendeplanAway("x")
        await fresh(); hooks[where] = [other]; await run(); await whole(f"two at once ({where})")
        await fresh(); hooks[where] = [other_then_lost]; await run(5); await whole(f"the other books, this one loses its answer ({where})")
        await fresh(); hooks[where] = [edit]; await run(); await whole(f"edited meanwhile ({where})"); check("note", await q("select note from bookings") == [("ring",)])
    await fresh(); deaths = 0
    for _ in range(30):
        hooks["before"] = [throw(Kill())]
        try: await run()
        except Kill: deaths += 1
    check("each delivery kills", (deaths, await q("select count(*) from dead_letters")) == (12, [(1,)]), deaths)
    for bad in ({"booking_id": "1"}, {"booking_id": 0}, {"booking_id": 9}, {"booking_id": 1, "x": 2}):
        await fresh(); await run(**bad); check("poison", await q("select count(*) from dead_letters") == [(1,)] and not puts, bad)
asyncio.run(main())
print("HOLDS" if not problems else f"FAILS ({len(problems)}): {problems[0]}")
for p in problems[1:6]: print("   ", p)
sys.exit(bool(problems))
'''


def lay_out(version, folder):
    shutil.copytree(HERE / "base", folder, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    for path, old, new in version["edits"]:
        file = Path(folder, path)
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (version["id"], path, text.count(old), old[:80])
            new = text.replace(old, new)
        file.write_text(new)


def main(ids):
    versions = {"base": dict(id="base", kind="correct", edits=[]), **{v["id"]: v for v in VARIANTS}}
    wrong = 0
    for name in ids or versions:
        with tempfile.TemporaryDirectory() as tmp:
            repo = Path(tmp, "repo")
            lay_out(versions[name], repo)
            tests = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=repo, capture_output=True, text=True)
            Path(repo, "play.py").write_text(PLAY)
            play = subprocess.run([sys.executable, "play.py"], cwd=repo, capture_output=True, text=True)
        kind = versions[name]["kind"]
        ok = tests.returncode == 0 and (play.returncode == 0) == (kind == "correct") and play.stdout.startswith(("HOLDS", "FAILS"))
        wrong += not ok
        print(f"{'ok ' if ok else 'NOT'} {kind:8} {name}: tests {tests.stdout.strip().splitlines()[-1:]}\n    {play.stdout.strip()}{'' if ok else play.stderr[-2500:]}", flush=True)
        if tests.returncode:
            print(tests.stdout[-2500:])
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
