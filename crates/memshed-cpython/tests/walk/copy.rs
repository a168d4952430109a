//! The memory of a process that waits.

use memshed_target::{Memory, Process, Range, ReadError, RemoteAddr};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// A process's memory, copied whole.
#[derive(Clone)]
pub struct Copy(pub Vec<(u64, Vec<u8>)>);

impl Copy {
    /// Copies it, while it waits in a system call.
    pub fn of(process: &Process) -> Copy {
        let memory = File::open(format!("/proc/{}/mem", process.pid())).expect("its memory");
        let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
        for mapping in process.mappings().expect("its mappings") {
            let mut bytes = vec![0; mapping.range().len() as usize];
            if !mapping.safe_to_read() || memory.read_exact_at(&mut bytes, mapping.start).is_err() {
                continue;
            }
            match runs.last_mut() {
                Some((start, run)) if *start + run.len() as u64 == mapping.start => {
                    run.extend(bytes);
                }
                _ => runs.push((mapping.start, bytes)),
            }
        }
        Copy(runs)
    }

    fn run(&self, at: RemoteAddr) -> Option<&(u64, Vec<u8>)> {
        let after = self.0.partition_point(|run| run.0 <= at.0);
        let run = &self.0[after.checked_sub(1)?];
        (at.0 - run.0 < run.1.len() as u64).then_some(run)
    }
}

impl Memory for Copy {
    fn bytes(&self, at: RemoteAddr, len: usize) -> Result<&[u8], ReadError> {
        let (start, bytes) = self.run(at).ok_or(ReadError::Unmapped(at))?;
        let from = (at.0 - start) as usize;
        let to = from.checked_add(len).ok_or(ReadError::Unmapped(at))?;
        bytes.get(from..to).ok_or(ReadError::Unmapped(at))
    }

    fn mapped_run(&self, at: RemoteAddr) -> Option<Range> {
        let (start, bytes) = self.run(at)?;
        Some(Range {
            start: *start,
            end: start + bytes.len() as u64,
        })
    }
}
