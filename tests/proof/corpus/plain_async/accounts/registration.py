"""Registering a user."""

import os
import sqlite3
from datetime import datetime, timedelta, timezone

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from accounts.welcome import send_welcome

scheduler = AsyncIOScheduler(timezone="UTC")  # started by accounts.web


def register(user_id: int, email: str) -> None:
    with sqlite3.connect(os.environ["ACCOUNTS_DB"]) as connection:
        connection.execute("insert or ignore into users values (?, ?)", (user_id, email))
    scheduler.add_job(
        send_welcome,
        "date",
        run_date=datetime.now(timezone.utc) + timedelta(minutes=5),
        kwargs={"user_id": user_id, "email": email},
        id=f"welcome-{user_id}",
        replace_existing=True,
        misfire_grace_time=None,
    )
