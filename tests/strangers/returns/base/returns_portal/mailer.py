"""Mail by SMTP. The protocol knows no keys: who sends twice is read twice. So the errors say what may have gone out."""

from __future__ import annotations

import smtplib
from contextlib import suppress
from email.message import EmailMessage

TIMEOUT_SECONDS = 15


class MailNotSent(Exception):
    """The server has not taken the mail; later it may."""


class MailRejected(Exception):
    """The server has not taken the mail and never will."""


class MailUncertain(Exception):
    """The connection broke on the way: nobody knows whether the server took the mail."""


class Mailer:
    def __init__(self, host: str, port: int, user: str, password: str, sender: str) -> None:
        self._host, self._port = host, port
        self._user, self._password = user, password
        self._sender = sender

    def send_label(self, *, to: str, order_no: str, tracking_no: str, label_url: str) -> None:
        message = self._compose(to, order_no, tracking_no, label_url)
        smtp = self._connect()
        try:
            smtp.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise self._refusal(max(codes), error) from error
        except smtplib.SMTPResponseException as error:  # the sender or the text was refused, with a code
            raise self._refusal(error.smtp_code, error) from error
        except smtplib.SMTPNotSupportedError as error:
            raise MailRejected(repr(error)) from error
        except OSError as error:  # smtplib's own errors among them: the server hung up, or fell silent
            raise MailUncertain(repr(error)) from error
        finally:
            with suppress(OSError):  # the mail is out or it is not: saying goodbye changes nothing
                smtp.quit()

    def _compose(self, to: str, order_no: str, tracking_no: str, label_url: str) -> EmailMessage:
        message = EmailMessage()
        try:
            message["From"] = self._sender
            message["To"] = to
            message["Subject"] = f"Your return label for order {order_no}"
        except ValueError as error:
            raise MailRejected(f"{to!r}: {error}") from error
        message.set_content(f"Print your label: {label_url}\nTracking number: {tracking_no}\n")
        return message

    def _connect(self) -> smtplib.SMTP:
        try:
            smtp = smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_SECONDS)
        except OSError as error:
            raise MailNotSent(repr(error)) from error
        try:
            smtp.ehlo()
            if self._user:
                smtp.starttls()
                smtp.login(self._user, self._password)
        except OSError as error:
            smtp.close()
            raise MailNotSent(repr(error)) from error
        return smtp

    @staticmethod
    def _refusal(code: int, error: Exception) -> Exception:
        return MailRejected(repr(error)) if code >= 500 else MailNotSent(repr(error))
