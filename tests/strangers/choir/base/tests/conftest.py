import os
import tempfile

os.environ["DJANGO_SETTINGS_MODULE"] = "choirsite.settings"
os.environ["CHOIR_DB"] = os.path.join(tempfile.mkdtemp(prefix="choir-"), "test.sqlite3")

import django  # noqa: E402

django.setup()

import pytest  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test.utils import setup_test_environment, teardown_test_environment  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def database():
    setup_test_environment()
    call_command("migrate", verbosity=0, interactive=False)
    yield
    teardown_test_environment()


@pytest.fixture(autouse=True)
def members(database):
    from invoices.models import Member

    call_command("flush", verbosity=0, interactive=False)
    Member.objects.create(pk=1, name="Ruth", email="ruth@example.org")
    Member.objects.create(pk=2, name="Beat", email="beat@example.org")
    Member.objects.create(pk=3, name="Old Tom", email="")
