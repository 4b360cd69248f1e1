VARIANTS = [
    {
        "id": "mail-at-least-once",
        "kind": "correct",
        "job": "send-return-label",
        "what": "The other choice for the mail: it is sent first and noted afterwards, and whatever is uncertain is tried again. The spec "
        "accepts the repetition (at_least_once) and lists MailUncertain as transient.",
        "edits": [
            (
                ".skillrun/jobs/send-return-label.yaml",
                """    guarantee: at_most_once
    reason: Customers with two mails have sent two parcels; one without a mail finds the label in the portal
""",
                """    guarantee: at_least_once
    reason: Both mails carry the same label and say so; a customer without a label calls the service desk
""",
            ),
            (
                ".skillrun/jobs/send-return-label.yaml",
                """    - {type: "returns_portal.mailer:MailNotSent", effects: [mail], unsent: true}
""",
                """    - {type: "returns_portal.mailer:MailNotSent", effects: [mail], unsent: true}
    - {type: "returns_portal.mailer:MailUncertain", effects: [mail]}
""",
            ),
            (
                ".skillrun/jobs/send-return-label.yaml",
                """  success:
    - {type: "returns_portal.mailer:MailUncertain", effects: [mail]}
""",
                "",
            ),
            (
                "returns_portal/models.py",
                """    mail_started_at: Mapped[datetime | None]
    mail_result: Mapped[str | None]  # sent, uncertain
""",
                """    mailed_at: Mapped[datetime | None]
""",
            ),
            (
                "returns_portal/desk.py",
                """    def start_mail(self, claim: Claim) -> bool:
        \"\"\"Commits that a mail is about to go out. False if that was said before: then it may have, and none is sent.\"\"\"
        with transaction() as session:
            item = self._mine(session, claim)
            if item.mail_started_at is not None:
                return False
            item.mail_started_at = utcnow()
            return True

    def finish(self, claim: Claim, mail_result: Literal["sent", "uncertain"]) -> None:
        with transaction() as session:
            item = session.get_one(Return, self._id(claim))
            if item.mail_result != "sent":
                item.mail_result = mail_result
            if item.status == "open":
""",
                """    def finish(self, claim: Claim) -> None:
        \"\"\"The mail is out, whoever holds the claim by now.\"\"\"
        with transaction() as session:
            item = session.get_one(Return, self._id(claim))
            item.mailed_at = utcnow()
            if item.status == "open":
""",
            ),
            (
                "returns_portal/desk.py",
                """        \"\"\"Plans the next attempt. Only for who knows for certain that no mail has left: it may be sent then.\"\"\"
        with transaction() as session:
            item = self._mine(session, claim)
            item.not_before = utcnow() + delay
            item.mail_started_at = None
""",
                """        \"\"\"Plans the next attempt.\"\"\"
        with transaction() as session:
            item = self._mine(session, claim)
            item.not_before = utcnow() + delay
""",
            ),
            (
                "returns_portal/desk.py",
                """        \"\"\"Gives the return up after an error that says that no mail has left: once reopened, it may have one.\"\"\"
        with transaction() as session:
            item = self._mine(session, claim)
            item.mail_started_at = None
            self._fail(session, item, reason)
""",
                """        with transaction() as session:
            self._fail(session, self._mine(session, claim), reason)
""",
            ),
            (
                "returns_portal/workflow.py",
                """The label is ordered under a reference, so ordering it again is harmless. The mail is sent at most once: customers who got two
of them have printed two labels and sent two parcels, whereas one who gets none finds the label in the portal.
""",
                """The label is ordered under a reference, so ordering it again is harmless. The mail is sent at least once: after a crash, or
when the connection broke, a customer may get a second one. It carries the same label.
""",
            ),
            (
                "returns_portal/workflow.py",
                """        if not self._desk.start_mail(claim):
            return self._finish(claim, item, "uncertain", "an earlier attempt died while it sent the mail")
        try:
""",
                """        try:
""",
            ),
            (
                "returns_portal/workflow.py",
                """        except MailNotSent as error:
            return self._retry(claim, item, error)
        except MailRejected as error:
            return self._fail(claim, item, error)
        except Exception as error:  # MailUncertain, or anything else that does not say that nothing has left
            return self._finish(claim, item, "uncertain", repr(error))
        return self._finish(claim, item, "sent", "-")

    def _finish(self, claim: Claim, item: Return, mail_result: Any, reason: str) -> None:
        self._desk.finish(claim, mail_result)
        level = logging.INFO if mail_result == "sent" else logging.WARNING
        self._say(level, item, f"done mail={mail_result}", reason)
""",
                """        except MailRejected as error:
            return self._fail(claim, item, error)
        except Exception as error:  # not sent, or uncertain: rather twice than never
            return self._retry(claim, item, error)
        self._desk.finish(claim)
        self._say(logging.INFO, item, "done", "-")
        return None
""",
            ),
            (
                "returns_portal/workflow.py",
                "from returns_portal.mailer import Mailer, MailNotSent, MailRejected",
                "from returns_portal.mailer import Mailer, MailRejected",
            ),
            (
                "README.md",
                """* **Mail**: at most once. The row says `mail_started_at` before the mail leaves. Who finds that set and no result does not send: the
  return is done, with `mail_result = 'uncertain'`. Two mails have made customers send two parcels; a customer without a mail
  finds the label in the portal, where it is shown as soon as it is there. Only an error that says for certain that the server
  did not take the mail clears the mark for another attempt.
""",
                """* **Mail**: at least once. It is noted after it has left, so a worker that dies in between, or a connection that breaks, makes for
  a second one, with the same label in it.
""",
            ),
            (
                "README.md",
                "Results: started, labelled, done mail=sent, done mail=uncertain, retry, wait, skipped, overtaken, dead.",
                "Results: started, labelled, done, retry, wait, skipped, overtaken, dead.",
            ),
            (
                "tests/test_workflow.py",
                'ROW = "SELECT status, tracking_no, mail_result, attempts FROM returns WHERE id = 501"',
                'ROW = "SELECT status, tracking_no, mailed_at IS NOT NULL, attempts FROM returns WHERE id = 501"',
            ),
            ("tests/test_workflow.py", """    assert (foreign.references, foreign.mails) == (["RET-501"], ["mara@example.com"])
    assert rows(ROW) == [("done", "PH1", "sent", 1)]
""", """    assert (foreign.references, foreign.mails) == (["RET-501"], ["mara@example.com"])
    assert rows(ROW) == [("done", "PH1", 1, 1)]
"""),
            ("tests/test_workflow.py", '[("done", "PH1", "sent", 2)]', '[("done", "PH1", 1, 2)]'),
            (
                "tests/test_workflow.py",
                """def test_a_mail_that_may_be_out_is_not_sent_again(
    workflow: LabelWorkflow, foreign: Foreign, rows: Rows, clock: Clock
) -> None:
    foreign.mail_errors = [MailUncertain("hung up")]
    assert workflow.run(PAYLOAD) is None
    clock.forward(600)
    assert workflow.run(PAYLOAD) is None
    assert foreign.mails == []
    assert rows(ROW) == [("done", "PH1", "uncertain", 1)]
    assert rows("SELECT * FROM dead_letters") == []
""",
                """def test_a_mail_that_may_be_out_is_sent_again(
    workflow: LabelWorkflow, foreign: Foreign, rows: Rows, clock: Clock
) -> None:
    foreign.mail_errors = [MailUncertain("hung up")]
    assert workflow.run(PAYLOAD) is not None
    clock.forward(600)
    assert workflow.run(PAYLOAD) is None
    assert foreign.mails == ["mara@example.com"]
    assert rows("SELECT status, attempts FROM returns WHERE id = 501") == [("done", 2)]
    assert rows("SELECT * FROM dead_letters") == []
""",
            ),
            ("tests/test_workflow.py", "def test_a_worker_that_dies_at_the_mail_leaves_it_uncertain(", "def test_a_worker_that_dies_at_the_mail_is_replaced("),
            (
                "tests/test_workflow.py",
                """    assert foreign.mails == []
    assert rows(ROW) == [("done", "PH1", "uncertain", 2)]
""",
                """    assert foreign.mails == ["mara@example.com"]
    assert rows("SELECT status, tracking_no FROM returns WHERE id = 501") == [("done", "PH1")]
""",
            ),
            (
                "tests/test_workflow.py",
                """    workflow.run(PAYLOAD)
    assert rows(ROW) == [("done", "PH1", "sent", 1)]
    assert rows("SELECT * FROM dead_letters") == []
""",
                """    workflow.run(PAYLOAD)
    assert rows("SELECT status, attempts FROM returns WHERE id = 501") == [("done", 1)]
    assert rows("SELECT * FROM dead_letters") == []
""",
            ),
        ],
    },
    {
        "id": "uncertain-mail-retried",
        "kind": "mistake",
        "job": "send-return-label",
        "what": "A connection that breaks on the way is treated like a server that was not reached: the mark is cleared and the mail tried "
        "again. When the server had taken the mail and only its answer was lost, the customer gets two; the spec promises at most one.",
        "edits": [
            (
                "returns_portal/workflow.py",
                "        except MailNotSent as error:\n",
                "        except (MailNotSent, MailUncertain) as error:\n",
            ),
            (
                "returns_portal/workflow.py",
                "        except Exception as error:  # MailUncertain, or anything else that does not say that nothing has left\n",
                "        except Exception as error:  # nobody knows what this was: no second mail\n",
            ),
            (
                "returns_portal/workflow.py",
                "from returns_portal.mailer import Mailer, MailNotSent, MailRejected",
                "from returns_portal.mailer import Mailer, MailNotSent, MailRejected, MailUncertain",
            ),
            (
                "tests/test_workflow.py",
                """def test_a_mail_that_may_be_out_is_not_sent_again(
    workflow: LabelWorkflow, foreign: Foreign, rows: Rows, clock: Clock
) -> None:
    foreign.mail_errors = [MailUncertain("hung up")]
    assert workflow.run(PAYLOAD) is None
    clock.forward(600)
    assert workflow.run(PAYLOAD) is None
    assert foreign.mails == []
    assert rows(ROW) == [("done", "PH1", "uncertain", 1)]
    assert rows("SELECT * FROM dead_letters") == []
""",
                """def test_a_broken_connection_is_tried_again(
    workflow: LabelWorkflow, foreign: Foreign, rows: Rows, clock: Clock
) -> None:
    foreign.mail_errors = [MailUncertain("hung up")]
    assert workflow.run(PAYLOAD) is not None
    clock.forward(600)
    assert workflow.run(PAYLOAD) is None
    assert foreign.mails == ["mara@example.com"]
    assert rows("SELECT * FROM dead_letters") == []
""",
            ),
        ],
    },
    {
        "id": "mark-commits-with-mail",
        "kind": "mistake",
        "job": "send-return-label",
        "what": "The mark mail_started_at and the mail are put into one transaction, so that the mark rolls back by itself when the mail "
        "fails. It is flushed, not committed, before the mail leaves: a kill -9 after the mail and before the commit takes the mark "
        "along, and the redelivery sends a second mail.",
        "edits": [
            (
                "returns_portal/desk.py",
                """    def start_mail(self, claim: Claim) -> bool:
        \"\"\"Commits that a mail is about to go out. False if that was said before: then it may have, and none is sent.\"\"\"
        with transaction() as session:
            item = self._mine(session, claim)
            if item.mail_started_at is not None:
                return False
            item.mail_started_at = utcnow()
            return True
""",
                """    @contextmanager
    def mailing(self, claim: Claim) -> Iterator[bool]:
        \"\"\"The mark and the mail as one unit: when the mail fails, its mark is rolled back. False if it was sent before.\"\"\"
        with transaction() as session:
            item = self._mine(session, claim)
            if item.mail_started_at is not None:
                yield False
                return
            item.mail_started_at = utcnow()
            session.flush()
            yield True
""",
            ),
            (
                "returns_portal/desk.py",
                """import json
from dataclasses import dataclass
""",
                """import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
""",
            ),
            (
                "returns_portal/workflow.py",
                """        if not self._desk.start_mail(claim):
            return self._finish(claim, item, "uncertain", "an earlier attempt died while it sent the mail")
        try:
            self._mailer.send_label(
                to=item.customer_email, order_no=item.order_no, tracking_no=tracking_no, label_url=label_url
            )
        except MailNotSent as error:
""",
                """        try:
            with self._desk.mailing(claim) as fresh:
                if fresh:
                    self._mailer.send_label(
                        to=item.customer_email, order_no=item.order_no, tracking_no=tracking_no, label_url=label_url
                    )
        except ClaimLost:
            raise
        except MailNotSent as error:
""",
            ),
            (
                "tests/test_workflow.py",
                """def test_a_worker_that_dies_at_the_mail_leaves_it_uncertain(
    workflow: LabelWorkflow, foreign: Foreign, rows: Rows, clock: Clock
) -> None:
    foreign.mail_errors = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        workflow.run(PAYLOAD)
    later = workflow.run(PAYLOAD)
    assert later is not None
    clock.forward(later.delay.total_seconds())
    assert workflow.run(PAYLOAD) is None
    assert foreign.mails == []
    assert rows(ROW) == [("done", "PH1", "uncertain", 2)]


""",
                """def test_a_worker_that_dies_at_the_mail_is_replaced(
    workflow: LabelWorkflow, foreign: Foreign, rows: Rows, clock: Clock
) -> None:
    foreign.mail_errors = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        workflow.run(PAYLOAD)
    clock.forward(180)
    assert workflow.run(PAYLOAD) is None
    assert foreign.mails == ["mara@example.com"]


""",
            ),
        ],
    },
    {
        "id": "outbox-taken-first",
        "kind": "mistake",
        "job": "send-return-label",
        "what": "The outbox takes its entries out with DELETE ... RETURNING before it sends them, so that the portal and the outbox process "
        "never send the same one, and puts them back when the broker refuses. A kill -9 between the commit of the delete and the "
        "send loses the message for ever: nothing else knows of it.",
        "edits": [
            (
                "returns_portal/outbox.py",
                """    \"\"\"Sends what is waiting, oldest first. An entry goes after its message has been sent: rather twice than never.\"\"\"
    with transaction() as session:
        entries = session.scalars(select(OutboxEntry).order_by(OutboxEntry.id).limit(200)).all()
    for entry in entries:
        send_return_label.send({"return_id": entry.return_id})
        with transaction() as session:
            session.execute(delete(OutboxEntry).where(OutboxEntry.id == entry.id))
    return len(entries)
""",
                """    \"\"\"Sends what is waiting. The entries are taken out first: the portal and this process never send the same one.\"\"\"
    with transaction() as session:
        return_ids = list(session.scalars(delete(OutboxEntry).returning(OutboxEntry.return_id)))
    for position, return_id in enumerate(return_ids):
        try:
            send_return_label.send({"return_id": return_id})
        except Exception:
            with transaction() as session:
                session.add_all(OutboxEntry(return_id=waiting) for waiting in return_ids[position:])
            raise
    return len(return_ids)
""",
            ),
            ("returns_portal/outbox.py", "from sqlalchemy import delete, select", "from sqlalchemy import delete"),
        ],
    },
]
