"""An asyncio client with requests in flight, to a server in another process."""

import asyncio
import functools
import json
import os
import subprocess
import sys
import threading
import weakref

import steady

FAULT = steady.asked("callbacks", "queue", "weak-keys")
HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = 10
answers = {}
details = weakref.WeakKeyDictionary()


class Answer:
    def __init__(self, number, rows):
        self.number = number
        self.rows = rows


class Details:
    """What is known of an answer beside it."""

    def __init__(self, answer):
        self.size = len(answer.rows)
        self.users = [row["user"] for row in answer.rows]
        self.answer = answer if FAULT == "weak-keys" else None


def note_end(answer, future):
    answer.rows = None


async def client(number, port, closing, events):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for rounds in range(1 << 60):
        writer.write(b"GET /%d HTTP/1.1\r\nHost: here\r\n\r\n" % number)
        status = await asyncio.wait_for(reader.readline(), 20)
        length = int((await reader.readline()).split()[1])
        await reader.readline()
        answer = Answer(number, json.loads(await reader.readexactly(length))["rows"][:10])
        assert b"200" in status, status
        answers[number, rounds % 50] = answer
        details[answer] = Details(answer)
        note = functools.partial(note_end, answer)
        closing.add_done_callback(note)
        if FAULT != "callbacks":
            closing.remove_done_callback(note)
        events.put_nowait(("answered", number, answer))
        if FAULT != "queue":
            events.get_nowait()
        await asyncio.sleep(4 * steady.PACE)


async def main():
    with subprocess.Popen(
        [sys.executable, "-B", os.path.join(HERE, "service.py"), "asyncio", "1000"], stdout=subprocess.PIPE
    ) as server:
        threading.Thread(target=end_with, args=(server,), daemon=True).start()
        port = int(server.stdout.readline().split()[1])
        closing, events = asyncio.get_running_loop().create_future(), asyncio.Queue()
        tasks = [asyncio.create_task(client(n, port, closing, events)) for n in range(CLIENTS)]
        while len(answers) < 50 * CLIENTS:
            await asyncio.sleep(0.01)
        steady.ready()
        await asyncio.gather(*tasks)


def end_with(server):
    sys.stdin.readline()
    server.kill()
    print("done 0 0", flush=True)
    os._exit(0)


asyncio.run(main())
