"""Which version is right, found out with a lab and an SMS gateway of cardboard: python harness.py [ID ...]

Each delivery is a forked process in which taskiq's own Receiver runs the task with the app's middlewares. What it
publishes and acknowledges goes to a file; what was not acknowledged is handed out again, 121 s later.
"""

import asyncio
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SHM = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
REF = "lab-1"
STRIDE = int(os.environ.get("STRIDE", "10"))  # of the lines at which a worker is killed; 1 takes minutes


def lay_out(variant, folder):
    shutil.copytree(HERE / "base", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path, old, new in variant["edits"]:
        file = folder / path
        if old == "":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(new)
        else:
            text = file.read_text()
            assert text.count(old) == 1, (variant["id"], path, text.count(old), old[:90])
            file.write_text(text.replace(old, new))


class Street:
    """The lab, the gateway and the queue; everything is kept in files, since deliveries are processes."""

    def __init__(self, repo):
        self.repo = repo
        self.db, self.clean, self.world = repo / "run.db", repo / "clean.db", repo / "world.json"
        os.environ.update(VET_DB=str(self.db), VET_BROKER="memory", VET_LAB_TOKEN="s3cret", VET_SMS_TOKEN="s3cret")
        sys.path.insert(0, str(repo))
        import httpx
        from vetclinic import broker, desk, rescue, seed, tasks

        self.httpx, self.broker, self.desk, self.rescue, self.task = httpx, broker.broker, desk, rescue, tasks.book_lab_test
        asyncio.run(seed.main())
        shutil.copy(self.db, self.clean)
        real, self.shift = time.time, 0
        time.time = lambda: real() + self.shift
        self.lab_plan, self.sms_plan, self.sql_fault, self.inside = [], [], None, None
        httpx.AsyncClient.get, httpx.AsyncClient.post = self.get(), self.post()
        self.broker.kick = self.kick

    # ------------------------------------------------------------ the world
    def look(self):
        empty = {"orders": [], "keys": {}, "filed_later": [], "texts": {}, "lab": 0, "sms": 0, "queue": [], "acks": 0}
        return {**empty, **(json.loads(self.world.read_text()) if self.world.exists() else {})}

    def keep(self, world):
        self.world.write_text(json.dumps(world))

    def get(street):
        async def get(self, url, *, params=None, headers=None, **more):
            world = street.look()
            found = [o for o in world["orders"] if o["reference"] == params["reference"]]
            world["orders"] += world["filed_later"]  # a slow desk: filed after somebody has asked
            world["filed_later"] = []
            street.keep(world)
            return street.httpx.Response(200, json={"orders": found}, request=street.httpx.Request("GET", "http://lab"))

        return get

    def post(street):
        async def post(self, url, *, json=None, headers=None, **more):
            if street.inside:
                call, street.inside = street.inside, None
                await call()
            return street.answer(url, json, headers)

        return post

    def answer(self, url, body, headers):
        world, httpx = self.look(), self.httpx
        request = httpx.Request("POST", "http://partner" + url)
        if url == "/messages":
            plan, n = self.sms_plan, world["sms"]
            world["sms"] += 1
        else:
            plan, n = self.lab_plan, world["lab"]
            world["lab"] += 1
        fault = plan[n] if n < len(plan) else None
        if isinstance(fault, int):
            self.keep(world)
            return httpx.Response(fault, json={}, request=request)
        if fault == "refused connection":
            self.keep(world)
            raise httpx.ConnectError("refused", request=request)
        if url == "/messages":
            world["texts"][body["client_ref"]] = world["texts"].get(body["client_ref"], 0) + 1
            answer = {}
        else:
            key = headers["Idempotency-Key"]
            if key not in world["keys"]:
                world["keys"][key] = f"LO-{len(world['keys']) + 1}"
                order = {"id": world["keys"][key], "reference": body["reference"]}
                world["filed_later" if fault == "late" else "orders"].append(order)
            answer = {"id": world["keys"][key]}
        self.keep(world)
        if fault == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault in ("lost", "late"):
            raise httpx.ReadTimeout("timed out", request=request)
        return httpx.Response(201, json=answer, request=request)

    async def kick(self, message):
        world = self.look()
        world["queue"].append(message.message.decode())
        self.keep(world)

    # ------------------------------------------------------------ processes
    def fresh(self, lab=(), sms=()):
        for file in self.repo.glob("run.db*"):
            file.unlink()
        shutil.copy(self.clean, self.db)
        self.world.unlink(missing_ok=True)
        self.lab_plan, self.sms_plan, self.shift, self.inside = list(lab), list(sms), 0, None

    def fork(self, coroutine, kill_at=None, break_at=None):
        pid = os.fork()
        if pid:
            _, status = os.waitpid(pid, 0)
            return "killed" if os.WIFSIGNALED(status) else "done"
        out = os.open(self.repo / "stderr", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(out, 1), os.dup2(out, 2)
        count = {"lines": 0, "sql": 0}
        root = str(self.repo / "vetclinic")

        def line(frame, event, arg):
            if event == "line":
                count["lines"] += 1
                if count["lines"] == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
            return line

        import aiosqlite

        execute = aiosqlite.Connection._execute

        async def faulty(self_, fn, *args, **kwargs):
            if args and isinstance(args[0], str):
                count["sql"] += 1
                if count["sql"] == break_at:
                    raise sqlite3.OperationalError("disk I/O error")
            return await execute(self_, fn, *args, **kwargs)

        aiosqlite.Connection._execute = faulty
        try:
            if kill_at:
                sys.settrace(lambda frame, event, arg: line if frame.f_code.co_filename.startswith(root) else None)
            asyncio.run(coroutine())
        except BaseException as exc:
            print("CRASH", type(exc).__name__)
        sys.settrace(None)
        (self.repo / "count").write_text(json.dumps(count))
        os._exit(0)

    async def receive(self, data):
        from taskiq.abc.broker import AckableMessage
        from taskiq.receiver import Receiver

        def ack():
            world = self.look()
            world["acks"] += 1
            self.keep(world)

        await Receiver(self.broker, max_async_tasks=1).callback(AckableMessage(data=data.encode(), ack=ack))

    def message(self, **kwargs):
        from taskiq.message import TaskiqMessage

        labels = dict(self.task.labels)
        message = TaskiqMessage(
            task_id="j1", task_name=self.task.task_name, labels=labels, labels_types=None, args=[], kwargs=kwargs
        )
        return self.broker.formatter.dumps(message).message.decode()

    def work(self, *messages, limit=14, **first):
        """Until the queue is empty; how many deliveries it took."""
        queue, n = list(messages), 0
        while queue and n < limit:
            n += 1
            data = queue.pop(0)
            acks = self.look()["acks"]
            self.fork(lambda: self.receive(data), **(first if n == 1 else {}))
            world = self.look()
            queue += world["queue"]
            if world["acks"] == acks:
                queue.append(data)
            world["queue"] = []
            self.keep(world)
            self.shift += 121
        return n

    # ------------------------------------------------------------ looking
    def rows(self, sql):
        con = sqlite3.connect(self.db)
        try:
            return con.execute(sql).fetchall()
        finally:
            con.close()

    def status(self):
        return dict(self.rows("select ref, status from lab_requests")).get(REF)

    def dead(self):
        return self.rows("select count(*) from dead_letters")[0][0]

    def good(self):
        world = self.look()
        orders = world["orders"] + world["filed_later"]
        if len(orders) != 1:
            return f"{len(orders)} orders at the lab: {orders}"
        if list(world["texts"]) != [f"booked-{REF}"]:
            return f"texts {world['texts']}"
        if self.status() != "booked" or self.dead():
            return f"status {self.status()}, {self.dead()} dead letters"


def scenarios(street):
    one = street.message(ref=REF)
    street.fresh()
    street.work(one)
    street.work(one)
    world = street.look()
    yield "twice", street.good() or (None if (world["lab"], world["sms"]) == (1, 1) else f"calls {world}")

    for fault in (503, 429, "refused connection", "lost", "late", "die"):
        for plan in ({"lab": [fault]}, {"sms": [fault]}, {"lab": [fault], "sms": [fault, fault]}):
            street.fresh(**plan)
            street.work(one)
            yield f"{plan}", street.good()
    for plan in ({"lab": [503] * 99}, {"sms": [503] * 99}, {"sms": ["die"] * 99}):
        street.fresh(**plan)
        n = street.work(one)
        calls = max(street.look()["lab"], street.look()["sms"])
        bad = n > 6 or calls != 5 or street.dead() != 1 or street.status() != "dead"
        yield f"for ever {list(plan)}", f"{n} deliveries, {calls} calls, {street.dead()} dead" if bad else None
    for plan in ({"lab": [422]}, {"sms": [422]}):
        street.fresh(**plan)
        n = street.work(one)
        yield f"{plan}", None if (n, street.dead()) == (1, 1) else f"{n} deliveries, {street.dead()} dead letters"
    for kwargs in ({}, {"ref": 17}, {"ref": "LAB 1"}, {"ref": REF, "urgent": True}, {"ref": "lab-none"}):
        street.fresh()
        n = street.work(street.message(**kwargs))
        bad = (n, street.dead(), street.look()["lab"], street.status()) != (1, 1, 0, None)
        yield f"poison {kwargs}", f"{n} deliveries, {street.dead()} dead letters" if bad else None

    street.fresh()
    street.inside = lambda: street.receive(one)
    street.work(one)
    yield "another one in the middle of the order", street.good() or (
        None if (street.look()["lab"], street.look()["sms"]) == (1, 1) else "worked at once"
    )

    # rescue: the message is lost before, between and after
    def rescued(**plan):
        street.shift += 301
        street.fork(street.rescue.requeue)
        street.fork(street.rescue.requeue)
        world = street.look()
        queue, world["queue"] = world["queue"], []
        street.keep(world)
        return queue

    for plan in ({"lab": ["lost"]}, {"lab": [503]}, {"sms": [503]}, {"sms": ["lost"]}):
        street.fresh(**plan)
        street.fork(lambda: street.receive(one))
        world = street.look()
        assert len(world["queue"]) == 1
        world["queue"] = []
        street.keep(world)
        street.shift += 60
        queue = rescued()
        street.work(*queue)
        yield f"{plan}, and the retry is lost", street.good() or (None if len(queue) == 1 else f"{len(queue)} rescued")
    yield "rescue after the end", "queued again" if rescued() else None

    ask = lambda: street.desk.request_test(REF)  # noqa: E731
    street.fresh()
    street.fork(ask, kill_at=10**9)
    for at in range(1, json.loads((street.repo / "count").read_text())["lines"] + 1):
        street.fresh()
        street.fork(ask, kill_at=at)
        if street.status():
            world = street.look()
            queue, world["queue"] = world["queue"], []
            street.keep(world)
            street.work(*(queue or rescued()))
            yield f"request killed at line {at}", street.good()

    # a way that ends well and one that ends badly, with each statement failing and killed at each line
    ways = (
        ("badly", {"lab": [422] * 99}, lambda: None if street.dead() == 1 and street.status() == "dead" else
            f"status {street.status()}, {street.dead()} dead letters"),
        ("well", {}, street.good),
    )
    for fault in ("break_at", "kill_at"):
        for name, plan, check in ways:
            street.fresh(**plan)
            street.fork(lambda: street.receive(one), kill_at=10**9)
            total = json.loads((street.repo / "count").read_text())["sql" if fault == "break_at" else "lines"]
            for at in range(1, total + 1, 1 if fault == "break_at" else STRIDE):
                street.fresh(**plan)
                street.work(one, **{fault: at})
                yield f"ends {name}, {fault} {at} of {total}", check()

    log = (street.repo / "stderr").read_text()
    leaks = [word for word in ("+4179", "Minka", "s3cret") if word in log]
    yield "log", f"{leaks} in the log" if leaks else None
    missing = [word for word in ("job", "key", "attempt", "outcome") if word not in log]
    yield "log", f"no {missing} in the log" if missing else None


def drive(folder):
    n = 0
    for name, problem in scenarios(Street(pathlib.Path(folder))):
        n += 1
        if problem:
            return print(f"VERDICT fails: {name}: {problem}")
    print(f"VERDICT holds ({n} scenarios)")


def main(wanted):
    from variants import VARIANTS

    wrong = 0
    for variant in [{"id": "base", "kind": "correct", "edits": []}, *VARIANTS]:
        if wanted and variant["id"] not in wanted:
            continue
        with tempfile.TemporaryDirectory(dir=SHM) as folder:
            lay_out(variant, pathlib.Path(folder))
            run = subprocess.run([sys.executable, "-B", __file__, "--drive", folder], capture_output=True, text=True)
        verdict = next((x[8:] for x in run.stdout.splitlines() if x.startswith("VERDICT ")), None)
        verdict = verdict or "HARNESS ERROR " + (run.stdout + run.stderr)[-2500:]
        agrees = verdict.startswith("holds" if variant["kind"] == "correct" else "fails")
        wrong += not agrees
        print(f"{variant['id']:28} {variant['kind']:8} {verdict}{'' if agrees else '  <-- NOT AS DECLARED'}", flush=True)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(drive(sys.argv[2]) if sys.argv[1:2] == ["--drive"] else main(sys.argv[1:]))
