"""The hook that feeds the app, the ticker and the chat channels.

It keeps the ids of its messages for two days and answers 409 to one that it has.
"""
import requests

from pressroom.settings import settings


def announce(message_id: str, text: str, link: str) -> None:
    response = requests.post(
        settings().hook_url,
        json={"id": message_id, "text": text, "link": link},
        timeout=(5, 15),
    )
    response.raise_for_status()
