"""All SQL lives here. A repository works on the connection it is given and never commits."""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Parcel:
    shipment_id: int
    parcel: int
    grams: int
    label_state: str
    receiver: str
    address: str


class ParcelRepository:
    def __init__(self, con):
        self.con = con

    def get(self, shipment_id, parcel):
        row = self.con.execute(
            "select p.shipment_id, p.parcel, p.grams, p.label_state, s.receiver, s.address"
            " from parcels p join shipments s on s.id = p.shipment_id"
            " where p.shipment_id = ? and p.parcel = ?",
            (shipment_id, parcel),
        ).fetchone()
        return Parcel(**row) if row else None

    def requested(self):
        return self.con.execute(
            "select shipment_id, parcel from parcels where label_state = 'requested' order by 1, 2"
        ).fetchall()

    def set_state(self, shipment_id, parcel, state, unless=()):
        marks = ", ".join("?" for _ in unless)
        self.con.execute(
            "update parcels set label_state = ? where shipment_id = ? and parcel = ?"
            f" and label_state not in ({marks})",
            (state, shipment_id, parcel, *unless),
        )


class LabelRepository:
    def __init__(self, con):
        self.con = con

    def find(self, shipment_id, parcel):
        return self.con.execute(
            "select * from labels where shipment_id = ? and parcel = ?", (shipment_id, parcel)
        ).fetchone()

    def add(self, shipment_id, parcel, tracking, label_url):
        """Keeps the first label of a parcel; says whether this was the first."""
        done = self.con.execute(
            "insert into labels (shipment_id, parcel, tracking, label_url) values (?, ?, ?, ?)"
            " on conflict (shipment_id, parcel) do nothing",
            (shipment_id, parcel, tracking, label_url),
        )
        return done.rowcount == 1


class FailedJobRepository:
    def __init__(self, con):
        self.con = con

    def add(self, job, message, error):
        self.con.execute(
            "insert into failed_jobs (job, message, error) values (?, ?, ?)"
            " on conflict (message) do update set error = excluded.error, failed_at = current_timestamp",
            (job, json.dumps(message, sort_keys=True, default=str), error),
        )
