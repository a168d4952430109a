import gc
import sys


def tried(empty):
    try:
        empty()
    except Exception:
        pass


def empty_functools(wanted):
    functools = sys.modules.get("functools")
    kind = getattr(functools, "_lru_cache_wrapper", None)
    for cache in gc.get_objects():
        if kind is not None and type(cache) is kind:
            name = "%s.%s" % (cache.__module__, cache.__qualname__)
            if wanted is None or name in wanted or cache.__qualname__ in wanted:
                cache.cache_clear()


def empty_types():
    for name in ("_clear_internal_caches", "_clear_type_cache"):
        if hasattr(sys, name):
            getattr(sys, name)()
            return


if "re" in names and "re" in sys.modules:
    tried(sys.modules["re"].purge)
if "linecache" in names and "linecache" in sys.modules:
    tried(sys.modules["linecache"].clearcache)
chosen = {name[10:] for name in names if name.startswith("functools:")}
if "functools" in names:
    tried(lambda: empty_functools(None))
elif chosen:
    tried(lambda: empty_functools(chosen))
if "types" in names:
    tried(empty_types)
if "free-lists" in names:
    tried(gc.collect)
