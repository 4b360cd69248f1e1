import pytest

pytest.importorskip("fastapi")


def test_show():
    from ticketbay import api

    assert api.show(1)["status"] == "placed"
