import os

os.environ["DJANGO_SETTINGS_MODULE"] = "zeugkammer.settings"
os.environ["ZK_BROKER"] = "memory://"
os.environ.pop("ZK_PG_HOST", None)

import django  # noqa: E402

django.setup()

import pytest  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402


@pytest.fixture(autouse=True)
def db(tmp_path, settings_of_shop):
    connection = connections["default"]
    connection.close()
    connection.settings_dict["NAME"] = str(tmp_path / "zeugkammer.sqlite3")
    call_command("migrate", verbosity=0, interactive=False)
    yield
    connection.close()


@pytest.fixture
def settings_of_shop():
    from django.test import override_settings

    with override_settings(BOOKING_LEASE_SECONDS=90, OUTBOX_REPUBLISH_SECONDS=600):
        yield


@pytest.fixture
def order():
    from bestellung.ordering import place_order

    return place_order("form-1", "FF Hinterbach", "Am Anger 1", "85000", "C-Schlauch 15 m", 6)
