//! The C header is made from the Rust types: `UPDATE_HEADER=1 cargo test -p millgate-plugin-abi --test header` writes it.

use std::{fs, path::Path};

#[test]
fn the_header_is_that_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
    let mut header = Vec::new();
    cbindgen::Builder::new()
        .with_src(folder.join("src/lib.rs"))
        .with_config(config)
        .generate()
        .unwrap()
        .write(&mut header);
    let header = String::from_utf8(header).unwrap();
    let path = folder.join("include/millgate_plugin.h");
    if std::env::var_os("UPDATE_HEADER").is_some() {
        fs::write(&path, &header).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == header,
        "include/millgate_plugin.h is out of date: run this test with UPDATE_HEADER=1"
    );
}
