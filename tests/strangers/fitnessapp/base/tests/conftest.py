import os
import tempfile

os.environ["FIT_DATABASE_URL"] = "sqlite:///%s/test.db" % tempfile.mkdtemp()
os.environ["FIT_BROKER_URL"] = "memory://"

import pytest

from fitness import models, push


@pytest.fixture(autouse=True)
def db():
    models.Base.metadata.drop_all(models.engine)
    models.create(demo=True)


@pytest.fixture
def phone(monkeypatch):
    class Phone:
        buzzes, trouble = [], []
    phone = Phone()
    phone.buzzes, phone.trouble = [], []

    def send(self, device_token, text, collapse_id):
        phone.buzzes.append((device_token, text, collapse_id))
        trouble = phone.trouble.pop(0) if phone.trouble else None
        if isinstance(trouble, BaseException):
            raise trouble
        if trouble:
            trouble()

    monkeypatch.setattr(push.PushService, "send", send)
    return phone
