import uuid

from psycopg.types.json import Jsonb

PAYOUT = "pay-out-loan"


class LoanRepository:
    def __init__(self, conn):
        self.conn = conn

    def approve(self, loan_id, at):
        """The status after it; None for a loan that nobody knows."""
        self.conn.execute(
            "update loans set status = 'approved', approved_at = %s, end_to_end_id = %s"
            " where id = %s and status = 'offered'",
            (at, "PH" + uuid.uuid4().hex, loan_id),
        )
        row = self.conn.execute("select status from loans where id = %s", (loan_id,)).fetchone()
        return row and row["status"]

    def reopen(self, loan_id, approved_since):
        reopened = self.conn.execute(
            "update loans set status = 'approved', starts = 0, queued_at = null"
            " where id = %s and status = 'failed' and approved_at > %s",
            (loan_id, approved_since),
        ).rowcount
        if reopened:
            self._drop_dead_letter(str(loan_id))
        return bool(reopened)

    def queued(self, loan_id, at):
        self.conn.execute("update loans set queued_at = %s where id = %s", (at, loan_id))

    def left_behind(self, quiet_since):
        """Approved, but never queued, or not heard of for long."""
        rows = self.conn.execute(
            "select id from loans where status = 'approved' and (queued_at is null or queued_at < %s)"
            " order by approved_at, id",
            (quiet_since,),
        )
        return [row["id"] for row in rows]

    def exists(self, loan_id):
        return self.conn.execute("select 1 from loans where id = %s", (loan_id,)).fetchone() is not None

    def start(self, loan_id, at):
        """Count a start of the payout; None if there is nothing to pay out."""
        return self.conn.execute(
            "update loans set starts = starts + 1, queued_at = %s where id = %s and status = 'approved'"
            " returning id, iban, amount_cents, end_to_end_id, approved_at, starts",
            (at, loan_id),
        ).fetchone()

    def settle(self, loan_id, bank_reference, at):
        """Book the payment, whatever else has become of the loan. False if it was booked before."""
        loan = self.conn.execute(
            "select status, amount_cents from loans where id = %s for update", (loan_id,)
        ).fetchone()
        if loan["status"] == "paid":
            return False
        self.conn.execute(
            "update loans set status = 'paid', bank_reference = %s where id = %s", (bank_reference, loan_id)
        )
        self.conn.execute(
            "insert into ledger (loan_id, account, amount_cents, bank_reference, booked_at)"
            " values (%s, 'payouts', %s, %s, %s)",
            (loan_id, loan["amount_cents"], bank_reference, at),
        )
        self._drop_dead_letter(str(loan_id))
        return True

    def bury(self, loan_id, key, message, reason, attempt, at):
        """Leave a dead letter. False if there is no need: somebody else has paid, or buried it."""
        if loan_id is not None:
            loan = self.conn.execute("select status from loans where id = %s for update", (loan_id,)).fetchone()
            if loan and loan["status"] == "paid":
                return False
            self.conn.execute(
                "update loans set status = 'failed' where id = %s and status = 'approved'", (loan_id,)
            )
        written = self.conn.execute(
            "insert into dead_letters (job, key, message, reason, attempt, died_at)"
            " values (%s, %s, %s, %s, %s, %s) on conflict (job, key) do nothing",
            (PAYOUT, key, Jsonb(message), reason, attempt, at),
        ).rowcount
        return bool(written)

    def _drop_dead_letter(self, key):
        self.conn.execute("delete from dead_letters where job = %s and key = %s", (PAYOUT, key))
