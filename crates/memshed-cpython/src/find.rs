//! Finding by shape what stripped builds up to 3.11 do not name: the table of arenas and the
//! dictionary of interned strings, both static variables there. From 3.12 on the interpreter's
//! state has them.

use crate::interpreters::Interpreter;
use crate::layouts::Layout;
use crate::marks::Marks;
use crate::problems::Problems;
use crate::pymalloc::{Arenas, DEBUG_MARK, DEBUG_MARK_RAW, DEBUG_PREFIX};
use crate::python::Python;
use crate::read::Reader;
use crate::types::Types;
use memshed_target::{Memory, Range, ReadError, RemoteAddr};

/// Objects asked for the arena they lie in.
const VOTERS: usize = 64;
/// A list of more arenas than this (64 TiB) is no list of arenas.
const MAX_ARENAS: u64 = 1 << 26;
/// More blocks than this are misread.
const MAX_BLOCKS: u64 = 1 << 36;
/// An interpreter has interned at least so many strings by the time it runs a program.
const MIN_INTERNED: u64 = 100;

impl Python {
    /// The arenas of `interpreter`; none if another allocator is in use.
    pub(crate) fn arenas<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        interpreter: &Interpreter,
        problems: &Problems,
    ) -> Result<Arenas, ReadError> {
        let layout = &self.layout;
        let l = &layout.obmalloc;
        let (Some(state), Some(arenas), Some(count)) =
            (layout.interp.obmalloc, l.arenas, l.maxarenas)
        else {
            let sample = sample(reader, layout, interpreter);
            let Some((variable, count)) = self.vote(reader, &sample) else {
                return Ok(Arenas::default());
            };
            let table = reader.pointer(variable)?;
            return Arenas::read(reader, layout, table, count, problems);
        };
        let state = interpreter.at.add(state.into());
        // 3.12 has the allocator's state inline, later versions a pointer to it.
        let state = if self.minor > 12 {
            reader.pointer(state)?
        } else {
            state
        };
        let table = reader.pointer(state.add(arenas.into()))?;
        let count = reader.u32(state.add(count.into()))?;
        if table.is_null() {
            return Ok(Arenas::default());
        }
        let found = Arenas::read(reader, layout, table, count, problems)?;
        if let Some(said) = l.narenas_currently_allocated {
            let said = reader.u64(state.add(said.into()))?;
            // A thread may have been stopped while it was given one.
            if said.abs_diff(found.count()) > 1 {
                let count = found.count();
                problems.add("torn-arena", || format!("{count} arenas, not {said}"));
            }
        }
        Ok(found)
    }

    /// Larger blocks that `sys.getallocatedblocks()` counts beside pymalloc's own, of all
    /// `interpreters`; those that share a GIL may share the allocator's state.
    pub(crate) fn raw_blocks<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        interpreters: &[Interpreter],
        problems: &Problems,
    ) -> Option<u64> {
        let offset = self.layout.interp.obmalloc?;
        let states = interpreters.iter().map(|interpreter| {
            let state = interpreter.at.add(offset.into());
            match self.minor > 12 {
                true => reader.pointer(state),
                false => Ok(state),
            }
        });
        let mut states = states.collect::<Result<Vec<_>, _>>().ok()?;
        states.sort_unstable();
        states.dedup();
        let blocks = self.layout.obmalloc.raw_allocated_blocks?;
        let counts = states
            .iter()
            .map(|state| reader.u64(state.add(blocks.into())));
        let sum = counts.sum::<Result<u64, _>>().unwrap_or(0);
        // No interpreter gets by without a large block.
        if !(1..MAX_BLOCKS).contains(&sum) {
            problems.add("torn-count", || format!("{sum} larger blocks"));
            return None;
        }
        Some(sum)
    }

    /// The words of data that may be the static variable `arenas`, up to 3.11: all those that point
    /// to the table; and how many arenas there is room for.
    pub(crate) fn arenas_variables<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        interpreter: &Interpreter,
    ) -> (Vec<RemoteAddr>, u32) {
        let sample = sample(reader, &self.layout, interpreter);
        let Some((first, count)) = self.vote(reader, &sample) else {
            return (Vec::new(), 0);
        };
        let table = reader.pointer(first).unwrap_or_default();
        let all = words(reader, &self.program.data).filter(|&(_, word)| word == table);
        (all.map(|(at, _)| at).collect(), count)
    }

    /// The static variable `arenas` up to 3.11: a word of data is it if the objects in `sample` find
    /// their own arenas through it. A pool's header says the number of its arena. Where it is, or
    /// another one that points to the table; and how many arenas there is room for.
    fn vote<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        sample: &[RemoteAddr],
    ) -> Option<(RemoteAddr, u32)> {
        let (l, pool) = (&self.layout.arena, &self.layout.pool);
        let (arena_size, pool_size) = (
            u64::from(self.layout.obmalloc.arena_size),
            u64::from(self.layout.obmalloc.pool_size),
        );
        let head = u64::from(self.layout.gc.head_size);
        let whole = arena_size / pool_size;
        let ballot: Vec<(u64, u32)> = sample
            .iter()
            .filter_map(|at| {
                let start = at.sub(head).0 & !(pool_size - 1);
                let index = reader
                    .u32(RemoteAddr(start).add(pool.arenaindex.into()))
                    .ok()?;
                (u64::from(index) < MAX_ARENAS).then_some((start, index))
            })
            .collect();
        let agrees = |table: RemoteAddr, &(start, index): &(u64, u32)| {
            let at = table.add(u64::from(index) * u64::from(l.size));
            let address = reader.u64(at.add(l.address.into())).unwrap_or(0);
            // Of nearly all words that are asked about, this is all that has to be read.
            if address == 0 || address > start {
                return false;
            }
            let pools = reader.u32(at.add(l.ntotalpools.into())).unwrap_or(0);
            let free = reader.u32(at.add(l.nfreepools.into())).unwrap_or(0);
            let top = reader.u64(at.add(l.pool_address.into())).unwrap_or(0);
            start < top
                && top <= address.saturating_add(arena_size)
                && top.is_multiple_of(pool_size)
                // Less than fit into it if some were retired.
                && (1..=whole).contains(&pools.into())
                && free < pools
        };
        let (variable, table) = words(reader, &self.program.data).find(|&(_, table)| {
            // Some of the sample may lie outside of pymalloc's memory.
            let most = ballot.len() / 4;
            let mut against = 0;
            let votes = ballot.iter().take_while(|vote| {
                against += usize::from(!agrees(table, vote));
                against <= most
            });
            let asked = votes.count();
            against <= most && asked - against >= 6
        })?;
        // The table comes from malloc, which keeps the size of the chunk before it; debug hooks
        // put there how many bytes were asked for.
        let before = reader.u64(table.sub(8)).ok()?;
        let bytes = match before {
            DEBUG_MARK_RAW => reader.u64(table.sub(16)).ok()?.swap_bytes(),
            chunk => (chunk & !7).saturating_sub(8),
        };
        let count = (bytes / u64::from(l.size)).min(MAX_ARENAS);
        Some((variable, u32::try_from(count).ok()?))
    }

    /// The static variable `interned` up to 3.11: a word of data that points to a dictionary whose
    /// keys are its values, all of them strings.
    pub(crate) fn static_interned<M: Memory>(
        &self,
        reader: Reader<'_, M>,
        types: &Types<'_, M>,
    ) -> Option<RemoteAddr> {
        if self.layout.interp.interned_strings.is_some() {
            return None;
        }
        let layout = &self.layout;
        let mut pointers = words(reader, &self.program.data).map(|(_, word)| word);
        pointers.find(|&at| {
            let of = reader
                .pointer(at.add(layout.object.ob_type.into()))
                .unwrap_or_default();
            let is_dict = types
                .known(of)
                .is_some_and(|id| types.info(id).full_name() == "dict");
            let used = reader.u64(at.add(layout.dict.ma_used.into())).unwrap_or(0);
            is_dict && used >= MIN_INTERNED && is_interned(reader, layout, at)
        })
    }
}

fn is_interned<M: Memory>(reader: Reader<'_, M>, layout: &Layout, at: RemoteAddr) -> bool {
    let Ok(Some(dict)) = crate::dicts::Dict::read(reader, layout, at) else {
        return false;
    };
    let mut same = true;
    let seen = dict.for_each(reader, layout, |_, key, value| same &= key == value);
    seen.is_ok() && same
}

/// The words of `ranges` that could be pointers to allocated memory, and where each is.
fn words<'m, M: Memory>(
    reader: Reader<'m, M>,
    ranges: &'m [Range],
) -> impl Iterator<Item = (RemoteAddr, RemoteAddr)> + 'm {
    ranges
        .iter()
        .filter_map(move |range| {
            let start = RemoteAddr(range.start);
            let words = reader.pointers(start, (range.len() / 8) as usize).ok()?;
            Some((0..).map(move |i| start.add(8 * i)).zip(words))
        })
        .flatten()
        .filter(|(_, word)| word.0 > 4096 && word.0 % 8 == 0 && word.0 >> 47 == 0)
}

/// Some objects of the collector's lists, the oldest first.
pub(crate) fn sample<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    interpreter: &Interpreter,
) -> Vec<RemoteAddr> {
    members(reader, layout, interpreter, VOTERS)
}

/// Bytes that debug hooks put before each block, by the objects in `sample`: 0 where there are no
/// such hooks. Objects may begin with a collector's header, and with two words before that.
pub(crate) fn debug_prefix<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    sample: &[RemoteAddr],
) -> u64 {
    let head = u64::from(layout.gc.head_size);
    let marked = |at: &&RemoteAddr| {
        let before = |bytes| reader.u64(at.sub(head + bytes + 8)) == Ok(DEBUG_MARK);
        before(0) || before(16)
    };
    // Some of the sample may be parts of the program's data.
    match sample.iter().filter(marked).count() * 2 > sample.len() {
        true => DEBUG_PREFIX,
        false => 0,
    }
}

/// Whether most of the objects in `sample` have a chunk's size before them, as glibc's malloc puts
/// it: then there need not be any arenas.
pub(crate) fn is_from_malloc<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    prefix: u64,
    sample: &[RemoteAddr],
) -> bool {
    let head = u64::from(layout.gc.head_size) + prefix + 8;
    let sized = |at: &&RemoteAddr| {
        let before = |bytes| {
            let word = reader.u64(at.sub(head + bytes)).unwrap_or(0);
            (32..1 << 20).contains(&word) && word & 8 == 0
        };
        before(0) || before(16)
    };
    sample.iter().filter(sized).count() * 4 >= sample.len() * 3
}

/// Up to `limit` objects of each of the collector's lists, the oldest generation first.
pub(crate) fn members<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    interpreter: &Interpreter,
    limit: usize,
) -> Vec<RemoteAddr> {
    let mut found = Vec::new();
    let mut seen = Marks::new();
    for head in interpreter.list_heads(layout).into_iter().rev() {
        let mut link = head;
        for _ in 0..limit {
            let Ok(next) = reader.u64(link) else { break };
            let next = RemoteAddr(next & !3);
            if next == head || !seen.insert(next.0) {
                break;
            }
            found.push(next.add(layout.gc.head_size.into()));
            link = next;
        }
    }
    found
}

/// `PyType_Type`: the type that is its own type, at the end of the types of types of `sample`.
pub(crate) fn type_type<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    sample: &[RemoteAddr],
) -> Option<RemoteAddr> {
    sample.iter().find_map(|&object| {
        let mut at = object;
        for _ in 0..8 {
            let of = reader.pointer(at.add(layout.object.ob_type.into())).ok()?;
            if of == at {
                let name = reader.pointer(at.add(layout.ty.tp_name.into())).ok()?;
                return (reader.c_string(name, 8).ok()? == "type").then_some(at);
            }
            at = of;
        }
        None
    })
}
