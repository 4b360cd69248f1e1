import pytest

pytest.importorskip("fastapi")


def test_pages(queue):
    from fastapi.testclient import TestClient

    from tidings.api import app

    client = TestClient(app)
    assert client.post("/issues/1/letters").json() == {"letters": 2}
    assert client.post("/issues/7/letters").status_code == 404
