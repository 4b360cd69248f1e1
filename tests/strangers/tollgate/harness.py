"""python harness.py [variant]      (HARNESS_DSN: an empty PostgreSQL database to be overwritten)"""
import asyncio, inspect, os, pathlib, shutil, subprocess, sys, tempfile

HERE = pathlib.Path(__file__).parent


def lay_out(variant):
    from variants import VARIANTS

    root = pathlib.Path(tempfile.mkdtemp()) / "repo"
    shutil.copytree(HERE / "base", root)
    for v in VARIANTS if variant != "base" else []:
        for path, old, new in v["edits"] if v["id"] == variant else []:
            file = root / path
            if old:
                text = file.read_text()
                assert text.count(old) == 1, (variant, path, old, text.count(old))
                new = text.replace(old, new)
            file.write_text(new)
    return root


class Killed(BaseException):
    pass


def scenes():
    import logging
    import psycopg
    from types import SimpleNamespace
    from procrastinate.jobs import Job
    from tollgate import bank, charging, passages, schema, upkeep
    from tollgate.queue import app

    dsn, ref = os.environ["TOLLGATE_DSN"], "A7-20260314-000123"
    report = dict(passage_ref=ref, plate="BE 4711", gantry="A7", passed_at="2026-03-14T07:12:09+00:00", amount_cents=340)
    lines = []

    class Bank:
        def __init__(self): self.plan, self.keys = [], []

        def take(self, idempotency_key, **_):
            before, after = self.plan.pop(0) if self.plan else (None, None)
            if before: raise before
            self.keys.append(idempotency_key)
            if after: raise after
            return {"id": "bk-1"}

    def charge_of(fake):
        if inspect.iscoroutinefunction(bank.BankGateway.charge):
            async def charge(self=None, **kw): return fake.take(**kw)
        else:
            def charge(self=None, **kw): return fake.take(**kw)
        return charge

    handler = logging.Handler(); handler.emit = lambda r: lines.append((r.levelname, r.getMessage()) if r.name.startswith("tollgate") else None)
    logging.getLogger().addHandler(handler); logging.getLogger().setLevel(logging.INFO)

    def scene(name, plan, act, good):
        lines.clear()
        with psycopg.connect(dsn, autocommit=True) as db:
            db.execute("drop schema public cascade; create schema public")
            schema.apply(dsn, demo=True)
            fake = Bank(); fake.plan = plan
            bank.gateway = lambda: SimpleNamespace(charge=charge_of(fake))
            act(db)
            rows = {c[0]: c[1] for c in db.execute("select passage_ref, status from charges").fetchall()}
            dead = [r[0] for r in db.execute("select code from refusals").fetchall()]
            left = sorted(r[0] for r in db.execute("select status::text from procrastinate_jobs where task_name = 'charge_passage'").fetchall())
            seen = {l[0] for l in lines if l}
            ok = good(set(fake.keys), rows.get(ref), dead, left, seen)
            print(f"  {'ok ' if ok else 'BAD'} {name}: booked={len(set(fake.keys))} charge={rows.get(ref)} dead={dead} jobs={left}")

    def work(db, rounds=1):
        for _ in range(rounds):
            app.run_worker(queues=["charges"], wait=False, listen_notify=False, install_signal_handlers=False)
            db.execute("update procrastinate_jobs set scheduled_at = now() where status = 'todo'")

    def put(db, **kw): app.configure_task("charge_passage", queue="charges", connection=db).defer(**kw)

    def killed(db):
        passages.report_passage(**report)
        job = Job(id=1, lock=None, queueing_lock=None, task_name="charge_passage", queue="charges", task_kwargs={"passage_ref": ref})
        db.execute("update procrastinate_jobs set status = 'doing'")
        context = SimpleNamespace(job=job)
        task = charging.charge_passage
        def run():
            result = task.func(context, passage_ref=ref)
            if inspect.isawaitable(result): asyncio.run(result)
        try: run()
        except Killed: pass
        upkeep.rescue(); work(db, 2); upkeep.rescue(); work(db, 2)

    def early(db):
        real = passages.charge_passage
        class Commit(psycopg.Connection):
            def commit(self): raise psycopg.OperationalError("lost before commit")
        connect = passages.connect
        passages.connect = lambda: Commit.connect(dsn, row_factory=psycopg.rows.dict_row)
        try: passages.report_passage(**report)
        except psycopg.OperationalError: pass
        finally: passages.connect = connect

    Un, Ref = bank.BankUnavailable, bank.ChargeRefused
    done = lambda keys, status, dead, left, seen: len(keys) == 1 and status == "charged" and not dead
    scene("once", [], lambda db: (passages.report_passage(**report), work(db)), lambda *a: done(*a) and "INFO" in a[4])
    scene("delivered twice", [], lambda db: (passages.report_passage(**report), put(db, passage_ref=ref), work(db), put(db, passage_ref=ref), work(db)), done)
    scene("503, then well", [(Un("HTTP 503"), None)], lambda db: (passages.report_passage(**report), work(db, 3)), lambda *a: done(*a) and "WARNING" in a[4])
    scene("answer lost", [(None, Un("ReadTimeout"))], lambda db: (passages.report_passage(**report), work(db, 3)), done)
    scene("killed before the debit", [(Killed(), None)], killed, done)
    scene("killed after the debit", [(None, Killed())], killed, done)
    dead = lambda code: lambda keys, status, d, left, seen: status == "refused" and d == [code] and left == ["failed"] and "ERROR" in seen
    scene("refused", [(Ref("R-51"), None)] * 20, lambda db: (passages.report_passage(**report), work(db, 3)), dead("R-51"))
    scene("never well", [(Un("HTTP 503"), None)] * 40, lambda db: (passages.report_passage(**report), work(db, 8), upkeep.rescue(), work(db, 8)), dead("GAVE-UP"))
    scene("malformed", [], lambda db: (put(db), work(db, 3)), lambda keys, status, d, left, seen: not keys and len(d) == 1 and left == ["failed"])
    scene("report not committed", [], early, lambda keys, status, d, left, seen: left == [])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--in"]:
        scenes()
    else:
        variant = sys.argv[1] if len(sys.argv) > 1 else "base"
        root = lay_out(variant)
        print(variant, flush=True)
        env = dict(os.environ, PYTHONPATH=str(root), PYTHONDONTWRITEBYTECODE="1", TOLLGATE_DSN=os.environ["HARNESS_DSN"])
        subprocess.run([sys.executable, str(HERE / "harness.py"), "--in"], env=env, cwd=root, timeout=300, stderr=None if os.environ.get("V") else subprocess.DEVNULL)
        if "--tests" in sys.argv:
            env["TOLLGATE_TEST_DSN"] = os.environ["HARNESS_DSN"]
            out = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], env=env, cwd=root, capture_output=True, text=True).stdout
            print("  tests:", out.strip().splitlines()[-1])
