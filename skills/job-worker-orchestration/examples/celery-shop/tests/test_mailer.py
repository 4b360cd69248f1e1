"""The adapter, against a real HTTP server and against the outbox folder."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from shop import mailer


@pytest.fixture
def api(monkeypatch):
    """A mail API on this machine that answers with `api.status` and keeps what it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.seen.append((self.headers["Idempotency-Key"], json.loads(body)))
            if self.server.status is None:
                return  # and the connection is closed
            self.send_response(self.server.status)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.status, server.seen = 200, []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("SHOP_MAIL_URL", f"http://127.0.0.1:{server.server_port}/mail")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_key_travels_with_the_mail(api):
    mailer.send(7, "a@example.com", idempotency_key="receipt-7")
    assert api.seen == [("receipt-7", {"to": "a@example.com", "subject": "Your receipt for order 7"})]


@pytest.mark.parametrize(("status", "error"), [(503, mailer.Unavailable), (429, mailer.Unavailable), (422, mailer.BadAddress)])
def test_answers_become_the_shop_own_errors(api, status, error):
    api.status = status
    with pytest.raises(error):
        mailer.send(7, "a@example.com", idempotency_key="receipt-7")


def test_a_provider_that_hangs_up_is_unavailable(api):
    api.status = None
    with pytest.raises(mailer.Unavailable):
        mailer.send(7, "a@example.com", idempotency_key="receipt-7")


def test_a_provider_that_is_not_there_is_unavailable(api, monkeypatch):
    monkeypatch.setenv("SHOP_MAIL_URL", "http://127.0.0.1:1/mail")
    with pytest.raises(mailer.Unavailable):
        mailer.send(7, "a@example.com", idempotency_key="receipt-7")


def test_an_address_without_at_is_bad():
    with pytest.raises(mailer.BadAddress):
        mailer.send(7, "nobody", idempotency_key="receipt-7")


def test_the_outbox_keeps_one_mail_for_each_key(shop, tmp_path):
    mailer.send(7, "a@example.com", idempotency_key="receipt-7")
    mailer.send(7, "a@example.com", idempotency_key="receipt-7")
    assert [path.name for path in (tmp_path / "outbox").iterdir()] == ["receipt-7.json"]
