"""python harness.py [variant] [--tests]: what each fault does to one version, without any tool."""
import os, shutil, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).parent


def lay_out(name):
    root = Path(tempfile.mkdtemp()) / "repo"
    shutil.copytree(HERE / "base", root)
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS
    for path, old, new in next((v["edits"] for v in VARIANTS if v["id"] == name), []):
        file = root / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (path, text.count(old), old)
            new = text.replace(old, new)
        file.write_text(new)
    return root


def main(name, root):
    sys.path.insert(0, str(root)); os.chdir(root)
    import httpx
    from sqlalchemy import text
    from parcelbank import bank, payouts, schema, uow
    from parcelbank.app import app
    from parcelbank.jobs.payouts import send_payout
    REF = "PO-2026-0001"

    class Killed(BaseException): pass

    def status(code):
        if hasattr(bank, "BankRefused"):
            return bank.BankUnavailable(code) if code >= 500 else bank.BankRefused(code)
        req = httpx.Request("POST", "http://b/")
        return httpx.HTTPStatusError(str(code), request=req, response=httpx.Response(code, request=req))

    sent = []
    app.send_task = lambda n, kwargs: sent.append(kwargs)

    def scenario(title, faults, deliveries, expect, message={"payout_ref": REF}):
        """faults: per call of the bank (before, after); expect: keys, calls, status, dead letters."""
        os.environ["PARCELBANK_DATABASE_URL"] = f"sqlite:///{tempfile.mkdtemp()}/x.db"
        uow.engine.cache_clear(); schema.create(demo=True)
        keys, calls, todo = set(), [0], list(faults)

        def create_transfer(self, *, idempotency_key, **order):
            calls[0] += 1
            before, after = todo.pop(0) if todo else (None, None)
            if before: raise before
            keys.add(idempotency_key)
            if after: raise after
            return "tr-1"

        bank.BankClient.create_transfer = create_transfer
        for _ in range(deliveries):
            try: send_payout.apply(kwargs=message)
            except Killed: pass
        with uow.engine().connect() as c:
            row = c.execute(text("select status from payouts where ref=:r"), {"r": REF}).scalar()
            dead = c.execute(text("select count(*) from dead_letters")).scalar()
        got = (len(keys), calls[0], row, dead)
        print("ok  " if got == expect else "BAD ", title, got, "" if got == expect else f"expected {expect}")

    k = Killed()
    scenario("once", [], 1, (1, 1, "paid", 0))
    scenario("twice", [], 2, (1, 1, "paid", 0))
    scenario("transient", [(status(503), None), (None, status(503))], 1, (1, 3, "paid", 0))
    scenario("transient for ever", [(status(503), None)] * 20, 1, (0, 5, "parked", 1))
    scenario("permanent, delivered twice", [(status(422), None)] * 20, 2, (0, 1, "refused", 1))
    scenario("killed before", [(k, None)], 2, (1, 2, "paid", 0))
    scenario("killed after", [(None, k)], 2, (1, 2, "paid", 0))
    scenario("killed each time", [(k, None)] * 40, 15, (0, 10, "parked", 1))
    for bad in ({}, {"payout_ref": 7}, {"payout_ref": REF, "again": True}):
        scenario(f"malformed {bad}", [], 1, (0, 0, "approved", 1), bad)


if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "base"
    root = lay_out(name)
    print("==", name)
    if "--tests" in sys.argv:
        sys.exit(subprocess.call([sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=root))
    import logging; logging.disable(logging.CRITICAL)
    import contextlib, io
    main(name, root)
