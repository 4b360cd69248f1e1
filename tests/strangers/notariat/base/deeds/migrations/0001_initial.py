import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Deed",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.CharField(max_length=20, unique=True)),
                ("title", models.CharField(max_length=120)),
                ("client_name", models.CharField(max_length=120)),
                ("client_email", models.EmailField(max_length=254)),
                ("signed_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="DeadLetter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=60, unique=True)),
                ("job_id", models.CharField(max_length=60)),
                ("message", models.TextField()),
                ("reason", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name="Filing",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("submission_id", models.CharField(max_length=36, unique=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("signed", "Signed"),
                            ("filed", "Filed"),
                            ("confirmed", "Confirmed"),
                            ("not_filed", "Not Filed"),
                            ("unconfirmed", "Unconfirmed"),
                        ],
                        default="signed",
                        max_length=12,
                    ),
                ),
                ("receipt", models.CharField(blank=True, default="", max_length=40)),
                ("starts", models.PositiveIntegerField(default=0)),
                ("released_at", models.DateTimeField(null=True)),
                ("filed_at", models.DateTimeField(null=True)),
                ("confirmed_at", models.DateTimeField(null=True)),
                ("look_at", models.DateTimeField(null=True)),
                (
                    "deed",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="filing", to="deeds.deed"
                    ),
                ),
            ],
        ),
    ]
