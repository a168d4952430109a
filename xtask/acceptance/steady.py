"""What the long-running programs share: which fault was asked for, and how they are spoken with.

steady_NAME.py [FAULT] prints "ready PID PORT" when all that is bounded is full (PORT 0 if it serves
nothing), works at a steady pace, and ends after a line on its standard input. Without a fault
nothing in it grows; with one, exactly one thing does.
"""

import os
import sys

PACE = 0.003  # seconds between two jobs


def asked(*faults):
    """The fault that was asked for, one of those that the program has; "" for none."""
    fault = sys.argv[1] if len(sys.argv) > 1 else ""
    if fault and fault not in faults:
        print("failed: no fault", fault, flush=True)
        sys.exit(1)
    return fault


def ready(port=0):
    print("ready", os.getpid(), port, flush=True)


def until_told():
    sys.stdin.readline()
    print("done 0 0", flush=True)
    os._exit(0)
