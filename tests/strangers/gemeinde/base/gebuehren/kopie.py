"""Die Kopie für die Sachbearbeitung."""

import smtplib

from django.core.mail import EmailMessage


def senden(bescheid):
    EmailMessage(
        subject=f"Bescheid {bescheid.aktenzeichen} zugestellt",
        body=(
            f"Der Bescheid {bescheid.aktenzeichen} über {bescheid.betrag_cent / 100:.2f} EUR ({bescheid.zweck})\n"
            f"ist zugestellt, Sendungsnummer {bescheid.sendungsnummer}.\n"
        ),
        to=[bescheid.sachbearbeitung],
        headers={"Message-ID": f"<bescheid-{bescheid.aktenzeichen}@gemeinde.example>"},
    ).send()


def endgueltig(fehler):
    """Ob der Mailserver morgen dasselbe sagt."""
    if isinstance(fehler, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in fehler.recipients.values())
    return isinstance(fehler, smtplib.SMTPDataError) and fehler.smtp_code >= 500
