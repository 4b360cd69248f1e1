import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def django_db(tmp_path_factory):
    os.environ["BIBLIOBUS_DB"] = str(tmp_path_factory.mktemp("db") / "test.sqlite3")
    os.environ["DJANGO_SETTINGS_MODULE"] = "bibliobus.settings"
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    yield
    from django.db import connections

    connections.close_all()


@pytest.fixture(autouse=True)
def rows(django_db):
    from django.core.management import call_command

    call_command("flush", interactive=False, verbosity=0)
    call_command("demo")


class Printshop:
    """Answers like the real one: 409 for a reference that it has."""

    def __init__(self):
        self.letters, self.calls, self.answers = {}, 0, []

    def post(self, url, *, json, **kwargs):
        import requests

        self.calls += 1
        planned = self.answers.pop(0) if self.answers else None
        if isinstance(planned, int):
            return self.answer(planned)
        status = 409 if json["customer_reference"] in self.letters else 202
        self.letters.setdefault(json["customer_reference"], json)
        if planned == "lost":
            raise requests.ReadTimeout("read timed out")
        return self.answer(status)

    @staticmethod
    def answer(status):
        import requests

        response = requests.Response()
        response.status_code = status
        return response


@pytest.fixture
def printshop(monkeypatch):
    shop = Printshop()
    monkeypatch.setattr("requests.post", shop.post)
    return shop


@pytest.fixture
def work():
    from django.core.management import call_command
    from django.utils import timezone
    from django_tasks_db.models import DBTaskResult

    def work():
        """What waits now, however long it should have waited."""
        DBTaskResult.objects.filter(status="READY").update(run_after=timezone.now())
        waiting = DBTaskResult.objects.ready().count()
        if waiting:
            call_command(
                "db_worker", queue_name="letters", batch=True, startup_delay=False, max_tasks=waiting, verbosity=0
            )

    return work
