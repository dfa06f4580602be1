"""Views, async and sync. The API is for programs with tokens, the form for people with a session."""

import json

from django import forms
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AbstractBaseUser
from django.core.files.base import ContentFile
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

from asgi_middleware import add_fields, timing

from .models import Document
from .problems import InvalidDocumentError, NotAMemberError


class DocumentForm(forms.ModelForm):
    """What a person fills in."""

    class Meta:
        model = Document
        fields = ("title", "file")


async def health(_request: HttpRequest) -> HttpResponse:
    """Live; needs no token and leaves no log line."""
    return HttpResponse("ok", content_type="text/plain")


@csrf_exempt  # a client with a token has no cookie that others could make use of
@require_http_methods(["GET", "POST"])
async def documents(request: HttpRequest) -> HttpResponse:
    """List all documents, or add one: an async view."""
    user = await _member(request)
    if request.method == "POST":
        document = await _added(request.body, user)
        return JsonResponse({"id": document.pk}, status=201)
    with timing("db"):
        found = [
            {"id": document.pk, "title": document.title, "owner": document.owner.get_username()}
            async for document in Document.objects.select_related("owner").order_by("-added")[:500]
        ]
    add_fields(documents=len(found))  # on this request's log line
    return JsonResponse({"documents": found})


@require_GET
def document(request: HttpRequest, number: int) -> HttpResponse:
    """Give the text of a document: a sync view. One that is not there is a 404, see ``problems.py``."""
    if not request.user.is_authenticated:
        raise NotAMemberError
    with Document.objects.get(pk=number).file.open() as file:
        return HttpResponse(file.read(), content_type="text/plain; charset=utf-8")


@login_required
@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """Add a document by a form, with Django's session and CSRF protection."""
    form = DocumentForm(request.POST or None, request.FILES or None, instance=Document(owner=request.user))
    if form.is_valid():
        form.save()
        return redirect("upload")
    mine = Document.objects.filter(owner=request.user)
    return render(request, "upload.html", {"form": form, "documents": mine}, status=422 if form.errors else 200)


async def _member(request: HttpRequest) -> AbstractBaseUser:
    user = await request.auser()
    if not user.is_authenticated:
        raise NotAMemberError
    return user


async def _added(body: bytes, owner: AbstractBaseUser) -> Document:
    try:
        sent = json.loads(body)
    except ValueError:
        raise InvalidDocumentError from None
    match sent:
        case {"title": str(title), "text": str(text)} if 0 < len(title) <= 200:
            file = ContentFile(text.encode(), name="document.txt")
            return await Document.objects.acreate(title=title, file=file, owner=owner)
        case _:
            raise InvalidDocumentError
