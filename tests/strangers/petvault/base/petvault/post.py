"""Mail, through the relay of the house."""
import smtplib
from email.message import EmailMessage

from petvault import settings


class NotSent(Exception):
    """With the relay's code: 4xx may pass, 5xx will not."""

    def __init__(self, code: int, text: str = ""):
        super().__init__(f"{code} {text}".strip())
        self.code = code


def send(to: str, subject: str, text: str, filename: str, pdf: bytes, message_id: str) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = settings.MAIL_FROM, to, subject
    mail["Message-ID"] = message_id
    mail.set_content(text)
    mail.add_attachment(pdf, maintype="application", subtype="pdf", filename=filename)
    try:
        with smtplib.SMTP(settings.SMTP_HOST, settings.SMTP_PORT, timeout=20) as relay:
            relay.send_message(mail)
    except smtplib.SMTPRecipientsRefused as error:
        code, reply = next(iter(error.recipients.values()))
        raise NotSent(code, repr(reply)) from error
    except smtplib.SMTPResponseException as error:
        raise NotSent(error.smtp_code, repr(error.smtp_error)) from error
    except (smtplib.SMTPException, OSError) as error:
        raise NotSent(421, repr(error)) from error
