import os
import smtplib
from email.message import EmailMessage


def send_welcome(address, name):
    mail = EmailMessage()
    mail["To"], mail["From"], mail["Subject"] = address, "hello@school.example", "Welcome"
    mail.set_content(f"Good to see you, {name}!")
    with smtplib.SMTP(os.environ.get("SMTP_HOST", "localhost"), timeout=10) as relay:
        relay.send_message(mail)
