import smtplib
from email.message import EmailMessage

from . import settings


def send(to, subject, text, message_id):
    letter = EmailMessage()
    letter["From"] = settings.SENDER
    letter["To"] = to
    letter["Subject"] = subject
    letter["Message-ID"] = message_id
    letter.set_content(text)
    with smtplib.SMTP(settings.SMTP_HOST, settings.SMTP_PORT, timeout=20) as relay:
        relay.send_message(letter)
