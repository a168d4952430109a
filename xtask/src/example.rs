//! The example that the README's first command looks at works on every Python.

use crate::interpreters;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn the_shop_serves_its_customers_and_closes_in_time() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut interpreters = interpreters::all();
    interpreters.retain(|one| one.minor() >= (3, 9));
    if interpreters.is_empty() {
        eprintln!("skipped: no Python here");
    }
    let shops: Vec<_> = interpreters
        .iter()
        .map(|interpreter| {
            // timeout(1) bounds the wait, whatever the shop does.
            let shop = Command::new("timeout")
                .arg("60")
                .arg(&interpreter.path)
                .arg(root.join("examples/shop.py"))
                .args(["--seconds", "2", "--rate", "50"])
                .stdout(Stdio::piped())
                .spawn()
                .expect("timeout(1) starts");
            (interpreter, shop)
        })
        .collect();
    for (interpreter, shop) in shops {
        let output = shop.wait_with_output().expect("the shop ends");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {said}", interpreter.label());
        assert!(said.contains("shop: open at http://127.0.0.1:"), "{said}");
        assert!(
            said.contains(" requests, 0 failed"),
            "{}: {said}",
            interpreter.label()
        );
        assert!(
            !said.contains(" 0 requests"),
            "{}: {said}",
            interpreter.label()
        );
        assert!(
            said.contains("shop: closed"),
            "{}: {said}",
            interpreter.label()
        );
    }
}
