"""Base of the REST handlers: JSON in and out, CORS, a bounded body, errors by the table of chatio/errors.py."""

import asyncio
import codecs
import logging
from typing import Any, ClassVar, Final, TypeVar

import msgspec
from tornado.web import HTTPError

from chatio.accounts.tokens import Claims, Tokens
from chatio.errors import (
    Banned,
    BodyNotJson,
    BodyTooLarge,
    ChatioError,
    FieldError,
    ForeignPage,
    InvalidInput,
    MethodNotAllowed,
    MissingToken,
    RouteUnknown,
    ShuttingDown,
    Temporary,
    TokenError,
    Unforeseen,
    UserUnknown,
    answer_to,
)
from chatio.moderation.moderation import until_text
from chatio.server.http.handler import BoundedBodyHandler, log_foreign_page
from chatio.server.lifecycle import Phase
from chatio.telemetry.error_report import report
from chatio.throttling.client_ip import address_of, rate_limit_key
from handlers.http.auth import is_authenticated, public
from handlers.http.cors import Cors
from handlers.http.fields import is_json, read_json, read_query
from handlers.http.responses import (
    OK,
    BannedErrorResponse,
    ErrorResponse,
    InternalErrorResponse,
    TemporaryErrorResponse,
    ValidationErrorResponse,
)
from handlers.http.services import Services

MAX_BODY_BYTES: Final = 16 * 1024
SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")  # RFC 9110, 9.2.1: they change nothing

T = TypeVar("T", bound=msgspec.Struct)

logger = logging.getLogger("chatio.http")


class BaseHandler(BoundedBodyHandler):
    tag: ClassVar[str] = ""  # the group of its operations in the document
    sheds_load: ClassVar[bool] = False  # answered `Overloaded` while the server is overloaded
    answers_while_draining: ClassVar[bool] = False
    work_steps: ClassVar[int] = 0  # of about 3 µs, that a method takes beyond what each request costs
    is_rate_limited: ClassVar[bool] = True
    max_body_bytes = MAX_BODY_BYTES
    guarded_methods: ClassVar[frozenset[str]] = frozenset()  # their guard counts the request
    outcome: str = OK  # or the code of the error that was answered
    cors: Cors | None = None
    address: str  # of the client
    rate_limit_key: str  # what the client is counted as: its address, or that address's /64 (IPv6)
    may_act: bool = True  # this is no request of a foreign page
    claims: Claims  # of the client, in methods that are @authenticated
    user: str | None = None  # the id of the user who is logged in, once that is known

    def __init_subclass__(cls) -> None:
        """HEAD is answered wherever GET is (RFC 9110, 9.3.2); Tornado sends the headers alone."""
        if "get" in vars(cls):
            cls.head = cls.get
        cls.guarded_methods = frozenset(
            name for name in cls.methods() if is_authenticated(getattr(cls, name.lower()))
        )

    def initialize(self, services: Services) -> None:
        self.services = services
        self.cors = services.cors
        self.address = address_of(self.request.remote_ip or "", self.request.headers, services.trusted_proxies)
        self.rate_limit_key = rate_limit_key(self.address)
        self.set_default_headers()

    @property
    def tokens(self) -> Tokens:
        return self.services.tokens

    def set_default_headers(self) -> None:
        if self.cors is None:  # Tornado asks once before `initialize`
            return
        super().set_default_headers()
        origin = self.request.headers.get("Origin")
        headers = self.cors.default_headers if origin is None else self.cors.headers(origin)
        for name, value in headers.items():
            self.set_header(name, value)

    # The request

    async def prepare(self) -> None:
        method, requests = str(self.request.method), self.services.requests
        self.may_act = self._may_act()
        requests.begin(self)
        if method not in SAFE_METHODS and not self.may_act:
            await self.count_request()
            raise ForeignPage
        # A page of another origin sees an answer only after one to its preflight.
        if method != "OPTIONS" and not self.answers_while_draining:
            requests.admit(sheds_load=self.sheds_load)
        if self.is_rate_limited and method not in self.guarded_methods:
            await self.count_request()
        self.bound_body()
        if self.is_announced_too_large:
            raise BodyTooLarge

    async def count_request(self, user: str | None = None) -> None:
        """Count this request for `user`, or, where that is None, for its address; then wait for its turn to work.

        Raises `RateLimited`.
        Those of foreign pages have a count of their own: it takes nothing from the users at their address.
        """
        services, key = self.services, self.rate_limit_key
        self.user = user
        services.unread.require_capacity(key, user)
        if user is not None:
            await services.user_requests.acquire(user)
        else:
            await services.address_requests.acquire(key if self.may_act else f"{key} foreign page")
        if self.work_steps and self.request.method != "OPTIONS":
            await services.turn(self.address, self.work_steps)

    def _may_act(self) -> bool:
        """Whether this is no request of a foreign page, which its browser may send but not read the answer of."""
        header = self.request.headers.get
        origin, fetch_site = header("Origin"), header("Sec-Fetch-Site")
        if origin is None and fetch_site is None:  # a program
            return True
        return self.services.origins.admits(origin, self.request.host, fetch_site)

    def body_too_large_to_discard(self) -> None:
        self.answer_error(BodyTooLarge())

    def body_as(self, kind: type[T]) -> T:
        """The body, a JSON object, as `kind`.

        Raises `BodyTooLarge`, `BodyNotJson`, or `InvalidInput` with every fault.
        """
        if self.is_body_too_large:
            raise BodyTooLarge
        if self.body and not self._is_body_json():
            raise BodyNotJson
        body = self.body.removeprefix(codecs.BOM_UTF8)
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return read_json(kind, body)  # which tells every fault

    def _is_body_json(self) -> bool:
        kind = self.request.headers.get("Content-Type", "")
        coding = self.request.headers.get("Content-Encoding", "")
        return (kind == "application/json" and not coding) or is_json(kind, coding)

    def query_as(self, kind: type[T]) -> T:
        """The query string as `kind`. Raises `InvalidInput` with every fault."""
        names = [field.encode_name for field in msgspec.structs.fields(kind)]
        given = {name: self.get_query_argument(name) for name in names if name in self.request.query_arguments}
        return read_query(kind, given)

    # The answer

    def answer(self, status: int, body: object) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(msgspec.json.encode(body))

    def answer_nothing(self) -> None:
        self.set_status(204)
        self.finish()

    def flush(self, include_footers: bool = False) -> "asyncio.Future[None]":
        if self.services.lifecycle.phase is not Phase.SERVING or not self.body_is_complete:
            # The client's next request is to reach the next process; or Tornado closes the connection after the
            # answer, which is to say so (RFC 9112, 9.6).
            self.close_after_answer()
        return super().flush(include_footers)

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> "asyncio.Future[None]":
        close = self.http.stream.close
        sent = super().finish(chunk)
        self.services.requests.sending(sent)
        self.services.unread.add(sent, close, self.rate_limit_key, self.user)
        return sent

    def give_up(self) -> None:
        """Answer now: the server ends, and this request did not finish in time."""
        if not self.is_answered:
            self.answer_error(ShuttingDown())

    async def options(self, *_: str) -> None:
        if self.cors is not None:
            header = self.request.headers.get
            asked = header("Access-Control-Request-Headers", "")
            headers = self.cors.preflight_headers([*self.methods(), "OPTIONS"], header("Origin"), asked)
            for name, value in headers.items():
                self.set_header(name, value)
        self.answer_nothing()

    def on_finish(self) -> None:
        self.services.requests.end(self)

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self.services.requests.end(self)

    # Failures: Tornado brings every exception to `write_error`

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.answer_error(self._foreseen(status_code, kwargs.get("exc_info", (None, None, None))[1]))

    def _foreseen(self, status_code: int, error: BaseException | None) -> ChatioError:
        if isinstance(error, ChatioError):
            return error
        if isinstance(error, HTTPError) and 400 <= status_code < 500:
            tornados: dict[int, ChatioError] = {404: RouteUnknown(), 405: MethodNotAllowed()}
            return tornados.get(status_code, InvalidInput(FieldError("request", "The request is malformed.")))
        if error is None:  # the server stops, and Tornado cancelled this request
            return ShuttingDown()
        return Unforeseen(reference=report(logger, f"answering {self.request.method}", error))

    def answer_error(self, error: ChatioError) -> None:
        answer = answer_to(error)
        self.outcome = answer.code
        body: ErrorResponse = ErrorResponse(answer.message, answer.code)
        match error:
            case InvalidInput():
                body = ValidationErrorResponse(answer.message, answer.code, error.errors)
            case Temporary():
                self._log_refused(answer.code)
                self.set_header("Retry-After", str(error.retry_after_seconds))
                body = TemporaryErrorResponse(answer.message, answer.code, error.retry_after_seconds)
            case Banned():
                body = BannedErrorResponse(answer.message, answer.code, until_text(error.until))
            case ForeignPage():
                log_foreign_page(self.request.headers.get("Origin"), self.address)
            case BodyNotJson():  # RFC 9110, 15.5.16
                self.set_header("Accept", "application/json")
                self.set_header("Accept-Encoding", "identity")
            case MethodNotAllowed():
                self.set_header("Allow", ", ".join([*self.methods(), "OPTIONS"]))
            case Unforeseen():
                body = InternalErrorResponse(answer.message, answer.code, error.reference)
            case TokenError() | UserUnknown():
                challenge = "Bearer" if isinstance(error, MissingToken) else 'Bearer error="invalid_token"'
                self.set_header("WWW-Authenticate", challenge)
        self.answer(answer.status, body)

    def _log_refused(self, reason: str) -> None:
        endpoint = type(self).__name__.removesuffix("Handler").lower()
        address = self.address
        logger.info(
            "%s: request to %s from %s was refused",
            reason.replace("_", " ").capitalize(),
            endpoint,
            address,
            extra={"event": "request_refused", "endpoint": endpoint, "address": address, "reason": reason},
        )


class NotFoundHandler(BaseHandler):
    """Any path that is not in the URL table."""

    @public
    async def get(self, *_: str) -> None:
        raise RouteUnknown

    post = put = patch = delete = get
