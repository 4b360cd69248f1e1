import os
import smtplib
from email.message import EmailMessage


def send(to, subject, text, message_id):
    mail = EmailMessage()
    mail["From"] = os.environ.get("KRAMKISTE_FROM", "hallo@kramkiste.example")
    mail["To"] = to
    mail["Subject"] = subject
    mail["Message-ID"] = message_id
    mail.set_content(text)
    with smtplib.SMTP(os.environ.get("KRAMKISTE_SMTP", "localhost"), timeout=20) as smtp:
        smtp.send_message(mail)
