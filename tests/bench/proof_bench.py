"""Measures the proof of the bundled Celery shop, and of an RQ job: every figure is a ratio within
this one run.

    python tests/bench/proof_bench.py [--real N]

Prints: a schedule against a bare fork and wait of the same interpreter; a whole proof against
importing the target once for each family of schedules; a schedule against the same on a real worker
with a real Redis; a proof whose state is in PostgreSQL against the same in SQLite; memory; both
cores.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from skillrun.contract.spec import load_spec
from skillrun.core.resources import resource
from skillrun.proof.explorer import Explorer
from skillrun.proof.history import History
from skillrun.proof.prove import prove
from skillrun.proof.result import Proof, Target
from skillrun.proof.schedule import ONCE, Schedule
from skillrun.proof.services.redis import RedisServer
from skillrun.proof.workplace import Workplace

FORKS_EVERY, FORKS = 10, 15  # after so many schedules, so many forks

FORK = """
import os, time

def measure(rounds):
    '''Raises the median of a bare fork and wait, in seconds.'''
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        taken.append(time.perf_counter() - begun)
    raise RuntimeError(repr(sorted(taken)[rounds // 2]))
"""


def shop(folder: Path) -> Path:
    """A copy of the bundled example."""
    root = folder / "shop"
    shutil.copytree(resource("skills", "job-worker-orchestration", "examples", "celery-shop"), root)
    (root / "bench_fork.py").write_text(FORK)
    return root


def rq_job(folder: Path) -> Path:
    """A copy of the corpus' RQ job."""
    root = folder / "rq"
    shutil.copytree(Path(__file__).parent.parent / "proof" / "corpus" / "rq_invoice", root)
    (root / "bench_fork.py").write_text(FORK)
    return root


def wallet(folder: Path, *, postgresql: bool) -> Path:
    """A copy of the corpus' job over SQLAlchemy, in SQLite as it is there or in PostgreSQL."""
    root = folder / ("postgresql" if postgresql else "sqlite")
    shutil.copytree(Path(__file__).parent.parent / "proof" / "corpus" / "celery_wallet", root)
    (root / "bench_fork.py").write_text(FORK)
    if postgresql:
        models, spec = (
            root / "wallets" / "models.py",
            next((root / ".skillrun" / "jobs").glob("*.yaml")),
        )
        engine = (
            'create_engine(os.environ["WALLET_DB"].replace("postgresql:", "postgresql+psycopg:"))'
        )
        models.write_text(re.sub(r"create_engine\(.*\)", engine, models.read_text(), count=1))
        told = re.sub(r"(sqlite:///)?{scratch}/wallets.db", "{postgresql}", spec.read_text())
        spec.write_text(told.replace("proof:\n", "proof:\n  services: [postgresql]\n"))
    return root


def bare_fork_s(workplace: Workplace, rounds: int) -> float:
    """The median of so many forks and waits in a child of the setting's zygote."""
    running = workplace.zygote().fork("call", ["bench_fork:measure", {"rounds": rounds}], clock=0.0)
    while not running.ended:
        workplace.zygote().hear(0.1)
    raised = next(event for event in running.events if event["e"] == "caller-raised")
    return float(raised["text"])


def report_memory(root: Path) -> None:
    """The zygote's memory, and what a delivery adds to it."""
    spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
    with Workplace(spec, root, "celery", ()) as workplace:
        workplace.set_up()
        explorer = Explorer(workplace)
        explorer.begin(dict(enumerate(spec.examples)))
        explorer.run(ONCE)  # after the first delivery the next ones have their pages ahead
        workplace.restore()
        tell_memory(workplace, explorer)


def tell_memory(workplace: Workplace, explorer: Explorer) -> None:
    zygote = next(
        pid for pid in below(workplace.zygote().process.pid) if "probe/main.py" in command_of(pid)
    )
    plan = {"after:email#1": {"do": "pause"}}
    running = workplace.zygote().fork(
        "deliver", [explorer.origin.messages[0]], clock=1.0, plan=plan
    )
    while not (running.paused or running.ended):
        workplace.zygote().hear(0.1)
    print(
        f"memory             zygote {rss_mib(zygote, 'Rss'):.0f} MiB; a delivery in mid-effect adds"
        f" {rss_mib(workplace.zygote().outer_pid(running), 'Private_Dirty'):.1f} MiB of its own"
    )
    workplace.zygote().end(running)


def rss_mib(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def below(pid: int) -> list[int]:
    from skillrun.validations.supervisor import descendants

    return descendants(pid)


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


@dataclass
class Timed:
    """A proof, and how long things took, in seconds."""

    proof: Proof
    taken: dict[str, list[float]]  # family -> its schedules
    # A bare fork and wait, again and again between the schedules: other work comes and goes.
    forks: list[float]
    all: float

    @property
    def median(self) -> float:
        return statistics.median(seconds for family in self.taken.values() for seconds in family)

    @property
    def bare(self) -> float:
        return statistics.median(self.forks)


def timed_proof(root: Path, workers: int, driver: str = "celery") -> Timed:
    """A whole proof; with one worker forks are measured, too, which `all` does not count."""
    spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
    taken: dict[str, list[float]] = defaultdict(list)
    forks, away = list[float](), 0.0
    run = Explorer.run

    def measured(explorer: Explorer, schedule: Schedule) -> History:
        nonlocal away
        begun = time.perf_counter()
        history = run(explorer, schedule)
        ended = time.perf_counter()
        taken[schedule.family].append(ended - begun)
        if workers == 1 and sum(map(len, taken.values())) % FORKS_EVERY == 0:
            forks.append(bare_fork_s(explorer.workplace, FORKS))
        away += time.perf_counter() - ended
        return history

    Explorer.run = measured  # type: ignore[method-assign]
    try:
        begun = time.perf_counter()
        proof = prove(Target(spec, root, driver), workers=workers)
        return Timed(proof, taken, forks, time.perf_counter() - begun - away)
    finally:
        Explorer.run = run  # type: ignore[method-assign]


def import_s(root: Path) -> float:
    """Starting the target's interpreter and importing the handler: what a proof without a zygote
    pays each time.
    """
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import shop.tasks"], cwd=root, check=True)
    return time.perf_counter() - begun


def real_schedule_s(root: Path, folder: Path, *, kill: bool) -> float:
    """One schedule on a real worker: boot, publish, (kill it once and boot again,) wait for the
    receipt, stop.
    """
    redis = folder / f"redis-{time.monotonic_ns()}"
    redis.mkdir()
    database = redis / "app.db"
    with RedisServer(redis) as server:
        url = server.url.replace("unix://", "redis+socket://").replace("?db=0", "?virtual_host=0")
        env = {
            **os.environ,
            "SHOP_DB": str(database),
            "SHOP_BROKER_URL": url,
            "SHOP_OUTBOX": str(redis / "outbox"),
        }
        subprocess.run([sys.executable, "-m", "shop.schema"], cwd=root, env=env, check=True)
        begun = time.perf_counter()
        worker = start_worker(root, env)
        call = "from shop import orders; orders.settle(7, 'a@example.com')"
        subprocess.run(
            [sys.executable, "-c", call], cwd=root, env=env, check=True, capture_output=True
        )
        wait_for_receipt(database)
        if kill:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            worker = start_worker(root, env)
            subprocess.run(
                [sys.executable, "-c", call], cwd=root, env=env, check=True, capture_output=True
            )
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        return time.perf_counter() - begun


def start_worker(root: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "shop.celery:app",
        "worker",
        "--pool",
        "solo",
        "-l",
        "INFO",
    ]
    return subprocess.Popen(
        command, cwd=root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def wait_for_receipt(database: Path) -> None:
    import sqlite3

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with sqlite3.connect(database) as connection:
            if connection.execute("select count(*) from receipts").fetchone()[0]:
                return
        time.sleep(0.01)
    raise SystemExit("the real worker did not do the job in a minute")


def main() -> None:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--real", type=int, default=4, help="schedules on a real worker")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="proof-bench-") as temporary:
        folder = Path(temporary).resolve()
        root = shop(folder)
        report_memory(root)
        one, two = timed_proof(root, workers=1), timed_proof(root, workers=2)
        imported = statistics.median(import_s(root) for _ in range(5))
        families = len(one.taken)
        rq = timed_proof(rq_job(folder), workers=1, driver="rq")
        sqlite, postgresql = (
            timed_proof(wallet(folder, postgresql=there), workers=1) for there in (False, True)
        )
        real = statistics.median(
            real_schedule_s(root, folder, kill=bool(n % 2)) for n in range(options.real)
        )
    print(
        f"verdict            {one.proof.verdict} under {sum(map(len, one.taken.values()))}"
        f" schedules of {families} families"
    )
    print(f"bare fork + wait   {one.bare * 1000:.2f} ms")
    print(f"median schedule    {words(one)}   (aim: at most 8x)")
    print(f"the same with RQ   {words(rq)}   (aim: at most 12x)")
    for family, seconds in sorted(one.taken.items()):
        print(f"  {family:<18} {len(seconds):>4}  {statistics.median(seconds) * 1000:6.1f} ms")
    print(
        f"whole proof        {two.all:.1f} s = {two.all / (imported * families):.1f}x of importing"
        f" once a family ({families} x {imported:.2f} s)   (aim: at most 6x)"
    )
    print(
        f"in PostgreSQL      {postgresql.median * 1000:.1f} ms a schedule = "
        f"{postgresql.median / sqlite.median:.1f}x of the same in SQLite; the whole proof "
        f"{postgresql.all / sqlite.all:.1f}x ({postgresql.proof.verdict}, {sqlite.proof.verdict})"
    )
    print(
        f"second core        one worker {one.all:.1f} s, two {two.all:.1f} s ="
        f" {one.all / two.all:.1f}x"
    )
    print(
        f"real worker        {real:.2f} s a schedule = {real / one.median:.0f}x of a simulated one "
        "  (aim: at least 50x)"
    )


def words(timed: Timed) -> str:
    """The median schedule, and how many times a bare fork and wait that is."""
    return f"{timed.median * 1000:.1f} ms = {timed.median / timed.bare:.1f}x of a bare fork + wait"


if __name__ == "__main__":
    main()
