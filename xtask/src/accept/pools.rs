//! Row "pools, gc": pymalloc's own statistics and the `gc` module's words against the report.

use super::ground::Ground;
use super::look::Look;
use super::objects::Held;
use super::table::Finding;
use super::venv;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const POOLS: &str = "blocks, arenas, free pools, classes = sys._debugmallocstats() ± 2 blocks";
const GC: &str = "gc = gc.get_threshold/get_stats/get_freeze_count";

/// Measures the row on every interpreter.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for python in &ground.pythons {
        match on(ground, python) {
            Ok(found) => findings.extend(found),
            Err(why) => findings.extend([POOLS, GC].map(|target| {
                Finding::not_measured("pools", python.label(), target, format!("{why:#}"))
            })),
        }
    }
    Ok(findings)
}

fn on(ground: &Ground, python: &Interpreter) -> Result<Vec<Finding>> {
    let mut held = Held::start(ground, python, &[ground.count("20", "2"), "freeze"])?;
    let (look, snapshot) = held.look(ground)?;
    let stats = MallocStats::parse(&std::fs::read_to_string(held.directory.join("malloc.txt"))?)?;
    let classes = snapshot_classes(ground, &snapshot)?;
    let wrong = wrong_pools(&look, &stats, &held.truth, &classes);
    let wrong_gc = wrong_gc(&look, &held.truth["gc"]);
    held.release();
    let say = |wrong: &[String], fine: String| {
        if wrong.is_empty() {
            fine
        } else {
            wrong.join("; ")
        }
    };
    Ok(vec![
        Finding::new(
            "pools",
            python.label(),
            POOLS,
            say(
                &wrong,
                format!(
                    "{} blocks in {} arenas, {} free pools, {} classes equal",
                    stats.blocks(),
                    stats.arenas,
                    stats.free_pools,
                    stats.classes.len()
                ),
            ),
            wrong.is_empty(),
        ),
        Finding::new(
            "pools",
            python.label(),
            GC,
            say(
                &wrong_gc,
                format!("equal; frozen {}", held.truth["gc"]["frozen"]),
            ),
            wrong_gc.is_empty(),
        ),
    ])
}

/// What `sys._debugmallocstats()` prints.
struct MallocStats {
    arenas: u64,
    free_pools: u64,
    /// By block size in bytes: pools, blocks in use.
    classes: BTreeMap<u64, (u64, u64)>,
}

impl MallocStats {
    fn parse(text: &str) -> Result<MallocStats> {
        let mut classes = BTreeMap::new();
        let (mut arenas, mut free_pools) = (None, None);
        for line in text.lines() {
            if let Some((what, value)) = line.split_once('=') {
                let value = value.split_whitespace().next().map(|v| v.replace(',', ""));
                let value = value.and_then(|v| v.parse().ok());
                if what.trim() == "# arenas allocated current" {
                    arenas = value;
                }
            }
            if let Some(rest) = line
                .split(" unused pools *")
                .next()
                .filter(|_| line.contains(" unused pools *"))
            {
                free_pools = rest.trim().replace(',', "").parse().ok();
            }
            let numbers: Vec<u64> = line
                .split_whitespace()
                .map_while(|word| word.parse().ok())
                .collect();
            // class, size, pools, blocks in use, blocks available
            if let [_, size, pools, used, _] = numbers[..] {
                classes.insert(size, (pools, used));
            }
        }
        ensure!(
            !classes.is_empty(),
            "no size classes in sys._debugmallocstats()'s text"
        );
        Ok(MallocStats {
            arenas: arenas.context("no arenas in sys._debugmallocstats()'s text")?,
            free_pools: free_pools.context("no unused pools in sys._debugmallocstats()'s text")?,
            classes,
        })
    }

    fn blocks(&self) -> u64 {
        self.classes.values().map(|(_, used)| used).sum()
    }
}

fn wrong_pools(
    look: &Look,
    stats: &MallocStats,
    truth: &Value,
    classes: &BTreeMap<u64, (u64, u64)>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |what: &str, found: Option<f64>, said: u64, slack: f64| match found {
        Some(found) if (found - said as f64).abs() <= slack => {}
        Some(found) => wrong.push(format!("{what}: {said} in the target, {found} reported")),
        None => wrong.push(format!("{what} not reported")),
    };
    check("arenas", look.number("/pools/arenas"), stats.arenas, 0.0);
    check(
        "free pools",
        look.number("/pools/free_pools"),
        stats.free_pools,
        0.0,
    );
    check("blocks", look.number("/pools/blocks"), stats.blocks(), 2.0);
    // Larger blocks are told where the interpreter's count of them can be found.
    if let (Some(blocks), Some(raw)) = (
        look.number("/pools/blocks"),
        look.number("/pools/raw_blocks"),
    ) {
        let all = truth["blocks"].as_u64().unwrap_or(0);
        check(
            "blocks and raw blocks (sys.getallocatedblocks())",
            Some(blocks + raw),
            all,
            4.0,
        );
    }
    let used = stats
        .classes
        .iter()
        .map(|(size, (_, used))| size * used)
        .sum();
    check("used bytes", look.number("/pools/used_bytes"), used, 1024.0);
    for (size, (pools, used)) in &stats.classes {
        let (found_pools, found_used) = classes.get(size).copied().unwrap_or_default();
        check(
            &format!("pools of {size} bytes"),
            Some(found_pools as f64),
            *pools,
            1.0,
        );
        check(
            &format!("blocks of {size} bytes"),
            Some(found_used as f64),
            *used,
            2.0,
        );
    }
    wrong
}

fn wrong_gc(look: &Look, truth: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |what: String, found: &Value, said: &Value| {
        if found != said {
            wrong.push(format!("{what}: {said} in the target, {found} reported"));
        }
    };
    let gc = &look.json["gc"];
    check("enabled".into(), &gc["enabled"], &truth["enabled"]);
    check("frozen".into(), &gc["frozen"], &truth["frozen"]);
    for n in 0..3 {
        let generation = &gc["generations"][n];
        check(
            format!("threshold {n}"),
            &generation["threshold"],
            &truth["threshold"][n],
        );
        check(
            format!("objects {n}"),
            &generation["objects"],
            &truth["objects"][n],
        );
        // Of the youngest generation it changes with each object made.
        if n > 0 {
            check(
                format!("count {n}"),
                &generation["count"],
                &truth["count"][n],
            );
        }
        for what in ["collections", "collected", "uncollectable"] {
            check(
                format!("{what} {n}"),
                &generation[what],
                &truth["stats"][n][what],
            );
        }
    }
    wrong
}

/// Pools and blocks in use by block size, from the snapshot's table.
fn snapshot_classes(ground: &Ground, snapshot: &Path) -> Result<BTreeMap<u64, (u64, u64)>> {
    const ASK: &str = "import duckdb, sys\n\
        for row in duckdb.sql(f\"select block_size, count(*), sum(used) from read_parquet('{sys.argv[1]}/pools.parquet') \
        where used > 0 group by 1\").fetchall(): print(*row)";
    let done = Command::new(venv::reader(ground)?)
        .args(["-c", ASK])
        .arg(snapshot)
        .output()?;
    ensure!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr).trim()
    );
    let text = String::from_utf8(done.stdout)?;
    let mut classes = BTreeMap::new();
    for line in text.lines() {
        let numbers: Vec<u64> = line
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        if let [size, pools, used] = numbers[..] {
            classes.insert(size, (pools, used));
        }
    }
    Ok(classes)
}
