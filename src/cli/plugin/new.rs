//! `plugin new`

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

/// Options of `plugin new`.
#[derive(Args)]
pub(super) struct Arguments {
    /// What the plugin calls itself, and its folder: lower-case letters, digits, `-` and `_`
    #[arg(value_parser = plugin_name)]
    name: String,
    /// What it is to hold
    #[arg(long, value_enum, default_value = "stage")]
    kind: Kind,
    /// The language to write it in
    #[arg(long, value_enum, default_value = "rust")]
    lang: Language,
    /// The folder of the SDK, `plugins/sdk` in a checkout of millgate. Default: its repository is asked
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// A step of the pipeline
    Stage,
    /// What speaks to an upstream, or answers by itself
    Provider,
}

#[derive(Clone, Copy, ValueEnum)]
enum Language {
    Rust,
    C,
}

/// What templates call the plugin.
const NAME: &str = "my-plugin";

/// Names that Rust crates cannot have, or that a dependency has.
const TAKEN: &[&str] = &[
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "millgate_plugin",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "schemars",
    "self",
    "serde",
    "serde_json",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Writes the folder; what to do with it.
pub(super) fn write(arguments: &Arguments) -> Result<String, String> {
    let name = &arguments.name;
    if matches!(arguments.lang, Language::Rust) && TAKEN.contains(&&*snake(name)) {
        return Err(format!(
            "no crate of your own can be called `{name}`: find another name"
        ));
    }
    let sdk = sdk(arguments.sdk.as_deref())?;
    let folder = Path::new(name);
    fs::create_dir(folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("there is something called `{name}` here already: nothing was written")
        }
        _ => format!("the folder `{name}` cannot be made: {error}"),
    })?;
    for (path, template) in files(arguments.kind, arguments.lang) {
        let text = template
            .replace("SDK\n", &format!("{sdk}\n"))
            .replace("REPOSITORY", env!("CARGO_PKG_REPOSITORY"))
            .replace(NAME, name)
            .replace(&snake(NAME), &snake(name));
        write_file(&folder.join(path), &text)
            .map_err(|error| format!("`{name}/{path}` cannot be written: {error}"))?;
    }
    let (test, build, library) = match arguments.lang {
        Language::Rust => (
            "cargo test",
            "cargo build --release",
            format!("target/release/lib{}.so", snake(name)),
        ),
        Language::C => ("make test", "make", format!("{}.so", snake(name))),
    };
    Ok(format!(
        "wrote {name}/. Next:\n\n    cd {name}\n    {test}\n    {build}\n    millgate plugin check {library}\n\n\
         {name}/README.md shows what goes into config.toml.\n"
    ))
}

/// Only of a new folder: nothing is written over.
fn write_file(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

/// The plugin's name is one of a package, a folder and a table, and has to be good as each.
fn plugin_name(name: &str) -> Result<String, &'static str> {
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.bytes().all(is_plain) {
        return Err(
            "begin with a lower-case letter, and go on with such letters, digits, `-` and `_`",
        );
    }
    if name.len() > 64 {
        return Err("a plugin's name has 64 letters at most");
    }
    Ok(name.to_owned())
}

fn snake(name: &str) -> String {
    name.replace('-', "_")
}

/// The line of Cargo.toml that says where the SDK is.
fn sdk(folder: Option<&Path>) -> Result<String, String> {
    let version = concat!(
        env!("CARGO_PKG_VERSION_MAJOR"),
        ".",
        env!("CARGO_PKG_VERSION_MINOR")
    );
    let Some(folder) = folder else {
        return Ok(format!(
            "# Or from a checkout of millgate: {{ path = \"…/plugins/sdk\" }}\n\
             millgate-plugin = {{ version = \"{version}\", git = \"{}\" }}",
            env!("CARGO_PKG_REPOSITORY")
        ));
    };
    let whole = fs::canonicalize(folder)
        .ok()
        .filter(|folder| folder.join("Cargo.toml").is_file())
        .ok_or_else(|| {
            format!(
                "`{}` does not hold the SDK: name `plugins/sdk` of a checkout",
                folder.display()
            )
        })?;
    let path = whole
        .to_str()
        .filter(|path| !path.contains(['"', '\\']))
        .ok_or("the path of the SDK cannot be written into Cargo.toml")?;
    Ok(format!(
        "millgate-plugin = {{ version = \"{version}\", path = \"{path}\" }}"
    ))
}

type Files = Vec<(&'static str, &'static str)>;

/// A template, by its path below `templates`.
macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("templates/", $path))
    };
}

fn files(kind: Kind, language: Language) -> Files {
    let own: [(&str, &str); 3] = match (language, kind) {
        (Language::Rust, Kind::Stage) => [
            ("src/lib.rs", template!("rust-stage/lib.rs")),
            ("tests/stage.rs", template!("rust-stage/test.rs")),
            ("README.md", template!("rust-stage/README.md")),
        ],
        (Language::Rust, Kind::Provider) => [
            ("src/lib.rs", template!("rust-provider/lib.rs")),
            ("tests/provider.rs", template!("rust-provider/test.rs")),
            ("README.md", template!("rust-provider/README.md")),
        ],
        (Language::C, Kind::Stage) => [
            ("plugin.c", template!("c-stage/plugin.c")),
            ("test.c", template!("c-stage/test.c")),
            ("README.md", template!("c-stage/README.md")),
        ],
        (Language::C, Kind::Provider) => [
            ("plugin.c", template!("c-provider/plugin.c")),
            ("test.c", template!("c-provider/test.c")),
            ("README.md", template!("c-provider/README.md")),
        ],
    };
    let shared: &[(&str, &str)] = match language {
        Language::Rust => &[
            ("Cargo.toml", template!("Cargo.toml.in")),
            (".gitignore", template!("gitignore-rust")),
        ],
        Language::C => &[
            ("Makefile", template!("Makefile.in")),
            (
                "millgate_plugin.h",
                include_str!("../../../plugins/abi/include/millgate_plugin.h"),
            ),
            (".gitignore", template!("gitignore-c")),
        ],
    };
    own.into_iter().chain(shared.iter().copied()).collect()
}
