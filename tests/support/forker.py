"""A heavy process that forks without end: the forks of a big process take long.

    forker.py MEGABYTES FORKS THREAD

After so many forks it reports. It ends, as its children do, when its standard input is closed.
THREAD is ``main``, or ``other`` where the main thread only waits.
"""

import os
import select
import sys
import threading
import time

PAGE = 4096
MOST = 256  # children, at most


def fork_on(forks: int) -> None:
    """Fork, then rest for as long as that took, so that half of the time a fork is under way."""
    for number in range(1, MOST + 1):
        begun = time.monotonic()
        if not os.fork():
            os.read(0, 1)
            os._exit(0)
        if number == forks:
            os.write(int(os.environ["PLANT_PIPE"]), b"forker %d 0\n" % os.getpid())
        if select.select([0], [], [], time.monotonic() - begun)[0]:
            break
    os.read(0, 1)
    os._exit(0)


size, forks = int(sys.argv[1]) << 20, int(sys.argv[2])
weight = bytearray(size)
weight[::PAGE] = b"x" * len(range(0, size, PAGE))
if sys.argv[3] == "main":
    fork_on(forks)
forking = threading.Thread(target=fork_on, args=[forks])
forking.start()
forking.join()
