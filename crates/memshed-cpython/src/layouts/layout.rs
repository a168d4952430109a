// Written by `cargo xtask layouts`; edit xtask/src/layouts/fields/*.txt instead.

//! The whole layout.

use super::alloc::*;
use super::code::*;
use super::objects::*;
use super::state::*;
use super::{DebugOverlay, FreeList, Slot};

/// Where everything is in one version of CPython (x86-64, GIL, no debug build): offsets in bytes
/// unless a field says otherwise, `None` where a version has no such field.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The versions that the table holds for, `3.14.5-3.14`.
    pub versions: &'static str,
    /// The process-wide state, symbol `_PyRuntime`.
    pub runtime: Runtime,
    /// One interpreter. Fields that sit after `obmalloc` have moved in patch releases: check by shape.
    pub interp: Interp,
    /// One entry of the method cache.
    pub type_cache_entry: TypeCacheEntry,
    /// Per-interpreter state of a static builtin type.
    pub static_type: StaticType,
    /// Collector state, `interp.gc`.
    pub gc: Gc,
    /// The global interpreter lock.
    pub gil: Gil,
    /// A ring of functions to be called by a thread that holds the GIL.
    pub pending_calls: PendingCalls,
    /// One thread's state.
    pub tstate: Tstate,
    /// One entry of the stack of handled exceptions.
    pub err_stack_item: ErrStackItem,
    /// One piece of a thread's data stack.
    pub stack_chunk: StackChunk,
    /// `_Py_hashtable_t`, which holds the static interned strings.
    pub hashtable: Hashtable,
    /// One function registered with `atexit`.
    pub atexit_callback: AtexitCallback,
    /// Places in an interpreter's state that own references to objects.
    pub interp_roots: &'static [Slot],
    /// Places in a thread's state that own references to objects (frames and the exception stack apart).
    pub tstate_roots: &'static [Slot],
    /// Unused objects kept for reuse: live blocks to the allocator, no objects to anybody.
    pub freelists: &'static [FreeList],
    /// What `_Py_DebugOffsets` publishes of this.
    pub overlay: &'static [DebugOverlay],
    /// The head of every object.
    pub object: Object,
    /// A type.
    pub ty: Type,
    /// A type made by a class statement or `PyType_FromSpec`.
    pub heap_type: HeapType,
    /// `tp_flags` bits as numbers.
    pub flags: TypeFlags,
    /// `PyMemberDef`, an attribute at an offset; `__slots__` are such.
    pub member: Member,
    /// Where instance attributes are, as offsets back from the object's address.
    pub instance: Instance,
    /// A dictionary.
    pub dict: Dict,
    /// The hash table of a dictionary. Up to 3.10 no header has it (`Objects/dict-common.h`).
    pub dict_keys: DictKeys,
    /// The values of a split table: up to 3.10 a plain array. In 3.11 and 3.12 prefix bytes sit before them: size at −2, prefix size at −1.
    pub dict_values: DictValues,
    /// A list.
    pub list: List,
    /// A tuple; moved in 3.14, which keeps the hash.
    pub tuple: Tuple,
    /// A set or frozenset.
    pub set: Set,
    /// A string. Bit numbers count from the lowest bit of the byte at `state`.
    pub unicode: Unicode,
    /// A byte string.
    pub bytes: Bytes,
    /// A bytearray.
    pub bytearray: ByteArray,
    /// An integer.
    pub long: Long,
    /// A float.
    pub float: Float,
    /// A complex number.
    pub complex: Complex,
    /// A slice.
    pub slice: Slice,
    /// A variable shared by a function and an inner one.
    pub cell: Cell,
    /// A weak reference; the object is not owned.
    pub weakref: WeakRef,
    /// A memoryview.
    pub memoryview: MemoryView,
    /// The persistent map of a `Context`.
    pub hamt: Hamt,
    /// `contextvars.Context`.
    pub context: Context,
    /// `contextvars.ContextVar`.
    pub context_var: ContextVar,
    /// `contextvars.Token`.
    pub context_token: ContextToken,
    /// `types.SimpleNamespace`, `Objects/namespaceobject.c`.
    pub namespace: Namespace,
    /// `int | str`, `Objects/unionobject.c`.
    pub union_type: Union,
    /// A Python function.
    pub function: Function,
    /// A code object; `ob_size` counts 2-byte code units.
    pub code: Code,
    /// An activation record, on a data stack or inside a generator or frame object; up to 3.10 the frame object itself.
    pub frame: Frame,
    /// A `frame`.
    pub frame_object: FrameObject,
    /// Generator, coroutine and async generator begin alike.
    pub generator: Generator,
    /// A bound method.
    pub method: Method,
    /// `PyInstanceMethod_Type`.
    pub instance_method: InstanceMethod,
    /// A function or method written in C.
    pub builtin_method: BuiltinMethod,
    /// A module; 3.9 has it in `Objects/moduleobject.c`.
    pub module: Module,
    /// The head of descriptors written in C.
    pub descr: Descr,
    /// One line of a traceback.
    pub traceback: Traceback,
    /// The built-in exceptions' fields.
    pub exceptions: Exceptions,
    /// Template strings, `Objects/templateobject.c`, `interpolationobject.c`.
    pub template: Template,
    /// The allocator's state. Up to 3.11 `arenas`, `maxarenas`, `usedpools`, `raw_allocated_blocks` and `arena_map_root` are separate static variables.
    pub obmalloc: Obmalloc,
    /// One piece of pools: 256 KiB in 3.9, then 1 MiB.
    pub arena: Arena,
    /// The head of a pool of equal blocks.
    pub pool: Pool,
}
