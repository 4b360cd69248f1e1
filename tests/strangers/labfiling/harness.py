"""python harness.py [variant]: does the promise hold? Fake registry, no tool, no broker."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def checkout(name):
    from variants import VARIANTS
    target = Path(tempfile.mkdtemp(prefix="labfiling-")) / "repo"
    shutil.copytree(HERE / "base", target, ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3"))
    for path, old, new in next((v["edits"] for v in VARIANTS if v["id"] == name), []):
        file = target / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (path, old)
            new = text.replace(old, new)
        file.write_text(new)
    return target


def drive():
    from datetime import timedelta
    from unittest import mock
    import django
    django.setup()
    from django.core.management import call_command
    from django.utils import timezone
    from lab import registry, services, sweeps, transmissions
    from lab.models import DeadLetter, Result, Transmission
    from lab.tasks import transmit_result

    class Killed(BaseException):
        pass

    call_command("demo")
    filed, calls, faults = {}, [], []

    def submit(self, *, submission_id, document):
        calls.append(submission_id)
        before, after = faults.pop(0) if faults else (None, None)
        if before:
            raise before
        if submission_id in filed and not after:
            raise registry.AlreadyFiled(filed[submission_id])
        filed[submission_id] = "R-1"
        if callable(after) and not isinstance(after, type):
            after()
        elif after:
            raise after
        return "R-1"

    def deliver(**message):
        try:
            transmit_result.apply(kwargs=message)
        except Killed:
            pass

    def sweep():
        Transmission.objects.update(due_at=timezone.now() - timedelta(hours=1))
        with mock.patch.object(transmit_result, "delay", deliver):
            sweeps.requeue_stuck()

    def check(what, status, calls_max, letters=0, filed_max=1):
        row = Transmission.objects.filter(result_id=1).first()
        got = (row and row.status, len(calls), DeadLetter.objects.count(), len(filed))
        good = got[0] == status and got[1] <= calls_max and got[2] == letters and got[3] <= filed_max
        print(f"  {'ok  ' if good else 'FAIL'} {what}: status, calls, letters, filed = {got}")
        for model in (DeadLetter, Transmission):
            model.objects.all().delete()
        try:
            from lab.models import Acknowledgement
            Acknowledgement.objects.all().delete()
        except ImportError:
            pass
        filed.clear(), calls.clear(), faults.clear()
        transmissions.ensure(Result.objects.get(pk=1))

    down = registry.RegistryUnavailable("HTTP 503")
    with mock.patch.object(registry.RegistryClient, "submit", submit):
        deliver(result_id=1); check("once", "sent", 1)
        deliver(result_id=1); deliver(result_id=1); check("twice", "sent", 1)
        faults[:] = [(None, lambda: deliver(result_id=1))]
        deliver(result_id=1); check("two at once", "sent", 2)
        faults[:] = [(down, None)]; deliver(result_id=1); check("down once", "sent", 2)
        faults[:] = [(None, down)]; deliver(result_id=1); check("answer lost", "sent", 2)
        faults[:] = [(registry.RegistryBusy(120), None)]; deliver(result_id=1); check("busy once", "sent", 2)
        faults[:] = [(down, None)] * 99; deliver(result_id=1); check("down for ever", "failed", 5, 1, 0)
        faults[:] = [(registry.RegistryRejected("HTTP 422"), None)]
        deliver(result_id=1); check("rejected", "failed", 1, 1, 0)
        faults[:] = [(Killed, None)]; deliver(result_id=1); deliver(result_id=1); check("killed before", "sent", 2)
        faults[:] = [(None, Killed)]; deliver(result_id=1); deliver(result_id=1); check("killed after", "sent", 2)
        faults[:] = [(Killed, None)] * 99
        for _ in range(9):
            deliver(result_id=1)
        check("kills always", "failed", 3, 1, 0)
        for bad in ({}, {"result": 1}, {"result_id": "two"}, {"result_id": 0}, {"result_id": 1, "urgent": True}):
            deliver(**bad)
        deliver(result_id=1); check("malformed", "sent", 1, 5)
        with mock.patch.object(transmit_result, "delay", mock.Mock(side_effect=Killed)):
            try:
                services.file_with_registry(1)
            except Killed:
                pass
        sweep(); sweep(); check("publication lost, sweep", "sent", 1)
        faults[:] = [(down, None)]
        with mock.patch.object(transmit_result, "retry", mock.Mock(side_effect=Killed)):
            deliver(result_id=1)
        sweep(); sweep(); check("retry lost, sweep", "sent", 2)
        deliver(result_id=1); services.withdraw(1); deliver(result_id=1); sweep()
        Result.objects.update(status="released"); check("withdrawn later", "sent", 1)


if __name__ == "__main__":
    if os.environ.get("HARNESS_DRIVE"):
        sys.path.insert(0, os.getcwd())
        drive()
    else:
        name = (sys.argv[1:] or ["base"])[0]
        repo = checkout(name)
        env = dict(os.environ, HARNESS_DRIVE="1", DJANGO_SETTINGS_MODULE="hospital.settings",
                   LAB_SQLITE=str(repo.parent / "lab.sqlite3"), PYTHONDONTWRITEBYTECODE="1")
        log = repo.parent / "log"
        print(name)
        subprocess.run([sys.executable, __file__], cwd=repo, env=env, stderr=log.open("w"))
        test = subprocess.run([sys.executable, "manage.py", "test"], cwd=repo, capture_output=True, text=True,
                              env={k: v for k, v in env.items() if k != "LAB_SQLITE"})
        print("  tests:", test.stderr.strip().splitlines()[-2 if "Destroying" in test.stderr else -1], "| log:", log)
