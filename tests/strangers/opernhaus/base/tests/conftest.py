import fakeredis
import pytest
import requests
from rq import SimpleWorker

from opernhaus import box_office, create_app, settings
from opernhaus.install import DEMO
from opernhaus.models import Booking, db


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERNHAUS_DATABASE", f"sqlite:///{tmp_path}/house.db")
    monkeypatch.setenv("TICKETING_URL", "http://seats.invalid")
    monkeypatch.setenv("TREASURY_URL", "http://treasury.invalid")
    app = create_app()
    with app.app_context():
        db.create_all()
        db.session.add_all(Booking(**row) for row in DEMO)
        db.session.commit()
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def redis(monkeypatch):
    server = fakeredis.FakeStrictRedis()
    monkeypatch.setattr(box_office.Redis, "from_url", lambda url: server)
    monkeypatch.setattr(settings, "WAITS", [0, 0, 0, 0])
    return server


@pytest.fixture
def work(redis):
    def burst():
        SimpleWorker([settings.QUEUE], connection=redis).work(burst=True)
    return burst


class Partners:
    def __init__(self):
        self.released, self.asked, self.paid = [], [], {}
        self.delete_answers, self.post_answers = [], []

    def answer(self, script, method, url, body):
        given = script.pop(0) if script else 200
        if isinstance(given, Exception):
            raise given
        response = requests.Response()
        response.status_code, response.url = given, url
        response.request = requests.Request(method, url).prepare()
        response._content = body
        return response


@pytest.fixture
def partners(monkeypatch):
    partners = Partners()

    def delete(session, url, **kwargs):
        partners.released.append(url.rsplit("/", 1)[1])
        return partners.answer(partners.delete_answers, "DELETE", url, b"")

    def post(session, url, json=None, headers=None, **kwargs):
        key = headers["Idempotency-Key"]
        partners.asked.append(key)
        response = partners.answer(partners.post_answers, "POST", url, b"{}")
        if response.status_code == 200:
            reference = partners.paid.setdefault(key, f"P-{len(partners.paid) + 1}")
            response._content = b'{"reference": "%s"}' % reference.encode()
        return response

    monkeypatch.setattr(requests.Session, "delete", delete)
    monkeypatch.setattr(requests.Session, "post", post)
    return partners
