"""python harness.py [base|variant]: runs the handler on a PostgreSQL of yours (LABTRACK_DSN; its schema
`public` is dropped!) with a faked archive and gateway, and prints what came of it."""
import logging
import os
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import psycopg

from variants import VARIANTS

name = sys.argv[1] if len(sys.argv) > 1 else "base"
tree = Path(tempfile.mkdtemp()) / "repo"
shutil.copytree(Path(__file__).parent / "base", tree, ignore=shutil.ignore_patterns("__pycache__"))
for variant in VARIANTS:
    if variant["id"] == name:
        for path, old, new in variant["edits"]:
            file = tree / path
            if old:
                text = file.read_text()
                assert text.count(old) == 1, (path, old, text.count(old))
                new = text.replace(old, new)
            file.write_text(new)
os.chdir(tree)
sys.path.insert(0, str(tree))
db = psycopg.connect(os.environ["LABTRACK_DSN"], autocommit=True)
logging.disable(logging.CRITICAL)

from labtrack import archive, gateway, jobs, schema, services, sweeps  # noqa: E402


class Killed(BaseException):
    pass


puts, submissions = set(), set()
put_script, submit_script = [], []


def step(script, done):
    """None takes place, an error does not, ("lost", error) does both."""
    now = script.pop(0) if script else None
    if isinstance(now, BaseException):
        raise now
    done()
    if isinstance(now, tuple):
        raise now[1]


def put(self, key, document):
    step(put_script, lambda: puts.add((key, document)))


def submit(*args, **kwargs):
    step(submit_script, lambda: submissions.add(tuple(sorted(map(str, (*args, *kwargs.values()))))))
    return "RC-1"


archive.DocumentArchive.put = put
if hasattr(gateway, "ClinicGateway"):
    gateway.ClinicGateway.submit = lambda self, **kw: submit(**kw)
else:
    gateway.submit_report = submit
MESSAGE = {"report_no": "R-2026-0001", "revision": 1}


def deliver(message):
    """As Procrastinate would: again after what its strategy retries, and after a kill."""
    for attempt in range(5):
        try:
            jobs.send_report(**message)
        except Killed:
            continue
        except Exception as error:
            from procrastinate.jobs import Job
            job = Job(id=1, status="doing", queue="reports", lock=None, queueing_lock=None,
                      task_name="x", task_kwargs={}, attempts=attempt)
            if jobs.send_report.get_retry_exception(error, job):
                continue
        return attempt + 1
    return attempt + 1


def case(title, puts_=(), submits=(), times=1, message=MESSAGE, released=True):
    db.execute("drop schema public cascade; create schema public")
    schema.apply(demo=True)
    puts.clear(), submissions.clear()
    put_script[:], submit_script[:] = puts_, submits
    if released:
        services.release(**MESSAGE)
    tries = [deliver(message) for _ in range(times)]
    if "swept" in title:
        db.execute("update dispatches set updated_at = updated_at - interval '1 hour'")
        sweeps.redispatch_stalled()
    row = db.execute("select status, receipt from dispatches").fetchone()
    dead = db.execute("select count(*) from dead_letters").fetchone()[0]
    print(f"{title:24} documents={len(puts)} submissions={len(submissions)} row={row} dead={dead} tries={tries}")


print(f"== {name}")
down, no = gateway.GatewayUnavailable("503"), gateway.SubmissionRefused("422")
case("once")
case("twice", times=2)
case("archive down", [archive.ArchiveUnavailable("503")])
case("gateway down", submits=[down])
case("answer lost", submits=[("lost", down)])
case("answer lost, then 409", submits=[("lost", down), gateway.AlreadySubmitted("RC-1")])
case("killed after archive", [("lost", Killed())])
case("killed after submit", submits=[("lost", Killed())])
case("refused", submits=[no] * 9)
case("always down, swept", submits=[down] * 9)
case("always killed, swept", submits=[Killed() for _ in range(9)])
case("bad message", message={"report_no": "R-1", "revision": 1}, released=False)
shutil.rmtree(tree.parent)
