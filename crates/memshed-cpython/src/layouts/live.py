"""Holds a layout against the memory of the interpreter that runs this.

Standard input: the layout, as Rust's `{:?}` prints it. Prints what
does not agree, and how many checks were made. Run by the tests of this module.
"""
import builtins
import contextvars
import ctypes
import gc
import re
import sys
import threading
import types
import weakref


class Struct(dict):
    __getattr__ = dict.__getitem__


def from_rust(text):
    """Turns the output of `{:?}` into objects: the struct syntax is made into calls."""
    text = re.sub(r"(\w+) \{", r"Struct(", text).replace("}", ")")
    text = re.sub(r"(\w+): ", r"\1=", text)
    names = {"Struct": Struct, "Some": lambda x: x, "true": True, "false": False}
    return eval(text, names)


L = from_rust(sys.stdin.readline())
MINOR = sys.version_info[1]
checks = 0
failures = []


def same(what, got, wanted):
    global checks
    checks += 1
    if got != wanted:
        failures.append(f"{what}: {got!r}, not {wanted!r}")


def number(at, size=8, signed=False):
    return int.from_bytes(ctypes.string_at(at, size), "little", signed=signed)


def points(what, base, offset, target):
    """The word at base + offset is the address of target (None: NULL)."""
    same(what, number(base + offset), 0 if target is None else id(target))


def text(at):
    return ctypes.string_at(number(at)).decode()


def api(name, *arguments):
    call = getattr(ctypes.pythonapi, name)
    call.restype = ctypes.c_void_p
    return call(*arguments)


def objects_and_types():
    o = L.object
    x = [object()]
    shared = [x, x, x]
    same("ob_refcnt", number(id(x) + o.ob_refcnt, 4) >= len(shared), True)
    points("ob_type", id(x), o.ob_type, list)
    same("ob_size", number(id(x) + o.ob_size), 1)

    class Base:
        __slots__ = ("slot", "__weakref__")

    class Derived(Base):
        pass

    t = L.ty
    at = id(Derived)
    same("tp_name", text(at + t.tp_name), "Derived")
    same("tp_basicsize", number(at + t.tp_basicsize), Derived.__basicsize__)
    same("tp_itemsize", number(id(int) + t.tp_itemsize), int.__itemsize__)
    same("tp_flags", number(at + t.tp_flags), Derived.__flags__)
    same("tp_dictoffset", number(id(staticmethod) + t.tp_dictoffset), staticmethod.__dictoffset__)
    same("tp_weaklistoffset", number(id(Base) + t.tp_weaklistoffset, signed=True), Base.__weakrefoffset__)
    points("tp_base", at, t.tp_base, Base)
    points("tp_bases", at, t.tp_bases, Derived.__bases__)
    points("tp_mro", at, t.tp_mro, Derived.__mro__)
    same("tp_dict", number(at + t.tp_dict), id(gc.get_referents(Derived.__dict__)[0]))
    points("tp_subclasses' type", number(id(Base) + t.tp_subclasses), o.ob_type, dict)
    points("tp_weaklist", at, t.tp_weaklist, weakref.getweakrefs(Derived)[0])
    h = L.heap_type
    same("heap type's size", h.size, type.__basicsize__)
    points("ht_name", at, h.ht_name, Derived.__name__)
    points("ht_qualname", at, h.ht_qualname, Derived.__qualname__)
    points("ht_slots' type", number(id(Base) + h.ht_slots), o.ob_type, tuple)
    # `__slots__` are PyMemberDefs behind the type.
    m, member = L.member, id(Base) + h.size
    same("member name", text(member + m.name), "slot")
    same("member type", number(member + m.ty, 4), m.t_object_ex)
    same("member offset", number(member + m.offset), 16)
    thing = Base()
    thing.slot = x
    points("slot", id(thing), number(member + m.offset), x)
    flags = L.flags
    same("heaptype", bool(int.__flags__ & flags.heaptype), False)
    same("heaptype", bool(Derived.__flags__ & flags.heaptype), True)
    for cls, name in [(int, "long"), (list, "list"), (tuple, "tuple"), (bytes, "bytes"),
                      (str, "unicode"), (dict, "dict"), (BaseException, "base_exc"), (type, "type")]:
        same(name, bool(cls.__flags__ & flags[name + "_subclass"]), True)
    same("have_gc", [bool(c.__flags__ & flags.have_gc) for c in (int, list)], [False, True])


def attributes():
    class Plain:
        def __init__(self, n):
            self.one = n
            self.two = object()

    plain = [Plain(k) for k in range(3)][-1]
    i, v, k = L.instance, L.dict_values, L.dict_keys
    keys = number(id(Plain) + L.heap_type.ht_cached_keys)
    if MINOR < 11:
        # A dictionary of its own, which shares its keys and has an array of values.
        attributes = number(id(plain) + Plain.__dictoffset__)
        same("shared keys", number(attributes + L.dict.ma_keys), keys)
        values = number(attributes + L.dict.ma_values) + v["values"]
        points("first value", values, 0, plain.one)
        points("second value", values, 8, plain.two)
        return
    same("kind of cached keys", number(keys + k.dk_kind, 1), k.kind_split)
    same("managed_dict", bool(Plain.__flags__ & L.flags.managed_dict), True)
    if MINOR == 11:
        values = number(id(plain) - i.managed_values)
    elif MINOR == 12:
        values = number(id(plain) - i.managed_dict)
        same("tagged values", values & 1, 1)
        values += 1
    else:
        same("inline_values", bool(Plain.__flags__ & L.flags.inline_values), True)
        header = id(plain) + Plain.__basicsize__
        same("values' valid", number(header + v.valid, 1), 1)
        same("values' embedded", number(header + v.embedded, 1), 1)
        same("values' used", number(header + v.used, 1), 2)
        values = header + v["values"]
    if MINOR < 13:
        same("values' prefix", number(values - v.prefix_used_back, 1), 2)
    points("first value", values, 0, plain.one)
    points("second value", values, 8, plain.two)
    as_dict = plain.__dict__
    if MINOR >= 13:
        points("managed dict", id(plain), -i.managed_dict, as_dict)
    reference = weakref.ref(plain)
    if MINOR >= 12:
        points("managed weakref", id(plain), -i.managed_weakref, reference)


def entries(table):
    """A dictionary's entries by key address, as a walker reads them."""
    d, k = L.dict, L.dict_keys
    keys = number(id(table) + d.ma_keys)
    if k.dk_size is not None:
        slots = number(keys + k.dk_size)
        indices, general = slots * (1 if slots < 256 else 2), True
    else:
        indices = 1 << number(keys + k.dk_log2_index_bytes, 1)
        general = number(keys + k.dk_kind, 1) == k.kind_general
    at = keys + k.dk_indices + indices
    size, key, value = (
        (k.entry_size, k.entry_key, k.entry_value)
        if general
        else (k.unicode_entry_size, k.unicode_entry_key, k.unicode_entry_value)
    )
    count = number(keys + k.dk_nentries)
    return {number(at + n * size + key): number(at + n * size + value) for n in range(count)}


def containers():
    strings = {"a": object(), "b": object()}
    mixed = {7: object(), "b": object(), None: 3}
    for table in (strings, mixed):
        same("ma_used", number(id(table) + L.dict.ma_used), len(table))
        same("ma_values", number(id(table) + L.dict.ma_values), 0)
        same("entries", entries(table), {id(k): id(v) for k, v in table.items()})
    items = [object(), object()]
    same("list", number(id(items) + L.list.allocated) >= 2, True)
    points("list item", number(id(items) + L.list.ob_item), 8, items[1])
    pair = tuple(items)
    points("tuple item", id(pair), L.tuple.ob_item + 8, items[1])
    for kind in (set, frozenset):
        s, group = L.set, kind(items + list(range(20)))
        same("set used", number(id(group) + s.used), len(group))
        table, mask = number(id(group) + s.table), number(id(group) + s.mask)
        found = {number(table + n * s.entry_size + s.entry_key) for n in range(mask + 1)}
        same("set entries", found - {0}, {id(x) for x in group})
        small = kind(items)
        same("set smalltable", number(id(small) + s.table), id(small) + s.smalltable)
    cell = (lambda: items).__closure__[0]
    points("cell", id(cell), L.cell.ob_ref, items)
    part = slice(items, 2, 3)
    points("slice", id(part), L.slice.start, items)


def atoms():
    u = L.unicode
    for string, kind, is_ascii in [("memshed" * 3, 1, 1), ("mémshed", 1, 0), ("ŵ" * 9, 2, 0), ("😀" * 5, 4, 0)]:
        state = number(id(string) + u.state, 4)
        same("length", number(id(string) + u.length), len(string))
        same("kind", state >> u.kind_bit & ((1 << u.kind_bits) - 1), kind)
        same("ascii", state >> u.ascii_bit & 1, is_ascii)
        same("compact", state >> u.compact_bit & 1, 1)
        at = id(string) + (u.ascii_size if is_ascii else u.compact_size)
        encoding = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}[kind]
        same("characters", ctypes.string_at(at, len(string) * kind).decode(encoding), string)
        same("getsizeof", at - id(string) + (len(string) + 1) * kind, sys.getsizeof(string))
    interned = sys.intern("".join(["a certain", " string"]))
    loose = "".join(["a loose", " string"])
    for string, wanted in ((interned, True), (loose, False)):
        state = number(id(string) + u.state, 4) >> u.interned_bit & ((1 << u.interned_bits) - 1)
        same("interned", bool(state), wanted)
    if MINOR >= 12:
        same("static", number(id("a") + u.state, 4) >> u.static_bit & 1, 1)
    data = b"some bytes"
    same("bytes", ctypes.string_at(id(data) + L.bytes.ob_sval, len(data)), data)
    same("bytes' size", L.bytes.ob_sval + 1, sys.getsizeof(b""))
    array = bytearray(data)
    del array[:3]
    same("bytearray", ctypes.string_at(number(id(array) + L.bytearray.ob_start), 7), data[3:])
    # From 3.15 on the bytes are a `bytes` object's.
    head = L.bytes.ob_sval + 1 if L.bytearray.ob_bytes_object else 0
    same("ob_alloc", number(id(array) + L.bytearray.ob_alloc) + head, array.__alloc__())
    big = -(5 << 30) - 7
    same("digit", number(id(big) + L.long.ob_digit, 4), 7)
    if MINOR >= 12:
        same("digits", number(id(big) + L.long.lv_tag) >> L.long.lv_tag_shift, 2)
    same("float", ctypes.c_double.from_address(id(x := 1.25) + L.float.ob_fval).value, x)


def code_and_frames():
    def outer(a, b=(1, 2), *, c=None) -> list:
        "says what it is"
        inner_local = object()

        def inner():
            return inner_local, a

        yield inner
        yield inner_local

    outer.attribute = 1
    f = L.function
    for name in "globals name qualname code defaults kwdefaults closure doc dict module".split():
        points("func_" + name, id(outer), f["func_" + name], getattr(outer, f"__{name}__"))
    reference = weakref.ref(outer)
    points("func_weakreflist", id(outer), f.func_weakreflist, reference)
    code, c = outer.__code__, L.code
    for name in "consts names filename name".split():
        points("co_" + name, id(code), c["co_" + name], getattr(code, "co_" + name))
    for name in "flags argcount kwonlyargcount stacksize firstlineno nlocals".split():
        same("co_" + name, number(id(code) + c["co_" + name], 4), getattr(code, "co_" + name))
    if MINOR < 11:
        return frames_before_3_11(outer, code)
    points("func_builtins", id(outer), f.func_builtins, outer.__builtins__)
    for name in "qualname linetable exceptiontable".split():
        points("co_" + name, id(code), c["co_" + name], getattr(code, "co_" + name))
    same("co_nlocalsplus", number(id(code) + c.co_nlocalsplus, 4), 5)
    same("co_localsplusnames", ctypes.cast(number(id(code) + c.co_localsplusnames), ctypes.py_object).value[0], "a")
    same("bytecode", ctypes.string_at(id(code) + c.co_code_adaptive + 2, 1), code._co_code_adaptive[2:3])
    same("code's size", c.co_code_adaptive, types.CodeType.__basicsize__)
    units = number(id(code) + L.object.ob_size)
    same("code units", units * c.item_size, len(code.co_code))

    running = outer("an argument")
    inner = next(running)
    g, r = L.generator, L.frame
    frame = id(running) + g.gi_iframe
    mask = ~3 if r.tagged else -1
    same("f_code", number(frame + r.f_code) & mask, id(code))
    same("f_funcobj", number(frame + r.f_funcobj) & mask, id(outer))
    points("f_globals", frame, r.f_globals, globals())
    same("owner", number(frame + r.owner, 1), r.owned_by_generator)
    same("gi_frame_state", number(id(running) + g.gi_frame_state, 1), g.frame_suspended)
    points("gi_name", id(running), g.gi_name, running.__name__)
    points("gi_qualname", id(running), g.gi_qualname, running.__qualname__)
    same("generator's size", r.localsplus + g.gi_iframe, types.GeneratorType.__basicsize__)
    locals_ = [number(frame + r.localsplus + n * 8) & mask for n in range(5)]
    same("b in its place", locals_[1], id(running.gi_frame.f_locals["b"]))
    same("inner in its place", id(inner) in locals_, True)
    # A frame object of a running function, and the chain that its record is in.
    me = sys._getframe()
    o = L.frame_object
    record = number(id(me) + o.f_frame)
    same("a running frame's code", number(record + r.f_code) & mask, id(me.f_code))
    points("frame_obj", record, r.frame_obj, me)
    up = number(record + r.previous)
    same("the caller's code", number(up + r.f_code) & mask, id(me.f_back.f_code))
    same("frame's own data", o.frame_data + r.localsplus, types.FrameType.__basicsize__)
    return running


def frames_before_3_11(outer, code):
    """Frames are objects, and generators have one."""
    c, r, g = L.code, L.frame, L.generator
    for name in "varnames cellvars freevars code".split():
        points("co_" + name, id(code), c["co_" + name], getattr(code, "co_" + name))
    names = code.co_varnames + code.co_cellvars + code.co_freevars
    running = outer("an argument")
    inner = next(running)
    frame = running.gi_frame
    points("gi_frame", id(running), g.gi_frame, frame)
    points("gi_code", id(running), g.gi_code, code)
    points("gi_name", id(running), g.gi_name, running.__name__)
    points("gi_qualname", id(running), g.gi_qualname, running.__qualname__)
    points("f_code", id(frame), r.f_code, code)
    points("f_globals", id(frame), r.f_globals, globals())
    slots = [number(id(frame) + r.localsplus + n * 8) for n in range(len(names))]
    points("b in its place", id(frame), r.localsplus + 8 * names.index("b"), frame.f_locals["b"])
    same("inner in its place", id(inner) in slots, True)
    for cell in slots[len(code.co_varnames):]:
        points("a cell's type", cell, L.object.ob_type, types.CellType)
    if MINOR == 9:
        top = number(id(frame) + r.stackpointer)
    else:
        top = id(frame) + r.localsplus + 8 * (len(names) + number(id(frame) + r.stackdepth, 4))
    same("stack's top", top, id(frame) + r.localsplus + 8 * len(names))
    me = sys._getframe()
    points("f_back", id(me), r.previous, me.f_back)
    same("running", number(id(me) + (r.stackpointer or r.stackdepth), 4), 0 if MINOR == 9 else 2**32 - 1)
    return running


def callables_and_modules():
    class Some:
        def method(self):
            return None

    some = Some()
    bound, m = some.method, L.method
    points("im_func", id(bound), m.im_func, Some.method)
    points("im_self", id(bound), m.im_self, some)
    b, append = L.builtin_method, [].append
    points("m_self", id(append), b.m_self, append.__self__)
    points("m_module", id(len), b.m_module, len.__module__)
    same("def_name", text(number(id(len) + b.m_ml) + b.def_name), "len")
    points("md_dict", id(sys), L.module.md_dict, sys.__dict__)
    points("md_name", id(sys), L.module.md_name, sys.__name__)
    points("d_type", id(list.append), L.descr.d_type, list)
    points("d_name", id(list.append), L.descr.d_name, "append")
    reference = weakref.ref(some, callables_and_modules)
    points("wr_object", id(reference), L.weakref.wr_object, some)
    points("wr_callback", id(reference), L.weakref.wr_callback, callables_and_modules)
    data = bytearray(b"12345678")
    view = memoryview(data)[2:]
    v = L.memoryview
    points("view.obj", id(view), v.view_obj, data)
    same("view.len", number(id(view) + v.view_len), 6)
    variable = contextvars.ContextVar("variable", default=data)
    token = variable.set(some)
    context = contextvars.copy_context()
    points("var_name", id(variable), L.context_var.var_name, variable.name)
    points("var_default", id(variable), L.context_var.var_default, data)
    points("tok_var", id(token), L.context_token.tok_var, variable)
    same("h_count", number(number(id(context) + L.context.ctx_vars) + L.hamt.h_count), len(context))


def exceptions():
    e = L.exceptions
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise OSError(2, "text", "name") from inner
    except OSError as error:
        for name in "args context cause traceback".split():
            points(name, id(error), e[name], getattr(error, name if name == "args" else f"__{name}__"))
        points("dict", id(error), e["dict"], error.__dict__)
        if MINOR >= 11:
            points("notes", id(error), e.notes, None)
        points("os_filename", id(error), e.os_filename, error.filename)
        points("os_strerror", id(error), e.os_strerror, error.strerror)
        points("tb_frame", id(error.__traceback__), L.traceback.tb_frame, sys._getframe())
        handled = number(api("PyThreadState_Get") + L.tstate.exc_info)
        points("exc_value", handled, L.err_stack_item.exc_value, error)
    if MINOR >= 11:
        group = ExceptionGroup("message", [ValueError(1)])
        points("group_msg", id(group), e.group_msg, group.message)
        points("group_excs", id(group), e.group_excs, group.exceptions)
    try:
        import nothing.of.that.name
    except ImportError as error:
        points("import_name", id(error), e.import_name, error.name)
        points("import_msg", id(error), e.import_msg, error.msg)
    try:
        exceptions.nothing
    except AttributeError as error:
        if MINOR >= 10:
            points("attribute_error_obj", id(error), e.attribute_error_obj, exceptions)
    points("stop_iteration_value", id(s := StopIteration(e)), e.stop_iteration_value, e)
    points("system_exit_code", id(s := SystemExit(e)), e.system_exit_code, e)
    points("unicode_object", id(s := UnicodeEncodeError("utf-8", "text", 0, 1, "why")), e.unicode_object, s.object)
    points("syntax_msg", id(s := SyntaxError("message", ("file", 1, 2, "text"))), e.syntax_msg, s.msg)
    points("syntax_text", id(s), e.syntax_text, s.text)


def interpreter():
    interp = api("PyInterpreterState_Get")
    i = L.interp
    points("sysdict", interp, i.sysdict, sys.__dict__)
    points("builtins", interp, i.builtins, builtins.__dict__)
    points("modules", interp, i.modules, sys.modules)
    same("id", number(interp + i.id), 0)
    same("next", number(interp + i.next), 0)
    made = api("PyInterpreterState_GetDict", ctypes.c_void_p(interp))
    same("dict", number(interp + i.dict), made)
    for name in ("codec_search_path", "codec_search_cache", "codec_error_registry"):
        kind = list if name.endswith("path") else dict
        points(name, number(interp + i[name]), L.object.ob_type, kind)
    # Each reference that is listed is NULL or an object.
    types_, todo = {id(object)}, [object]
    while todo:
        for cls in type.__subclasses__(todo.pop()):
            if id(cls) not in types_:
                types_.add(id(cls))
                todo.append(cls)
    tstate = api("PyThreadState_Get")
    for base, slots in ((interp, L.interp_roots), (tstate, L.tstate_roots)):
        for slot in slots:
            for n in range(slot.count):
                at = number(base + slot.offset + n * 8)
                if at and number(at + L.object.ob_type) not in types_:
                    failures.append(f"{slot.name}[{n}] is no object")
    if MINOR >= 12:
        word = sys.intern("".join(["some", "word"]))
        at = number(interp + i.interned_strings)
        points("interned_strings", at, L.object.ob_type, dict)
        table = ctypes.cast(at, ctypes.py_object).value
        same("interned_strings", word in table, True)
        index = number(id(int) + L.ty.tp_subclasses)
        s = L.static_type
        state = interp + i.types_builtins + (index - 1) * s.size
        points("static type", state, s.ty, int)
        points("its tp_dict", state, s.tp_dict, gc.get_referents(int.__dict__)[0])
        same("types_builtins_used", 0 < number(interp + i.types_builtins_used) <= i.types_builtins_capacity, True)
        error = interp + i.last_resort_memory_error
        points("last_resort_memory_error", error, L.object.ob_type, MemoryError)
    c = L.type_cache_entry
    if MINOR >= 10:
        names = set()
        for n in range(i.type_cache_entries):
            names.add(number(interp + i.type_cache + n * c.size + c.name))
        same("method cache", any(number(at + L.object.ob_type) == id(str) for at in names if at), True)

    t = L.tstate
    same("tstate.interp", number(tstate + t.interp), interp)
    same("thread_id", number(tstate + t.thread_id), threading.get_ident())
    if MINOR >= 11:
        same("native_thread_id", number(tstate + t.native_thread_id), threading.get_native_id())
    same("threads_head", number(interp + i.threads_head), tstate)
    made = api("PyThreadState_GetDict")
    same("tstate.dict", number(tstate + t.dict), made)
    if MINOR in (11, 12):
        frame = number(number(tstate + t.cframe) + t.cframe_current_frame)
    else:
        frame = number(tstate + t.current_frame)
    mask = ~3 if L.frame.tagged else -1
    codes = []
    while frame and len(codes) < 50:
        codes.append(number(frame + L.frame.f_code) & mask)
        frame = number(frame + L.frame.previous)
    same("current_frame", id(sys._getframe().f_code) in codes, True)
    freelists(interp)


def freelists(interp):
    """A list's head is NULL if and only if it is empty."""
    state = ctypes.string_at(interp, L.interp.size)

    def at(offset, size=8):
        return int.from_bytes(state[offset : offset + size], "little")

    for one in L.freelists:
        form = one.form
        if "heads" in form:
            for n in range(form.lists):
                count = at(form.counts + n * form.count_stride, 4)
                head = at(form.heads + n * form.head_stride)
                same(f"free list {one.name}[{n}], {count}", (bool(head), count <= 4000), (count > 0, True))
        elif "items" in form:
            count = at(form.count, 4)
            same(f"free list {one.name}", count <= form.capacity, True)
            same(f"free list {one.name}", all(at(form["items"] + n * 8) for n in range(count)), True)


def collector():
    interp = api("PyInterpreterState_Get")
    g = L.gc
    at = interp + L.interp.gc
    before = gc.get_threshold()
    gc.set_threshold(70001, 12, 13)
    heads = [at + g.generations + n * g.generation_stride for n in range(g.generation_count)]
    found = [number(head + g.generation_threshold, 4) for head in heads]
    wanted = [70001, 12, 13]
    same("thresholds", found, wanted)
    gc.set_threshold(*before)
    same("enabled", number(at + g.enabled, 4), 1)
    gc.disable()
    same("disabled", number(at + g.enabled, 4), 0)
    points("garbage", at, g.garbage, gc.garbage)
    points("callbacks", at, g.callbacks, gc.callbacks)
    gc.collect()
    stats = gc.get_stats()
    for n in range(3):
        s = at + g.generation_stats + n * g.stats_stride
        if g.young_stats is not None:
            # Rings of the latest collections, each with the index of the last of them.
            old = n > 0 and (n - 1) * g.old_stats_stride
            ring, index = (g.old_stats + old, g.old_stats_index + old) if n else (g.young_stats, g.young_stats_index)
            table = number(at + g.generation_stats)
            s = table + ring + number(table + index, 1) * g.stats_stride
        for name in ("collections", "collected", "uncollectable"):
            same(f"stats {n} {name}", number(s + g["stats_" + name]), stats[n][name])

    def walk(head):
        seen, node = [], number(head) & ~3
        while node != head and len(seen) < 10**6:
            seen.append(node + g.head_size)
            node = number(node) & ~3
        return seen

    fresh = [[]]
    same("a new object is tracked", any(id(fresh) in walk(head) for head in heads), True)
    gc.freeze()
    frozen = walk(at + g.permanent_generation)
    same("frozen", (id(fresh) in frozen, len(frozen)), (True, gc.get_freeze_count()))
    gc.unfreeze()
    same("collecting", number(at + g.collecting, 4), 0)
    gc.enable()


def runtime():
    start = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime"))
    interp = api("PyInterpreterState_Get")
    r = L.runtime
    same("interpreters_head", number(start + r.interpreters_head), interp)
    same("interpreters_main", number(start + r.interpreters_main), interp)
    same("main_thread", number(start + r.main_thread), threading.get_ident())
    if MINOR < 11:
        return
    same("main_interpreter", interp - start, r.main_interpreter)
    for n in (-5, 0, 256):
        same(f"small int {n}", start + r.small_ints + (n + 5) * r.small_ints_stride, id(n))
    same("bytes_empty", start + r.bytes_empty, id(b""))
    same("bytes_characters", start + r.bytes_characters + 65 * r.bytes_characters_stride, id(b"A"))
    same("tuple_empty", start + r.tuple_empty, id(()))
    same("strings_ascii", start + r.strings_ascii + 65 * r.strings_ascii_stride, id("A"))
    same("strings_latin1", start + r.strings_latin1 + 0x69 * r.strings_latin1_stride, id("é"))
    same("strings", r.strings < id("__init__") - start < r.strings + r.strings_size, True)
    same("interpreter's size", 0 < L.interp.size <= r.size - r.main_interpreter, True)


def allocator():
    class Thing:
        __slots__ = ()

    o, a, p = L.obmalloc, L.arena, L.pool
    thing = Thing()
    pool = id(thing) & -o.pool_size
    same("szidx", number(pool + p.szidx, 4), (sys.getsizeof(thing) - 1) // o.alignment)
    same("count", number(pool + p.count, 4) > 0, True)
    same("nextoffset", 0 < number(pool + p.nextoffset, 4) <= o.pool_size, True)
    if MINOR < 12:
        return
    interp = api("PyInterpreterState_Get")
    state = interp + L.interp.obmalloc
    state = state if MINOR == 12 else number(state)
    arenas, count = number(state + o.arenas), number(state + o.maxarenas, 4)
    index = number(pool + p.arenaindex, 4)
    same("arenaindex", index < count, True)
    address = number(arenas + index * a.size + a.address)
    same("arena", address <= pool < address + o.arena_size, True)
    used = sum(number(arenas + n * a.size + a.address) != 0 for n in range(count))
    same("arenas", used, number(state + o.narenas_currently_allocated))


for check in (objects_and_types, attributes, containers, atoms, code_and_frames, callables_and_modules,
              exceptions, interpreter, collector, runtime, allocator):
    try:
        check()
    except Exception as error:  # A wrong number may lead anywhere: name the check, go on.
        failures.append(f"{check.__name__} line {error.__traceback__.tb_next.tb_lineno}: {error!r}")
print("\n".join(failures) or f"{checks} checks agree", flush=True)
sys.exit(bool(failures))
