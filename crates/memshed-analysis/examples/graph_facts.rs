//! What the graph analyses say of a snapshot, object by object, to be compared with other tools'
//! answers: `cargo run --release -p memshed-analysis --example graph_facts SNAPSHOT [--edges]`.
//!
//! Rows of words with a space between, addresses in hexadecimal with `0x`:
//! - `object ADDRESS DOMINATOR BYTES RETAINED`: an object, its immediate dominator (`0x0` where that is
//!   the top), its own bytes, and its retained ones;
//! - `entry ADDRESS`: an object that the top refers to: a root, or one that C code holds, or one of a
//!   cycle that nothing leads to. With these and the edges, dominators can be computed elsewhere;
//! - `edge SOURCE TARGET`, with `--edges`: a strong reference, as often as there are;
//! - `garbage ADDRESS TYPE`: an object that the collector would find (`gc.DEBUG_SAVEALL`);
//! - `# …`: groups of cycles, in words.

use memshed_analysis::{Dominators, Graph, garbage, type_name};
use memshed_heap::ObjectId;
use memshed_heap::snapshot::{ReadEdges, read};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path: PathBuf = arguments.next().ok_or("which snapshot?")?.into();
    let with_edges = arguments.any(|argument| argument == "--edges");
    let heap = read(&path, ReadEdges::Load)?;
    let graph = Graph::new(&heap).ok_or("the snapshot has no edges")?;
    let address = |object: ObjectId| heap.objects.address.get(object.0 as usize);
    let mut out = BufWriter::new(std::io::stdout().lock());

    let tree = Dominators::new(&graph);
    for row in 0..graph.len() as u32 {
        let object = ObjectId(row);
        let (at, bytes) = (address(object), graph.bytes(object));
        let (above, retained) = (tree.dominator(object), tree.retained(object));
        let above = above.map_or(0, address);
        writeln!(out, "object {at:#x} {above:#x} {bytes} {retained}")?;
        if with_edges {
            for (target, _) in graph.edges_of(object) {
                writeln!(out, "edge {at:#x} {:#x}", address(target))?;
            }
        }
    }
    for entry in graph.entries().iter() {
        writeln!(out, "entry {:#x}", address(entry))?;
    }
    let found = garbage(&graph);
    for object in found.collectable.iter() {
        let at = address(object);
        writeln!(out, "garbage {at:#x} {}", type_name(&heap, object))?;
    }
    for group in &found.groups {
        let cut = group
            .cut
            .as_ref()
            .map(|cut| format!("{cut} ({:?})", cut.remedy));
        writeln!(
            out,
            "# {} cycles ({} nested), {} objects, {} bytes, {:?}, generations {:?}: {}; break {}",
            group.cycles,
            group.nested,
            group.objects,
            group.bytes,
            group.reason,
            group.generations,
            group.cycle,
            cut.unwrap_or_default(),
        )?;
    }
    Ok(())
}
