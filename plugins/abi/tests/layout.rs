//! What was promised to plugins that are built already: `layout.txt` holds every struct with the offset, size and C type of
//! its members, and every constant with its value. Lines may be added to it, and never change or go.
//!
//! The header is compiled by the C compiler (`$CC`, else `cc`), which says where everything is. `UPDATE_LAYOUT=1 cargo test
//! -p millgate-plugin-abi --test layout` takes note of what was appended, and of nothing else.

mod layout {
    pub(crate) mod header;
    pub(crate) mod promise;
}

use std::{fs, path::Path};

use layout::{header, promise};

#[test]
fn nothing_that_was_promised_has_changed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = folder.join("layout.txt");
    let found = header::layout(
        &folder.join("include"),
        Path::new(env!("CARGO_TARGET_TMPDIR")),
    );
    let kept = fs::read_to_string(&file).unwrap_or_default();
    if let Err(broken) = promise::holds(&kept, &found) {
        panic!(
            "{broken}\n\nPlugins that are built already read it as it was. Put it back, and append: a new member goes to \
             the end of its struct, new data gets a new constant. What cannot be an append is a version 2 under a new \
             symbol, beside this one."
        );
    }
    if std::env::var_os("UPDATE_LAYOUT").is_some() {
        fs::write(&file, &found).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == found,
        "something was appended to the interface, which is fine. Raise MINOR in src/lib.rs where the last release had \
         this one, and take note: run this test with UPDATE_LAYOUT=1"
    );
}

#[test]
fn the_symbol_is_that_of_version_1() {
    assert_eq!(millgate_plugin_abi::SYMBOL, b"millgate_plugin_v1\0");
}

const KEPT: &str = "\
const MG_MINOR 3
const MG_NEXT 0
type MgDone void (*)(void *user)
struct MgA 16
  0 4 uint32_t size
  8 8 uint64_t value
struct MgB 12
  0 4 uint32_t size
  4 4 uint32_t value
  8 4 uint32_t last
struct MgSlice 8
  0 8 size_t len
";

/// [`KEPT`] with one text replaced by another.
fn with(old: &str, new: &str) -> String {
    assert_eq!(KEPT.matches(old).count(), 1, "{old}");
    KEPT.replace(old, new)
}

#[test]
fn an_append_is_fine() {
    for fine in [
        KEPT.to_owned(),
        with("MINOR 3", "MINOR 4"),
        with("const MG_NEXT 0", "const MG_NEXT 0\nconst MG_NEW 1"),
        with("struct MgB", "struct MgC 8\n  0 8 uint64_t it\nstruct MgB"),
        with("MgB 12", "MgB 16").replace(
            "  8 4 uint32_t last",
            "  8 4 uint32_t last\n  12 4 uint32_t more",
        ),
    ] {
        assert_eq!(promise::holds(KEPT, &fine), Ok(()), "{fine}");
    }
}

#[test]
fn anything_else_is_not() {
    for broken in [
        with("MINOR 3", "MINOR 2"),
        with("const MG_NEXT 0\n", ""),
        with("MG_NEXT 0", "MG_NEXT 1"),
        with("const MG_NEXT 0", "const MG_FORTH 0"),
        with("void (*)(void *user)", "void (*)(void *user, int more)"),
        with("  8 8 uint64_t value\n", ""),
        with("8 8 uint64_t value", "8 8 int64_t value"),
        with("8 4 uint32_t last", "8 4 uint32_t final"),
        with("struct MgA 16\n", "struct MgA 16\n  0 4 uint32_t other\n"),
        with(
            "  0 4 uint32_t size\n  8 8 uint64_t value",
            "  0 8 uint64_t value\n  8 4 uint32_t size",
        ),
        // In what was padding: a reader cannot tell from the size whether it is there.
        with(
            "  8 8 uint64_t value",
            "  8 8 uint64_t value\n  4 4 uint32_t more",
        ),
        with("MgA 16", "MgA 15"),
        with("MgSlice 8", "MgSlice 16")
            .replace("  0 8 size_t len", "  0 8 size_t len\n  8 8 size_t more"),
        with(
            "struct MgB 12\n  0 4 uint32_t size\n  4 4 uint32_t value\n  8 4 uint32_t last\n",
            "",
        ),
        with(
            "  8 4 uint32_t last",
            "  8 4 uint32_t last\n  10 2 uint16_t more",
        ),
    ] {
        assert!(promise::holds(KEPT, &broken).is_err(), "{broken}");
    }
}
