//! Calling functions of the process.

use crate::abi::{Call, status};
use core::mem::transmute;

/// Calls the function, with the GIL as the job says.
pub fn run(call: &mut Call) -> u32 {
    if call.function == 0 {
        return status::TORN;
    }
    // SAFETY: memshed looked these up by name in the libraries of this process: `PyGILState_STATE
    // PyGILState_Ensure(void)`, `void PyGILState_Release(PyGILState_STATE)`, `PyThreadState
    // *PyEval_SaveThread(void)`, `void PyEval_RestoreThread(PyThreadState *)`, and the function,
    // which takes at most five integers or pointers.
    unsafe {
        let ensured = match call.ensure {
            0 => 0,
            at => transmute::<u64, extern "C" fn() -> i32>(at)(),
        };
        let saved = match call.save_thread {
            0 => 0,
            at => transmute::<u64, extern "C" fn() -> u64>(at)(),
        };
        let function: extern "C" fn(u64, u64, u64, u64, u64) -> u64 = transmute(call.function);
        let [a, b, c, d, e] = call.args;
        call.result = function(a, b, c, d, e);
        if call.save_thread != 0 {
            transmute::<u64, extern "C" fn(u64)>(call.restore_thread)(saved);
        }
        if call.ensure != 0 {
            transmute::<u64, extern "C" fn(i32)>(call.release)(ensured);
        }
    }
    status::DONE
}
