"""What goes wrong with a database.

Besides the errors that each method names, every method of a durable back end may raise `StoreUnavailable` of
chatio/errors.py: the database does not answer now, and nothing was changed. A write may raise `StoreFull` as well.
"""


class StoreUnusable(Exception):
    """A database that this server cannot start with. Its text is a sentence for the operator, without secrets."""


class StoreBroken(Exception):
    """A database that failed for good while it was used: a new process may find it sound."""


class StoreStuck(StoreBroken):
    """A database that does not end what it was asked for: a thread of this process waits for it."""


class OutcomeUnknown(Exception):
    """The answer to an append was lost: the batch is in the journal, or is not. Append the same batch again."""


class WentBack(Exception):
    """The journal is not the one that this process has read: a failover, or a backup, has lost messages."""


class SchemaChanged(Exception):
    """A server of another release has changed the database's schema: this one must not write to it any more."""
