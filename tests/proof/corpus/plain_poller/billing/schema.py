"""Creates the tables."""

from billing.db import connect

TABLES = """
create table if not exists invoices (
    id integer primary key,
    order_id integer not null unique,
    email text not null,
    status text not null default 'pending',
    attempts integer not null default 0,
    due_at real not null default 0,
    lease_until real not null default 0
);
create table if not exists dead_invoices (order_id integer primary key, reason text not null);
"""

if __name__ == "__main__":
    with connect() as connection:
        connection.executescript(TABLES)
