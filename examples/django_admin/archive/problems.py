"""What exceptions become for clients. All others are a 500 that says nothing of them."""

from asgi_middleware.problems import Refusal

from .models import Document


class NotAMemberError(Exception):
    """The token is good, but its subject is nobody here."""


class InvalidDocumentError(Exception):
    """What was sent is no document."""


PROBLEMS = {
    Document.DoesNotExist: Refusal(404, "no_such_document"),
    NotAMemberError: Refusal(403, "not_a_member", detail="There is no account of your name here."),
    InvalidDocumentError: Refusal(400, "invalid_document", detail="Send an object with a short title and a text."),
}
