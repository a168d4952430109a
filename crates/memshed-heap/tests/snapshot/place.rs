//! Where snapshots come to be: private, whole or not at all, never in place of something else.

use crate::heaps::{Scratch, assert_same, example};
use memshed_heap::SnapshotError;
use memshed_heap::snapshot::{self, Existing, ReadEdges, SnapshotWriter};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn only_the_owner_may_read() {
    let scratch = Scratch::new("private");
    let path = scratch.path("snap");
    snapshot::write(&example(5), &path, Existing::Keep).expect("written");
    assert_eq!(mode(&path), 0o700);
    let mut files = 0;
    for entry in fs::read_dir(&path).expect("listed") {
        assert_eq!(mode(&entry.expect("an entry").path()), 0o600);
        files += 1;
    }
    assert_eq!(files, 24);
    assert_eq!(scratch.list(), ["snap"]);
}

#[test]
fn what_exists_is_kept_unless_it_is_a_snapshot_to_be_overwritten() {
    let scratch = Scratch::new("existing");
    let path = scratch.path("snap");
    snapshot::write(&example(5), &path, Existing::Keep).expect("written");

    let error = snapshot::write(&example(9), &path, Existing::Keep).expect_err("exists");
    assert!(matches!(error, SnapshotError::Exists(_)), "{error}");
    assert!(error.hint().is_some());
    assert_same(
        &snapshot::read(&path, ReadEdges::Load).expect("read"),
        &example(5),
    );

    snapshot::write(&example(9), &path, Existing::Overwrite).expect("overwritten");
    assert_same(
        &snapshot::read(&path, ReadEdges::Load).expect("read"),
        &example(9),
    );

    // Somebody's file in it: no longer only ours.
    fs::write(path.join("notes.txt"), "mine").expect("a file");
    let error = snapshot::write(&example(5), &path, Existing::Overwrite).expect_err("kept");
    assert!(
        matches!(error, SnapshotError::NotReplaceable { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("notes.txt"), "{error}");

    let directory = scratch.path("photos");
    fs::create_dir(&directory).expect("a directory");
    let file = scratch.path("file");
    fs::write(&file, "mine").expect("a file");
    for mine in [&directory, &file] {
        let error = snapshot::write(&example(5), mine, Existing::Overwrite).expect_err("kept");
        assert!(
            matches!(error, SnapshotError::NotReplaceable { .. }),
            "{error}"
        );
    }
    assert_eq!(scratch.list(), ["file", "photos", "snap"]);
}

#[test]
fn a_place_taken_meanwhile_is_kept() {
    let scratch = Scratch::new("race");
    let path = scratch.path("snap");
    let writer = SnapshotWriter::create(&path, Existing::Keep).expect("created");
    fs::create_dir(&path).expect("taken");
    let error = writer.finish(&example(5)).expect_err("taken");
    assert!(matches!(error, SnapshotError::Exists(_)), "{error}");
    assert_eq!(scratch.list(), ["snap"]);
    assert_eq!(fs::read_dir(&path).expect("listed").count(), 0);
}

#[test]
fn what_a_killed_writer_left_goes_and_what_is_being_written_stays() {
    let scratch = Scratch::new("leftovers");
    let path = scratch.path("snap");
    let left = scratch.path(".snap.memshed-1-0");
    fs::create_dir(&left).expect("a directory");
    fs::write(left.join("objects.parquet"), "half").expect("a file");
    let busy = SnapshotWriter::create(&path, Existing::Keep).expect("created");
    assert_eq!(scratch.list().len(), 1, "{:?}", scratch.list());
    snapshot::write(&example(5), &path, Existing::Keep).expect("written");
    assert_eq!(scratch.list().len(), 2, "{:?}", scratch.list());
    drop(busy);
    assert_eq!(scratch.list(), ["snap"]);
}

#[test]
fn a_missing_parent_is_an_error() {
    let scratch = Scratch::new("parent");
    let error = snapshot::write(&example(5), &scratch.path("no/snap"), Existing::Keep)
        .expect_err("no parent");
    assert!(matches!(error, SnapshotError::Io { .. }), "{error}");
    assert!(error.hint().is_some());
}

/// A small file system of the test's own.
struct Tmpfs(std::path::PathBuf);

impl Tmpfs {
    fn mount(at: std::path::PathBuf, kib: u32) -> Option<Tmpfs> {
        fs::create_dir(&at).expect("a directory");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"])
            .arg(&at)
            .output();
        done.is_ok_and(|done| done.status.success())
            .then(|| Tmpfs(at))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let scratch = Scratch::new("full");
    let heap = example(200_000);
    // Full at different moments: in the edges, in the objects, at the last small tables.
    for kib in [8, 64, 512, 1024, 2048] {
        let Some(disk) = Tmpfs::mount(scratch.path(&format!("disk{kib}")), kib) else {
            eprintln!(
                "SKIPPED: a_full_disk_leaves_nothing_behind: cannot mount a tmpfs (root can)"
            );
            return;
        };
        let Err(error) = snapshot::write(&heap, &disk.0.join("snap"), Existing::Keep) else {
            assert!(kib > 1024, "{kib} KiB were enough");
            continue;
        };
        let SnapshotError::Io { source, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(source.kind(), std::io::ErrorKind::StorageFull, "{error}");
        assert!(error.hint().is_some());
        assert_eq!(fs::read_dir(&disk.0).expect("listed").count(), 0);
    }
}
