"""An aiohttp client and server on one loop, many requests in flight."""

import asyncio
import os
import sys

import aiohttp
from aiohttp import web

failures = rounds = 0
seen = {}


async def answer(request):
    number = int(request.match_info["number"])
    await asyncio.sleep(0.001)
    return web.json_response({"number": number, "rows": [{"id": n, "square": n * n} for n in range(50)]})


async def client(session, url, number, stop):
    global failures, rounds
    while not stop.is_set():
        try:
            async with session.get(f"{url}/{number}") as response:
                body = await response.json()
            assert response.status == 200 and body["number"] == number
            seen[number, rounds % 500] = body["rows"]
            rounds += 1
        except Exception as error:
            failures += 1
            print("client:", repr(error), file=sys.stderr)


async def main():
    app = web.Application()
    app.router.add_get("/{number}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = "http://127.0.0.1:%d" % site._server.sockets[0].getsockname()[1]
    stop = asyncio.Event()
    async with aiohttp.ClientSession() as session:
        tasks = [asyncio.create_task(client(session, url, n, stop)) for n in range(30)]
        while rounds < 100 and not failures:
            await asyncio.sleep(0.01)
        print("ready", os.getpid(), 0, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        stop.set()
        await asyncio.gather(*tasks)
    await runner.cleanup()


asyncio.run(main())
print("done", failures, rounds, flush=True)
