//! Holds the tables against live interpreters.

use super::private::private_type;
use super::*;
use std::io::Write as _;
use std::process::{Command, Stdio};

fn run(python: &memshed_testing::Python, script: &str, input: &str) -> Result<String, String> {
    let mut child = Command::new(&python.path)
        .args(["-W", "ignore", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the interpreter ran a moment ago");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(input.as_bytes())
        .expect("the script reads");
    let done = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    match done.status.success() {
        true => Ok(said),
        false => Err(said + &String::from_utf8_lossy(&done.stderr)),
    }
}

/// The table for an interpreter, with what it publishes put over it as a walker does.
fn table(python: &memshed_testing::Python) -> Layout {
    let (major, minor, patch) = python.version;
    let version_hex = major << 24 | minor << 16 | patch << 8 | 0xf0;
    let mut layout = layout_for(Build {
        version_hex,
        ..Build::default()
    })
    .expect("it is supported")
    .clone();
    let script = "import ctypes, sys\n\
                  at = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, '_PyRuntime'))\n\
                  interp = ctypes.pythonapi.PyInterpreterState_Get\n\
                  interp.restype = ctypes.c_void_p\n\
                  print(interp() - at, ctypes.string_at(at, 1024).hex())";
    let said = run(python, script, "").expect("it says where things are");
    let (main_interpreter, bytes) = said.trim().split_once(' ').expect("two words");
    let bytes: Vec<u8> = (0..bytes.len() / 2)
        .map(|at| u8::from_str_radix(&bytes[at * 2..at * 2 + 2], 16).expect("hexadecimal"))
        .collect();
    if bytes.starts_with(b"xdebugpy") {
        let build = Build {
            version_hex,
            interp_size: published_interp_size(&layout, &bytes),
            ..Build::default()
        };
        layout = layout_for(build).expect("it is supported").clone();
        let corrections = overlay_published(&mut layout, &bytes);
        assert!(corrections.is_empty(), "{}: {corrections:?}", python.label);
    } else {
        assert!(
            layout.overlay.is_empty(),
            "{}: nothing is published",
            python.label
        );
    }
    // Before 3.11 the main interpreter is anywhere.
    if let Ok(offset) = main_interpreter.parse() {
        settle_runtime(&mut layout, offset);
    }
    layout
}

#[test]
fn tables_agree_with_live_interpreters() {
    let mut failed = String::new();
    for python in memshed_testing::supported() {
        let input = format!("{:?}\n", table(&python));
        match run(&python, include_str!("live.py"), &input) {
            Ok(said) => eprintln!("{}: {}", python.label, said.trim()),
            Err(said) => failed += &format!("{}:\n{said}\n", python.label),
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

#[test]
fn private_types_agree_with_live_interpreters() {
    let mut input = include_str!("private.txt").to_owned();
    input.push_str("-\n");
    for (name, value) in constants() {
        input += &format!("{name} {value}\n");
    }
    let mut failed = String::new();
    for python in memshed_testing::supported() {
        match run(&python, include_str!("live_private.py"), &input) {
            Ok(said) => eprintln!("{}: {}", python.label, said.trim()),
            Err(said) => failed += &format!("{}:\n{said}\n", python.label),
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

/// The constants of `private`, as `struct.NAME` and number.
fn constants() -> Vec<(String, u32)> {
    let mut module = "";
    let mut all = Vec::new();
    for line in include_str!("private.rs").lines() {
        if let Some(name) = line.strip_prefix("pub mod ") {
            module = name.trim_end_matches(" {");
        }
        if let Some((name, value)) = line
            .trim()
            .strip_prefix("pub const ")
            .and_then(|rest| rest.split_once(": u32 = "))
        {
            let value = value.trim_end_matches(';').parse().expect("a number");
            all.push((format!("{module}.{name}"), value));
        }
    }
    all
}

#[test]
fn a_build_without_a_table_is_named() {
    let build = |version_hex| Build {
        version_hex,
        ..Build::default()
    };
    let versions = |hex| layout_for(build(hex)).map(|layout| layout.versions);
    assert_eq!(versions(0x030b_07f0), Ok("3.11"));
    assert_eq!(versions(0x030d_00f0), Ok("3.13.0-3.13.4"));
    assert_eq!(versions(0x030d_05f0), Ok("3.13.5-3.13.11"));
    assert_eq!(versions(0x030e_04f0), Ok("3.14.4-3.14.4"));
    assert_eq!(versions(0x030e_0af0), Ok("3.14.5-3.14"));
    assert_eq!(versions(0x0309_12f0), Ok("3.9"));
    assert_eq!(versions(0x030a_0df0), Ok("3.10"));
    assert_eq!(versions(0x0308_12f0), Err(Unsupported::Version(3, 8, 18)));
    assert_eq!(versions(0x030f_00f0), Ok("3.15"));
    assert_eq!(versions(0x0310_00f0), Err(Unsupported::Version(3, 16, 0)));
    assert_eq!(
        versions(0x030e_00c2),
        Err(Unsupported::PreRelease(3, 14, 0))
    );
    let threaded = Build {
        free_threaded: true,
        ..build(0x030e_05f0)
    };
    assert_eq!(layout_for(threaded).err(), Some(Unsupported::FreeThreaded));
}

#[test]
fn functions_of_cython_are_told_apart_by_name_and_size() {
    let has = |name: &str, size, minor, label: &str, offset| {
        let name = format!("_cython_{name}");
        let known = private_type(&name, size, minor).expect(&name);
        let at = known.references.iter().find(|r| r.label == label);
        assert_eq!(at.map(|r| r.offset), Some(offset), "{name} {label}");
    };
    let function = ".cython_function_or_method";
    has(&format!("3_0_11{function}"), 168, 11, "globals", 96);
    has(&format!("3_2_4{function}"), 168, 12, "globals", 88);
    has("3_2_4.fused_cython_function", 184, 12, "signatures", 168);
    has("3_2_4.fused_cython_function", 184, 12, "globals", 88);
    has(
        &format!("3_2_4limitednofinalize{function}"),
        152,
        12,
        "globals",
        64,
    );
    let fast = format!("3_2_4limited_fastcallnofinalize{function}");
    has(&fast, 160, 12, "globals", 72);
    let new = format!("3_3_1limited12_vectorcallnofinalize{function}");
    has(&new, 160, 12, "globals", 80);
    has(
        &format!("3_3_1limited11_nofinalize{function}"),
        152,
        12,
        "globals",
        72,
    );
    has(&format!("3_3_1{function}"), 160, 12, "globals", 88);
}
