from cride import conf  # noqa: F401  Django is set up there
from django.db import transaction

from cride import tasks
from cride.models import User


def publish(user_id):
    tasks.send_confirmation.delay({"user_id": user_id})
    User.objects.filter(pk=user_id, state="new").update(state="queued")


def sign_up(email):
    with transaction.atomic():
        user = User.objects.create(email=email)
        publish(user.pk)
    return user.pk


def publish_missing():
    """For sign-ups whose task could not be published."""
    for user_id in User.objects.filter(state="new").values_list("pk", flat=True):
        publish(user_id)
