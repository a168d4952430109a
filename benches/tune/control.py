"""A program that no setting of collector or allocator helps: it computes, and keeps nothing.

    python control.py [ROUNDS]
"""

import hashlib
import sys

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 250
BLOCK = bytes(range(256)) * 1024


def main():
    digest, ones = hashlib.sha256(), 0
    for _ in range(ROUNDS):
        digest.update(BLOCK)
        # Small numbers are there already: nothing is allocated.
        for byte in BLOCK[:20_000]:
            if byte & 7 == 3:
                ones = (ones + 1) & 0x7F
    print(ones, digest.hexdigest(), flush=True)


main()
