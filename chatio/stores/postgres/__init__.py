"""The stores in a PostgreSQL database, in a schema of its own, `chatio`: see `database` for how it is used."""
