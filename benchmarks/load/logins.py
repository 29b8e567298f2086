"""Registers one user and logs in at a steady rate: `python -m benchmarks.load.logins PORT RATE SECONDS`.

Prints `ready` after the first log-in, and at the end how many were answered and their p99 in milliseconds.
"""

import http.client
import json
import statistics
import sys
import threading
import time

_USER = {"name": "Log In", "email": "login@example.com", "password": "correct horse battery staple"}
_TIMEOUT_SECONDS = 10.0


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
