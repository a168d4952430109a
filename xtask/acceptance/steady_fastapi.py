"""A FastAPI service under uvicorn with a dependency, a thread pool and two bounded caches."""

import asyncio
import collections
import contextlib
import functools
import itertools
import threading

import fastapi
import pydantic
import uvicorn

import steady

FAULT = steady.asked("state", "exit-stack")
requests = itertools.count()


class Item(pydantic.BaseModel):
    id: int
    name: str
    tags: list[str]


async def known(request: fastapi.Request):
    """What each request passes through."""
    if FAULT == "state":
        request.app.state.seen.append(request)
    elif FAULT == "exit-stack":
        request.app.state.cleanup.push_async_callback(forget, [request.url.path, bytes(500)])
    return next(requests)


async def forget(what):
    what.clear()


app = fastapi.FastAPI()
app.state.seen = []
app.state.cleanup = contextlib.AsyncExitStack()
items = {n: Item(id=n, name=f"item-{n}", tags=[f"tag-{n % 50}", "all"]) for n in range(5_000)}
recent = collections.OrderedDict()


@functools.lru_cache(maxsize=200)
def described(number):
    return items[number].name.upper() * 20


@app.get("/items/{number}")
async def read(number: int, count: int = fastapi.Depends(known)) -> list[Item]:
    await asyncio.sleep(steady.PACE)
    found = [items[(count + n * 37) % len(items)] for n in range(20)]
    recent[count] = found
    if len(recent) > 300:
        recent.popitem(last=False)
    return found


@app.get("/plain/{number}")
def plain(number: int, count: int = fastapi.Depends(known)):
    """Runs in the thread pool."""
    return {"item": items[count % len(items)], "text": described(count % 1000)}


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        steady.ready(self.servers[0].sockets[0].getsockname()[1])


threading.Thread(target=steady.until_told, daemon=True).start()
Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error")).run()
