"""Limits: every bound on what an unauthenticated client may send, or may make this process hold, in one place.

Each stands with its precedent. None of them is an option: an operator sets the ones that the library already names
(`max_http_buffer_size`, the ping times), and these follow.
"""

KIB = 1024

# One connection may hold this much input before a CONNECT of its own was accepted. A JWT of 8 KiB fits twice.
BEFORE_CONNECT_BYTES = 16 * KIB
# One read from a socket in one turn of the loop, and what of it is taken first: the rest follows only if it is not
# of tiny frames. A flood of those costs other clients 1 ms a turn, not 20.
READ_BYTES, FIRST_BYTES = 16 * KIB, 2 * KIB
# The steps that a client pays from its input budget.
READ_STEPS = 3  # for a read from a socket, however little it brings
CLOSE_STEPS = 150  # for its connection, closed since the client broke a rule: it comes back
REQUEST_STEPS = 20  # for a polling request
UPGRADE_STEPS = 200
PACKET_STEPS = 1  # for a packet that is no message
MESSAGE_STEPS = 8  # for a message, beside those of its frame
# So many values of JSON in a message are one step more: 13 kB of nested lists in an id took 4.5 ms.
VALUES_PER_STEP = 5
# A connection is charged in lots of more than so many: 0.6 µs a lot.
UNCHARGED_STEPS = 16
# Packets of one polling body that are read in one turn of the loop: 1 MB of pongs took 0.56 s.
PACKETS_PER_TURN = 200
# Packets of one polling answer: more, and python-engineio's client drops them all (`Payload.max_decode_packets`).
PACKETS_PER_ANSWER = 16
# Messages of one connection that are received and not yet handled, each with so much more for its object. Past
# this the server does not read the connection.
RECEIVE_QUEUE_BYTES, MESSAGE_OVERHEAD_BYTES = 64 * KIB, 64
# Output that a client has not taken; past this the client is dropped. Centrifugo: 1 MiB; a broadcast of 4 MB fits.
PENDING_OUTPUT_BYTES = 4_000_000

# One chunk: the most that one `send` is given, and that one client may hold back of a log.
CHUNK_BYTES = 64 * KIB

# JSON nests no deeper than this, arguments' list included. RapidJSON and msgspec recurse; users do not.
MAX_JSON_DEPTH = 32
# Values in one message, nested ones included; the page's have six. 1 MB of empty arrays took 76 ms to read.
MAX_JSON_VALUES = 10_000
# Digits of an integer in JSON. The library's own figure, and far from where Python's `int()` turns quadratic.
MAX_INTEGER_DIGITS = 100
# Binary attachments of one event (the JS parser's default since 4.2.6), which follow it within this time.
MAX_ATTACHMENTS, ATTACHMENT_SECONDS = 10, 30.0
# Acknowledgement ids stop where JavaScript's integers do (2**53 has 16 digits).
MAX_ACK_ID_DIGITS = 16
MAX_NAMESPACE_CHARS = 128

# A WebSocket finishes its upgrade within this time. Node's `upgradeTimeout`.
UPGRADE_SECONDS = 10.0
# Refused CONNECTs of one connection, and packets in "/" of a client that is nowhere else; the next one closes it.
# Each takes 0.1 ms: all that one connection may ask for costs about what its handshake did.
MAX_REFUSED_CONNECTS = 10
# After a refused CONNECT the client has this long to leave by itself.
REFUSED_SECONDS = 1.0
# A client that is to come back later is closed after this time, without an answer: the official clients are back 1
# s after that, and a user with one connection too many should not sign in with it every second.
LATER_SECONDS = 5.0
# The head of a polling request counts as so many bytes beside its body; a browser's has 400 to 700.
HEAD_BYTES = 512
# A closed WebSocket waits this long for its client to take the close frame, and then for its FIN.
LINGER_SECONDS = 1.0
# Meanwhile so much of what the client still sends is read and thrown away, so that it sees the frame and no reset.
LINGER_BYTES = 1024 * KIB
# Packets that a connect handler sends follow the CONNECT answer at this distance: a client that takes one message
# for each turn of its loop, as the official suite does, misses the second of two that arrive in one segment.
CONNECT_GAP_SECONDS = 0.002
# A polling client that says CLOSE may have sent a GET beside it, on a connection that is read a little later.
LEAVING_SECONDS = 0.05
# After so long another server is likely to be there for a client that a draining server refused.
LEAVING_RETRY_SECONDS = 2
# The server reads and discards so much of a refused body, so that its client sees the answer instead of a reset.
DISCARDED_BODY_BYTES = 4_000_000
# A client sends a polling POST within this time.
BODY_SECONDS = 30.0
# Random bytes of a session id: 120 bits, 20 characters.
SESSION_ID_BYTES = 15
