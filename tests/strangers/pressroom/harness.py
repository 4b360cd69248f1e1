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
    import logging, sqlite3
    from datetime import datetime, timedelta, timezone
    import requests
    from pressroom import cms, hook, poller
    from pressroom.settings import settings

    lines = []
    try:
        from loguru import logger as loguru
        loguru.remove(); loguru.add(lambda m: lines.append((m.record["level"].name, m.record["message"])))
    except ImportError: pass
    handler = logging.Handler(); handler.emit = lambda r: lines.append((r.levelname, r.getMessage()))
    logging.getLogger("pressroom").addHandler(handler); logging.getLogger("pressroom").setLevel(logging.INFO)

    def status(code):
        if hasattr(hook, "HookDown"):
            return (hook.HookDown if code >= 500 else hook.HookClosed)(f"HTTP {code}")
        response = requests.Response(); response.status_code = code
        return requests.HTTPError(code, response=response)

    def scene(name, puts, says, polls, good, step=timedelta(minutes=20)):
        lines.clear()
        path = pathlib.Path(tempfile.mkdtemp(), "pressroom.db")
        os.environ["PRESSROOM_DATABASE"] = str(path); settings.cache_clear()
        from pressroom import store
        if hasattr(store, "engine"): store.engine.cache_clear()
        subprocess.run([sys.executable, "-m", "pressroom.store", "--demo"], check=True)
        put, said, now = [], [], [datetime(2026, 3, 1, tzinfo=timezone.utc)]

        def effect(plan, seen, key, result):
            def call(*_, **kw):
                before, after = plan.pop(0) if plan else (None, None)
                if before: raise before
                seen.append(kw[key])
                if after: raise after
                return result
            return call

        put_article, announce = effect(puts, put, "external_id", {"url": "https://t/b"}), effect(says, said, "message_id", None)
        if hasattr(cms, "Cms"): cms.Cms.put_article, hook.Hook.announce = put_article, announce
        else: cms.put_article, hook.announce = put_article, announce
        poller._now = lambda: now[0]
        for _ in range(polls):
            try: poller.publish_due()
            except Killed: pass
            now[0] += step
        db = sqlite3.connect(path)
        state = db.execute("select status from articles where id = 1").fetchone()[0]
        spiked = db.execute("select stage from spiked").fetchall()
        ok = good(put, said, state, spiked, {l[0] for l in lines}, len(puts) + len(says))
        print(f"  {'ok ' if ok else 'BAD'} {name}: cms={len(put)}/{len(set(put))} hook={len(said)}/{len(set(said))} {state} spiked={spiked}")

    done = lambda put, said, state, spiked, seen, left: (len(set(put)), len(set(said)), state, spiked) == (1, 1, "announced", [])
    scene("once", [], [], 1, lambda *a: done(*a) and len(a[1]) == 1)
    scene("polled twice", [], [], 2, lambda *a: done(*a) and len(a[1]) == 1)
    scene("CMS 503, then well", [(cms.CmsUnavailable("HTTP 503"), None)], [], 3, lambda *a: done(*a) and "WARNING" in a[4])
    scene("answer of the hook lost", [], [(None, status(503))], 3, done)
    scene("killed after the CMS", [(None, Killed())], [], 3, done)
    scene("killed before the hook", [], [(Killed(), None)], 3, done)
    scene("killed after the hook", [], [(None, Killed())], 3, done)
    dead = lambda stage, tries: lambda put, said, state, spiked, seen, left: state == "spiked" and spiked == [(stage,)] and "ERROR" in seen and 40 - left == tries
    scene("rejected by the CMS", [(cms.CmsRejected("slug"), None)] * 40, [], 3, dead("cms", 1))
    scene("hook is gone", [], [(status(404), None)] * 40, 9, dead("hook", 1))
    scene("hook never well", [], [(status(503), None)] * 40, 9, dead("hook", 5))
    scene("kills each time", [(Killed(), None)] * 40, [], 12, dead("cms", 5))


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
            out = subprocess.run([sys.executable, "-m", "unittest"], env=env, cwd=root, capture_output=True, text=True)
            print("  tests:", out.stderr.strip().splitlines()[-1])
