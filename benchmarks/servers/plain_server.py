"""The other reference: python-socketio on Tornado as it comes, with the product's `/chat` and nothing else.

Environment: SERVER_PORT, SERVER_HOST, JWT_SECRET_KEY. Everything not named here is the library's default.
"""

import asyncio
import os
import uuid
from datetime import UTC, datetime
from typing import Any

import jwt
import socketio
import tornado.web

SECRET = os.environ["JWT_SECRET_KEY"]
NAMESPACE = "/chat"

make_server: Any = socketio.AsyncServer  # python-socketio carries no types
make_handler: Any = socketio.get_tornado_handler
make_refusal: Any = socketio.exceptions.ConnectionRefusedError

server = make_server(async_mode="tornado", cors_allowed_origins="*")
users: dict[str, dict[str, str]] = {}


async def connect(sid: str, environ: dict[str, Any], auth: dict[str, str]) -> None:
    try:
        users[sid] = jwt.decode(auth["token"], SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise make_refusal("Token invalid") from error


async def send_message(sid: str, message: dict[str, Any]) -> dict[str, Any]:
    user = users[sid]
    stamped = {
        "id": message["id"] if isinstance(message.get("id"), str) else str(uuid.uuid4()),
        "content": message["content"],
        "author_id": user["sub"],
        "author_name": user["name"],
        "timestamp": message["timestamp"],
        "status": "sent",
        "sent_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    await server.emit("receive-message", stamped, namespace=NAMESPACE)
    return {"ok": True, "id": stamped["id"], "sent_at": stamped["sent_at"]}


async def disconnect(sid: str, reason: str) -> None:
    users.pop(sid, None)


async def main() -> None:
    server.on("connect", connect, namespace=NAMESPACE)
    server.on("send-message", send_message, namespace=NAMESPACE)
    server.on("disconnect", disconnect, namespace=NAMESPACE)
    application = tornado.web.Application([(r"/socket\.io/", make_handler(server))])
    application.listen(int(os.environ["SERVER_PORT"]), address=os.environ["SERVER_HOST"])
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
