import os
import tempfile

os.environ["CLEARPAY_DATABASE_URL"] = f"sqlite:///{tempfile.mkdtemp()}/test.db"
os.environ["CLEARPAY_BROKER_URL"] = "memory://"

import pytest

from clearpay import models, seed


@pytest.fixture(autouse=True)
def database():
    models.Base.metadata.drop_all(models.engine)
    seed.main()


@pytest.fixture
def published(monkeypatch):
    from clearpay.tasks import pay_claim

    sent = []
    monkeypatch.setattr(pay_claim, "apply_async", lambda args=None, kwargs=None, **options: sent.append(kwargs))
    return sent
