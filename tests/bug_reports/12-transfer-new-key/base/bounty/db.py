import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["BOUNTY_DB"], timeout=30)


if __name__ == "__main__":
    connect().executescript("""
        create table payouts (id integer primary key, account text, cents integer, transfer text);
        create table failed_payouts (message text primary key, reason text);
        insert into payouts (id, account, cents) values (1, 'acct_a', 25000), (2, 'acct_b', 9900);
    """)
