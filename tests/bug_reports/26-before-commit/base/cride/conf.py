import os

import django
from django.conf import settings

if not settings.configured:
    settings.configure(
        INSTALLED_APPS=["cride"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["CRIDE_DB"], "OPTIONS": {"timeout": 20}}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()


def create():
    from django.db import connection

    from cride.models import DeadTask, User

    with connection.schema_editor() as editor:
        editor.create_model(User)
        editor.create_model(DeadTask)
    User.objects.create(pk=1, email="ana@ride.example", state="queued")
    User.objects.create(pk=2, email="luis@ride.example", state="queued")


if __name__ == "__main__":
    create()
