"""What every REST handler has in common: JSON in, JSON out, CORS, a bounded body, and errors by the table."""

import asyncio
import json
import logging
from types import TracebackType
from typing import Any, ClassVar, Final, TypeVar, cast

import msgspec
from tornado.http1connection import HTTP1Connection
from tornado.web import HTTPError, RequestHandler, stream_request_body

from chatio.errors import (
    BodyTooLarge,
    ChatioError,
    FieldError,
    InvalidInput,
    MethodNotAllowed,
    MissingToken,
    RouteUnknown,
    ShuttingDown,
    Temporary,
    TokenError,
    Unforeseen,
    answer_to,
)
from chatio.server.in_flight import RETRY_AFTER_SECONDS, InFlightRequests
from chatio.telemetry.error_report import report
from handlers.auth import public
from handlers.cors import Cors
from handlers.metrics.requests import OK
from handlers.responses import ErrorResponse, InternalErrorResponse, ValidationErrorResponse

MAX_BODY_BYTES: Final = 16 * 1024
# Up to here a body that is too large is read and thrown away, so that its sender gets to see the 413: a
# connection that is closed with unread data is reset, and many clients then lose the answer.
MAX_DISCARDED_BYTES: Final = 1024 * 1024

HTTP_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

T = TypeVar("T", bound=msgspec.Struct)

logger = logging.getLogger("chatio.http")


@stream_request_body
class BaseHandler(RequestHandler):
    is_for_newcomers: ClassVar[bool] = False  # who wants in waits while the server is overloaded
    is_answered_always: ClassVar[bool] = False  # also while the server is leaving
    outcome: str = OK  # or the code of the error that was answered
    cors: Cors | None = None  # Tornado asks for headers once before `initialize`

    def initialize(self, cors: Cors, requests: InFlightRequests) -> None:
        self.cors = cors
        self._requests = requests
        self._body = bytearray()
        self._body_bytes = 0
        self.set_default_headers()

    @classmethod
    def methods(cls) -> list[str]:
        """The HTTP methods that this handler takes, besides OPTIONS."""
        return [name for name in HTTP_METHODS if cls._own(name) is not None]

    @classmethod
    def _own(cls, method: str) -> Any:
        function = getattr(cls, method.lower())
        return None if function is RequestHandler._unimplemented_method else function

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        if self.cors is not None:
            for name, value in self.cors.headers(self.request.headers.get("Origin")).items():
                self.set_header(name, value)

    # --- the body

    def prepare(self) -> None:
        self._requests.begin(self)
        # Without a preflight's answer a page would not see any other.
        if self.request.method != "OPTIONS" and not self.is_answered_always:
            self._requests.admit(is_newcomer=self.is_for_newcomers)
        # Tornado's own limit answers without CORS headers; ours is kept in `data_received`.
        cast(HTTP1Connection, self.request.connection).set_max_body_size(2**63)
        try:
            announced = int(self.request.headers.get("Content-Length", "0"))
        except ValueError:
            announced = 0  # Tornado refuses it when it comes to the body
        if announced > MAX_DISCARDED_BYTES or (announced > MAX_BODY_BYTES and "Expect" in self.request.headers):
            raise BodyTooLarge

    def data_received(self, chunk: bytes) -> None:
        self._body_bytes += len(chunk)
        if self._body_bytes <= MAX_BODY_BYTES:
            self._body += chunk
        elif self._body_bytes > MAX_DISCARDED_BYTES:
            self._answer(BodyTooLarge())

    @property
    def body_is_complete(self) -> bool:
        return self.request._body_future.done()

    def body_as(self, kind: type[T]) -> T:
        """The request's body, a JSON object, as `kind`, a Struct whose fields are all text.

        Raises `BodyTooLarge`, or `InvalidInput` with every field that is missing or of another type.
        """
        if self._body_bytes > MAX_BODY_BYTES:
            raise BodyTooLarge
        try:
            raw = msgspec.json.decode(self._body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise InvalidInput(FieldError("body", "The body is not JSON.")) from None
        if not isinstance(raw, dict):
            raise InvalidInput(FieldError("body", "The body is not a JSON object."))
        errors = []
        for field in msgspec.structs.fields(kind):
            if field.encode_name not in raw:
                errors.append(FieldError(field.encode_name, "This is missing."))
            elif not isinstance(raw[field.encode_name], str):
                errors.append(FieldError(field.encode_name, "This must be text."))
        if errors:
            raise InvalidInput(*errors)
        return msgspec.convert(raw, kind)

    # --- the answer

    def answer(self, status: int, body: object) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        try:
            text = msgspec.json.encode(body)
        except UnicodeEncodeError:  # half of a surrogate pair, which a message may have, has no UTF-8 of its own
            text = json.dumps(msgspec.to_builtins(body)).encode()
        self._requests.sending(self.finish(text))

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> "asyncio.Future[None]":
        if self._requests.is_leaving:  # the next request is to go to the next process
            cast(HTTP1Connection, self.request.connection)._disconnect_on_finish = True  # and says so
        return super().finish(chunk)

    def give_up(self) -> None:
        """Answer now: the server ends, and this request was not done in time."""
        if not self._finished:
            self._answer(ShuttingDown(retry_after_seconds=RETRY_AFTER_SECONDS))

    def compute_etag(self) -> None:
        """No answer here is worth keeping, and a token's is not to be kept."""

    async def options(self, *_: str) -> None:
        if self.cors is not None:
            for name, value in self.cors.preflight_headers([*self.methods(), "OPTIONS"]).items():
                self.set_header(name, value)
        self.set_status(204)
        self.finish()

    def on_finish(self) -> None:
        self._requests.end(self)

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._requests.end(self)

    # --- failures: Tornado brings every exception here

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Foreseen failures are answers, not log records; the others are logged by `write_error`."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self._answer(self._foreseen(status_code, kwargs.get("exc_info", (None, None, None))[1]))

    def _foreseen(self, status_code: int, error: BaseException | None) -> ChatioError:
        if isinstance(error, ChatioError):
            return error
        if isinstance(error, HTTPError):
            if status_code == 404:
                return RouteUnknown()
            if status_code == 405:
                return MethodNotAllowed()
            if 400 <= status_code < 500:
                return InvalidInput(FieldError("request", "The request is malformed."))
        if error is None:  # the server is being stopped and gave up this request
            return ShuttingDown(retry_after_seconds=RETRY_AFTER_SECONDS)
        reference = report(logger, f"answering {self.request.method}", error)
        return Unforeseen(reference=reference)

    def _answer(self, error: ChatioError) -> None:
        answer = answer_to(error)
        self.outcome = answer.code
        body = ErrorResponse(answer.message)
        match error:
            case InvalidInput():
                body = ValidationErrorResponse(answer.message, error.errors)
            case Temporary():
                self._tell_refused(answer.code)
                self.set_header("Retry-After", str(error.retry_after_seconds))
            case MethodNotAllowed():
                self.set_header("Allow", ", ".join([*self.methods(), "OPTIONS"]))
            case Unforeseen():
                body = InternalErrorResponse(answer.message, error.reference)
            case TokenError():
                challenge = "Bearer" if isinstance(error, MissingToken) else 'Bearer error="invalid_token"'
                self.set_header("WWW-Authenticate", challenge)
        self.answer(answer.status, body)

    def _tell_refused(self, reason: str) -> None:
        door = type(self).__name__.removesuffix("Handler").lower()
        address = self._requests.callers.address(self.request)
        logger.info(
            "%s from %s refused for now: %s",
            door,
            address,
            reason,
            extra={"event": "request_refused", "door": door, "address": address, "reason": reason},
        )


class NotFoundHandler(BaseHandler):
    """Any path that is not in the URL table."""

    @public
    async def get(self, *_: str) -> None:
        raise RouteUnknown

    head = post = put = patch = delete = get
