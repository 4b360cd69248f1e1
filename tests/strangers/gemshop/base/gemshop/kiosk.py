"""What the Kiosk tells us."""

import structlog
from sqlalchemy.exc import IntegrityError

from .actors import charge_order
from .db import Order, Player, Session

log = structlog.get_logger("gemshop.kiosk")

PACKS = {"gems-100": (100, 119), "gems-500": (500, 499), "gems-2500": (2500, 1999)}


class UnknownPack(ValueError):
    pass


def purchase_confirmed(order_id: str, player_id: int, sku: str) -> None:
    """The player has confirmed. Comes again until we return, and may come again after that."""
    if sku not in PACKS:
        raise UnknownPack(sku)
    gems, cents = PACKS[sku]
    try:
        with Session.begin() as session:
            if session.get(Order, order_id) is None:
                if session.get(Player, player_id) is None:
                    session.add(Player(id=player_id, customer=f"cus_{player_id}"))
                    session.flush()
                session.add(Order(id=order_id, player_id=player_id, sku=sku, gems=gems, cents=cents))
    except IntegrityError:
        log.info("kiosk.repeated_at_once", order_id=order_id)
    with Session() as session:
        status = session.get_one(Order, order_id).status
    if status == "confirmed":
        charge_order.send(order_id=order_id)
        log.info("charge.queued", order_id=order_id)
