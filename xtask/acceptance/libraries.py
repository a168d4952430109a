"""A program that has numpy, pandas, lxml, pydantic, SQLAlchemy and aiohttp loaded and has used them:
python libraries.py DIRECTORY. Then as objects.py does."""

import asyncio
import sys
import typing

import aiohttp
import aiohttp.web
import lxml.etree
import lxml.html
import numpy as np
import pandas as pd
import pydantic
import sqlalchemy as sa
import sqlalchemy.orm as orm

import truth

KEPT = []


def arrays():
    base = np.arange(100_000, dtype=float).reshape(100, 1000)
    records = np.zeros(50, dtype=[("a", "i4"), ("b", "f8", (3,)), ("name", "U10")])
    objects = np.array([{"n": n} for n in range(100)] + [None], dtype=object)
    return [
        base, base[::2, 3:7], base.T, np.broadcast_to(base[0], (5, 1000)), np.ascontiguousarray(base[:, 0]),
        records, records["b"], records[3], objects, objects[5:9], np.float64(3.5), np.array(7), np.str_("text"),
        np.datetime64("2024-01-01"), np.array(["2024-01-01", "2024-02-01"], dtype="M8[D]"), np.array(["a", "bcd"]),
        np.ma.masked_array([1, 2, 3], mask=[0, 1, 0]), np.matrix([[1, 2], [3, 4]]), np.add, np.vectorize(len),
        np.frompyfunc(lambda a: a, 1, 1), np.nditer([base, base], ["external_loop"], [["readonly"], ["readonly"]]),
        base.flat, np.broadcast(base, base[0]), np.dtype("f4"), records.dtype, np.dtype([("x", object)]),
        np.random.default_rng(5), np.random.RandomState(3), np.frombuffer(bytearray(800)), np.ndenumerate(base),
        base.__array_interface__, np.asarray(memoryview(b"x" * 64)), np.ctypeslib.as_ctypes(base[0].copy()),
        np.memmap("/proc/self/exe", mode="r", shape=(4096,)), np.polynomial.Polynomial([1, 2]), np.char.array(["a"]),
    ]


def frames():
    frame = pd.DataFrame({
        "key": np.arange(5000) % 7, "value": np.random.default_rng(1).random(5000),
        "text": [f"row {n % 50}" for n in range(5000)], "when": pd.date_range("2024-01-01", periods=5000, freq="h"),
    })
    frame["kind"] = frame["text"].astype("category")
    frame["maybe"] = pd.array([None if n % 3 else n for n in range(5000)], dtype="Int64")
    grouped = frame.groupby(["key", "kind"], observed=True)["value"].agg(["sum", "mean"])
    wide = frame.pivot_table(index="key", columns="kind", values="value", observed=True)
    joined = frame.merge(grouped.reset_index(), on=["key", "kind"])
    return [frame, grouped, wide, joined, frame.loc[:10], frame.groupby("key"), frame["value"].rolling(5), frame.index,
            frame.set_index("when").resample("D")["value"].mean(), pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta("3h"),
            pd.Period("2024-01"), pd.Interval(1, 2), pd.MultiIndex.from_product([[1, 2], ["a", "b"]]), pd.NaT, pd.NA,
            frame.dtypes, frame["kind"].cat, pd.tseries.offsets.BDay(3), list(frame.head(20).itertuples())]


def documents():
    root = lxml.etree.fromstring("<a x='1'>text<b>more</b>tail<!-- c --><c/></a>")
    path = lxml.etree.XPath("//b/text()")
    page = lxml.html.fromstring("<p>one<a href='x'>two</a></p>")
    style = lxml.etree.XSLT(lxml.etree.XML(
        "<xsl:stylesheet version='1.0' xmlns:xsl='http://www.w3.org/1999/XSL/Transform'>"
        "<xsl:template match='/'><out/></xsl:template></xsl:stylesheet>"))
    return [root, root.getroottree(), root.attrib, list(root), path, path(root), page, list(page.iterlinks()), style, style(root), root.iter(),
            lxml.etree.XMLParser(remove_blank_text=True), root.xpath("//b"), lxml.etree.QName("u", "n")]


class Item(pydantic.BaseModel):
    name: str
    price: float = 1.5
    tags: list[str] = []
    more: typing.Optional[typing.Dict[str, int]] = None

    @pydantic.field_validator("price")
    @classmethod
    def positive(cls, value):
        return abs(value)


class Basket(pydantic.BaseModel):
    items: list[Item]


class Base(orm.DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id = orm.mapped_column(sa.Integer, primary_key=True)
    name = orm.mapped_column(sa.String(50))
    notes = orm.relationship("Note", back_populates="user")


class Note(Base):
    __tablename__ = "notes"
    id = orm.mapped_column(sa.Integer, primary_key=True)
    text = orm.mapped_column(sa.String)
    user_id = orm.mapped_column(sa.ForeignKey("users.id"))
    user = orm.relationship(User, back_populates="notes")


def models():
    baskets = [Basket(items=[{"name": f"{n}", "more": {"a": n}, "tags": ["x"]} for n in range(20)]) for _ in range(10)]
    try:
        Basket(items=[{"price": "none"}])
    except pydantic.ValidationError as error:
        baskets.append(error)
    return baskets + [Basket.model_json_schema(), baskets[0].model_dump_json(), pydantic.TypeAdapter(list[Item])]


def database():
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    session = orm.Session(engine)
    session.add_all(User(name=f"user {n}", notes=[Note(text=f"note {m}") for m in range(3)]) for n in range(50))
    session.commit()
    users = session.scalars(sa.select(User).where(User.name.like("user%")).options(orm.selectinload(User.notes))).all()
    rows = session.execute(sa.select(User.id, sa.func.count(Note.id)).join(Note).group_by(User.id)).all()
    return [engine, session, users, rows, session.query(Note).filter_by(id=3)]


async def web():
    async def handler(request):
        KEPT.append(request)
        return aiohttp.web.json_response({"path": request.path, "query": dict(request.query)})

    application = aiohttp.web.Application()
    application.router.add_get("/{name}", handler)
    runner = aiohttp.web.AppRunner(application)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    session = aiohttp.ClientSession()
    for n in range(20):
        async with session.get(f"http://127.0.0.1:{port}/name{n}?a={n}", headers={"X-Header": "value"}) as response:
            KEPT.append((response, await response.json(), response.headers, response.url))
    KEPT.append([application, runner, site, session])


def main():
    KEPT.extend([arrays(), frames(), documents(), models(), database()])
    loop = asyncio.new_event_loop()
    loop.run_until_complete(web())
    KEPT.append(loop)
    truth.hold(sys.argv[1], edges=True)


main()
