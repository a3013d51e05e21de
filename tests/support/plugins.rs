//! Plugins that are built from C as a test runs, in a folder that nobody else may write to.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// Where a test keeps its plugins.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Builds `tests/plugins/SOURCE.c` into the library of this name, with these macros, each `NAME` or `NAME=VALUE`.
    pub fn build(&self, name: &str, source: &str, macros: &[&str]) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let library = self.path().join(name);
        // Linked apart and moved into its place at once, as an operator should replace it.
        let fresh = self.path().join(format!("{name}.new"));
        let built = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
            .args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-O1"])
            .args(macros.iter().map(|define| format!("-D{define}")))
            .arg("-I")
            .arg(root.join("plugins/abi/include"))
            .arg("-o")
            .arg(&fresh)
            .arg(root.join(format!("tests/plugins/{source}.c")))
            .output()
            .expect("a C compiler, `cc`, is needed");
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{said}");
        std::fs::rename(fresh, &library).unwrap();
        library
    }

    /// A file of this name with these bytes.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// What `millgate check` says about a config: its exit code and its words.
pub fn check(config: &str, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .arg("check")
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    (
        code.unwrap_or_else(|| panic!("{:?}: {text}", output.status)),
        text.into_owned(),
    )
}
