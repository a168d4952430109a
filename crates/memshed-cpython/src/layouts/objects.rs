// Written by `cargo xtask layouts`; edit xtask/src/layouts/fields/*.txt instead.

//! Struct definitions of the layout: objects.

/// The head of every object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// `sizeof(PyObject)`.
    pub size: u32,
    /// `offsetof(PyObject, ob_refcnt)`.
    pub ob_refcnt: u32,
    /// `offsetof(PyObject, ob_type)`.
    pub ob_type: u32,
    /// `offsetof(PyObject, ob_flags)`.
    pub ob_flags: Option<u32>,
    /// `PyVarObject.ob_size`. `offsetof(PyVarObject, ob_size)`.
    pub ob_size: u32,
    /// `sizeof(PyVarObject)`.
    pub var_size: u32,
}

/// A type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    /// `sizeof(PyTypeObject)`.
    pub size: u32,
    /// `offsetof(PyTypeObject, tp_name)`.
    pub tp_name: u32,
    /// `offsetof(PyTypeObject, tp_basicsize)`.
    pub tp_basicsize: u32,
    /// `offsetof(PyTypeObject, tp_itemsize)`.
    pub tp_itemsize: u32,
    /// `offsetof(PyTypeObject, tp_dealloc)`.
    pub tp_dealloc: u32,
    /// `offsetof(PyTypeObject, tp_repr)`.
    pub tp_repr: u32,
    /// `offsetof(PyTypeObject, tp_hash)`.
    pub tp_hash: u32,
    /// `offsetof(PyTypeObject, tp_call)`.
    pub tp_call: u32,
    /// `offsetof(PyTypeObject, tp_str)`.
    pub tp_str: u32,
    /// `offsetof(PyTypeObject, tp_flags)`.
    pub tp_flags: u32,
    /// `offsetof(PyTypeObject, tp_doc)`.
    pub tp_doc: u32,
    /// `offsetof(PyTypeObject, tp_traverse)`.
    pub tp_traverse: u32,
    /// `offsetof(PyTypeObject, tp_clear)`.
    pub tp_clear: u32,
    /// `offsetof(PyTypeObject, tp_weaklistoffset)`.
    pub tp_weaklistoffset: u32,
    /// `offsetof(PyTypeObject, tp_methods)`.
    pub tp_methods: u32,
    /// `offsetof(PyTypeObject, tp_members)`.
    pub tp_members: u32,
    /// `offsetof(PyTypeObject, tp_getset)`.
    pub tp_getset: u32,
    /// `offsetof(PyTypeObject, tp_base)`.
    pub tp_base: u32,
    /// `offsetof(PyTypeObject, tp_dict)`.
    pub tp_dict: u32,
    /// `offsetof(PyTypeObject, tp_dictoffset)`.
    pub tp_dictoffset: u32,
    /// `offsetof(PyTypeObject, tp_init)`.
    pub tp_init: u32,
    /// `offsetof(PyTypeObject, tp_alloc)`.
    pub tp_alloc: u32,
    /// `offsetof(PyTypeObject, tp_new)`.
    pub tp_new: u32,
    /// `offsetof(PyTypeObject, tp_free)`.
    pub tp_free: u32,
    /// `offsetof(PyTypeObject, tp_bases)`.
    pub tp_bases: u32,
    /// `offsetof(PyTypeObject, tp_mro)`.
    pub tp_mro: u32,
    /// `offsetof(PyTypeObject, tp_cache)`.
    pub tp_cache: u32,
    /// A dict, or from 3.12 the index into `interp.types_builtins` of a static builtin type. `offsetof(PyTypeObject, tp_subclasses)`.
    pub tp_subclasses: u32,
    /// `offsetof(PyTypeObject, tp_weaklist)`.
    pub tp_weaklist: u32,
    /// `offsetof(PyTypeObject, tp_finalize)`.
    pub tp_finalize: u32,
    /// `offsetof(PyTypeObject, tp_vectorcall)`.
    pub tp_vectorcall: u32,
    /// `offsetof(PyTypeObject, tp_version_tag)`.
    pub tp_version_tag: u32,
}

/// A type made by a class statement or `PyType_FromSpec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapType {
    /// Where the members of `__slots__` begin. `sizeof(PyHeapTypeObject)`.
    pub size: u32,
    /// `offsetof(PyHeapTypeObject, ht_name)`.
    pub ht_name: u32,
    /// `offsetof(PyHeapTypeObject, ht_slots)`.
    pub ht_slots: u32,
    /// `offsetof(PyHeapTypeObject, ht_qualname)`.
    pub ht_qualname: u32,
    /// `offsetof(PyHeapTypeObject, ht_cached_keys)`.
    pub ht_cached_keys: u32,
    /// `offsetof(PyHeapTypeObject, ht_module)`.
    pub ht_module: u32,
    /// `offsetof(PyHeapTypeObject, _ht_tpname)`.
    pub tpname: Option<u32>,
    /// Borrowed. `offsetof(PyHeapTypeObject, _spec_cache.getitem)`.
    pub spec_cache_getitem: Option<u32>,
    /// Borrowed. `offsetof(PyHeapTypeObject, _spec_cache.init)`.
    pub spec_cache_init: Option<u32>,
}

/// `tp_flags` bits as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeFlags {
    /// `Py_TPFLAGS_HEAPTYPE`.
    pub heaptype: u32,
    /// `Py_TPFLAGS_BASETYPE`.
    pub basetype: u32,
    /// `Py_TPFLAGS_READY`.
    pub ready: u32,
    /// `Py_TPFLAGS_HAVE_GC`.
    pub have_gc: u32,
    /// `Py_TPFLAGS_IS_ABSTRACT`.
    pub is_abstract: u32,
    /// 0 where there is none. `Py_TPFLAGS_MANAGED_DICT`.
    pub managed_dict: u32,
    /// `Py_TPFLAGS_MANAGED_WEAKREF`.
    pub managed_weakref: Option<u32>,
    /// `Py_TPFLAGS_INLINE_VALUES`.
    pub inline_values: Option<u32>,
    /// `_Py_TPFLAGS_STATIC_BUILTIN`.
    pub static_builtin: Option<u32>,
    /// `Py_TPFLAGS_DISALLOW_INSTANTIATION`.
    pub disallow_instantiation: Option<u32>,
    /// `Py_TPFLAGS_IMMUTABLETYPE`.
    pub immutable: Option<u32>,
    /// `Py_TPFLAGS_ITEMS_AT_END`.
    pub items_at_end: Option<u32>,
    /// `Py_TPFLAGS_METHOD_DESCRIPTOR`.
    pub method_descriptor: u32,
    /// `Py_TPFLAGS_LONG_SUBCLASS`.
    pub long_subclass: u32,
    /// `Py_TPFLAGS_LIST_SUBCLASS`.
    pub list_subclass: u32,
    /// `Py_TPFLAGS_TUPLE_SUBCLASS`.
    pub tuple_subclass: u32,
    /// `Py_TPFLAGS_BYTES_SUBCLASS`.
    pub bytes_subclass: u32,
    /// `Py_TPFLAGS_UNICODE_SUBCLASS`.
    pub unicode_subclass: u32,
    /// `Py_TPFLAGS_DICT_SUBCLASS`.
    pub dict_subclass: u32,
    /// `Py_TPFLAGS_BASE_EXC_SUBCLASS`.
    pub base_exc_subclass: u32,
    /// `Py_TPFLAGS_TYPE_SUBCLASS`.
    pub type_subclass: u32,
}

/// `PyMemberDef`, an attribute at an offset; `__slots__` are such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// `sizeof(PyMemberDef)`.
    pub size: u32,
    /// `offsetof(PyMemberDef, name)`.
    pub name: u32,
    /// `offsetof(PyMemberDef, type)`.
    pub ty: u32,
    /// `offsetof(PyMemberDef, offset)`.
    pub offset: u32,
    /// `offsetof(PyMemberDef, flags)`.
    pub flags: u32,
    /// The value of `ty` of a reference that may be NULL (reads as None). `T_OBJECT`.
    pub t_object: u32,
    /// The value of `ty` of a reference, as in `__slots__`. `T_OBJECT_EX`.
    pub t_object_ex: u32,
}

/// Where instance attributes are, as offsets back from the object's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Bytes before the object: dict pointer; in 3.12 a word tagged with 1 if it points to values (then minus 1 … see `DictValues`).
    pub managed_dict: Option<u32>,
    /// Bytes before the object: values pointer of 3.11.
    pub managed_values: Option<u32>,
    /// Bytes before the object: head of the weak reference list.
    pub managed_weakref: Option<u32>,
}

/// A dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dict {
    /// `sizeof(PyDictObject)`.
    pub size: u32,
    /// `offsetof(PyDictObject, ma_used)`.
    pub ma_used: u32,
    /// `offsetof(PyDictObject, ma_keys)`.
    pub ma_keys: u32,
    /// NULL unless the table is split. `offsetof(PyDictObject, ma_values)`.
    pub ma_values: u32,
}

/// The hash table of a dictionary. Up to 3.10 no header has it (`Objects/dict-common.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DictKeys {
    /// `sizeof(struct _dictkeysobject)`.
    pub size: u32,
    /// `offsetof(struct _dictkeysobject, dk_refcnt)`.
    pub dk_refcnt: u32,
    /// How many slots, a power of two.
    pub dk_size: Option<u32>,
    /// `offsetof(struct _dictkeysobject, dk_log2_size)`.
    pub dk_log2_size: Option<u32>,
    /// `offsetof(struct _dictkeysobject, dk_log2_index_bytes)`.
    pub dk_log2_index_bytes: Option<u32>,
    /// 0 general, 1 only strings, 2 split. `offsetof(struct _dictkeysobject, dk_kind)`.
    pub dk_kind: Option<u32>,
    /// `offsetof(struct _dictkeysobject, dk_version)`.
    pub dk_version: Option<u32>,
    /// `offsetof(struct _dictkeysobject, dk_usable)`.
    pub dk_usable: u32,
    /// `offsetof(struct _dictkeysobject, dk_nentries)`.
    pub dk_nentries: u32,
    /// `offsetof(struct _dictkeysobject, dk_indices)`.
    pub dk_indices: u32,
    /// `DICT_KEYS_GENERAL`.
    pub kind_general: Option<u32>,
    /// `DICT_KEYS_UNICODE`.
    pub kind_unicode: Option<u32>,
    /// `DICT_KEYS_SPLIT`.
    pub kind_split: Option<u32>,
    /// `sizeof(PyDictKeyEntry)`.
    pub entry_size: u32,
    /// `offsetof(PyDictKeyEntry, me_hash)`.
    pub entry_hash: u32,
    /// `offsetof(PyDictKeyEntry, me_key)`.
    pub entry_key: u32,
    /// `offsetof(PyDictKeyEntry, me_value)`.
    pub entry_value: u32,
    /// `sizeof(PyDictUnicodeEntry)`.
    pub unicode_entry_size: Option<u32>,
    /// `offsetof(PyDictUnicodeEntry, me_key)`.
    pub unicode_entry_key: Option<u32>,
    /// `offsetof(PyDictUnicodeEntry, me_value)`.
    pub unicode_entry_value: Option<u32>,
}

/// The values of a split table: up to 3.10 a plain array. In 3.11 and 3.12 prefix bytes sit before them: size at −2, prefix size at −1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DictValues {
    /// First of the values. `offsetof(struct _dictvalues, values)`.
    pub values: u32,
    /// `offsetof(struct _dictvalues, capacity)`.
    pub capacity: Option<u32>,
    /// The field `size`, a `u8`: how many are in insertion order. `offsetof(struct _dictvalues, size)`.
    pub used: Option<u32>,
    /// 1 if part of the object. `offsetof(struct _dictvalues, embedded)`.
    pub embedded: Option<u32>,
    /// 1 if the values are the instance's attributes. `offsetof(struct _dictvalues, valid)`.
    pub valid: Option<u32>,
    /// Bytes before the values: `u8` count of values in insertion order.
    pub prefix_used_back: Option<u32>,
    /// Bytes before the values: `u8` bytes of the prefix, where the allocation begins.
    pub prefix_size_back: Option<u32>,
}

/// A list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// `sizeof(PyListObject)`.
    pub size: u32,
    /// `offsetof(PyListObject, ob_item)`.
    pub ob_item: u32,
    /// `offsetof(PyListObject, allocated)`.
    pub allocated: u32,
}

/// A tuple; moved in 3.14, which keeps the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    /// `sizeof(PyTupleObject)`.
    pub size: u32,
    /// `offsetof(PyTupleObject, ob_item)`.
    pub ob_item: u32,
    /// `offsetof(PyTupleObject, ob_hash)`.
    pub ob_hash: Option<u32>,
}

/// A set or frozenset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// `sizeof(PySetObject)`.
    pub size: u32,
    /// `offsetof(PySetObject, fill)`.
    pub fill: u32,
    /// `offsetof(PySetObject, used)`.
    pub used: u32,
    /// `offsetof(PySetObject, mask)`.
    pub mask: u32,
    /// `offsetof(PySetObject, table)`.
    pub table: u32,
    /// `offsetof(PySetObject, hash)`.
    pub hash: u32,
    /// `offsetof(PySetObject, finger)`.
    pub finger: u32,
    /// `offsetof(PySetObject, smalltable)`.
    pub smalltable: u32,
    /// `PySet_MINSIZE`.
    pub smalltable_size: u32,
    /// `offsetof(PySetObject, weakreflist)`.
    pub weakreflist: u32,
    /// `sizeof(setentry)`.
    pub entry_size: u32,
    /// `offsetof(setentry, key)`.
    pub entry_key: u32,
    /// `offsetof(setentry, hash)`.
    pub entry_hash: u32,
}

/// A string. Bit numbers count from the lowest bit of the byte at `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unicode {
    /// `sizeof(PyASCIIObject)`.
    pub ascii_size: u32,
    /// `sizeof(PyCompactUnicodeObject)`.
    pub compact_size: u32,
    /// `sizeof(PyUnicodeObject)`.
    pub size: u32,
    /// `offsetof(PyASCIIObject, length)`.
    pub length: u32,
    /// `offsetof(PyASCIIObject, hash)`.
    pub hash: u32,
    /// Byte offset of the bit fields. `BIT_OF(PyASCIIObject, state.interned) / 8`.
    pub state: u32,
    /// `BIT_OF(PyASCIIObject, state.interned) % 8`.
    pub interned_bit: u32,
    /// `WIDTH_OF(PyASCIIObject, state.interned)`.
    pub interned_bits: u32,
    /// `BIT_OF(PyASCIIObject, state.kind) - BIT_OF(PyASCIIObject, state.interned) / 8 * 8`.
    pub kind_bit: u32,
    /// `WIDTH_OF(PyASCIIObject, state.kind)`.
    pub kind_bits: u32,
    /// `BIT_OF(PyASCIIObject, state.compact) - BIT_OF(PyASCIIObject, state.interned) / 8 * 8`.
    pub compact_bit: u32,
    /// `BIT_OF(PyASCIIObject, state.ascii) - BIT_OF(PyASCIIObject, state.interned) / 8 * 8`.
    pub ascii_bit: u32,
    /// `BIT_OF(PyASCIIObject, state.ready) - BIT_OF(PyASCIIObject, state.interned) / 8 * 8`.
    pub ready_bit: Option<u32>,
    /// `BIT_OF(PyASCIIObject, state.statically_allocated) - BIT_OF(PyASCIIObject, state.interned) / 8 * 8`.
    pub static_bit: Option<u32>,
    /// `offsetof(PyASCIIObject, wstr)`.
    pub wstr: Option<u32>,
    /// `offsetof(PyCompactUnicodeObject, utf8_length)`.
    pub utf8_length: u32,
    /// `offsetof(PyCompactUnicodeObject, utf8)`.
    pub utf8: u32,
    /// `offsetof(PyCompactUnicodeObject, wstr_length)`.
    pub wstr_length: Option<u32>,
    /// `offsetof(PyUnicodeObject, data.any)`.
    pub data_any: u32,
}

/// A byte string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// `sizeof(PyBytesObject)`.
    pub size: u32,
    /// `offsetof(PyBytesObject, ob_shash)`.
    pub ob_shash: u32,
    /// `offsetof(PyBytesObject, ob_sval)`.
    pub ob_sval: u32,
}

/// A bytearray.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteArray {
    /// `sizeof(PyByteArrayObject)`.
    pub size: u32,
    /// `offsetof(PyByteArrayObject, ob_alloc)`.
    pub ob_alloc: u32,
    /// `offsetof(PyByteArrayObject, ob_bytes)`.
    pub ob_bytes: u32,
    /// `offsetof(PyByteArrayObject, ob_start)`.
    pub ob_start: u32,
    /// `offsetof(PyByteArrayObject, ob_exports)`.
    pub ob_exports: u32,
    /// `offsetof(PyByteArrayObject, ob_bytes_object)`.
    pub ob_bytes_object: Option<u32>,
}

/// An integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long {
    /// `sizeof(PyLongObject)`.
    pub size: u32,
    /// `offsetof(PyLongObject, long_value.ob_digit)`.
    pub ob_digit: u32,
    /// Digit count times 8, sign in the low two bits. Up to 3.11: `ob_size`, negative for a negative number. `offsetof(PyLongObject, long_value.lv_tag)`.
    pub lv_tag: Option<u32>,
    /// Bits to shift `lv_tag` right for the digit count. `_PyLong_NON_SIZE_BITS`.
    pub lv_tag_shift: Option<u32>,
    /// `sizeof(digit)`.
    pub digit_size: u32,
}

/// A float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Float {
    /// `sizeof(PyFloatObject)`.
    pub size: u32,
    /// `offsetof(PyFloatObject, ob_fval)`.
    pub ob_fval: u32,
}

/// A complex number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complex {
    /// `sizeof(PyComplexObject)`.
    pub size: u32,
}

/// A slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// `sizeof(PySliceObject)`.
    pub size: u32,
    /// `offsetof(PySliceObject, start)`.
    pub start: u32,
    /// `offsetof(PySliceObject, stop)`.
    pub stop: u32,
    /// `offsetof(PySliceObject, step)`.
    pub step: u32,
}

/// A variable shared by a function and an inner one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// `sizeof(PyCellObject)`.
    pub size: u32,
    /// `offsetof(PyCellObject, ob_ref)`.
    pub ob_ref: u32,
}

/// A weak reference; the object is not owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakRef {
    /// `sizeof(PyWeakReference)`.
    pub size: u32,
    /// `offsetof(PyWeakReference, wr_object)`.
    pub wr_object: u32,
    /// `offsetof(PyWeakReference, wr_callback)`.
    pub wr_callback: u32,
    /// `offsetof(PyWeakReference, hash)`.
    pub hash: u32,
    /// `offsetof(PyWeakReference, wr_prev)`.
    pub wr_prev: u32,
    /// `offsetof(PyWeakReference, wr_next)`.
    pub wr_next: u32,
}

/// A memoryview.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryView {
    /// `sizeof(PyMemoryViewObject)`.
    pub size: u32,
    /// `offsetof(PyMemoryViewObject, mbuf)`.
    pub mbuf: u32,
    /// `offsetof(PyMemoryViewObject, hash)`.
    pub hash: u32,
    /// `offsetof(PyMemoryViewObject, flags)`.
    pub flags: u32,
    /// `offsetof(PyMemoryViewObject, exports)`.
    pub exports: u32,
    /// `offsetof(PyMemoryViewObject, view)`.
    pub view: u32,
    /// `offsetof(PyMemoryViewObject, weakreflist)`.
    pub weakreflist: u32,
    /// `offsetof(PyMemoryViewObject, ob_array)`.
    pub ob_array: u32,
    /// `offsetof(PyMemoryViewObject, view.buf)`.
    pub view_buf: u32,
    /// `offsetof(PyMemoryViewObject, view.obj)`.
    pub view_obj: u32,
    /// `offsetof(PyMemoryViewObject, view.len)`.
    pub view_len: u32,
    /// `offsetof(PyMemoryViewObject, view.itemsize)`.
    pub view_itemsize: u32,
    /// `offsetof(PyMemoryViewObject, view.readonly)`.
    pub view_readonly: u32,
    /// `offsetof(PyMemoryViewObject, view.ndim)`.
    pub view_ndim: u32,
    /// `offsetof(PyMemoryViewObject, view.format)`.
    pub view_format: u32,
    /// `offsetof(PyMemoryViewObject, view.shape)`.
    pub view_shape: u32,
    /// `offsetof(PyMemoryViewObject, view.strides)`.
    pub view_strides: u32,
    /// `offsetof(PyMemoryViewObject, view.suboffsets)`.
    pub view_suboffsets: u32,
    /// `offsetof(_PyManagedBufferObject, master)`.
    pub managed_master: u32,
    /// `offsetof(_PyManagedBufferObject, master.obj)`.
    pub managed_master_obj: u32,
    /// `offsetof(_PyManagedBufferObject, master.buf)`.
    pub managed_master_buf: u32,
    /// `offsetof(_PyManagedBufferObject, master.len)`.
    pub managed_master_len: u32,
    /// `offsetof(_PyManagedBufferObject, exports)`.
    pub managed_exports: u32,
    /// `offsetof(_PyManagedBufferObject, flags)`.
    pub managed_flags: u32,
    /// `sizeof(_PyManagedBufferObject)`.
    pub managed_size: u32,
}

/// The persistent map of a `Context`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hamt {
    /// `sizeof(PyHamtObject)`.
    pub size: u32,
    /// `offsetof(PyHamtObject, h_root)`.
    pub h_root: u32,
    /// `offsetof(PyHamtObject, h_count)`.
    pub h_count: u32,
    /// `offsetof(PyHamtObject, h_weakreflist)`.
    pub h_weakreflist: u32,
}

/// `contextvars.Context`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// `sizeof(PyContext)`.
    pub size: u32,
    /// `offsetof(PyContext, ctx_prev)`.
    pub ctx_prev: u32,
    /// `offsetof(PyContext, ctx_vars)`.
    pub ctx_vars: u32,
    /// `offsetof(PyContext, ctx_weakreflist)`.
    pub ctx_weakreflist: u32,
    /// `offsetof(PyContext, ctx_entered)`.
    pub ctx_entered: u32,
}

/// `contextvars.ContextVar`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextVar {
    /// `sizeof(struct _pycontextvarobject)`.
    pub size: u32,
    /// `offsetof(struct _pycontextvarobject, var_name)`.
    pub var_name: u32,
    /// `offsetof(struct _pycontextvarobject, var_default)`.
    pub var_default: u32,
    /// Borrowed. `offsetof(struct _pycontextvarobject, var_cached)`.
    pub var_cached: u32,
}

/// `contextvars.Token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextToken {
    /// `sizeof(struct _pycontexttokenobject)`.
    pub size: u32,
    /// `offsetof(struct _pycontexttokenobject, tok_ctx)`.
    pub tok_ctx: u32,
    /// `offsetof(struct _pycontexttokenobject, tok_var)`.
    pub tok_var: u32,
    /// `offsetof(struct _pycontexttokenobject, tok_oldval)`.
    pub tok_oldval: u32,
}

/// `types.SimpleNamespace`, `Objects/namespaceobject.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// `ns_dict`.
    pub ns_dict: u32,
}

/// `int | str`, `Objects/unionobject.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Union {
    /// `args`.
    pub args: Option<u32>,
    /// `parameters`.
    pub parameters: Option<u32>,
}
