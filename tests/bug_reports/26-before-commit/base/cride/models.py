from django.db import models


class User(models.Model):
    email = models.EmailField(unique=True)
    state = models.CharField(max_length=10, default="new")

    class Meta:
        app_label = "cride"
        db_table = "users"


class DeadTask(models.Model):
    message = models.TextField(primary_key=True)

    class Meta:
        app_label = "cride"
        db_table = "dead_tasks"
