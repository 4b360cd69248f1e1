"""Integration: `settle` publishes, a real Celery worker process takes the message from the broker and runs the job."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shop import orders
from shop.celery import app


@pytest.fixture
def worker(shop, tmp_path, monkeypatch):
    """A worker process on a folder broker of its own."""
    queue = tmp_path / "queue"
    options = {"data_folder_in": str(queue), "data_folder_out": str(queue), "control_folder": str(queue / "control")}
    monkeypatch.setitem(app.conf, "broker_url", "filesystem://")
    monkeypatch.setitem(app.conf, "broker_transport_options", options)
    queue.mkdir()
    command = "-m celery -A shop worker --pool solo --without-gossip --without-mingle --without-heartbeat --loglevel INFO"
    with (tmp_path / "worker.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command.split()],
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "SHOP_BROKER_URL": "filesystem://", "SHOP_QUEUE": str(queue)},
            stdout=log,
            stderr=log,
        )
        yield tmp_path / "worker.log"
        process.kill()
        process.wait()


def wait_for(read, seconds=30):
    deadline = time.monotonic() + seconds
    while not read() and time.monotonic() < deadline:
        time.sleep(0.02)
    return read()


def test_settled_orders_are_enqueued_executed_and_marked_once(shop, worker, tmp_path):
    orders.settle(7, "a@example.com", request_id="web-42")
    orders.settle(7, "a@example.com")
    orders.settle(8, "b@example.com")
    wait_for(lambda: len(shop.receipts()) == 2)
    assert shop.receipts() == [(7, "a@example.com"), (8, "b@example.com")]
    assert sorted(path.name for path in (tmp_path / "outbox").iterdir()) == ["receipt-7.json", "receipt-8.json"]
    assert shop.rows("SELECT id FROM orders ORDER BY 1") == [(7,), (8,)]
    assert "send_receipt started order_id=7 correlation_id=web-42" in worker.read_text()
