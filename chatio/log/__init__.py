"""The log: accepted messages in one order, from the journal to all who read it."""
