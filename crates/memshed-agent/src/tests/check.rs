//! Whether a model's state is sound, and agrees with what the test knows to be in use.

use super::pymalloc::{CLASSES, Pymalloc, get, get32};
use crate::abi::{arena_object as ao, pool_header as ph};
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong first; `live` are the blocks in use.
pub fn check(model: &Pymalloc, live: &BTreeMap<u64, (u64, u64)>) -> Result<(), String> {
    let mut unused = BTreeSet::new();
    let mut usable = BTreeMap::new();
    let mut in_rings = BTreeMap::new();
    let mut in_use = 0;
    for (index, object) in model.objects() {
        if get(object) == 0 {
            unused.insert(object);
            continue;
        }
        let free = arena(model, index, object, live, &mut in_rings, &mut in_use)?;
        if free > 0 {
            usable.insert(object, free);
        }
    }
    if in_use != live.len() {
        return Err(format!("{in_use} blocks in use, not {}", live.len()));
    }
    let mut at = get(model.unused_at());
    while at != 0 {
        unused
            .remove(&at)
            .then_some(())
            .ok_or("the unused arena objects")?;
        at = get(at + ao::NEXTARENA);
    }
    if !unused.is_empty() {
        return Err("an arena object is unused and not listed".to_owned());
    }
    lists(model, usable)?;
    for class in 0..CLASSES {
        let head = model.head(class);
        let (mut before, mut at) = (head, get(head + ph::NEXTPOOL));
        while at != head {
            if in_rings.remove(&at) != Some(class) || get(at + ph::PREVPOOL) != before {
                return Err(format!("the ring of class {class}"));
            }
            (before, at) = (at, get(at + ph::NEXTPOOL));
        }
        if get(head + ph::PREVPOOL) != before {
            return Err(format!("the ring of class {class} does not close"));
        }
    }
    match in_rings.is_empty() {
        true => Ok(()),
        false => Err("a pool is not in its ring".to_owned()),
    }
}

fn lists(model: &Pymalloc, mut usable: BTreeMap<u64, u32>) -> Result<(), String> {
    let mut lasts = vec![0; model.slots() as usize + 1];
    let (mut before, mut most, mut at) = (0, 0, get(model.usable_at()));
    while at != 0 {
        let free = usable
            .remove(&at)
            .ok_or("a usable arena that is not, or twice")?;
        if free < most || get(at + ao::PREVARENA) != before {
            return Err("the order of usable arenas".to_owned());
        }
        lasts[free as usize] = at;
        (before, most, at) = (at, free, get(at + ao::NEXTARENA));
    }
    if !usable.is_empty() {
        return Err("an arena with free pools is not usable".to_owned());
    }
    let said = (0..).map(|n| get(model.last_at(n)));
    match said.zip(&lasts).all(|(said, &last)| said == last) {
        true => Ok(()),
        false => Err("nfp2lasta".to_owned()),
    }
}

/// Checks an arena: how many free pools it has.
fn arena(
    model: &Pymalloc,
    index: u32,
    object: u64,
    live: &BTreeMap<u64, (u64, u64)>,
    in_rings: &mut BTreeMap<u64, u64>,
    in_use: &mut usize,
) -> Result<u32, String> {
    let size = model.pool_size;
    let first = get(object).next_multiple_of(size);
    let whole = (get(object) + model.arena_size - first) / size;
    let top = get(object + ao::POOL_ADDRESS);
    let (free, total) = (
        get32(object + ao::NFREEPOOLS),
        get32(object + ao::NTOTALPOOLS),
    );
    if top < first || top > first + whole * size || top % size != 0 {
        return Err(format!("arena {index}: its top"));
    }
    let mut listed = BTreeSet::new();
    let mut at = get(object + ao::FREEPOOLS);
    while at != 0 {
        if at < first || at >= top || at % size != 0 || !listed.insert(at) {
            return Err(format!("arena {index}: its free pools"));
        }
        at = get(at + ph::NEXTPOOL);
    }
    if listed.len() as u64 + whole - (top - first) / size != u64::from(free) || free > total {
        return Err(format!("arena {index}: the count of its free pools"));
    }
    let mut retired = 0;
    for pool in (first..top).step_by(size as usize) {
        let used = get32(pool);
        let lives: Vec<u64> = live.range(pool..pool + size).map(|(&at, _)| at).collect();
        if lives.len() != used as usize {
            return Err(format!(
                "pool {pool:#x}: {used} in use, not {}",
                lives.len()
            ));
        }
        if listed.contains(&pool) != (used == 0) {
            let zeros = (0..ph::SIZE).step_by(8).all(|word| get(pool + word) == 0);
            if used > 0 || !zeros {
                return Err(format!(
                    "pool {pool:#x}: in use or listed, not both or neither"
                ));
            }
            retired += 1;
            continue;
        }
        if get32(pool + ph::ARENAINDEX) != index {
            return Err(format!("pool {pool:#x}: of another arena"));
        }
        *in_use += lives.len();
        let class = u64::from(get32(pool + ph::SZIDX));
        if used == 0 && class == u64::from(ph::DUMMY_SIZE_IDX) {
            continue;
        }
        let full = blocks(pool, size, class, &lives)?;
        if used > 0 && !full {
            in_rings.insert(pool, class);
        }
    }
    match retired + u64::from(total) == whole {
        true => Ok(free),
        false => Err(format!(
            "arena {index}: {retired} retired, {total} of {whole} left"
        )),
    }
}

/// Checks that each block of a pool is in use, on the chain, or uncarved; whether it is full.
fn blocks(pool: u64, pool_size: u64, class: u64, lives: &[u64]) -> Result<bool, String> {
    if class >= CLASSES {
        return Err(format!("pool {pool:#x}: class {class}"));
    }
    let size = (class + 1) * 16;
    let capacity = (pool_size - ph::SIZE) / size;
    let aligned = |at: u64| at >= pool + ph::SIZE && (at - pool - ph::SIZE) % size == 0;
    let mut seen: BTreeSet<u64> = lives.iter().copied().collect();
    let (mut next, most) = (
        get32(pool + ph::NEXTOFFSET),
        get32(pool + ph::MAXNEXTOFFSET),
    );
    while next <= most {
        let at = pool + u64::from(next);
        if !seen.insert(at) {
            return Err(format!("pool {pool:#x}: what is uncarved is in use"));
        }
        next += size as u32;
    }
    let mut at = get(pool + ph::FREEBLOCK);
    let chained = at != 0;
    while at != 0 {
        if at < pool || at >= pool + pool_size || !seen.insert(at) {
            return Err(format!("pool {pool:#x}: its chain"));
        }
        at = get(at);
    }
    let fits = |at: &u64| aligned(*at) && at + size <= pool + pool_size;
    if seen.len() as u64 != capacity || !seen.iter().all(fits) {
        return Err(format!(
            "pool {pool:#x}: {} blocks, not {capacity}",
            seen.len()
        ));
    }
    let full = lives.len() as u64 == capacity;
    match full == chained {
        true => Err(format!("pool {pool:#x}: full or not, chained or not")),
        false => Ok(full),
    }
}
