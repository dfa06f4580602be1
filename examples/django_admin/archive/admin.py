"""The admin, as always."""

from django.contrib import admin

from .models import Document


@admin.register(Document)
class DocumentAdmin(admin.ModelAdmin):
    """Documents, with their owners."""

    list_display = ("title", "owner", "added")
    search_fields = ("title",)
