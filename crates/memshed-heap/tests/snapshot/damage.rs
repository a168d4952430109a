//! Truncated, altered, foreign and forged snapshots: an error that says what is wrong, or a sound
//! heap; never a panic, never much memory.

use crate::heaps::{Scratch, example};
use memshed_heap::SnapshotError;
use memshed_heap::snapshot::{self, Existing, ReadEdges};
use proptest::prelude::*;
use std::fs;
use std::hash::Hasher;
use std::path::Path;
use std::sync::OnceLock;

fn files(path: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(path).expect("listed");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

fn written(scratch: &Scratch) -> std::path::PathBuf {
    let path = scratch.path("snap");
    snapshot::write(&example(3000), &path, Existing::Keep).expect("written");
    path
}

#[test]
fn truncated_files_are_told() {
    let scratch = Scratch::new("truncated");
    let path = written(&scratch);
    for file in files(&path) {
        let whole = fs::read(&file).expect("read");
        for keep in [0, 1, 4, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
            fs::write(&file, &whole[..keep]).expect("truncated");
            let result = snapshot::read(&path, ReadEdges::Load);
            // The last byte of the manifest is a line break.
            if file.ends_with("snapshot.json") && keep == whole.len() - 1 {
                assert!(result.is_ok());
                continue;
            }
            let error = result.expect_err("truncated");
            assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
            assert!(
                error.to_string().contains(&*file.to_string_lossy()),
                "{error}"
            );
        }
        fs::remove_file(&file).expect("removed");
        let error = snapshot::read(&path, ReadEdges::Load).expect_err("a file is missing");
        assert!(error.hint().is_some(), "{error}");
        fs::write(&file, &whole).expect("restored");
    }
    snapshot::read(&path, ReadEdges::Load).expect("whole again");
}

#[test]
fn flipped_bits_are_told() {
    let scratch = Scratch::new("flipped");
    let path = written(&scratch);
    for file in files(&path) {
        if file.ends_with("snapshot.json") {
            continue;
        }
        let whole = fs::read(&file).expect("read");
        for part in 0..20 {
            let mut altered = whole.clone();
            altered[part * (whole.len() - 1) / 19] ^= 1 << (part % 8);
            fs::write(&file, &altered).expect("altered");
            let error = snapshot::read(&path, ReadEdges::Load).expect_err("altered");
            assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
        }
        fs::write(&file, &whole).expect("restored");
    }
}

#[test]
fn foreign_things_are_no_snapshots() {
    let scratch = Scratch::new("foreign");
    let directory = scratch.path("photos");
    fs::create_dir(&directory).expect("a directory");
    let file = scratch.path("file");
    fs::write(&file, "text").expect("a file");
    for path in [&directory, &file] {
        assert!(!snapshot::is_snapshot(path));
        let error = snapshot::read(path, ReadEdges::Load).expect_err("foreign");
        assert!(
            matches!(error, SnapshotError::NotASnapshot { .. }),
            "{error}"
        );
        assert!(error.hint().is_some());
    }
    let error = snapshot::read(&scratch.path("no"), ReadEdges::Load).expect_err("missing");
    assert!(matches!(error, SnapshotError::Io { .. }), "{error}");
    for text in [
        "",
        "{}",
        "[3]",
        "{\"format\": -1}",
        "{\"format\": 0}",
        "{\"format\": 3}",
    ] {
        fs::write(directory.join("snapshot.json"), text).expect("a manifest");
        assert!(snapshot::is_snapshot(&directory));
        let error = snapshot::read(&directory, ReadEdges::Load).expect_err("foreign");
        assert!(
            matches!(error, SnapshotError::Damaged { .. }),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_pipe_in_place_of_a_table_is_not_waited_for() {
    let scratch = Scratch::new("pipe");
    let path = written(&scratch);
    let file = path.join("types.parquet");
    fs::remove_file(&file).expect("removed");
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.expect("mkfifo").success());
    let error = snapshot::read(&path, ReadEdges::Load).expect_err("a pipe");
    assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
}

#[test]
fn a_later_format_is_told() {
    let scratch = Scratch::new("later");
    let path = written(&scratch);
    let manifest = path.join("snapshot.json");
    let text = fs::read_to_string(&manifest).expect("read");
    let later = text.replace("\"format\": 3", "\"format\": 4, \"new\": []");
    assert_ne!(later, text);
    fs::write(&manifest, later).expect("written");
    let error = snapshot::read(&path, ReadEdges::Load).expect_err("later");
    assert!(
        matches!(error, SnapshotError::OtherFormat { found: 4, .. }),
        "{error}"
    );
    assert_eq!(error.hint(), Some("upgrade memshed"));
}

/// A snapshot whose files are sound but do not belong together.
#[test]
fn tables_of_two_snapshots_do_not_mix() {
    let scratch = Scratch::new("mixed");
    let path = written(&scratch);
    let other = scratch.path("other");
    snapshot::write(&example(10), &other, Existing::Keep).expect("written");
    for name in ["objects.parquet", "edges.parquet", "pools.parquet"] {
        let whole = fs::read(path.join(name)).expect("read");
        fs::copy(other.join(name), path.join(name)).expect("mixed");
        assert!(snapshot::read(&path, ReadEdges::Load).is_err());
        seal(&path);
        let mixed = snapshot::read(&path, ReadEdges::Load);
        // Fewer edges or pools than there might be are no contradiction.
        assert_eq!(mixed.is_err(), name == "objects.parquet", "{name}");
        fs::write(path.join(name), whole).expect("restored");
        seal(&path);
    }
}

/// Makes the manifest agree with the files as they are now, row counts apart, which are taken
/// from the file where it has a readable one.
fn seal(path: &Path) {
    let manifest = path.join("snapshot.json");
    let text = fs::read(&manifest).expect("read");
    let mut json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let tables = json["tables"].as_object_mut().expect("tables");
    for (name, entry) in tables {
        let file = path.join(format!("{name}.parquet"));
        let bytes = fs::read(&file).expect("read");
        let mut hash = twox_hash::XxHash64::with_seed(0);
        hash.write(&bytes);
        entry["bytes"] = bytes.len().into();
        entry["xxh64"] = format!("{:016x}", hash.finish()).into();
        if let Some(rows) = rows(&bytes) {
            entry["rows"] = rows.into();
        }
    }
    fs::write(&manifest, json.to_string()).expect("sealed");
}

fn rows(file: &[u8]) -> Option<i64> {
    use parquet::file::metadata::ParquetMetaDataReader;
    let length = file.len().checked_sub(8)?;
    let footer = u32::from_le_bytes(file[length..length + 4].try_into().ok()?) as usize;
    let metadata = file.get(length.checked_sub(footer)?..length)?;
    let metadata = ParquetMetaDataReader::decode_metadata(metadata).ok()?;
    Some(metadata.file_metadata().num_rows())
}

/// The files of a small snapshot.
fn sound() -> &'static [(std::ffi::OsString, Vec<u8>)] {
    static FILES: OnceLock<Vec<(std::ffi::OsString, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let scratch = Scratch::new("sound");
        let path = scratch.path("snap");
        snapshot::write(&example(200), &path, Existing::Keep).expect("written");
        let read = |file: std::path::PathBuf| {
            let name = file.file_name().expect("a name").to_owned();
            (name, fs::read(file).expect("read"))
        };
        files(&path).into_iter().map(read).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("MEMSHED_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(400),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Bytes altered by somebody who knows the format and seals the snapshot again: whatever the
    /// parser makes of it, there is no panic, and what is read is sound.
    #[test]
    fn forged_files_never_panic(
        table in 0usize..11,
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
    ) {
        let scratch = Scratch::new("forged");
        let path = scratch.path("snap");
        fs::create_dir(&path).expect("a directory");
        for (name, bytes) in sound() {
            fs::write(path.join(name), bytes).expect("copied");
        }
        let names = ["objects", "edges", "types", "strings", "roots", "pools", "process",
            "generations", "caches", "memory", "problems"];
        let file = path.join(format!("{}.parquet", names[table]));
        let mut bytes = fs::read(&file).expect("read");
        for (index, value, in_footer) in places {
            // Half of them among the last bytes, where the metadata is.
            let from = if in_footer { bytes.len() * 2 / 3 } else { 0 };
            let at = from + index.index(bytes.len() - from);
            bytes[at] = value;
        }
        fs::write(&file, bytes).expect("forged");
        seal(&path);
        if let Ok(heap) = snapshot::read(&path, ReadEdges::Load) {
            // Sound: it can be written again.
            snapshot::write(&heap, &scratch.path("again"), Existing::Keep).expect("sound");
        }
    }
}
