//! Whatever bytes `config.toml` holds, there is an answer, and all that is wrong with it can be shown.
#![no_main]

use std::{cell::LazyCell, fs};

use libfuzzer_sys::fuzz_target;
use millgate::{
    config::{self, finding::Renderer},
    runtime::{compile::compile, host::Process},
};
use tempfile::TempDir;

thread_local! {
    static FOLDER: LazyCell<TempDir> = LazyCell::new(|| tempfile::tempdir().expect("a folder"));
}

fuzz_target!(|bytes: &[u8]| {
    // What there is to find must not depend on the files of the machine.
    if bytes.windows(4).any(|name| name == b"file") {
        return;
    }
    FOLDER.with(|folder| {
        let path = folder.path().join("config.toml");
        fs::write(&path, bytes).expect("written");
        let loaded = config::load(&path, &|name| (name == "A").then(|| "value".to_owned()));
        let compiled = compile(&loaded, None, &Process::default());
        assert_eq!(compiled.is_none(), loaded.findings.has_errors());
        let findings = loaded.findings.sorted();
        let _ = Renderer::plain().render_all(&findings);
        for finding in &findings {
            let _ = finding.to_json();
        }
    });
});
