"""Log-ins at a steady rate by a process of their own: `python -m benchmarks.load.logins PORT RATE SECONDS`.

It registers one user, logs in once and prints `ready`; then it logs in RATE times a second, and in the end
prints how many were answered and their p99 in milliseconds.
"""

import http.client
import json
import statistics
import subprocess
import sys
import threading
import time

from benchmarks.load.swarm import LostError

_USER = {"name": "Log In", "email": "login@example.com", "password": "correct horse battery staple"}
_TIMEOUT_SECONDS = 10.0


class Logins:
    """The process, started by the load tool: its log-ins begin with this. LostError, if they cannot."""

    def __init__(self, port: int, rate: float, seconds: float) -> None:
        command = [sys.executable, "-m", "benchmarks.load.logins", str(port), str(rate), str(seconds)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise LostError("no log-in was possible")

    def figures(self) -> dict[str, float]:
        """How many log-ins were answered and their p99, once the last has ended."""
        output, _ = self._process.communicate(timeout=2 * _TIMEOUT_SECONDS)
        answered, p99_ms = output.split()
        return {"logins": float(answered), "login_p99_ms": float(p99_ms)}


def post(port: int, path: str, body: dict[str, str]) -> int:
    """The status that POST `path` was answered with."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def main(port: int, rate: float, seconds: float) -> None:
    login = {"email": _USER["email"], "password": _USER["password"]}
    registered, logged_in = post(port, "/register", _USER), post(port, "/login", login)
    if (registered, logged_in) not in ((201, 200), (409, 200)):
        sys.exit(f"POST /register answered {registered}, POST /login {logged_in}")
    print("ready", flush=True)
    times: list[float] = []

    def log_in() -> None:
        started = time.perf_counter()
        if post(port, "/login", login) == 200:
            times.append(time.perf_counter() - started)

    started, threads = time.perf_counter(), []
    for number in range(int(rate * seconds)):
        time.sleep(max(0.0, started + number / rate - time.perf_counter()))
        threads.append(threading.Thread(target=log_in))
        threads[-1].start()
    for thread in threads:
        thread.join()
    p99 = statistics.quantiles(times, n=100)[98] if len(times) > 1 else 0.0
    print(len(times), p99 * 1e3)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
