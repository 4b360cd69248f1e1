"""Sends a ledger's rows to a PostgreSQL database that gathers the runs of many machines.

`ship` is the way in. `outbox` reads what is still to be sent, `parcel` checks it, `server` takes it in.
"""
