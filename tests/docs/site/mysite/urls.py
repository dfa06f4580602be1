"""One route."""

from django.http import HttpRequest, HttpResponse
from django.urls import path


def hello(request: HttpRequest) -> HttpResponse:
    """Answer."""
    return HttpResponse("hello")


urlpatterns = [path("hello/", hello)]
