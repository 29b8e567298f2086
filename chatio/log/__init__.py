"""The log: accepted messages in one order, from the journal to every reader."""
