"""Stores keep state. `journal`, `accounts`, `moderation` and `bus` declare what a back end promises.

`memory`, `sqlite` and `postgres` are the back ends, with a module of the same name for each of these.
"""
