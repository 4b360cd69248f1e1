"""Creates the tables."""

import os

import psycopg

TABLES = """
create table if not exists outbox (
    id bigserial primary key,
    parcel text not null unique,
    phone text not null,
    status text not null default 'new'
);
create table if not exists failed_sms (parcel text primary key, reason text not null);
"""

if __name__ == "__main__":
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute(TABLES)
