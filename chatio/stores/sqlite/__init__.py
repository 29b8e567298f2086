"""The stores in one SQLite file, for one server: see `database` for how the file is used."""
