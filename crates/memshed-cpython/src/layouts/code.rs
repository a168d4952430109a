// Written by `cargo xtask layouts`; edit xtask/src/layouts/fields/*.txt instead.

//! Struct definitions of the layout: code.

/// A Python function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// `sizeof(PyFunctionObject)`.
    pub size: u32,
    /// `offsetof(PyFunctionObject, func_globals)`.
    pub func_globals: u32,
    /// `offsetof(PyFunctionObject, func_builtins)`.
    pub func_builtins: Option<u32>,
    /// `offsetof(PyFunctionObject, func_name)`.
    pub func_name: u32,
    /// `offsetof(PyFunctionObject, func_qualname)`.
    pub func_qualname: u32,
    /// `offsetof(PyFunctionObject, func_code)`.
    pub func_code: u32,
    /// `offsetof(PyFunctionObject, func_defaults)`.
    pub func_defaults: u32,
    /// `offsetof(PyFunctionObject, func_kwdefaults)`.
    pub func_kwdefaults: u32,
    /// `offsetof(PyFunctionObject, func_closure)`.
    pub func_closure: u32,
    /// `offsetof(PyFunctionObject, func_doc)`.
    pub func_doc: u32,
    /// `offsetof(PyFunctionObject, func_dict)`.
    pub func_dict: u32,
    /// `offsetof(PyFunctionObject, func_weakreflist)`.
    pub func_weakreflist: u32,
    /// `offsetof(PyFunctionObject, func_module)`.
    pub func_module: u32,
    /// `offsetof(PyFunctionObject, func_annotations)`.
    pub func_annotations: u32,
    /// `offsetof(PyFunctionObject, func_annotate)`.
    pub func_annotate: Option<u32>,
    /// `offsetof(PyFunctionObject, func_typeparams)`.
    pub func_typeparams: Option<u32>,
}

/// A code object; `ob_size` counts 2-byte code units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// `sizeof(PyCodeObject)`.
    pub size: u32,
    /// `sizeof(_Py_CODEUNIT)`.
    pub item_size: u32,
    /// `offsetof(PyCodeObject, co_consts)`.
    pub co_consts: u32,
    /// `offsetof(PyCodeObject, co_names)`.
    pub co_names: u32,
    /// `offsetof(PyCodeObject, co_exceptiontable)`.
    pub co_exceptiontable: Option<u32>,
    /// `offsetof(PyCodeObject, co_flags)`.
    pub co_flags: u32,
    /// `offsetof(PyCodeObject, co_argcount)`.
    pub co_argcount: u32,
    /// `offsetof(PyCodeObject, co_posonlyargcount)`.
    pub co_posonlyargcount: u32,
    /// `offsetof(PyCodeObject, co_kwonlyargcount)`.
    pub co_kwonlyargcount: u32,
    /// `offsetof(PyCodeObject, co_stacksize)`.
    pub co_stacksize: u32,
    /// `offsetof(PyCodeObject, co_firstlineno)`.
    pub co_firstlineno: u32,
    /// `offsetof(PyCodeObject, co_nlocalsplus)`.
    pub co_nlocalsplus: Option<u32>,
    /// `offsetof(PyCodeObject, co_nlocals)`.
    pub co_nlocals: u32,
    /// `offsetof(PyCodeObject, co_ncellvars)`.
    pub co_ncellvars: Option<u32>,
    /// `offsetof(PyCodeObject, co_nfreevars)`.
    pub co_nfreevars: Option<u32>,
    /// `offsetof(PyCodeObject, co_localsplusnames)`.
    pub co_localsplusnames: Option<u32>,
    /// `offsetof(PyCodeObject, co_localspluskinds)`.
    pub co_localspluskinds: Option<u32>,
    /// `offsetof(PyCodeObject, co_varnames)`.
    pub co_varnames: Option<u32>,
    /// `offsetof(PyCodeObject, co_cellvars)`.
    pub co_cellvars: Option<u32>,
    /// `offsetof(PyCodeObject, co_freevars)`.
    pub co_freevars: Option<u32>,
    /// Pointer to a `Py_ssize_t` for each of `co_cellvars`, or NULL. `offsetof(PyCodeObject, co_cell2arg)`.
    pub co_cell2arg: Option<u32>,
    /// `offsetof(PyCodeObject, co_filename)`.
    pub co_filename: u32,
    /// `offsetof(PyCodeObject, co_name)`.
    pub co_name: u32,
    /// `offsetof(PyCodeObject, co_qualname)`.
    pub co_qualname: Option<u32>,
    /// `offsetof(PyCodeObject, co_linetable)`.
    pub co_linetable: u32,
    /// `offsetof(PyCodeObject, co_weakreflist)`.
    pub co_weakreflist: u32,
    /// A bytes object; in 3.11 cached `co_code`. `offsetof(PyCodeObject, _co_code)`.
    pub co_code: Option<u32>,
    /// Pointer to a `_PyCoCached`. `offsetof(PyCodeObject, _co_cached)`.
    pub co_cached: Option<u32>,
    /// `sizeof(_PyCoCached)`.
    pub cached_size: Option<u32>,
    /// `offsetof(_PyCoCached, _co_code)`.
    pub cached_code: Option<u32>,
    /// `offsetof(_PyCoCached, _co_varnames)`.
    pub cached_varnames: Option<u32>,
    /// `offsetof(_PyCoCached, _co_cellvars)`.
    pub cached_cellvars: Option<u32>,
    /// `offsetof(_PyCoCached, _co_freevars)`.
    pub cached_freevars: Option<u32>,
    /// Pointer to an `_PyExecutorArray`. `offsetof(PyCodeObject, co_executors)`.
    pub co_executors: Option<u32>,
    /// `offsetof(_PyExecutorArray, size)`.
    pub executors_count: Option<u32>,
    /// `offsetof(_PyExecutorArray, capacity)`.
    pub executors_capacity: Option<u32>,
    /// `offsetof(_PyExecutorArray, executors)`.
    pub executors_items: Option<u32>,
    /// `offsetof(PyCodeObject, _co_monitoring)`.
    pub co_monitoring: Option<u32>,
    /// `offsetof(PyCodeObject, co_extra)`.
    pub co_extra: u32,
    /// The bytecode. `offsetof(PyCodeObject, co_code_adaptive)`.
    pub co_code_adaptive: Option<u32>,
    /// Pointer to a byte for each instruction: which inline cache is its own. `offsetof(PyCodeObject, co_opcache_map)`.
    pub co_opcache_map: Option<u32>,
    /// A frame object, ended, that is kept for the next call. `offsetof(PyCodeObject, co_zombieframe)`.
    pub co_zombieframe: Option<u32>,
    /// Pointer to the inline caches of a function that runs often. `offsetof(PyCodeObject, co_opcache)`.
    pub co_opcache: Option<u32>,
    /// `u8`, how many there are. `offsetof(PyCodeObject, co_opcache_size)`.
    pub co_opcache_size: Option<u32>,
    /// `sizeof(_PyOpcache)`.
    pub opcache_entry: Option<u32>,
}

/// An activation record, on a data stack or inside a generator or frame object; up to 3.10 the frame object itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// `sizeof(_PyInterpreterFrame)`.
    pub size: u32,
    /// `offsetof(_PyInterpreterFrame, f_funcobj)`.
    pub f_funcobj: Option<u32>,
    /// Borrowed from 3.12 on. `offsetof(_PyInterpreterFrame, f_globals)`.
    pub f_globals: u32,
    /// Borrowed from 3.12 on. `offsetof(_PyInterpreterFrame, f_builtins)`.
    pub f_builtins: u32,
    /// `offsetof(_PyInterpreterFrame, f_locals)`.
    pub f_locals: u32,
    /// Code object; from 3.13 `f_executable`, from 3.14 a tagged reference. `offsetof(_PyInterpreterFrame, f_executable)`.
    pub f_code: u32,
    /// `offsetof(_PyInterpreterFrame, frame_obj)`.
    pub frame_obj: Option<u32>,
    /// `offsetof(_PyInterpreterFrame, previous)`.
    pub previous: u32,
    /// `int`: the instruction that ran last; from 3.10 on counted in pairs of bytes. −1 before the first. `offsetof(PyFrameObject, f_lasti)`.
    pub lasti: Option<u32>,
    /// Pointer to the code unit that ran last; from 3.13 on that it is at. `offsetof(_PyInterpreterFrame, instr_ptr)`.
    pub instr_ptr: Option<u32>,
    /// `int`: used words of `localsplus`, −1 while running. `offsetof(_PyInterpreterFrame, stacktop)`.
    pub stacktop: Option<u32>,
    /// `int`: used words of the stack behind the local variables, −1 while running. `offsetof(PyFrameObject, f_stackdepth)`.
    pub stackdepth: Option<u32>,
    /// Pointer to the first free word, NULL while running. `offsetof(_PyInterpreterFrame, stackpointer)`.
    pub stackpointer: Option<u32>,
    /// `offsetof(_PyInterpreterFrame, owner)`.
    pub owner: Option<u32>,
    /// `offsetof(_PyInterpreterFrame, localsplus)`.
    pub localsplus: u32,
    /// `offsetof(_PyInterpreterFrame, return_offset)`.
    pub return_offset: Option<u32>,
    /// `offsetof(_PyInterpreterFrame, is_entry)`.
    pub is_entry: Option<u32>,
    /// 1 if code, function and locals are `_PyStackRef` (mask the low bits).
    pub tagged: u32,
    /// `FRAME_OWNED_BY_THREAD`.
    pub owned_by_thread: Option<u32>,
    /// `FRAME_OWNED_BY_GENERATOR`.
    pub owned_by_generator: Option<u32>,
    /// `(unsigned char)FRAME_OWNED_BY_FRAME_OBJECT`.
    pub owned_by_frame_object: Option<u32>,
    /// `FRAME_OWNED_BY_INTERPRETER`.
    pub owned_by_interpreter: Option<u32>,
    /// `FRAME_OWNED_BY_CSTACK`.
    pub owned_by_cstack: Option<u32>,
}

/// A `frame`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameObject {
    /// `sizeof(PyFrameObject)`.
    pub size: u32,
    /// `offsetof(PyFrameObject, f_back)`.
    pub f_back: u32,
    /// `offsetof(PyFrameObject, f_frame)`.
    pub f_frame: Option<u32>,
    /// `offsetof(PyFrameObject, f_trace)`.
    pub f_trace: u32,
    /// `offsetof(PyFrameObject, f_lineno)`.
    pub f_lineno: u32,
    /// `offsetof(PyFrameObject, f_extra_locals)`.
    pub f_extra_locals: Option<u32>,
    /// `offsetof(PyFrameObject, f_locals_cache)`.
    pub f_locals_cache: Option<u32>,
    /// `offsetof(PyFrameObject, f_overwritten_fast_locals)`.
    pub f_overwritten_fast_locals: Option<u32>,
    /// The record itself once the frame has ended. `offsetof(PyFrameObject, _f_frame_data)`.
    pub frame_data: Option<u32>,
}

/// Generator, coroutine and async generator begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generator {
    /// `sizeof(PyGenObject)`.
    pub size: u32,
    /// `offsetof(PyGenObject, gi_code)`.
    pub gi_code: Option<u32>,
    /// The frame object, NULL once the generator has ended. `offsetof(PyGenObject, gi_frame)`.
    pub gi_frame: Option<u32>,
    /// `offsetof(PyGenObject, gi_weakreflist)`.
    pub gi_weakreflist: u32,
    /// `offsetof(PyGenObject, gi_name)`.
    pub gi_name: u32,
    /// `offsetof(PyGenObject, gi_qualname)`.
    pub gi_qualname: u32,
    /// `offsetof(PyGenObject, gi_exc_state)`.
    pub gi_exc_state: u32,
    /// `offsetof(PyGenObject, gi_origin_or_finalizer)`.
    pub gi_origin_or_finalizer: u32,
    /// `offsetof(PyGenObject, gi_frame_state)`.
    pub gi_frame_state: Option<u32>,
    /// `offsetof(PyGenObject, gi_iframe)`.
    pub gi_iframe: Option<u32>,
    /// `sizeof(PyCoroObject)`.
    pub coro_size: u32,
    /// `sizeof(PyAsyncGenObject)`.
    pub async_gen_size: u32,
    /// The `gi_frame_state` byte as unsigned. `(unsigned char)FRAME_CREATED`.
    pub frame_created: Option<u32>,
    /// `(unsigned char)FRAME_SUSPENDED`.
    pub frame_suspended: Option<u32>,
    /// `(unsigned char)FRAME_SUSPENDED_YIELD_FROM`.
    pub frame_suspended_yield_from: Option<u32>,
    /// `(unsigned char)FRAME_EXECUTING`.
    pub frame_executing: Option<u32>,
    /// `(unsigned char)FRAME_COMPLETED`.
    pub frame_completed: Option<u32>,
    /// `(unsigned char)FRAME_CLEARED`.
    pub frame_cleared: Option<u32>,
}

/// A bound method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// `sizeof(PyMethodObject)`.
    pub size: u32,
    /// `offsetof(PyMethodObject, im_func)`.
    pub im_func: u32,
    /// `offsetof(PyMethodObject, im_self)`.
    pub im_self: u32,
    /// `offsetof(PyMethodObject, im_weakreflist)`.
    pub im_weakreflist: u32,
}

/// `PyInstanceMethod_Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceMethod {
    /// `offsetof(PyInstanceMethodObject, func)`.
    pub func: u32,
}

/// A function or method written in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltinMethod {
    /// `sizeof(PyCFunctionObject)`.
    pub size: u32,
    /// `offsetof(PyCFunctionObject, m_ml)`.
    pub m_ml: u32,
    /// `offsetof(PyCFunctionObject, m_self)`.
    pub m_self: u32,
    /// `offsetof(PyCFunctionObject, m_module)`.
    pub m_module: u32,
    /// `offsetof(PyCFunctionObject, m_weakreflist)`.
    pub m_weakreflist: u32,
    /// Only of a `PyCMethodObject`. `offsetof(PyCMethodObject, mm_class)`.
    pub mm_class: u32,
    /// `sizeof(PyCMethodObject)`.
    pub method_size: u32,
    /// `offsetof(PyMethodDef, ml_name)`.
    pub def_name: u32,
    /// `offsetof(PyMethodDef, ml_flags)`.
    pub def_flags: u32,
    /// Flag of those that have `mm_class`. `METH_METHOD`.
    pub flag_method: u32,
    /// `METH_STATIC`.
    pub flag_static: u32,
}

/// A module; 3.9 has it in `Objects/moduleobject.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// `sizeof(PyModuleObject)`.
    pub size: u32,
    /// `offsetof(PyModuleObject, md_dict)`.
    pub md_dict: u32,
    /// The `PyModuleDef`, from 3.15 on only if `md_token_is_def`. `offsetof(PyModuleObject, md_token)`.
    pub md_def: u32,
    /// `offsetof(PyModuleObject, md_state)`.
    pub md_state: u32,
    /// Bytes of the module's state. `offsetof(PyModuleObject, md_state_size)`.
    pub md_state_size: Option<u32>,
    /// `offsetof(PyModuleObject, md_weaklist)`.
    pub md_weaklist: u32,
    /// `offsetof(PyModuleObject, md_name)`.
    pub md_name: u32,
    /// `offsetof(PyModuleDef, m_name)`.
    pub def_name: u32,
    /// Bytes of the module's state, in the `PyModuleDef`. `offsetof(PyModuleDef, m_size)`.
    pub def_size: u32,
    /// `offsetof(PyModuleDef, m_base.m_copy)`.
    pub def_copy: u32,
}

/// The head of descriptors written in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descr {
    /// `offsetof(PyDescrObject, d_type)`.
    pub d_type: u32,
    /// `offsetof(PyDescrObject, d_name)`.
    pub d_name: u32,
    /// `offsetof(PyDescrObject, d_qualname)`.
    pub d_qualname: u32,
    /// `sizeof(PyMethodDescrObject)`.
    pub method_size: u32,
    /// `offsetof(PyMethodDescrObject, d_method)`.
    pub method_def: u32,
    /// `sizeof(PyMemberDescrObject)`.
    pub member_size: u32,
    /// `offsetof(PyMemberDescrObject, d_member)`.
    pub member_def: u32,
    /// `sizeof(PyGetSetDescrObject)`.
    pub getset_size: u32,
    /// `sizeof(PyWrapperDescrObject)`.
    pub wrapper_size: u32,
    /// `offsetof(PyWrapperDescrObject, d_base)`.
    pub wrapper_base: u32,
    /// `offsetof(PyWrapperDescrObject, d_wrapped)`.
    pub wrapper_wrapped: u32,
}

/// One line of a traceback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceback {
    /// `sizeof(PyTracebackObject)`.
    pub size: u32,
    /// `offsetof(PyTracebackObject, tb_next)`.
    pub tb_next: u32,
    /// `offsetof(PyTracebackObject, tb_frame)`.
    pub tb_frame: u32,
    /// `offsetof(PyTracebackObject, tb_lasti)`.
    pub tb_lasti: u32,
    /// `offsetof(PyTracebackObject, tb_lineno)`.
    pub tb_lineno: u32,
}

/// The built-in exceptions' fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceptions {
    /// `sizeof(PyBaseExceptionObject)`.
    pub size: u32,
    /// `offsetof(PyBaseExceptionObject, dict)`.
    pub dict: u32,
    /// `offsetof(PyBaseExceptionObject, args)`.
    pub args: u32,
    /// `offsetof(PyBaseExceptionObject, notes)`.
    pub notes: Option<u32>,
    /// `offsetof(PyBaseExceptionObject, traceback)`.
    pub traceback: u32,
    /// `offsetof(PyBaseExceptionObject, context)`.
    pub context: u32,
    /// `offsetof(PyBaseExceptionObject, cause)`.
    pub cause: u32,
    /// `offsetof(PyBaseExceptionObject, suppress_context)`.
    pub suppress_context: u32,
    /// `offsetof(PyBaseExceptionGroupObject, msg)`.
    pub group_msg: Option<u32>,
    /// `offsetof(PyBaseExceptionGroupObject, excs)`.
    pub group_excs: Option<u32>,
    /// `offsetof(PySyntaxErrorObject, msg)`.
    pub syntax_msg: u32,
    /// `offsetof(PySyntaxErrorObject, filename)`.
    pub syntax_filename: u32,
    /// `offsetof(PySyntaxErrorObject, lineno)`.
    pub syntax_lineno: u32,
    /// `offsetof(PySyntaxErrorObject, offset)`.
    pub syntax_offset: u32,
    /// `offsetof(PySyntaxErrorObject, end_lineno)`.
    pub syntax_end_lineno: Option<u32>,
    /// `offsetof(PySyntaxErrorObject, end_offset)`.
    pub syntax_end_offset: Option<u32>,
    /// `offsetof(PySyntaxErrorObject, text)`.
    pub syntax_text: u32,
    /// `offsetof(PySyntaxErrorObject, print_file_and_line)`.
    pub syntax_print_file_and_line: u32,
    /// `offsetof(PyImportErrorObject, msg)`.
    pub import_msg: u32,
    /// `offsetof(PyImportErrorObject, name)`.
    pub import_name: u32,
    /// `offsetof(PyImportErrorObject, path)`.
    pub import_path: u32,
    /// `offsetof(PyImportErrorObject, name_from)`.
    pub import_name_from: Option<u32>,
    /// `offsetof(PyUnicodeErrorObject, encoding)`.
    pub unicode_encoding: u32,
    /// `offsetof(PyUnicodeErrorObject, object)`.
    pub unicode_object: u32,
    /// `offsetof(PyUnicodeErrorObject, reason)`.
    pub unicode_reason: u32,
    /// `offsetof(PySystemExitObject, code)`.
    pub system_exit_code: u32,
    /// `offsetof(PyOSErrorObject, myerrno)`.
    pub os_errno: u32,
    /// `offsetof(PyOSErrorObject, strerror)`.
    pub os_strerror: u32,
    /// `offsetof(PyOSErrorObject, filename)`.
    pub os_filename: u32,
    /// `offsetof(PyOSErrorObject, filename2)`.
    pub os_filename2: u32,
    /// `offsetof(PyStopIterationObject, value)`.
    pub stop_iteration_value: u32,
    /// `offsetof(PyNameErrorObject, name)`.
    pub name_error_name: Option<u32>,
    /// `offsetof(PyAttributeErrorObject, obj)`.
    pub attribute_error_obj: Option<u32>,
    /// `offsetof(PyAttributeErrorObject, name)`.
    pub attribute_error_name: Option<u32>,
}

/// Template strings, `Objects/templateobject.c`, `interpolationobject.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// `strings`.
    pub strings: Option<u32>,
    /// `interpolations`.
    pub interpolations: Option<u32>,
    /// `interpolation_value`.
    pub interpolation_value: Option<u32>,
    /// `interpolation_expression`.
    pub interpolation_expression: Option<u32>,
    /// `interpolation_conversion`.
    pub interpolation_conversion: Option<u32>,
    /// `interpolation_format_spec`.
    pub interpolation_format_spec: Option<u32>,
}
