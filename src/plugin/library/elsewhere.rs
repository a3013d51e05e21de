//! Systems on which no plugin can be loaded.

use std::path::Path;

use millgate_plugin::border::abi;

use super::refused::Refused;

/// Says so.
pub(super) fn load(_: &Path, _: &[u8]) -> Result<*const abi::Manifest, Refused> {
    Err(Refused::file("plugins are loaded on Linux only"))
}
