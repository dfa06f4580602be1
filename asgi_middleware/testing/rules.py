"""The rules that the conformance checker holds, by name.

Two kinds. The *grammar* is the ASGI specification's: what a message looks like and when it may come. The *laws of
transparency* are about what stands between a server and an app: what it does not need, it does not touch.

A rule's name is stable: it is what a test names, and what ``skip`` takes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["RULES", "Rule"]


class Rule(NamedTuple):
    """One rule.

    Attributes:
        name: Its stable name.
        section: Where it stands in a standard, or the area of transparency that it belongs to.
        text: What is asked for, in one sentence.
    """

    name: str
    section: str
    text: str


def _rules(section: str, **texts: str) -> tuple[Rule, ...]:
    return tuple(Rule(name.replace("_", "-"), section, text) for name, text in texts.items())


_ALL: Final = (
    *_rules(
        "ASGI: Applications",
        call_signature="`__call__` is `async def __call__(self, scope, receive, send)`: servers call by keyword too.",
        constructor="The wrapped app is the first parameter and is called `app`.",
        returned_value="The call returns None; some servers close the connection on anything else.",
    ),
    *_rules(
        "ASGI: Events",
        message_shape="A message is a dict with a `type` of type str.",
        message_key="Every required key is there, and every key has the type that the specification gives.",
        wrong_protocol="A message belongs to the protocol of its scope.",
        extension_unannounced="A message of an extension is sent only where the scope announces it.",
    ),
    *_rules(
        "ASGI HTTP: Response Start",
        header_shape="Headers are pairs of bytes, in a list: some servers read an iterator twice and lose it.",
        header_name="A header name is a token, in lower case where the class made it; no pseudo header.",
        header_value="A header value has no CR, LF or NUL (RFC 9110 5.5).",
        second_start="A response starts once.",
        early_hint_order="Early hints come before the response start.",
    ),
    *_rules(
        "ASGI HTTP: Response Body",
        before_start="No body comes before the start.",
        after_end="Nothing more of a response comes after its end.",
        body_type="A body that the class makes is of type bytes: some servers take nothing else.",
        trailers_order="Trailers come after the last body message, and only if the start announced them.",
    ),
    *_rules(
        "RFC 9110 5.3, 6.4.1, 8.6",
        content_length="A body has exactly the announced length.",
        header_duplicated="A header that may stand once is not added a second time.",
        body_forbidden="No body is added to an answer to HEAD, nor to 1xx, 204 and 304.",
    ),
    *_rules(
        "ASGI WebSocket",
        websocket_order="Accept or refuse once, then messages, then one close.",
    ),
    *_rules(
        "ASGI Lifespan",
        lifespan_order="Start-up is answered once, then shut-down once.",
    ),
    *_rules(
        "ASGI HTTP: Request",
        receive_order="The app gets no request body after its end, and a WebSocket's connect first.",
    ),
    *_rules(
        "transparency: the scope",
        scope_mutated="The server's scope, and all that is in it, is after the call what it was before.",
        scope_deepcopied="The scope is not deep-copied: `state` holds locks and pools.",
        scope_key_removed="The app sees every key of the server's scope.",
        scope_key_changed="The app sees the server's values; a dict and the headers may gain entries, in a copy.",
        not_passed_through="Lifespan, unknown scope types and excluded requests get the very scope, receive and send.",
    ),
    *_rules(
        "transparency: messages to the app",
        early_receive="`receive` is called only while the app waits in it: refusing needs no body before the answer.",
        receive_changed="What the server gave reaches the app with every key, in order.",
        receive_invented="The app gets no message that the server did not give.",
    ),
    *_rules(
        "transparency: messages from the app",
        message_mutated="No message and no header list of the app or the server is changed in place.",
        message_swallowed="Every message of the app reaches the server, also of types not invented yet.",
        message_changed="A message that is not the class's concern comes out as it went in.",
        message_delayed="A message that is not the class's concern comes out before the app's `send` returns.",
        message_invented="The server gets no message that the app did not send.",
        message_order="Messages come out in the app's order.",
        key_dropped="Keys that the class does not know are kept.",
        start_held="The response start is not held back: clients of slow streams wait for the head.",
        chunk_held="A piece of a streamed body is not held back.",
        status_changed="The status is the app's.",
        header_changed="The app's headers are kept; the class may add others, and members to Vary.",
        body_changed="The body's bytes are the app's.",
        body_rechunked="The body comes in the app's pieces.",
        end_lost="When the app has ended its answer, so has the class.",
        shared_list="No list or dict is handed out twice: whoever stands outside may change what it gets.",
        body_held="No more than a mebibyte of a body is held in memory.",
    ),
    *_rules(
        "transparency: the call",
        app_not_called="The app is called.",
        app_called="A refused request does not reach the app.",
        app_called_twice="The app is called once.",
        extra_task="The app runs in the task of the caller: its context is visible outside, cancellation reaches it.",
        task_left="No task is left behind: what a connection starts ends with it.",
        context_leaked="What the class sets in a context variable is reset when the call ends.",
        context_lost="What the app sets in a context variable is visible outside.",
        shared_state="Requests that run at the same time do not see each other.",
        hangs="The call comes to its end.",
    ),
    *_rules(
        "transparency: exceptions",
        exception_invented="The class raises nothing of its own on a legal connection.",
        exception_replaced="An exception of the app, or of the server's `send`, comes out as the same object.",
        exception_swallowed="An exception of the app comes out.",
        exception_answered="No answer is sent for an exception of the app: that is the business of whoever catches it.",
        cancellation_swallowed="A cancelled call ends as cancelled.",
    ),
)

RULES: Final[dict[str, Rule]] = {rule.name: rule for rule in _ALL}
"""Every rule by its name, in the order of the documentation."""
