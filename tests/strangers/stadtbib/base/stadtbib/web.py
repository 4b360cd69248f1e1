import datetime as dt

import click
from flask import Flask, abort, jsonify
from sqlalchemy import select

from . import lending, logs
from .db import Loan, Session

logs.setup()
app = Flask(__name__)


@app.get("/loans/overdue")
def overdue():
    with Session() as s:
        rows = s.execute(
            select(Loan.id, Loan.title, Loan.due_on, Loan.reminded)
            .where(Loan.returned_on.is_(None), Loan.due_on < dt.date.today())
        ).all()
    return jsonify([dict(row._mapping) | {"due_on": row.due_on.isoformat()} for row in rows])


@app.post("/loans/<int:loan_id>/notices/<int:level>")
def remind(loan_id, level):
    if level not in (1, 2, 3):
        abort(404)
    try:
        lending.send_notice(loan_id, level)
    except lending.NotOverdue as exc:
        abort(409, str(exc))
    return "", 202


@app.post("/loans/<int:loan_id>/return")
def take_back(loan_id):
    lending.take_back(loan_id, dt.date.today())
    return "", 204


@app.cli.command()
def nightly():
    lending.requeue_open()
    lending.new_notices(dt.date.today())


@app.cli.command()
@click.argument("loan_id", type=int)
@click.argument("level", type=int)
def revive(loan_id, level):
    lending.revive(loan_id, level)
