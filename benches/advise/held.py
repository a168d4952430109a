"""Memory that was needed once: held.py objects|buffers [--child]

objects  small objects, of which one in a hundred stays
buffers  buffers of some kilobytes, of which one in a hundred stays
--child  the work is done in a child process
"""

import concurrent.futures
import ctypes
import multiprocessing
import sys

import talk


def objects():
    many = [{"id": n, "name": "name-%d" % n} for n in range(400_000)]
    return many[::100]


def buffers():
    many = [bytearray(2_000 + n % 3_000) for n in range(40_000)]
    return many[::100]


def main():
    work = {"objects": objects, "buffers": buffers}[sys.argv[1]]
    if "--child" in sys.argv:
        spawn = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as child:
            kept = child.submit(work).result()
    else:
        kept = work()
    talk.answer(apply=lambda: ctypes.CDLL(None).malloc_trim(0))
    return kept


if __name__ == "__main__":
    main()
