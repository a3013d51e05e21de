//! `[plugins.NAME]`: a library with further kinds of stages and providers.

use std::{borrow::Cow, path::PathBuf, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::caller::KeySha256;

/// A shared library with further kinds of stages and providers, which stages and providers name as
/// `kind = "NAME/KIND"`. NAME is what the plugin calls itself. It is code that runs as the gateway does, and is loaded by
/// `serve`, by a reload and by `check`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// The library, such as `"plugins/libword_filter.so"`; a relative path begins at the folder of the configuration. The
    /// file and all folders above it must belong to root or to the gateway's user, nobody else may be able to write to
    /// them, and no part of the path may be a symbolic link. A file that was replaced is loaded by the next reload,
    /// beside the old one, with which requests that are under way are finished.
    pub path: PathBuf,
    /// SHA-256 of the file in hexadecimal, as `sha256sum FILE` prints it: a file with any other is refused. `millgate
    /// check` shows what to write here. Default: none, and any file is taken.
    #[serde(default)]
    pub sha256: Option<FileSha256>,
}

/// The SHA-256 of a file, as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSha256(pub [u8; 32]);

impl FromStr for FileSha256 {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hash: Result<KeySha256, _> = text.parse();
        hash.map(|hash| Self(hash.0))
            .map_err(|_| "expected a SHA-256 as 64 hexadecimal digits: sha256sum FILE")
    }
}

impl<'de> Deserialize<'de> for FileSha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for FileSha256 {
    fn schema_name() -> Cow<'static, str> {
        "FileSha256".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "SHA-256 of a file, as 64 hexadecimal digits.",
            "type": "string",
            "pattern": "^[0-9A-Fa-f]{64}$",
        })
    }
}
