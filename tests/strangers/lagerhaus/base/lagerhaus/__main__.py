"""python -m lagerhaus schema | demo | release NO | reopen NO | chase"""

import sys
from pathlib import Path

import psycopg
from procrastinate import SyncPsycopgConnector

from lagerhaus import floor
from lagerhaus.queue import app
from lagerhaus.settings import get_settings


def schema() -> None:
    dsn = get_settings().dsn
    with psycopg.connect(dsn) as conn:
        conn.execute(Path(__file__).with_name("schema.sql").read_text())
        (queue,) = conn.execute("select to_regclass('procrastinate_jobs')").fetchone()
    if queue is None:
        with app.replace_connector(SyncPsycopgConnector(conninfo=dsn)) as ours, ours.open():
            ours.schema_manager.apply_schema()


def demo() -> None:
    schema()
    with psycopg.connect(get_settings().dsn) as conn:
        conn.execute("insert into pickups (id, day) values (1, '2031-03-03'), (2, '2031-03-04') on conflict do nothing")
        conn.execute(
            "insert into shipments (shipment_no, pickup_id, recipient, address, parcels, weight_g) values"
            " ('LH-000001', 1, 'Ines Kaltbrunner', 'Seestrasse 4, 8800 Thalwil', 3, 41500),"
            " ('LH-000002', 1, 'Hof Morgentau', 'Dorf 1, 9107 Urnaesch', 1, 800),"
            " ('LH-000003', 2, 'Velo Sutter', 'Ring 9, 4051 Basel', 2, 12000) on conflict do nothing"
        )


def main(argv: list[str]) -> None:
    match argv:
        case ["schema"]:
            schema()
        case ["demo"]:
            demo()
        case ["release", shipment_no]:
            floor.release(shipment_no)
        case ["reopen", shipment_no]:
            floor.reopen(shipment_no)
        case ["chase"]:
            floor.chase()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
