"""The unit of work without PostgreSQL: what is not committed did not happen."""

import copy

from lagerhaus.model import Shipment


class Tables:
    def __init__(self):
        self.pickups = {1: 0, 2: 0}
        self.shipments = {
            no: Shipment(no, pickup_id, "Somebody", "Somewhere 1", parcels, 900)
            for no, pickup_id, parcels in [("LH-000001", 1, 3), ("LH-000002", 1, 1), ("LH-000003", 2, 2)]
        }
        self.letters, self.jobs = {}, []


class MemoryUnitOfWork:
    committed: Tables

    def __enter__(self):
        self.conn = copy.deepcopy(self.committed)
        self.shipments = self.pickups = self.dead_letters = self
        return self

    def __exit__(self, *exc_info):
        pass

    def commit(self):
        type(self).committed = self.conn

    def locked(self, shipment_no):
        return copy.copy(self.conn.shipments.get(shipment_no))

    def locked_stale(self, before):
        rows = self.conn.shipments.values()
        return [copy.copy(row) for row in rows if row.status == "released" and row.touched_at < before]

    def save(self, shipment):
        self.conn.shipments[shipment.shipment_no] = copy.copy(shipment)

    def expect(self, pickup_id, parcels):
        self.conn.pickups[pickup_id] += parcels

    def put(self, task, key, message, reason):
        self.conn.letters.setdefault((task, key), {"key": key, "message": message, "reason": reason})

    def withdraw(self, task, key):
        self.conn.letters.pop((task, key), None)
