"""What the desk does with work orders, and the sweep behind it.

python -m zahnlabor.desk release ID | sweep | watch
"""

import argparse
import logging
import time

from zahnlabor import config, orders
from zahnlabor.milling import submit_work_order

logger = logging.getLogger("zahnlabor.desk")


def release(order_id: int) -> bool:
    """Idempotent. If the broker is away, the order is due already and the sweep sends it."""
    if not orders.mark_released(order_id):
        return False
    try:
        _send(order_id)
    except Exception as error:
        logger.warning("release key=%s outcome=unsent reason=%s", orders.key_of(order_id), type(error).__name__)
    return True


def sweep() -> int:
    """Send again what was released and has stood still since."""
    late = orders.overdue()
    for order_id in late:
        _send(order_id)
        logger.info("sweep key=%s outcome=requeued", orders.key_of(order_id))
    return len(late)


def _send(order_id: int) -> None:
    submit_work_order.send(order_id=order_id)
    orders.mark_sent(order_id)


def watch() -> None:
    while True:
        try:
            sweep()
        except Exception:
            logger.exception("sweep outcome=interrupted")
        time.sleep(15 * config.MINUTE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="zahnlabor.desk")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("release").add_argument("order_id", type=int)
    commands.add_parser("sweep")
    commands.add_parser("watch")
    given = parser.parse_args()
    if given.command == "release":
        release(given.order_id)
    else:
        {"sweep": sweep, "watch": watch}[given.command]()
