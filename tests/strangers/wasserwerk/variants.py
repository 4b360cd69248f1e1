"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

VARIANTS = [
    {
        "id": "ok-immediate", "kind": "correct", "job": "send-bill",
        "what": "Right in another way: no version column; a unit of work takes SQLite's write lock as it opens (BEGIN IMMEDIATE), so what it has read stays true until it commits. No unit of work is open while another is opened, nor while the gateway is asked. Logging through a LoggerAdapter",
        "edits": [
            ("README.md", '''Rows are changed through a unit of work, and every change of a bill moves its `version`: who
comes second gets a `Conflict` and reads again. The sweep''', '''Rows are changed through a unit of work, which has the database's write lock from the moment it
is opened: whoever comes second waits. Open none inside another. The sweep'''),
            ("wasserwerk/model.py", '''    touched_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}
''', '''    touched_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
'''),
            ("wasserwerk/uow.py", '''"""The unit of work: what is done inside is committed together, by commit(), or not at all."""
''', '''"""The unit of work: what is done inside is committed together, by commit(), or not at all.
It has the write lock for as long as it is open; keep it short."""
'''),
            ("wasserwerk/uow.py", "from sqlalchemy.orm.exc import StaleDataError\n", ""),
            ("wasserwerk/uow.py", '''    """Somebody else has changed the row since we read it."""''', '''    """Somebody else has put the row there."""'''),
            ("wasserwerk/uow.py", '''        self._engine = create_async_engine(config.db_url(), poolclass=NullPool, connect_args={"timeout": 15})
        event.listen(self._engine.sync_engine, "connect", lambda c, _: c.execute("pragma foreign_keys = on"))
''', '''        self._engine = create_async_engine(
            config.db_url(), poolclass=NullPool, connect_args={"timeout": 15, "isolation_level": None})
        event.listen(self._engine.sync_engine, "connect", lambda c, _: c.execute("pragma foreign_keys = on"))
        event.listen(self._engine.sync_engine, "begin", lambda c: c.exec_driver_sql("begin immediate"))
'''),
            ("wasserwerk/uow.py", "        except (StaleDataError, IntegrityError) as error:", "        except IntegrityError as error:"),
            ("wasserwerk/jobs.py", '''log = logging.getLogger("wasserwerk.send_bill")
''', '''class Line(logging.LoggerAdapter):
    """What belongs to a delivery stands on each of its lines."""

    def process(self, msg, kwargs):
        return msg, {**kwargs, "extra": {**self.extra, **kwargs.get("extra", {})}}


def line(ctx: dict) -> Line:
    return Line(logging.getLogger("wasserwerk.send_bill"),
                {"job": "send_bill", "job_id": ctx.get("job_id"), "delivery": ctx.get("job_try", 1)})
'''),
            ("wasserwerk/jobs.py", '''    log.log(level, outcome, extra={
        "job": "send_bill", "job_id": ctx.get("job_id"), "delivery": ctx.get("job_try", 1),
        "key": bill''', '''    line(ctx).log(level, outcome, extra={
        "key": bill'''),
            ("wasserwerk/jobs.py", '''    async with UnitOfWork() as uow:
        bill = await uow.bills.get(bill_id)
        if bill is None:
            return await refuse(ctx, {"bill_id": bill_id}, "NoSuchBill")
        if not bill.open:
            record(logging.INFO, ctx, f"already-{bill.status}", bill)
            return bill.status
        if bill.attempts >= config.MAX_ATTEMPTS:
            # The last attempt did not live to tell.
            return await park(ctx, bill_id, "Exhausted")
        bill.status = "released"
        bill.attempts += 1
        await uow.commit()

''', '''    async with UnitOfWork() as uow:
        bill = await uow.bills.get(bill_id)
        begun = bill is not None and bill.open and bill.attempts < config.MAX_ATTEMPTS
        if begun:
            bill.status = "released"
            bill.attempts += 1
            await uow.commit()
    if bill is None:
        return await refuse(ctx, {"bill_id": bill_id}, "NoSuchBill")
    if not begun and not bill.open:
        record(logging.INFO, ctx, f"already-{bill.status}", bill)
        return bill.status
    if not begun:
        # The last attempt did not live to tell.
        return await park(ctx, bill_id, "Exhausted")

'''),
            ("tests/test_send_bill.py", '''async def test_version(row, database):
    async with UnitOfWork() as one, UnitOfWork() as two:
        a, b = await one.bills.get(1), await two.bills.get(1)
        a.attempts = 1
        await one.commit()
        b.attempts = 1
        with pytest.raises(Conflict):
            await two.commit()
''', '''async def test_one_after_the_other(row, database):
    async def step():
        async with UnitOfWork() as uow:
            bill = await uow.bills.get(1)
            seen = bill.attempts
            await asyncio.sleep(0.05)
            bill.attempts = seen + 1
            await uow.commit()

    await asyncio.gather(step(), step(), step())
    assert (await row()).attempts == 3
'''),
            ("tests/test_send_bill.py", "from wasserwerk.uow import Conflict, UnitOfWork\n", "from wasserwerk.uow import UnitOfWork\n"),
        ],
    },
    {
        "id": "m-revision", "kind": "mistake", "job": "send-bill",
        "what": "The invoice carries the row's version as its revision, and each attempt moves the version by counting itself. Breaks the effect invoice's guarantee convergent (the same invoice under the same number): the first PUT of a released bill goes out with revision 3 and its answer is lost; the second attempt commits attempts = 2, which makes the version 4, and PUTs revision 4 under the same number: another invoice, which the gateway hands to the customer as a correction",
        "edits": [
            ("wasserwerk/model.py", '''            "number": self.number,
''', '''            "number": self.number,
            "revision": self.version,
'''),
            ("tests/test_send_bill.py", "    assert len({json.dumps(body) for _, body in gateway.asked}) == 1 and len(gateway.kept) == 1\n", "    assert len({url for url, _ in gateway.asked}) == 1 and len(gateway.kept) == 1\n"),
            ("tests/test_send_bill.py", "    assert gateway.asked[0] == gateway.asked[3] and await parked() == []\n", "    assert gateway.asked[0][0] == gateway.asked[3][0] and await parked() == []\n"),
        ],
    },
    {
        "id": "m-sweep-open-only", "kind": "mistake", "job": "send-bill",
        "what": "The sweep queues only bills that have attempts left. Breaks recovers and dead_letter (a bill ends sent or parked): five attempts find the gateway away, in the sixth the worker is killed or arq's timeout of 60 s ends the task after attempts = 6 has been committed, and the message is gone (arq deletes a job that timed out; Redis may lose it). Nobody but a delivery parks an exhausted bill, and the sweep does not bring one: it stays released for ever, without a row in parked_bills",
        "edits": [
            ("wasserwerk/uow.py", '''            select(Bill.id).where(Bill.status == "released", Bill.touched_at < utcnow() - config.SILENT)
''', '''            select(Bill.id)
            .where(Bill.status == "released", Bill.attempts < config.MAX_ATTEMPTS)
            .where(Bill.touched_at < utcnow() - config.SILENT)
'''),
        ],
    },
    {
        "id": "m-client-errors", "kind": "mistake", "job": "send-bill",
        "what": "Every status from 400 to 499 counts as refused. Breaks the spec's transient HTTPStatusError 429: at a month's end the gateway answers the first PUT with 429, put_invoice() raises InvoiceRefused, and the bill is parked with a dead letter after one attempt instead of being tried again after a minute",
        "edits": [
            ("wasserwerk/gateway.py", '''REFUSED = {400, 404, 409, 413, 422}

''', ""),
            ("wasserwerk/gateway.py", '''        if status in REFUSED:
            raise InvoiceRefused''', '''        if error.response.is_client_error:
            raise InvoiceRefused'''),
        ],
    },
]
