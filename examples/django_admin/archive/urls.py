"""Where everything is."""

from django.contrib import admin
from django.urls import path

from . import views

urlpatterns = [
    path("health/", views.health),
    path("api/documents/", views.documents),
    path("api/documents/<int:number>/", views.document),
    path("upload/", views.upload, name="upload"),
    path("admin/", admin.site.urls),
]
