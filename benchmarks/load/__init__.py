"""The clients of the benchmark: one process, raw non-blocking sockets and epoll.

It has to cost less than what it measures, so nothing here parses JSON once the clients are connected, and a
client is a socket and a few bytes.
"""
