"""Benchmarks: this server beside Node's Socket.IO and plain python-socketio, in one run (`make bench`).

`plan` defines what is measured and the goals, `launch` starts and stops the servers, `load` is the clients (a
process of its own), `report` and `picture` present the result. The product imports none of it.

Programs of their own: `paths` counts the files and calls of three requests, `registration` measures the wait while
users register, and `findings` compares the seam with the plain library.
"""
