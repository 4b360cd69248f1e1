"""Mail to customers."""
import smtplib
from email.message import EmailMessage

from boxoffice import config


class MailDown(Exception):
    """The mail server is away, or says: later."""


class MailRefused(Exception):
    """The mail server does not take this mail."""


def send(to: str, subject: str, text: str, message_id: str) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail["Message-ID"] = config.MAIL_FROM, to, subject, message_id
    mail.set_content(text)
    try:
        with smtplib.SMTP(config.SMTP_HOST, timeout=15) as server:
            server.send_message(mail)
    except smtplib.SMTPRecipientsRefused as exc:
        codes = [code for code, _ in exc.recipients.values()]
        if all(code < 500 for code in codes):
            raise MailDown(f"{to}: {codes}") from exc
        raise MailRefused(f"{to}: {exc.recipients}") from exc
    except smtplib.SMTPResponseException as exc:
        if exc.smtp_code < 500:
            raise MailDown(f"{to}: {exc.smtp_code}") from exc
        raise MailRefused(f"{to}: {exc.smtp_code} {exc.smtp_error!r}") from exc
    except (OSError, smtplib.SMTPException) as exc:
        raise MailDown(f"{to}: {exc!r}") from exc
