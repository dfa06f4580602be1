"""The one table."""

from django.conf import settings
from django.db import models


class Document(models.Model):
    """A file with a title."""

    title = models.CharField(max_length=200)
    file = models.FileField(upload_to="documents/")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    added = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.title
