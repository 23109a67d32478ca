"""The client: typed in the place of `genexp`, it hands all it has to the process that forks and ends as the fork does.

    python -IS typed.py <socket> <arguments>

Working folder, environment, arguments and open files go there, signals too. It imports the standard library alone.
"""

import marshal
import os
import signal
import socket
import sys

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def open_files():
    """The descriptors that this process was started with."""
    found = []
    for name in os.listdir("/dev/fd"):
        try:
            os.fstat(int(name))
        except OSError:  # the one that lists the folder
            continue
        found.append(int(name))
    return sorted(found)


def main(place, arguments):
    files = open_files()
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(place)
        for number in FORWARDED:
            signal.signal(number, lambda number, _: server.send(bytes([number])))
        order = marshal.dumps((os.getcwd(), dict(os.environ), arguments, files))
        socket.send_fds(server, [len(order).to_bytes(4, "big")], files)
        server.sendall(order)
        answer = server.recv(4)
    if not answer:
        sys.exit("the process that forks for tests has ended; what it said is in its log beside the socket")
    status = int.from_bytes(answer, "big", signed=True)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL) if -status not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
