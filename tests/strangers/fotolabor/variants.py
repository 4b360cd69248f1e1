"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

VARIANTS = [
    {
        "id": "ok-calls", "kind": "correct", "job": "deliver-order",
        "what": "Right in another way: the right to call the text provider is a row in a table of calls (primary key order_id), inserted before the call and deleted only where the provider has certainly not taken the message; the order's notice knows only how it ended. Log lines through a LoggerAdapter that prefixes the pairs",
        "edits": [
            ("README.md", "So a message goes out **at most once**: the order says `calling` before the call. Where", "So a message goes out **at most once**: a row in `calls` is there before the call. Where"),
            ("README.md", "  Only if the provider has certainly not taken it is the mark taken back.", "  Only if the provider has certainly not taken it is the row taken back."),
            ("fotolabor/repository.py", "                check (notice in ('none', 'calling', 'sent', 'refused', 'unconfirmed')),", "                check (notice in ('none', 'sent', 'refused', 'unconfirmed')),"),
            ("fotolabor/repository.py", '''    message_id  text,
    called_at   real,
''', '''    message_id  text,
'''),
            ("fotolabor/repository.py", '''create table if not exists dead_orders (
''', '''create table if not exists calls (
    order_id    integer primary key references orders (id),
    called_at   real not null
);
create table if not exists dead_orders (
'''),
            ("fotolabor/repository.py", '''            "select id, phone, status, notice, called_at, runs from orders where id = ?", (order_id,))
''', '''            "select id, phone, status, notice, called_at, runs"
            " from orders left join calls on calls.order_id = orders.id where id = ?", (order_id,))
'''),
            ("fotolabor/repository.py", '''            return db.execute(
                "update orders set notice = 'calling', called_at = ?, touched_at = ?"
                " where id = ? and notice = 'none' and status = 'queued'",
                (time.time(), time.time(), order_id)).rowcount == 1
''', '''            db.execute("update orders set touched_at = ? where id = ?", (time.time(), order_id))
            return db.execute(
                "insert into calls (order_id, called_at)"
                " select id, ? from orders where id = ? and notice = 'none' and status = 'queued'"
                " on conflict (order_id) do nothing", (time.time(), order_id)).rowcount == 1
'''),
            ("fotolabor/repository.py", '''            db.execute("update orders set notice = 'none', called_at = null, touched_at = ?"
                       " where id = ? and notice = 'calling'", (time.time(), order_id))
''', '''            db.execute("delete from calls where order_id = ?"
                       " and exists (select 1 from orders where id = ? and status = 'queued')", (order_id, order_id))
            db.execute("update orders set touched_at = ? where id = ?", (time.time(), order_id))
'''),
            ("fotolabor/repository.py", '''            db.execute("update orders set notice = 'refused', status = 'delivered', touched_at = ?"
                       " where id = ? and notice = 'calling'", (time.time(), order_id))
''', '''            db.execute("update orders set notice = 'refused', status = 'delivered', touched_at = ?"
                       " where id = ? and status = 'queued'", (time.time(), order_id))
'''),
            ("fotolabor/repository.py", '''                "update orders set notice = 'unconfirmed', status = 'delivered', touched_at = ?"
                " where id = ? and notice = 'calling'", (time.time(), order_id)).rowcount == 1
''', '''                "update orders set notice = 'unconfirmed', status = 'delivered', touched_at = ?"
                " where id = ? and status = 'queued' and exists (select 1 from calls where order_id = orders.id)",
                (time.time(), order_id)).rowcount == 1
'''),
            ("fotolabor/repository.py", '''                " where id = ? and status in ('paid', 'queued') and notice = 'none'",
                (time.time(), order_id)).rowcount == 1
            if failed:
''', '''                " where id = ? and status in ('paid', 'queued')"
                " and not exists (select 1 from calls where order_id = orders.id)",
                (time.time(), order_id)).rowcount == 1
            if failed:
'''),
            ("fotolabor/delivery.py", '''    if order.notice == "calling":
''', '''    if order.called_at is not None:
'''),
            ("fotolabor/tasks.py", '''class BadMessage(Exception):
    pass
''', '''class BadMessage(Exception):
    pass


class Pairs(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        return "%s %s" % (" ".join("%s=%s" % pair for pair in self.extra.items()), msg), kwargs


def about(task_id, key, attempt):
    return Pairs(log, {"job": "deliver_order", "id": task_id, "key": key, "attempt": attempt})
'''),
            ("fotolabor/tasks.py", '''    try:
        outcome = delivery.deliver(order_id)
''', '''    say = about(task_id, "order-%s" % order_id, attempt)
    try:
        outcome = delivery.deliver(order_id)
'''),
            ("fotolabor/tasks.py", '''        log.info("job=deliver_order id=%s key=order-%s attempt=%s outcome=call-goes-on", task_id, order_id, attempt)
''', '''        say.info("outcome=call-goes-on")
'''),
            ("fotolabor/tasks.py", '''            log.warning("job=deliver_order id=%s key=order-%s attempt=%s outcome=retry reason=%s",
                        task_id, order_id, attempt, reason)
''', '''            say.warning("outcome=retry reason=%s", reason)
'''),
            ("fotolabor/tasks.py", '''        log.error("job=deliver_order id=%s key=order-%s attempt=%s outcome=%s reason=%s",
                  task_id, order_id, attempt, "dead" if given_up else "settled-elsewhere", reason)
''', '''        say.error("outcome=%s reason=%s", "dead" if given_up else "settled-elsewhere", reason)
'''),
            ("fotolabor/tasks.py", '''    log.info("job=deliver_order id=%s key=order-%s attempt=%s outcome=%s", task_id, order_id, attempt, outcome)
''', '''    say.info("outcome=%s", outcome)
'''),
            ("fotolabor/tasks.py", '''    log.error("job=deliver_order id=%s key=%s attempt=%s outcome=dead reason=%s",
              task_id, ref, attempt, type(error).__name__)
''', '''    about(task_id, ref, attempt).error("outcome=dead reason=%s", type(error).__name__)
'''),
            ("tests/test_delivery.py", '''    assert sql(STATE) == [("queued", "calling", None)]
''', '''    assert sql(STATE) == [("queued", "none", None)] and sql("select order_id from calls") == [(41,)]
'''),
            (".skillrun/jobs/deliver-order.yaml", '''  dedupe: {store: "table orders (status, notice)"}
''', '''  dedupe: {store: "table orders (status), table calls"}
'''),
            (".skillrun/jobs/deliver-order.yaml", '''    orders: select id, status, archive_key, digest, notice from orders order by id
''', '''    orders: select id, status, archive_key, digest, notice from orders order by id
    calls: select order_id from calls order by 1
'''),
        ],
    },
    {
        "id": "m-mark-overwritten", "kind": "mistake", "job": "deliver-order",
        "what": "mark_calling() asks only whether the order is queued, no longer whether its notice is none. Breaks the effect text's guarantee at_most_once: two deliveries of order 41 begin and read notice none, both render and put the archive; the first marks and calls the provider; the second's update matches as well (the status stays queued until the call has ended), returns True, and calls too: two messages. One delivery after the other is fine, since deliver() looks at the notice as it begins",
        "edits": [
            ("fotolabor/repository.py", '''                " where id = ? and notice = 'none' and status = 'queued'",
                (time.time(), time.time(), order_id)).rowcount == 1
''', '''                " where id = ? and status = 'queued'",
                (time.time(), time.time(), order_id)).rowcount == 1
'''),
        ],
    },
    {
        "id": "m-listing-date", "kind": "mistake", "job": "deliver-order",
        "what": "The listing is written into the zip by its bare name, and zipfile then stamps it with the time of now. Breaks the effect archive's guarantee convergent (the same bytes each time): the put is taken and its answer lost, or the worker dies before archived() commits; the attempt 90 seconds later renders other bytes and overwrites the object; whoever has fetched the first and compares digests has a damaged archive, and two deliveries at once can leave one's object beside the other's digest",
        "edits": [
            ("fotolabor/render.py", '''        pack.writestr(zipfile.ZipInfo("order-%d.csv" % order_id, (1980, 1, 1, 0, 0, 0)), listing)
''', '''        pack.writestr("order-%d.csv" % order_id, listing)
'''),
        ],
    },
    {
        "id": "m-fresh-runs", "kind": "mistake", "job": "deliver-order",
        "what": "The rescue gives an order that it queues its runs back. Breaks worker.deliveries (at most 11, then the job ends with a record): rendering order 41 takes so much memory that the kernel kills the worker each time; the message is gone with it, the order stands still with runs = 1, the rescue sets runs = 0 and queues it; the next worker dies, and so on every half hour for ever. runs never comes to 10, TooManyRuns is never raised, no row in dead_orders",
        "edits": [
            ("fotolabor/repository.py", '''    @staticmethod
    def _bury(''', '''    def rescued(self, order_id):
        with self._writing() as db:
            db.execute("update orders set runs = 0, touched_at = ? where id = ? and status = 'queued'",
                       (time.time(), order_id))

    @staticmethod
    def _bury('''),
            ("fotolabor/rescue.py", '''    found = Orders().standing_still()
    for order_id in found:
        if enqueue(order_id):
''', '''    orders = Orders()
    found = orders.standing_still()
    for order_id in found:
        if enqueue(order_id):
            orders.rescued(order_id)
'''),
        ],
    },
]
