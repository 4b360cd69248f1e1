import os

import requests


def notify(text):
    requests.post(os.environ.get("SLACK_WEBHOOK", "https://hooks.slack.example/T0/B0/x"), json={"text": text}, timeout=10).raise_for_status()
