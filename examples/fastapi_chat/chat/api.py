"""REST routes and the WebSocket. Who may come here stands in ``main.py``."""

import logging
from typing import Annotated, Literal

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from asgi_middleware import ProblemDetailsMiddleware, add_fields
from asgi_middleware.auth import TokenError
from asgi_middleware.integrations.fastapi import CurrentAuth, CurrentUser
from asgi_middleware.problems import Refusal

from .rooms import CurrentRoom, Message, NoSuchRoomError, Room

log = logging.getLogger(__name__)
api = FastAPI(title="Chat")
# Inside FastAPI's own 500, so that ours is sent.
api.add_middleware(ProblemDetailsMiddleware, handlers={NoSuchRoomError: Refusal(404, "no_such_room")})


class Say(BaseModel):
    """A client says something: the body of a POST, and a message over the WebSocket."""

    type: Literal["say"] = "say"
    text: str = Field(min_length=1, max_length=2000)


class Renew(BaseModel):
    """A client brings a newer token, so that its WebSocket lives on."""

    type: Literal["token"]
    token: str


incoming: TypeAdapter[Say | Renew] = TypeAdapter(Annotated[Say | Renew, Field(discriminator="type")])


@api.get("/health")
async def health() -> str:
    """Live; needs no token and leaves no log line."""
    return "ok"


@api.get("/me")
async def me(user: CurrentUser, auth: CurrentAuth) -> dict[str, object]:
    """Who the token says you are."""
    return {"id": user.identity, "scopes": auth.scopes, "roles": auth.roles}


@api.get("/rooms/{name}/messages")
async def messages(room: CurrentRoom) -> list[Message]:
    """The last messages of a room."""
    return list(room.messages)


@api.post("/rooms/{name}/messages", status_code=201)
async def say(room: CurrentRoom, said: Say, user: CurrentUser) -> Message:
    """Say something without a WebSocket."""
    message = Message(author=user.identity, text=said.text)
    room.say(message)
    add_fields(characters=len(said.text))  # on this request's log line
    return message


@api.delete("/rooms/{name}/messages", status_code=204)
async def clear(name: str, room: CurrentRoom, user: CurrentUser) -> None:
    """Forget what was said in a room."""
    room.messages.clear()
    log.warning("room %s cleared by %s", name, user.identity)  # carries the request's id, too


@api.websocket("/rooms/{name}/live")
async def live(websocket: WebSocket, room: CurrentRoom) -> None:
    """Hear a room, and speak there."""
    await websocket.accept()
    with room.listen() as inbox:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_deliver, inbox, websocket)
            await _converse(websocket, room)
            tasks.cancel_scope.cancel()


async def _deliver(inbox: MemoryObjectReceiveStream[Message], websocket: WebSocket) -> None:
    try:
        async for message in inbox:
            await websocket.send_json({"type": "said", **message.model_dump()})
    except WebSocketDisconnect:  # the client left, or its token ended, while this was sent
        return


async def _converse(websocket: WebSocket, room: Room) -> None:
    auth = websocket.auth
    async for text in websocket.iter_text():  # ends when the client leaves, and when its token ends
        try:
            message = incoming.validate_json(text)
            if isinstance(message, Renew):
                await auth.renew(message.token)
                await websocket.send_json({"type": "renewed", "until": auth.expires_at})
            elif "chat:write" in auth.scopes:
                room.say(Message(author=websocket.user.identity, text=message.text))
            else:
                await websocket.send_json({"type": "refused", "reason": "insufficient_scope"})
        except ValidationError:
            await websocket.send_json({"type": "refused", "reason": "not_understood"})
        except TokenError as error:  # the connection goes on with the token that it has
            await websocket.send_json({"type": "refused", "reason": error.reason})
