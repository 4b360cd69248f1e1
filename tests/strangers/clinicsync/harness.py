"""python harness.py [variant] [--tests]: what each fault does to one version, without any tool."""
import asyncio, os, shutil, sqlite3, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.dont_write_bytecode = True


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


class Killed(BaseException): pass


async def main(root):
    sys.path.insert(0, str(root)); os.chdir(root)
    from arq import Retry
    from clinicsync import config, db, planner, sms as sms_module
    from clinicsync.worker import send_reminder
    import logging; from loguru import logger
    lines = []
    logger.remove(); logger.add(lambda m: lines.append(m.record["level"].name))
    class H(logging.Handler):
        def emit(self, r): lines.append(r.levelname)
    logging.getLogger("clinicsync").addHandler(H()); logging.getLogger("clinicsync").setLevel("INFO")
    if hasattr(sms_module, "SmsRejected"):
        down, no = lambda: sms_module.SmsUnavailable("503"), lambda: sms_module.SmsRejected("422")
    else:
        down, no = lambda: sms_module.SmsError(503), lambda: sms_module.SmsError(422)
    FIRST = {"appointment_id": 1, "day": "2031-03-03"}

    async def scenario(title, faults, deliveries, expect, message=FIRST, rescue=False):
        """faults: per call (before, after). Got: refs sent, calls, status, dead letters, ends with an ERROR line."""
        config.settings().db_path = f"{tempfile.mkdtemp()}/x.db"
        await db.create(demo=True); lines.clear()
        refs, calls, todo = set(), [0], list(faults)

        class Sms:
            async def send(self, *, to, text, client_ref):
                return await self.put(client_ref, None)

            async def put(self, client_ref, _):
                calls[0] += 1
                before, after = todo.pop(0) if todo else (None, None)
                if before: raise before
                refs.add(client_ref)
                if after: raise after
                return "sms-1"

        async def deliver(tries=1):
            while True:
                try: await send_reminder({"sms": Sms(), "job_id": "j1", "job_try": tries}, **message)
                except Retry: tries += 1; continue
                except Killed: pass
                except Exception: pass
                for _ in range(5): await asyncio.sleep(0)
                await asyncio.sleep(0.05)
                return
        for i in range(deliveries): await deliver(i + 1)
        with sqlite3.connect(config.settings().db_path) as c:
            if rescue:
                c.execute("update reminders set updated_at='2020-01-01T00:00:00+00:00'"); c.commit()
                class Pool:
                    async def enqueue_job(self, *a, **k): await deliver()
                    async def aclose(self): pass
                async def create_pool(_): return Pool()
                planner.create_pool = create_pool
                await planner.rescue_stuck()
            row = c.execute("select status from reminders where appointment_id=1").fetchone()
            dead = c.execute("select count(*) from dead_letters").fetchone()[0]
        got = (len(refs), calls[0], row and row[0], dead, "ERROR" in lines)
        print("ok  " if got == expect else "BAD ", title, got, "" if got == expect else f"expected {expect}", flush=True)

    await scenario("once", [], 1, (1, 1, "sent", 0, False))
    await scenario("twice", [], 2, (1, 1, "sent", 0, False))
    await scenario("transient", [(down(), None), (None, down())], 1, (1, 3, "sent", 0, False))
    await scenario("transient for ever", [(down(), None) for _ in range(40)], 1, (0, 5, "dead", 1, True))
    await scenario("the same, rescue after", [(down(), None) for _ in range(40)], 1, (0, 5, "dead", 1, True), rescue=True)
    await scenario("permanent, twice", [(no(), None) for _ in range(40)], 2, (0, 1, "dead", 1, True))
    if "m-background" not in str(sys.argv):
        await scenario("killed before", [(Killed(), None)], 2, (1, 2, "sent", 0, False))
        await scenario("killed after", [(None, Killed())], 2, (1, 2, "sent", 0, False))
        await scenario("killed, rescued", [(None, Killed())], 1, (1, 2, "sent", 0, False), rescue=True)
        await scenario("killed each time", [(Killed(), None) for _ in range(40)], 8, (0, 5, "dead", 1, True))
    for bad in ({}, {"appointment_id": "1", "day": "2031-03-03"}, {**FIRST, "again": True}):
        await scenario(f"malformed {bad}", [], 1, (0, 0, None, 1, True), bad)


if __name__ == "__main__":
    name = next((a for a in sys.argv[1:] if a[0] != "-"), "base")
    root = lay_out(name)
    print("==", name, flush=True)
    if "--tests" in sys.argv:
        sys.exit(subprocess.call([sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=root))
    asyncio.run(main(root))
