from contextlib import closing

import pytest

from busverkehr import printer, store


class Works:
    """Kartendruck: one job per order number."""

    def __init__(self):
        self.asked, self.jobs, self.before, self.after = [], {}, {}, {}

    def place_order(self, order_number, card):
        self.asked.append(order_number)
        if self.before.get(order_number):
            raise self.before[order_number].pop(0)
        job = self.jobs.setdefault(order_number, f"KD-{len(self.jobs) + 1}")
        if self.after.get(order_number):
            raise self.after[order_number].pop(0)
        return job


@pytest.fixture
def works(monkeypatch):
    made = Works()
    monkeypatch.setattr(printer, "place_order", made.place_order)
    return made


@pytest.fixture(autouse=True)
def database(tmp_path, monkeypatch):
    monkeypatch.setenv("BUS_DATABASE", str(tmp_path / "counter.db"))
    monkeypatch.setenv("BUS_PRINTER_PASSWORD", "geheim")
    store.create(examples=True)


@pytest.fixture
def rows():
    def query(sql, *args):
        with closing(store.connect()) as connection:
            return [tuple(row) for row in connection.execute(sql, args)]

    return query
