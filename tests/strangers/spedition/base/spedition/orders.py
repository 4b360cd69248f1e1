from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from spedition.db import Order, OutboxRow, transaction


def place_order(reference: str, consignee: str, country: str, goods: list) -> int:
    """Take an order and note its declaration, both or neither. The same reference is the same order."""
    try:
        with transaction() as session:
            known = _find(session, reference)
            if known is not None:
                return known
            order = Order(reference=reference, consignee=consignee, country=country)
            session.add(order)
            session.flush()
            session.add(
                OutboxRow(
                    order_id=order.id,
                    declaration_id=f"spd-{reference}",
                    document={"reference": reference, "consignee": consignee, "country": country, "goods": goods},
                )
            )
            return order.id
    except IntegrityError:
        with transaction() as session:
            known = _find(session, reference)
        if known is None:
            raise
        return known


def _find(session, reference):
    return session.scalar(select(Order.id).where(Order.reference == reference))
