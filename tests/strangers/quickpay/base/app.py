import time

from flask import Flask, abort, request

import db
import jobs

app = Flask(__name__)


def place(order_id, customer, amount):
    """Saved first, then enqueued. If that fails, jobs.sweep finds the order."""
    with db.tx() as con:
        con.execute(
            "insert or ignore into orders (id, customer, amount, touched) values (?, ?, ?, ?)",
            (order_id, customer, amount, int(time.time())),
        )
    jobs.enqueue(order_id)


@app.post("/orders/<int:order_id>/pay")
def pay(order_id):
    body = request.get_json()
    place(order_id, body["customer"], int(body["amount"]))
    return {"status": "queued"}, 202


@app.get("/orders/<int:order_id>")
def show(order_id):
    with db.tx() as con:
        order = con.execute("select id, status from orders where id = ?", (order_id,)).fetchone()
    return dict(order) if order else abort(404)
