"""python harness.py [variant] [--tests]"""
import os, pathlib, shutil, subprocess, sys, tempfile

HERE = pathlib.Path(__file__).parent


def lay_out(variant):
    from variants import VARIANTS

    root = pathlib.Path(tempfile.mkdtemp()) / "repo"
    shutil.copytree(HERE / "base", root)
    for v in VARIANTS:
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
    import logging, time
    from types import SimpleNamespace
    from celery.exceptions import Retry
    from petvault import dispatch, post, settings, tables, tasks
    from petvault.celery_app import app
    from petvault.vault import VaultRefused, VaultUnavailable

    app.conf.task_always_eager = True
    sys.setrecursionlimit(10_000)
    now = [1_775_000_000.0]
    time.time = lambda: now[0]
    lines = []
    handler = logging.Handler(); handler.emit = lambda r: lines.append((r.levelname, getattr(r, "invoice_id", None)))
    logging.getLogger("petvault").addHandler(handler); logging.getLogger("petvault").setLevel(logging.INFO)
    sweep = getattr(dispatch, "rescue", None) or dispatch.requeue_open

    def deliver(**kwargs):
        try: tasks.send_invoice.apply(kwargs=kwargs)
        except Killed: pass

    def press():
        try: dispatch.request_delivery(1)
        except Killed: pass

    def meanwhile():  # a second worker; its retry lies in the broker until the first is done
        task, retry = tasks.send_invoice, tasks.send_invoice.retry
        def put_back(*_, **kw): raise Retry(when=kw.get("countdown"))
        task.retry = put_back
        deliver(invoice_id=1)
        task.retry = retry

    def later(seconds): now[0] += seconds

    def scene(name, puts, sends, act, good):
        lines.clear()
        settings.DATABASE = str(pathlib.Path(tempfile.mkdtemp(), "p.db"))
        tables.engine.cache_clear(); tables.metadata.create_all(tables.engine()); tables.demo()
        put, sent = [], []

        def effect(plan, seen, key):
            def call(**kw):
                before, after = plan.pop(0) if plan else (None, None)
                if callable(before): before()
                elif before: raise before
                seen.append(kw[key])
                if after: raise after
            return call

        tasks.vault = lambda: SimpleNamespace(put=effect(puts, put, "key"))
        post.send = effect(sends, sent, "message_id")
        act()
        with tables.engine().connect() as db:
            q = lambda sql: [tuple(r) for r in db.exec_driver_sql(sql)]
            state, dead = q("select status from deliveries where invoice_id = 1"), q("select subject from dead_invoices")
        state = state[0][0] if state else None
        ok = good(put, sent, state, dead, {l[0] for l in lines if l[1] == 1}, len(puts) + len(sends))
        print(f"  {'ok ' if ok else 'BAD'} {name}: put={len(put)} mailed={len(sent)} {state} dead={[d[0] for d in dead]}")

    def mailed(times):
        return lambda put, sent, state, dead, seen, left: (len(set(put)), len(sent), state, dead) == (1, times, "mailed", [])

    def kill_and_go_on():
        press(); later(5); meanwhile(); later(180); deliver(invoice_id=1); later(900); sweep()

    def kills():
        press()
        for _ in range(15): later(180); deliver(invoice_id=1)

    scene("once", [], [], press, mailed(1))
    scene("delivered twice", [], [], lambda: (press(), deliver(invoice_id=1), later(900), sweep()), mailed(1))
    scene("two at once", [], [(meanwhile, None)], lambda: (press(), deliver(invoice_id=1)), mailed(1))
    scene("vault and relay down, then well", [(VaultUnavailable("x"), None)], [(post.NotSent(451), None)], press, lambda *a: mailed(1)(*a) and "WARNING" in a[4])
    scene("killed after the vault", [(None, Killed())], [], kill_and_go_on, mailed(1))
    scene("killed before the mail", [], [(Killed(), None)], kill_and_go_on, mailed(1))
    scene("killed after the mail", [], [(None, Killed())], kill_and_go_on, mailed(2))
    dead = lambda tries, planned=40: lambda put, sent, state, dead, seen, left: (sent, state, dead, planned - left) == ([], "failed", [("invoice:1",)], tries) and "ERROR" in seen
    scene("vault refuses", [(VaultRefused("AccessDenied"), None)] * 40, [], press, dead(1))
    scene("no such user", [], [(post.NotSent(550), None)] * 40, press, dead(1))
    scene("relay never well", [], [(post.NotSent(451), None)] * 10, press, dead(6, planned=10))
    scene("kills each time", [(Killed(), None)] * 40, [], kills, dead(6))
    scene("malformed", [], [], lambda: [deliver(**m) for m in ({}, {"invoice_id": "1"}, {"invoice_id": 1, "x": 1})], lambda put, sent, state, dead, seen, left: not sent and len(dead) == 3 and state is None)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--in"]:
        scenes()
    else:
        variant = sys.argv[1] if len(sys.argv) > 1 else "base"
        root = lay_out(variant)
        print(variant, flush=True)
        env = dict(os.environ, PYTHONPATH=str(root), PYTHONDONTWRITEBYTECODE="1")
        quiet = None if os.environ.get("V") else subprocess.DEVNULL
        subprocess.run([sys.executable, str(HERE / "harness.py"), "--in"], env=env, cwd=root, timeout=300, stderr=quiet)
        if "--tests" in sys.argv:
            out = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], env=env, cwd=root, capture_output=True, text=True)
            print("  tests:", out.stdout.strip().splitlines()[-1])
