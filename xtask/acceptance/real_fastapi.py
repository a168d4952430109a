"""A FastAPI service under uvicorn, with a cache of items."""

import os
import sys
import threading

import fastapi
import pydantic
import uvicorn


class Item(pydantic.BaseModel):
    id: int
    name: str
    tags: list[str]


app = fastapi.FastAPI()
items = {n: Item(id=n, name=f"item-{n}", tags=[f"tag-{n % 50}", "all"]) for n in range(50_000)}


@app.get("/items/{number}")
async def read(number: int, size: int = 20) -> list[Item]:
    return [items[(number + n * 37) % len(items)] for n in range(size)]


@app.get("/plain/{number}")
def plain(number: int):
    """Runs in the thread pool."""
    return {"item": items[number % len(items)]}


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        print("ready", os.getpid(), self.servers[0].sockets[0].getsockname()[1], flush=True)


server = Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))


def end():
    sys.stdin.readline()
    print("done 0 0", flush=True)
    os._exit(0)


threading.Thread(target=end, daemon=True).start()
server.run()
