"""A program that no setting of collector or allocator helps: it computes, and keeps little.

    python control.py [ROUNDS]
"""

import sys

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000


def main():
    state, seen = 1, 0
    for _ in range(ROUNDS):
        state = (state * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
        if state & 7 == 3:
            seen += 1
    print(seen, state, flush=True)


main()
