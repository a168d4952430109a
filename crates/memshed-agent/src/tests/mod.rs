//! The surgery on pymalloc against a model of pymalloc: whatever is allocated, freed and shed in
//! whatever order, blocks in use keep their contents, no block is given out twice, and everything
//! that must hold of the allocator's state does.

mod check;
mod pymalloc;

use crate::abi::{ArenaPlan, PAGES, Shed, arena_object as ao, pool_header as ph, status, steps};
use crate::kernel::{self, Many};
use check::check;
use proptest::prelude::*;
use pymalloc::{Pymalloc, get, get32, put, put32};
use std::collections::BTreeMap;

/// The allocator, and what the program that uses it knows.
struct World {
    model: Pymalloc,
    /// Blocks in use, with their sizes and what is in them.
    live: BTreeMap<u64, (u64, u64)>,
    written: u64,
    /// What was given back, by step, and how often something was left alone for being shared.
    released: [u64; steps::COUNT],
    shared_pools: u64,
}

/// How to shed.
#[derive(Clone, Debug)]
struct How {
    steps: u64,
    budget: u64,
    ranges: u64,
    many: Many,
    stubborn: bool,
    /// One page in so many is not resident; 0: all are.
    away: u64,
    /// One page in so many is shared; 0: none is.
    shared: u64,
    seed: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Alloc { size: u64, count: u64 },
    Free { one_in: u64, seed: u64 },
    FreeButOneIn(u64),
    Shed(How),
}

fn mix(seed: u64, value: u64) -> u64 {
    let mixed = (seed ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 17
}

fn one_in(n: u64, seed: u64, value: u64) -> bool {
    n > 0 && mix(seed, value).is_multiple_of(n)
}

impl World {
    fn new(pool_size: u64, arena_size: u64) -> World {
        World {
            model: Pymalloc::new(pool_size, arena_size),
            live: BTreeMap::new(),
            written: 0,
            released: [0; steps::COUNT],
            shared_pools: 0,
        }
    }

    fn alloc(&mut self, size: u64) {
        let at = self.model.alloc(size);
        self.written += 1;
        for word in 0..size / 8 {
            put(at + word * 8, mix(self.written, word));
        }
        let twice = self.live.insert(at, (size, self.written));
        assert_eq!(twice, None, "{at:#x} was given out twice");
    }

    fn verify(&self, at: u64) {
        let (size, written) = self.live[&at];
        for word in 0..size / 8 {
            assert_eq!(
                get(at + word * 8),
                mix(written, word),
                "a block in use changed"
            );
        }
    }

    fn free(&mut self, which: impl Fn(u64) -> bool) {
        let all: Vec<u64> = self.live.keys().copied().filter(|&at| which(at)).collect();
        for at in all {
            self.verify(at);
            self.live.remove(&at);
            self.model.free(at);
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Alloc { size, count } => (0..*count).for_each(|_| self.alloc(*size)),
            Step::Free { one_in: n, seed } => self.free(|at| one_in(*n, *seed, at)),
            Step::FreeButOneIn(n) => self.free(|at| !one_in(*n, 1, at)),
            Step::Shed(how) => self.shed(how),
        }
    }

    /// The plans of all arenas, with pages that are away and shared.
    fn plans(&self, how: &How) -> Vec<ArenaPlan> {
        let objects = self.model.objects().filter(|&(_, object)| get(object) != 0);
        let plan = |(index, object): (u32, u64)| {
            let mut plan = ArenaPlan {
                address: get(object),
                index: index.into(),
                pools: [u64::MAX; 2],
                resident: [0; PAGES / 64],
                shared: [0; PAGES / 64],
            };
            for page in 0..self.model.arena_size / 4096 {
                let (word, bit) = ((page / 64) as usize, 1 << (page % 64));
                let at = get(object) + page * 4096;
                if !one_in(how.away, how.seed, at) {
                    plan.resident[word] |= bit;
                    if one_in(how.shared, how.seed + 1, at) {
                        plan.shared[word] |= bit;
                    }
                }
            }
            plan
        };
        objects.map(plan).collect()
    }

    fn shed(&mut self, how: &How) {
        kernel::behave(how.many, how.stubborn);
        let mut plans = self.plans(how);
        let before = plans.clone();
        // Shared pages are neither written to nor discarded.
        let shared: Vec<(u64, Vec<u64>)> = pages_of(&before, |plan| plan.shared)
            .map(|at| (at, (0..512).map(|word| get(at + word * 8)).collect()))
            // A retired pool that comes back costs a page.
            .filter(|(_, words): &(u64, Vec<u64>)| {
                how.steps & steps::UNRETIRE == 0 || words[..6].iter().any(|&word| word != 0)
            })
            .collect();
        let mut ranges = vec![[0u64; 2]; how.ranges as usize];
        let mut shed = Shed {
            arenas: 0,
            table: 0,
            maxarenas: 0,
            usable_arenas: 0,
            nfp2lasta: 0,
            pool_size: 0,
            arena_size: 0,
            steps: how.steps,
            budget_ns: how.budget,
            plans: plans.as_mut_ptr() as u64,
            plans_len: plans.len() as u64,
            cursor: 0,
            ranges: ranges.as_mut_ptr() as u64,
            ranges_len: how.ranges,
            released: [0; steps::COUNT],
            pools: 0,
            torn_pools: 0,
            shared_pools: 0,
            torn_arenas: 0,
            refused: 0,
            refused_bytes: 0,
            error: 0,
        };
        self.model.describe(&mut shed);
        loop {
            let status = crate::shed::run(&mut shed, kernel::now());
            if let Err(wrong) = check(&self.model, &self.live) {
                panic!("{wrong}, after {how:?}");
            }
            match status {
                status::DONE => break,
                status::MORE => {}
                _ => panic!("status {status}"),
            }
        }
        assert_eq!((shed.torn_arenas, shed.torn_pools), (0, 0));
        for (at, words) in shared {
            let same = words.iter().zip(0..).all(|(&w, i)| get(at + i * 8) == w);
            assert!(same, "a shared page was written to");
        }
        self.account(&shed, &before, &plans, how);
    }

    /// What was discarded was resident, is so no longer by the plan, and is what it says.
    fn account(&mut self, shed: &Shed, before: &[ArenaPlan], plans: &[ArenaPlan], how: &How) {
        let told: u64 = shed.released.iter().sum();
        let resident = |plans: &[ArenaPlan]| pages_of(plans, |plan| plan.resident).count() as u64;
        assert_eq!(told, (resident(before) - resident(plans)) * 4096);
        let discarded = kernel::discarded();
        if how.stubborn {
            assert!(discarded.is_empty());
            assert_eq!(shed.refused > 0, told > 0);
        } else {
            assert_eq!(shed.refused, 0);
            let gone: u64 = pages_of(before, |plan| plan.resident)
                .filter(|at| {
                    discarded
                        .iter()
                        .any(|&(start, end)| (start..end).contains(at))
                })
                .count() as u64;
            assert_eq!(told, gone * 4096);
        }
        for (sum, released) in self.released.iter_mut().zip(shed.released) {
            *sum += released;
        }
        self.shared_pools += shed.shared_pools;
    }

    fn verify_all(&self) {
        self.live.keys().for_each(|&at| self.verify(at));
        assert_eq!(check(&self.model, &self.live), Ok(()));
    }
}

/// The addresses of the pages that are set in a bitmap of each plan.
fn pages_of(
    plans: &[ArenaPlan],
    set: impl Fn(&ArenaPlan) -> [u64; PAGES / 64],
) -> impl Iterator<Item = u64> {
    plans.iter().flat_map(move |plan| {
        let (bits, start) = (set(plan), plan.address);
        let set = move |page: &u64| bits[(page / 64) as usize] >> (page % 64) & 1 == 1;
        (0..PAGES as u64)
            .filter(set)
            .map(move |page| start + page * 4096)
    })
}

fn how() -> impl Strategy<Value = How> {
    let many = prop_oneof![Just(Many::Done), Just(Many::Half), Just(Many::Refused)];
    let sets = prop_oneof![1..32u64, Just(7u64), Just(15u64)];
    let some = || prop_oneof![Just(0u64), Just(0u64), 2..9u64];
    let budget = prop_oneof![Just(0u64), 0..100_000u64, Just(u64::MAX)];
    let ranges = prop_oneof![Just(0u64), 1..8u64, Just(1024u64)];
    let stubborn = prop::bool::weighted(0.1);
    (
        sets,
        budget,
        ranges,
        many,
        stubborn,
        some(),
        some(),
        any::<u64>(),
    )
        .prop_map(
            |(steps, budget, ranges, many, stubborn, away, shared, seed)| How {
                steps,
                budget,
                ranges,
                many,
                stubborn,
                away,
                shared,
                seed: seed / 2,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![1..=512u64, Just(512u64), Just(16u64), 33..100u64];
    prop_oneof![
        4 => (size, 1..3000u64).prop_map(|(size, count)| Step::Alloc { size, count }),
        2 => (1..5u64, any::<u64>()).prop_map(|(one_in, seed)| Step::Free { one_in, seed }),
        2 => (2..600u64).prop_map(Step::FreeButOneIn),
        4 => how().prop_map(Step::Shed),
    ]
}

/// Sizes of pools and arenas: of 3.9, of 3.10 and later, and of 3.15 with huge pages.
fn sizes() -> impl Strategy<Value = (u64, u64)> {
    let kib = |pool: u64, arena: u64| Just((pool << 10, arena << 10));
    prop_oneof![kib(4, 256), kib(16, 1024), kib(16, 1024), kib(16, 2048)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_shed_the_allocator_stays_sound(
        (pool_size, arena_size) in sizes(),
        program in prop::collection::vec(step(), 1..40),
    ) {
        let mut world = World::new(pool_size, arena_size);
        for step in &program {
            world.step(step);
            if !matches!(step, Step::Shed(_)) {
                world.verify_all();
            }
        }
        world.free(|_| true);
        world.verify_all();
    }
}

const ALL: How = How {
    steps: 7,
    budget: u64::MAX,
    ranges: 1024,
    many: Many::Done,
    stubborn: false,
    away: 0,
    shared: 0,
    seed: 0,
};

/// A heap of which few blocks stay.
fn fragmented() -> World {
    let mut world = World::new(16 << 10, 1 << 20);
    for i in 0..60_000 {
        world.alloc([48, 64, 232, 512, 16][i % 5]);
    }
    world.free(|at| !one_in(301, 2, at));
    world
}

#[test]
fn each_step_gives_something_and_the_second_time_nothing() {
    let mut world = fragmented();
    for step in [
        steps::ARENA_TOPS,
        steps::FREE_POOLS,
        steps::USED_POOLS,
        steps::RETIRE,
    ] {
        world.shed(&How {
            steps: step,
            ..ALL.clone()
        });
        let gave = world.released[step.trailing_zeros() as usize];
        assert!(gave > 0, "step {step}");
    }
    // By a plan that says again that everything is resident: the same runs are found again, but the
    // pages of what was retired are nobody's.
    let given = world.released;
    world.shed(&How {
        steps: steps::RETIRE,
        ..ALL.clone()
    });
    assert_eq!(world.released[3], given[3]);
    world.shed(&How {
        steps: steps::UNRETIRE,
        ..ALL.clone()
    });
    world.shed(&How {
        steps: steps::RETIRE,
        ..ALL.clone()
    });
    assert!(world.released[3] > given[3]);
    world.verify_all();
}

#[test]
fn memory_that_was_shed_serves_again() {
    let mut world = fragmented();
    world.shed(&How {
        steps: 15,
        ..ALL.clone()
    });
    for i in 0..60_000 {
        world.alloc([48, 64, 232, 512, 16, 496][i % 6]);
    }
    world.verify_all();
    world.free(|_| true);
    world.shed(&How {
        steps: steps::UNRETIRE,
        ..ALL.clone()
    });
    world.verify_all();
}

#[test]
fn what_is_shared_is_left_alone() {
    let mut world = fragmented();
    world.shed(&How {
        shared: 1,
        steps: 15,
        ..ALL.clone()
    });
    assert_eq!(world.released, [0; steps::COUNT]);
    assert!(world.shared_pools > 0);
}

#[test]
fn a_slice_ends_when_its_time_is_up() {
    let mut world = fragmented();
    let mut plans = world.plans(&ALL);
    assert!(plans.len() > 3);
    let mut shed = job(&world, &mut plans);
    shed.budget_ns = 0;
    let mut slices = 1;
    while crate::shed::run(&mut shed, kernel::now()) == status::MORE {
        slices += 1;
    }
    assert_eq!(slices, plans.len());
    world.live.clear();
    kernel::discarded();
}

#[test]
fn arenas_that_are_not_what_the_plan_says_are_left_alone() {
    let world = fragmented();
    let mut plans = world.plans(&ALL);
    plans[0].address += 1 << 20;
    plans[1].index = 1 << 20;
    plans[2].index = u64::MAX;
    let (_, object) = world.model.objects().nth(3).expect("an arena");
    put32(object + ao::NFREEPOOLS, get32(object + ao::NFREEPOOLS) + 1);
    let mut shed = job(&world, &mut plans);
    assert_eq!(crate::shed::run(&mut shed, kernel::now()), status::DONE);
    assert_eq!(shed.torn_arenas, 4);
    kernel::discarded();
}

#[test]
fn pools_whose_counts_do_not_agree_are_left_alone() {
    let world = fragmented();
    let (&block, _) = world.live.first_key_value().expect("a block");
    let pool = block & !16383;
    assert!(get(pool + ph::FREEBLOCK) != 0);
    let untouched = |change: &dyn Fn(), undo: &dyn Fn()| {
        change();
        let words: Vec<u64> = (0..2048).map(|word| get(pool + word * 8)).collect();
        let mut plans = world.plans(&ALL);
        let mut shed = job(&world, &mut plans);
        shed.steps = steps::USED_POOLS;
        crate::shed::run(&mut shed, kernel::now());
        kernel::discarded();
        let now: Vec<u64> = (0..2048).map(|word| get(pool + word * 8)).collect();
        undo();
        shed.torn_pools == 1 && now == words
    };
    let wrong = |at: u64, value: u64| {
        let right = get(at);
        untouched(&|| put(at, value), &|| put(at, right))
    };
    let first = get(pool + ph::FREEBLOCK);
    let second = get(first);
    assert_ne!(second, 0);
    // A loop, the outside, the middle of a block, an end too soon, and one block more in use.
    assert!(wrong(second, first));
    assert!(wrong(first, 0x1000));
    assert!(wrong(first, pool + 16384));
    assert!(wrong(first, second + 8));
    assert!(wrong(first, 0));
    assert!(wrong(pool, get(pool) + 1));
    assert!(wrong(pool + ph::FREEBLOCK, 0));
    // Another arena's, of no size, carved from nowhere.
    assert!(wrong(pool + ph::ARENAINDEX, get(pool + ph::ARENAINDEX) + 1));
    assert!(wrong(
        pool + ph::ARENAINDEX,
        get(pool + ph::ARENAINDEX) | 0xff << 32
    ));
    assert!(wrong(pool + ph::NEXTOFFSET, 0));
    assert!(wrong(pool + ph::NEXTOFFSET, u64::MAX));
}

fn job(world: &World, plans: &mut [ArenaPlan]) -> Shed {
    kernel::behave(Many::Done, false);
    let mut shed = Shed {
        arenas: 0,
        table: 0,
        maxarenas: 0,
        usable_arenas: 0,
        nfp2lasta: 0,
        pool_size: 0,
        arena_size: 0,
        steps: 7,
        budget_ns: u64::MAX,
        plans: plans.as_mut_ptr() as u64,
        plans_len: plans.len() as u64,
        cursor: 0,
        ranges: 0,
        ranges_len: 0,
        released: [0; steps::COUNT],
        pools: 0,
        torn_pools: 0,
        shared_pools: 0,
        torn_arenas: 0,
        refused: 0,
        refused_bytes: 0,
        error: 0,
    };
    world.model.describe(&mut shed);
    shed
}

/// Surgeries that are deliberately wrong: the check has to notice each.
#[test]
fn the_check_notices_wrong_surgery() {
    let world = fragmented();
    assert_eq!(check(&world.model, &world.live), Ok(()));
    let notices = |at: u64, value: u32| {
        let right = get32(at);
        put32(at, value);
        let found = check(&world.model, &world.live);
        put32(at, right);
        assert_eq!(check(&world.model, &world.live), Ok(()));
        found.is_err()
    };
    let pools = world.live.keys().map(|block| block & !16383);
    let pool = pools
        .into_iter()
        .find(|pool| get(pool + ph::FREEBLOCK) != 0);
    let pool = pool.expect("a pool that is not full");
    // What is uncarved begins at a block in use, although the chain was not shortened.
    let last = *world
        .live
        .range(pool..pool + 16384)
        .next_back()
        .expect("a block")
        .0;
    assert!(notices(pool + ph::NEXTOFFSET, (last - pool) as u32));
    // An arena ends below a pool in use.
    let index = u64::from(get32(pool + ph::ARENAINDEX));
    let (_, arena) = world
        .model
        .objects()
        .nth(index as usize)
        .expect("its arena");
    let top = get(arena + ao::POOL_ADDRESS) as u32;
    assert!(notices(arena + ao::POOL_ADDRESS, top - 16384));
    // A pool is retired without being counted, or counted without its place being kept.
    assert!(notices(
        arena + ao::NTOTALPOOLS,
        get32(arena + ao::NTOTALPOOLS) - 1
    ));
    assert!(notices(
        arena + ao::NFREEPOOLS,
        get32(arena + ao::NFREEPOOLS) - 1
    ));
    assert!(notices(
        world.model.last_at(get32(arena + ao::NFREEPOOLS)),
        0
    ));
}
