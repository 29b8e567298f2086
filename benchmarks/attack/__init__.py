"""Abuse of a running server, while ordinary users chat."""
