"""How this server fares against Node's Socket.IO and against plain python-socketio, in one run: `make bench`.

`plan` says what is measured and what the goals are, `launch` starts and stops the servers, `load` is the
clients (a process of its own), `report` and `picture` tell the result. The product imports nothing of it.
"""
