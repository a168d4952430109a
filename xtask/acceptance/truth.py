"""A process tells the truth about its own heap, without changing it.

The truth is taken in a copy made by libc's fork, called through ctypes with the GIL held: the
interpreter does not know of it, runs no fork hooks and drops no threads, so that the copy's heap
is the parent's, object by object and address by address. The copy writes the truth to files and
leaves; the parent is blocked in read(2) meanwhile and until it is told to go on.

Files: truth.json; ids.u64, sizes.i64, types.u32, kinds.u8 (one entry for each object of the
closure under gc.get_referents of what the collector tracks); edges.u64 (pairs of source and
target); fields.u64 (pairs that hold although the collector does not say so); malloc.txt (sys._debugmallocstats).
"""

import array
import collections
import gc
import json
import os
import sys
import types
import weakref

# Solid bases whose instances belong to "the containers listed" or hold nothing by themselves.
LISTED = (
    dict, list, tuple, set, frozenset, collections.deque, types.FunctionType, types.MethodType,
    types.BuiltinMethodType, types.CellType, types.FrameType, types.GeneratorType,
    types.CoroutineType, types.AsyncGeneratorType, types.ModuleType, type,
)
PLAIN = (object, int, float, str, bytes)
C_SLOTS = (types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType)
HEAPTYPE = 1 << 9
TP_DEALLOC = 48  # where a type keeps its destructor, in bytes
try:
    import ctypes

    OURS = ctypes.c_void_p.from_address(id(type("Ours", (), {})) + TP_DEALLOC).value
except ImportError:
    # An interpreter with a GIL of its own in 3.12: all that it has comes with Python.
    OURS = None
STANDARD = getattr(sys, "stdlib_module_names", ())
HAVE_GC = 1 << 14
READY = 1 << 12  # types that never were, such as unicodedata's in 3.9, have no bases to ask for
GET_DICT, GET_BASES, GET_MRO = (type.__dict__[name].__get__ for name in ("__dict__", "__bases__", "__mro__"))


def listed(kind):
    """Whether objects of this type are among the containers whose edges must be complete."""
    if kind in LISTED:
        return True
    if not kind.__flags__ & HEAPTYPE:
        return False
    for base in type.mro(kind):
        if not base.__flags__ & HEAPTYPE:
            return base in LISTED or base in PLAIN
        if any(isinstance(value, C_SLOTS) for value in vars(base).values()):
            return False  # a type of C code
    return False


def has_c_sizeof(kind):
    """Whether sys.getsizeof runs no Python code, which might change what is looked at."""
    for base in type.mro(kind):
        if "__sizeof__" in vars(base):
            return isinstance(vars(base)["__sizeof__"], C_SLOTS)
    return False


def is_foreign(kind):
    """Whether instances are laid out by C code that comes neither with Python nor with numpy."""
    for base in type.mro(kind) if OURS else ():
        if ctypes.c_void_p.from_address(id(base) + TP_DEALLOC).value != OURS:
            package = type_name(base).partition(".")[0]
            known = package in sys.builtin_module_names or package in STANDARD or package == "numpy"
            return "." in type_name(base) and not known
    return False


def type_name(kind):
    """The name that memshed must give: module and qualified name, builtins bare."""
    module = type.__dict__["__module__"].__get__(kind)
    name = type.__dict__["__qualname__"].__get__(kind)
    return name if module == "builtins" else f"{module}.{name}"


def write_truth(directory, edges, malloc_fd, youngest=0):
    """Runs in the copy, where nothing that it creates can be seen from outside."""
    os.dup2(malloc_fd, 2)
    sys._debugmallocstats()
    blocks = sys.getallocatedblocks()
    enabled = gc.isenabled()
    gc.disable()
    generations = [
        gc.get_objects(generation=0) if youngest == 0 else [],
        gc.get_objects(generation=1),
        gc.get_objects(generation=2),
    ]
    tracked = [found for generation in generations for found in generation]
    counts = [len(generation) for generation in generations]
    # What these calls make themselves is of generation 0, which is listed first.
    numbers = {}
    names = []
    flags = []
    collected = []
    sized_by_c = []
    foreign = []
    tracked_counts = {}
    for found in tracked:
        tracked_counts[type(found)] = tracked_counts.get(type(found), 0) + 1
    by_name = {}
    for kind, count in tracked_counts.items():
        by_name[type_name(kind)] = by_name.get(type_name(kind), 0) + count

    ids, sizes, numbers_of, kinds = array.array("Q"), array.array("q"), array.array("I"), array.array("B")
    pairs, fields = array.array("Q"), array.array("Q")
    subclass_tables, types_found = {}, []
    seen = set(map(id, tracked))
    queue = tracked
    referents = gc.get_referents
    at = 0
    while at < len(queue):
        found = queue[at]
        at += 1
        kind = type(found)
        number = numbers.get(kind)
        if number is None:
            number = numbers[kind] = len(names)
            names.append(type_name(kind))
            flags.append(listed(kind))
            collected.append(bool(kind.__flags__ & HAVE_GC))
            sized_by_c.append(has_c_sizeof(kind))
            foreign.append(is_foreign(kind))
        address = id(found)
        ids.append(address)
        numbers_of.append(number)
        kinds.append(flags[number])
        try:
            sizes.append(sys.getsizeof(found) if sized_by_c[number] else -1)
        except Exception:
            sizes.append(-1)
        for held in referents(found):
            held_id = id(held)
            if edges:
                pairs.append(address)
                pairs.append(held_id)
            if held_id not in seen:
                seen.add(held_id)
                queue.append(held)
        if kind is dict and found and type(next(iter(found.values()))) is weakref.ref:
            subclass_tables[frozenset(found)] = address
        if edges and issubclass(kind, type):
            # The collector does not traverse static types, and from 3.12 on their dictionaries
            # are kept elsewhere.
            ready = (*referents(GET_DICT(found)), GET_BASES(found), GET_MRO(found)) if found.__flags__ & READY else ()
            for held in ready:
                fields.append(address)
                fields.append(id(held))
            types_found.append(found)
    # A type's table of subclasses: weak references by the subclass's address. From 3.12 on a static
    # type's is kept by the interpreter, not in the type.
    for base in types_found:
        subclasses = frozenset(map(id, type.__subclasses__(base)))
        if subclasses in subclass_tables:
            fields.append(id(base))
            fields.append(subclass_tables[subclasses])
    for name, column in (("ids.u64", ids), ("sizes.i64", sizes), ("types.u32", numbers_of),
                         ("kinds.u8", kinds), ("edges.u64", pairs), ("fields.u64", fields)):
        with open(os.path.join(directory, name), "wb") as file:
            column.tofile(file)
    truth = {
        "python": "%d.%d.%d" % sys.version_info[:3],
        "types": names,
        "collected": collected,
        "foreign": foreign,
        "tracked": by_name,
        "blocks": blocks,
        "gc": {
            "enabled": enabled,
            "threshold": gc.get_threshold(),
            "stats": gc.get_stats(),
            "count": gc.get_count(),
            "frozen": gc.get_freeze_count(),
            "objects": counts,
        },
    }
    with open(os.path.join(directory, "truth.json"), "w") as file:
        json.dump(truth, file)


def warm_up():
    for generation in range(3):
        gc.get_objects(generation=generation)  # the first such call makes objects that stay


def hold(directory, edges=False, tell=None):
    """Takes the truth into `directory`, says "ready" on standard output, and stands still until
    a byte comes on standard input. `tell(directory, malloc_fd)` takes it otherwise."""
    import ctypes  # not in every subinterpreter

    fork = ctypes.PyDLL(None).fork  # PyDLL: the GIL is kept.
    malloc_fd = os.open(os.path.join(directory, "malloc.txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    failed = b"failed\n"
    ready = b"ready\n"
    warm_up()
    if fork() == 0:
        try:
            if tell:
                tell(directory, malloc_fd)
            else:
                write_truth(directory, edges, malloc_fd)
            os.write(1, ready)
        except BaseException:
            import traceback

            with open(os.path.join(directory, "error.txt"), "w") as file:
                traceback.print_exc(file=file)
            os.write(1, failed)
        finally:
            os._exit(0)
    os.read(0, 1)
    os.close(malloc_fd)
    os.wait()
