//! Builds `inside/main.rs` into an image of its own, which the crate carries as bytes: code without
//! a standard library, linked to nothing, that runs wherever it is copied to.

use object::{Object, ObjectSegment, ObjectSymbol, SegmentFlags};
use std::env;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=inside");
    println!("cargo::rerun-if-changed=src/abi.rs");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let linked = out.join("agent.so");
    compile(&linked)?;
    let image = Image::read(&linked)?;
    fs::write(out.join("agent.bin"), &image.bytes)?;
    fs::write(out.join("entries.rs"), image.entries()?)?;
    Ok(())
}

/// Runs the compiler that runs this build. The flags of the build itself, such as those of a
/// sanitizer or of a coverage measurement, are not meant for it.
fn compile(linked: &Path) -> Result<(), Box<dyn Error>> {
    let mut rustc = Command::new(env::var("RUSTC")?);
    rustc
        .args([
            "--edition=2024",
            "--crate-name=agent",
            "--crate-type=cdylib",
        ])
        .args(["--target", &env::var("TARGET")?])
        .args(["-Copt-level=3", "-Cpanic=abort", "-Ccodegen-units=1"])
        .args([
            "-Crelocation-model=pic",
            "-Cdebuginfo=0",
            "-Coverflow-checks=off",
        ])
        .args(["-Cforce-unwind-tables=no", "-Cdebug-assertions=off"])
        .args(["-Clink-arg=-nostdlib", "-Clink-arg=-nostartfiles"])
        // Calls of memcpy and the like are direct: with full RELRO they may go through a table.
        .arg("-Crelro-level=off")
        // Nothing to be resolved when it is loaded: nobody does that.
        .args(["-Clink-arg=-Wl,-z,defs", "-Clink-arg=-Wl,-Bsymbolic"])
        .args([
            "-Clink-arg=-Wl,--gc-sections",
            "-Clink-arg=-Wl,-z,noseparate-code",
        ])
        .arg("-o")
        .arg(linked)
        .arg("inside/main.rs");
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    let status = rustc.status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{rustc:?}: {status}").into()),
    }
}

/// What is copied into a process: the file's segments as they lie in memory.
struct Image {
    bytes: Vec<u8>,
    symbols: Vec<(String, u64)>,
}

impl Image {
    fn read(linked: &Path) -> Result<Image, Box<dyn Error>> {
        let data = fs::read(linked)?;
        let file = object::File::parse(&*data)?;
        let mut bytes = Vec::new();
        for segment in file.segments() {
            let SegmentFlags::Elf { p_flags, .. } = segment.flags() else {
                continue;
            };
            let writable = (p_flags & object::elf::PF_W).0 != 0;
            // What the linker makes of its own accord (.dynamic) is writable, and nobody reads it.
            let content = segment.data()?;
            let end = usize::try_from(segment.address())? + content.len();
            if writable {
                continue;
            }
            bytes.resize(bytes.len().max(end), 0);
            bytes[usize::try_from(segment.address())?..end].copy_from_slice(content);
        }
        if let Some(relocations) = file.dynamic_relocations()
            && let Some((at, _)) = relocations.into_iter().next()
        {
            return Err(format!("the agent has to be relocated, at {at:#x}").into());
        }
        for symbol in file.symbols() {
            let name = symbol.name()?;
            if name.contains("panicking") || name.contains("rust_begin_unwind") {
                return Err(format!("the agent can panic: {name}").into());
            }
        }
        let writable = [".data", ".bss", ".data.rel.ro", ".got"];
        if let Some(name) = writable.into_iter().find(|name| {
            use object::ObjectSection;
            file.section_by_name(name).is_some_and(|s| s.size() > 0)
        }) {
            return Err(format!("the agent has a section {name}, which is not carried").into());
        }
        let symbols = file
            .dynamic_symbols()
            .filter(|symbol| symbol.is_definition())
            .map(|symbol| Ok((symbol.name()?.to_owned(), symbol.address())))
            .collect::<Result<_, object::Error>>()?;
        Ok(Image { bytes, symbols })
    }

    /// The offsets of the entries, as constants.
    fn entries(&self) -> Result<String, Box<dyn Error>> {
        let mut text = String::new();
        for (constant, symbol, what) in [
            (
                "PENDING",
                "memshed_pending",
                "What a pending call runs: `int f(void *job)`.",
            ),
            (
                "EXCURSION",
                "memshed_excursion",
                "What a stopped thread is sent to.",
            ),
        ] {
            let found = self.symbols.iter().find(|(name, _)| name == symbol);
            let offset = found.ok_or_else(|| format!("the agent has no {symbol}"))?.1;
            writeln!(text, "/// {what}\npub const {constant}: u64 = {offset};")?;
        }
        Ok(text)
    }
}
