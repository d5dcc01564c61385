"""Listening sockets that are about to be closed."""

import contextlib
import ctypes
import socket
import struct
import sys

_SO_ATTACH_FILTER = 26  # of Linux; Python has no name for it
_FLAGS_AT = 13  # in a segment's header
_SYN, _ACK = 0x02, 0x10
_DROP, _KEEP = 0, 0xFFFFFFFF
# Instructions of the classic Berkeley packet filter: code, how far to jump if true, if false, operand.
_NO_FIRST_SEGMENTS = (
    (0x30, 0, 0, _FLAGS_AT),  # load the byte there
    (0x54, 0, 0, _SYN | _ACK),  # and
    (0x15, 0, 1, _SYN),  # equal?
    (0x06, 0, 0, _DROP),
    (0x06, 0, 0, _KEEP),
)


def take_no_more(listener: socket.socket) -> None:
    """Have the system begin no more connections to a socket; those that have begun can still be accepted.

    Without it, whoever connects in the very moment in which the socket is closed is reset, in place of refused: where
    the system has no such filter, that remains.
    """
    if sys.platform != "linux" or listener.family == socket.AF_UNIX:
        return
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _NO_FIRST_SEGMENTS)
    buffer = ctypes.create_string_buffer(program)
    filtered = struct.pack("HP", len(_NO_FIRST_SEGMENTS), ctypes.addressof(buffer))
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filtered)
