from django.db import models


class Pupil(models.Model):
    name = models.CharField(max_length=100)
    form = models.CharField(max_length=10)


class Guardian(models.Model):
    pupil = models.ForeignKey(Pupil, on_delete=models.CASCADE)
    name = models.CharField(max_length=100)
    email = models.EmailField()


class Absence(models.Model):
    pupil = models.ForeignKey(Pupil, on_delete=models.CASCADE)
    day = models.DateField()
    lessons = models.PositiveSmallIntegerField()


class Notice(models.Model):
    """One guardian has to hear of one absence."""

    absence = models.ForeignKey(Absence, on_delete=models.CASCADE)
    guardian = models.ForeignKey(Guardian, on_delete=models.CASCADE)
    queued_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["absence", "guardian"], name="one_notice_per_guardian")]
