from fastapi import FastAPI, HTTPException

from . import logs, orders
from .db import Session
from .models import Order

logs.configure()
app = FastAPI(title="ticketbay")


@app.get("/orders/{order_id}")
def show(order_id: int):
    with Session() as session:
        order = session.get(Order, order_id)
        if order is None:
            raise HTTPException(404)
        return {"id": order.id, "event": order.event, "status": order.status, "amount_cents": order.amount_cents}


@app.post("/orders/{order_id}/checkout", status_code=202)
def checkout(order_id: int):
    try:
        orders.checkout(order_id)
    except orders.NotPossible as error:
        raise HTTPException(409, str(error)) from error
    return {"id": order_id}


@app.post("/orders/{order_id}/cancel", status_code=202)
def cancel(order_id: int):
    try:
        orders.cancel(order_id)
    except orders.NotPossible as error:
        raise HTTPException(409, str(error)) from error
    return {"id": order_id}
