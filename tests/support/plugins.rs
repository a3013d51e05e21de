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

/// The plugins in Rust that tests load: their packages.
const PACKAGES: [&str; 4] = [
    "millgate-anthropic",
    "millgate-latency-guard",
    "millgate-ticket-header",
    "millgate-trouble",
];

impl Folder {
    /// The library of this package of the workspace, built with the profile of the gateway under test.
    pub fn rust(&self, package: &str) -> PathBuf {
        static BUILT: std::sync::Once = std::sync::Once::new();
        BUILT.call_once(|| {
            let profile = match binaries().file_name().unwrap().to_str().unwrap() {
                "debug" => "dev",
                other => other,
            };
            let mut cargo = cargo("build");
            cargo.args(["--profile", profile]);
            for package in PACKAGES {
                cargo.args(["--package", package]);
            }
            run(cargo.current_dir(env!("CARGO_MANIFEST_DIR")));
        });
        let name = format!("lib{}.so", package.replace('-', "_"));
        let library = self.path().join(&name);
        std::fs::copy(binaries().join(name), &library).unwrap();
        library
    }

    /// The library of `plugins/examples/word-filter-c`, built with these flags.
    pub fn word_filter(&self, flags: &str) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/examples/word-filter-c");
        let fresh = tempfile::tempdir_in(self.path()).unwrap();
        run(Command::new("make")
            .arg("--directory")
            .arg(source)
            .arg(format!("OUT={}", fresh.path().display()))
            .arg(format!("CFLAGS={flags}")));
        let library = self.path().join("word_filter.so");
        std::fs::rename(fresh.path().join("word_filter.so"), &library).unwrap();
        library
    }
}

/// Where the binary under test is, and the libraries of its profile.
pub fn binaries() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_millgate")).parent().unwrap()
}

/// The target folder of this test.
pub fn target() -> &'static Path {
    binaries().parent().unwrap()
}

/// `cargo build` or another command, into the target folder of this test and without a network.
pub fn cargo(command: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([command, "--offline"])
        .env("CARGO_TARGET_DIR", target());
    cargo
}

/// Runs a command that must do well; what it says.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = [&*output.stdout, &*output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}\n{said}");
    said
}
