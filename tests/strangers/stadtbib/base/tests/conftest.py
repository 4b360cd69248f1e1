import os
import tempfile

_folder = tempfile.mkdtemp()
os.environ["STADTBIB_DATABASE"] = f"{_folder}/test.db"

import pytest

from stadtbib import cashdesk, initdb, post
from stadtbib.db import Base, engine


@pytest.fixture(autouse=True)
def database():
    Base.metadata.drop_all(engine)
    initdb.main(["--demo"])


@pytest.fixture
def city(monkeypatch):
    """The world outside: what was booked, what was mailed."""
    class City:
        fees, letters = [], []
    city = City()
    city.fees, city.letters = [], []
    monkeypatch.setattr(cashdesk, "book_fee", lambda **kw: city.fees.append(kw) or "Q-1")
    monkeypatch.setattr(post, "send", lambda **kw: city.letters.append(kw))
    return city
