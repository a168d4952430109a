"""A notebook kernel that runs cells round after round; this program is its client."""

import os
import sys
import threading

from jupyter_client.manager import KernelManager

CELLS = [
    ("rows = [{'id': n, 'text': str(n)} for n in range(20000)]; len(rows)", "20000"),
    ("import collections; counts = collections.Counter(str(r['id'])[0] for r in rows); sum(counts.values())", "20000"),
    ("%timeit -n1 -r1 sorted(rows, key=lambda r: r['text'])", None),
    ("import time; time.sleep(0.05); Out and 1", "1"),
]
failures = rounds = 0
stop = threading.Event()

manager = KernelManager()
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=60)


def run(cell):
    """Runs a cell; its value as text."""
    value = []

    def collect(message):
        if message["msg_type"] == "execute_result":
            value.append(message["content"]["data"]["text/plain"])

    reply = client.execute_interactive(cell, timeout=30, output_hook=collect)
    assert reply["content"]["status"] == "ok", reply["content"]
    return value[0] if value else None


def work():
    global failures, rounds
    while not stop.is_set():
        for cell, expected in CELLS:
            try:
                got = run(cell)
                if got != expected:
                    raise AssertionError(f"{cell}: {got!r}")
            except Exception as error:
                failures += 1
                print("kernel:", repr(error), file=sys.stderr)
            rounds += 1


pid = int(run("import os; os.getpid()"))
worker = threading.Thread(target=work)
worker.start()
print("ready", pid, 0, flush=True)
sys.stdin.readline()
stop.set()
worker.join()
client.stop_channels()
manager.shutdown_kernel(now=True)
print("done", failures, rounds, flush=True)
os._exit(0)
