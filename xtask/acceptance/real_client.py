"""An asyncio client with many requests in flight, to a server in another process."""

import asyncio
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
answers = {}
failures = rounds = 0


class Answer:
    def __init__(self, rows):
        self.rows = rows
        self.size = len(rows)


async def client(number, port, stop):
    global failures, rounds
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not stop.is_set():
        try:
            writer.write(b"GET /%d HTTP/1.1\r\nHost: here\r\n\r\n" % number)
            status = await asyncio.wait_for(reader.readline(), 20)
            length = int((await reader.readline()).split()[1])
            await reader.readline()
            rows = json.loads(await reader.readexactly(length))["rows"]
            assert b"200" in status and len(rows) == 100, status
            answers[number, rounds % 200] = Answer(rows)
            rounds += 1
        except Exception as error:
            failures += 1
            print("client:", repr(error), file=sys.stderr)
            return
    writer.close()


async def main():
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-B", os.path.join(HERE, "service.py"), "asyncio", "20000",
        stdout=subprocess.PIPE,
    )
    try:
        port = int((await server.stdout.readline()).split()[1])
        stop = asyncio.Event()
        tasks = [asyncio.create_task(client(n, port, stop)) for n in range(30)]
        while rounds < 100 and not failures:
            await asyncio.sleep(0.01)
        print("ready", os.getpid(), 0, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        stop.set()
        await asyncio.gather(*tasks)
    finally:
        server.kill()
        await server.wait()


asyncio.run(main())
print("done", failures, rounds, flush=True)
