//! The reader of snapshots under arbitrary bytes: what the fuzz target `snapshot` in `fuzz/` runs,
//! and the test below on the inputs that `fuzz/corpus/snapshot` keeps.
//!
//! An input is a list of changes to the files of a small sound snapshot, and says whether the
//! manifest is made to agree with them: without that, checksums keep nearly all of them out.

use memshed_heap::snapshot::{self, Existing, ReadEdges};
use memshed_heap::{
    Edges, Heap, Label, LabelKind, ObjectId, Preview, Root, RootKind, Type, TypeId,
};
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};

/// Bytes of a change: which file, how, where, what.
const CHANGE: usize = 8;
/// Changes of an input.
const CHANGES: usize = 64;

/// A sound snapshot, and a directory in memory to change it in.
pub struct Sound {
    files: Vec<(String, Vec<u8>)>,
    directory: PathBuf,
}

impl Sound {
    /// Writes the snapshot. `unique` tells it from others of this process.
    pub fn new(unique: &str) -> Sound {
        let name = format!("memshed-fuzzed-{}-{unique}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let path = directory.join("sound");
        fs::create_dir_all(&directory).expect("a directory");
        snapshot::write(&heap(), &path, Existing::Keep).expect("written");
        let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(&path)
            .expect("listed")
            .map(|entry| {
                let path = entry.expect("an entry").path();
                let name = path.file_name().expect("a name").to_string_lossy();
                (name.into_owned(), fs::read(&path).expect("read"))
            })
            .collect();
        files.sort();
        Sound { files, directory }
    }

    /// Reads the snapshot with the changes that `data` says; whether that gave a heap.
    pub fn run(&self, data: &[u8]) -> bool {
        let Some((sealed, changes)) = data.split_first() else {
            return false;
        };
        let mut files = self.files.clone();
        for change in changes.chunks_exact(CHANGE).take(CHANGES) {
            let place = u32::from_le_bytes([change[2], change[3], change[4], 0]) as usize;
            let which = usize::from(change[0]) % files.len();
            change_file(&mut files[which].1, change[1], place, &change[5..]);
        }
        let path = self.directory.join("changed");
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a directory");
        for (name, bytes) in &files {
            fs::write(path.join(name), bytes).expect("copied");
        }
        if sealed & 1 == 1 {
            seal(&path);
        }
        let Ok(heap) = snapshot::read(&path, ReadEdges::Load) else {
            return false;
        };
        // Sound: it can be written again.
        let again = self.directory.join("again");
        snapshot::write(&heap, &again, Existing::Keep).expect("sound");
        fs::remove_dir_all(&again).expect("removed");
        true
    }
}

impl Drop for Sound {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.directory).expect("removed");
    }
}

/// Changes a byte, cuts, repeats or inserts. Every other place counts from the end, where the
/// metadata is.
fn change_file(bytes: &mut Vec<u8>, how: u8, place: usize, what: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let at = match how & 0x80 {
        0 => place % bytes.len(),
        _ => bytes.len() - 1 - place % bytes.len().min(600),
    };
    match how & 3 {
        0 => bytes[at] = what[0],
        1 => bytes[at] = bytes[at].wrapping_add(what[0]),
        2 => bytes.truncate(at),
        _ => {
            bytes.splice(at..at, what.iter().copied());
        }
    }
}

/// Makes the manifest agree with the files as they are now, where it is still one.
fn seal(path: &Path) {
    let manifest = path.join("snapshot.json");
    let text = fs::read(&manifest).expect("read");
    let Ok(mut json) = serde_json::from_slice::<serde_json::Value>(&text) else {
        return;
    };
    let Some(tables) = json["tables"].as_object_mut() else {
        return;
    };
    for (name, entry) in tables {
        let Ok(bytes) = fs::read(path.join(format!("{name}.parquet"))) else {
            continue;
        };
        let mut hash = twox_hash::XxHash64::with_seed(0);
        hash.write(&bytes);
        if entry.is_object() {
            entry["bytes"] = bytes.len().into();
            entry["xxh64"] = format!("{:016x}", hash.finish()).into();
        }
    }
    fs::write(&manifest, json.to_string()).expect("sealed");
}

/// A heap in which every table has rows.
fn heap() -> Heap {
    let mut heap = Heap::default();
    let name = heap.strings.intern("module");
    let kind = Type {
        name,
        module: heap.strings.intern("builtins"),
        address: 0x1000,
        object: ObjectId::NONE,
    };
    heap.types = vec![kind];
    let mut edges = Edges::default();
    edges.start.push(0);
    for row in 0..20u32 {
        let label = match row % 2 {
            0 => Label::named(LabelKind::Attribute, name),
            _ => Label::new(LabelKind::Index, row.into()),
        };
        let objects = &mut heap.objects;
        objects.address.push(0x7f00_0000_0000 + 64 * u64::from(row));
        objects.type_id.push(TypeId(0));
        objects.size.push(64 + u64::from(row));
        objects.allocated.push(80);
        objects.refcount.push(1 + row % 3);
        objects.generation.push((row % 3) as u8);
        objects
            .holder
            .push(row.checked_sub(1).map_or(ObjectId::NONE, ObjectId));
        objects.holder_label.push(match row {
            0 => Label::new(LabelKind::Unknown, 0),
            _ => label,
        });
        edges.target.push(ObjectId(row / 2));
        edges.label.push(label);
        edges.start.push(edges.target.len() as u64);
        heap.pool_table.address.push(u64::from(row) << 14);
        heap.pool_table.arena.push(row / 4);
        heap.pool_table.block_size.push(32);
        heap.pool_table.used.push(5);
        heap.pool_table.capacity.push(510);
        heap.pool_table.resident.push(16384);
    }
    heap.edges = Some(edges);
    heap.names.insert(ObjectId(0), name);
    heap.roots.push(Root {
        object: ObjectId(0),
        kind: RootKind::Module,
        name,
    });
    heap.gc.generations = vec![Default::default(); 3];
    heap.caches = vec![Default::default()];
    heap.memory = vec![Default::default()];
    heap.snapshot.problems = vec![Default::default()];
    heap.previews = Some(vec![Preview {
        object: ObjectId(1),
        position: None,
        text: "[1, 2]".to_owned(),
    }]);
    heap
}

#[cfg(test)]
mod tests {
    use super::Sound;

    #[test]
    fn kept_changes_give_a_heap_or_an_error() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/snapshot");
        let sound = Sound::new("kept");
        let mut count = 0;
        for input in std::fs::read_dir(folder).expect("inputs") {
            let path = input.expect("an input").path();
            eprintln!("{}", path.display());
            sound.run(&std::fs::read(path).expect("bytes"));
            count += 1;
        }
        assert!(count > 0, "no inputs");
        assert!(sound.run(&[0]) && sound.run(&[1]), "it is sound without");
    }
}
