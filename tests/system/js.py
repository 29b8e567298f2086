"""Official Socket.IO clients under Node, driven from a test. `js/driver.mjs` lists the commands.

Every event of theirs, sent or received, is checked against the AsyncAPI document; a test announces nonsense.
"""

import atexit
import functools
import itertools
import json
import os
import queue
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple, Self

from handlers.chat.namespace import NAMESPACE
from tests.documents import Wire, chat_document
from tests.system.nginx import STANDS_BEFORE_ALL, certificate
from tests.system.server import PATIENCE_SECONDS

FOLDER = Path(__file__).with_name("js")


class Told(NamedTuple):
    client: str
    event: str
    args: list[Any]


class _Driver:
    """One Node process, which trusts the certificate `trusted` too. It serves all tests, one after the other."""

    def __init__(self, trusted: Path | None) -> None:
        self._process = subprocess.Popen(
            ["node", "driver.mjs"],
            cwd=FOLDER,
            env=os.environ | ({} if trusted is None else {"NODE_EXTRA_CA_CERTS": str(trusted)}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._tests: dict[str, JsClients] = {}
        self._numbers = itertools.count()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        atexit.register(self._end)

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def add(self, test: "JsClients") -> str:
        """The name under which the driver knows the clients of `test`."""
        name = str(next(self._numbers))
        self._tests[name] = test
        return name

    def remove(self, name: str) -> None:
        del self._tests[name]

    def tell(self, command: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if test := self._tests.get(told["test"]):  # of an earlier test, a closed client may still tell its end
                test.take(told)
        for test in list(self._tests.values()):
            test.take(None)

    def _end(self) -> None:
        """Node closes its clients when its input ends."""
        self._process.communicate(timeout=PATIENCE_SECONDS)


@functools.cache
def _wire() -> Wire:
    return Wire(chat_document())


_DRIVERS: dict[Path | None, _Driver] = {}


def _driver(trusted: Path | None) -> _Driver:
    """The driver of this process, or another one if a test has ended it."""
    if trusted not in _DRIVERS or _DRIVERS[trusted].has_ended:
        _DRIVERS[trusted] = _Driver(trusted)
    return _DRIVERS[trusted]


class JsClients:
    """The clients of one test, by name, which end with it; they trust the certificate `trusted` too."""

    def __init__(self, trusted: Path | None = None) -> None:
        self._trusted = certificate().path if STANDS_BEFORE_ALL else trusted

    def __enter__(self) -> Self:
        self._told: queue.Queue[Told | None] = queue.Queue()
        self._kept: list[Told] = []
        self._wire = _wire()
        self._faults: list[str] = []
        self._asked: dict[str, str] = {}  # for which event there is an ack of this name
        self._driver = _driver(self._trusted)
        self._test = self._driver.add(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        try:
            self._tell(op="end", client="all")
            self.expect("all", "ended")  # and with it all that they were sent before
        finally:
            self._driver.remove(self._test)
        if error is None:
            assert not self._faults, f"not as /asyncapi.json says: {self._faults[:5]}"

    def open(
        self,
        client: str,
        url: str,
        token: str | None,
        *,
        namespace: str = "/chat",
        version: str = "4.8",
        nonsense: bool = False,
        **options: Any,
    ) -> None:
        auth = {} if token is None else {"token": token}
        if namespace == NAMESPACE:
            self._sends("connect", [auth], nonsense=nonsense)
        self._tell(
            op="open", client=client, url=f"{url}{namespace}", version=version, options={"auth": auth, **options}
        )

    def join(self, client: str, url: str, token: str | None, **options: Any) -> None:
        """As `open`, and wait until the client is in the chat."""
        self.open(client, url, token, **options)
        self.expect(client, "connect")

    def emit(self, client: str, event: str, *args: Any, ack: str | None = None, nonsense: bool = False) -> None:
        """`nonsense`: the document does not allow this event, and the server must survive it."""
        self._sends(f"emit.{event}", list(args), nonsense=nonsense)
        if ack is not None:
            self._asked[ack] = f"emit.{event}"
        self._tell(op="emit", client=client, args=[event, *args], **({} if ack is None else {"ack": ack}))

    def ask(self, client: str, event: str, *args: Any, nonsense: bool = False) -> Any:
        """Emit, and wait for the ack: its one argument."""
        self.emit(client, event, *args, ack="asked", nonsense=nonsense)
        ((answer,),) = self.expect(client, "ack:asked")
        return answer

    def burst(self, client: str, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            self._sends("emit.send-message", [message])
        self._tell(op="burst", client=client, messages=messages)

    def collect(self, client: str) -> None:
        """Keep the ids of the messages that `client` receives from now on, instead of telling them."""
        self._tell(op="collect", client=client)

    def say(self, client: str, message_id: str, content: str) -> None:
        """Send a message, with the client's own retries; the driver keeps the ack."""
        self._tell(op="say", client=client, id=message_id, content=content)

    def collected(self, client: str) -> tuple[list[str], list[str]]:
        """The ids that `client` received so far, in order, and those of its own that were acknowledged."""
        self._tell(op="collected", client=client)
        ((kept,),) = self.expect(client, "collected")
        return kept["ids"], kept["acked"]

    def acknowledged(self, client: str) -> list[tuple[str, str]]:
        """Id and offset of each acknowledged message of `client`, in the order of the acks."""
        self._tell(op="collected", client=client)
        ((kept,),) = self.expect(client, "collected")
        return list(zip(kept["acked"], kept["offsets"], strict=True))

    def unanswered(self, client: str) -> int:
        """How many messages of `say` have neither an ack nor an error yet."""
        return int(self._standing(client)["unanswered"])

    def last_collected(self, client: str) -> str | None:
        """The id of the newest message that `client` received."""
        last: str | None = self._standing(client)["last"]
        return last

    def _standing(self, client: str) -> dict[str, Any]:
        self._tell(op="standing", client=client)
        ((standing,),) = self.expect(client, "standing")
        return dict(standing)

    def chat(self, client: str, every_ms: float) -> None:
        """Let `client` send at that pace, until `hush`."""
        self._tell(op="chat", client=client, everyMs=every_ms)

    def hush(self, client: str) -> None:
        self._tell(op="hush", client=client)

    def heard(self, client: str) -> dict[str, Any]:
        """The record of `chat`: sent (number), acked and heard (ids), losses, and lateMs since the last call."""
        self._tell(op="heard", client=client)
        ((heard,),) = self.expect(client, "heard")
        return dict(heard)

    def cut(self, client: str) -> None:
        self._tell(op="cut", client=client)

    def close(self, client: str) -> None:
        self._tell(op="close", client=client)

    def expect(self, client: str, event: str, count: int = 1) -> list[list[Any]]:
        """The arguments of the next `count` events of this name from `client`; other events are kept."""
        found: list[list[Any]] = []
        kept, self._kept = self._kept, []
        for told in kept:
            if len(found) < count and (told.client, told.event) == (client, event):
                found.append(told.args)
            else:
                self._kept.append(told)
        deadline = time.monotonic() + PATIENCE_SECONDS  # from the last one found, whatever else is told meanwhile
        while len(found) < count:
            try:
                next_told = self._told.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(
                    f"{client} told of {event} {len(found)} times, not {count}; kept: {self._kept[-5:]}"
                ) from None
            assert next_told is not None, "Node ended"
            if (next_told.client, next_told.event) == (client, event):
                found.append(next_told.args)
                deadline = time.monotonic() + PATIENCE_SECONDS
            else:
                self._kept.append(next_told)
        return found

    def story(self, client: str, *last: str) -> list[Told]:
        """All kept events of `client`, in order, up to the first of `last`."""
        kept, self._kept = self._kept, []
        story: list[Told] = []
        while not story or story[-1].event not in last:
            try:
                told = kept.pop(0) if kept else self._told.get(timeout=PATIENCE_SECONDS)
            except queue.Empty:
                raise AssertionError(f"{client} told of none of {last}: {story[-5:]}") from None
            assert told is not None, "Node ended"
            (story if told.client == client else self._kept).append(told)
        self._kept += kept
        return story

    def kept(self, client: str, event: str) -> list[list[Any]]:
        """The arguments of the kept events of this name from `client`."""
        while not self._told.empty():
            if (told := self._told.get()) is not None:
                self._kept.append(told)
        return [told.args for told in self._kept if (told.client, told.event) == (client, event)]

    def _sends(self, key: str, arguments: list[Any], *, nonsense: bool = False) -> None:
        fault = self._wire.fault(key, arguments)
        if nonsense:
            assert fault, f"{key} is announced as nonsense, and is none"
        else:
            assert not fault, fault

    def _fault_of(self, told: dict[str, Any]) -> str | None:
        """The fault that the document finds in a received event; None for a sound one, and for other news."""
        if "key" in told:
            return self._wire.fault(told["key"], told["args"])
        kind, _, ack = told["event"].partition(":")
        return self._wire.fault_of_reply(self._asked[ack], told["args"]) if kind == "ack" else None

    def _tell(self, **command: Any) -> None:
        self._driver.tell({"test": self._test, **command})

    def take(self, told: dict[str, Any] | None) -> None:
        """What the driver tells of a client of this test; None when Node has ended. In the driver's thread."""
        if told is None:
            self._told.put(None)
            return
        if fault := self._fault_of(told):
            self._faults.append(fault)
        if told["event"] is not None:
            self._told.put(Told(told["client"], told["event"], told["args"]))
