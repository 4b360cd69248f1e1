"""Parcels."""

import os

import psycopg


def shipped(parcel: str, phone: str) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute(
            "insert into outbox (parcel, phone) values (%s, %s) on conflict (parcel) do nothing", (parcel, phone)
        )
