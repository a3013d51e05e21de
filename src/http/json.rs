//! A JSON document as the gateway needs it: checked once, never parsed into a tree.
//!
//! [`scan`] walks over the bytes a single time. It checks all of [RFC 8259]'s syntax and remembers where the
//! members of the top-level object stand; [`splice`] changes some of them and leaves every other byte alone, so that
//! what the gateway does not know survives it. Values are read straight from their spans by [`as_str`] and its kin.
//!
//! [RFC 8259]: https://www.rfc-editor.org/rfc/rfc8259

mod error;
mod members;
mod read;
mod splice;
mod stops;
mod string;
mod syntax;
#[cfg(test)]
mod tests;

pub use error::{JsonError, JsonErrorKind};
pub use members::Members;
pub use read::{as_bool, as_f64, as_str, as_u64, is_null};
pub use splice::{Edit, splice};
pub use string::write_string;

use error::Fault;

/// How deep objects and arrays may nest; the top-level object is level 1.
///
/// One more than `serde_json` takes when it builds a tree.
pub const MAX_DEPTH: usize = 128;

/// Checks a document and finds the members of its top-level object.
///
/// Beyond the syntax, it refuses what servers understand differently from each other and a gateway therefore must not
/// pass on: top-level keys that stand twice (compared after decoding escapes), and nesting beyond [`MAX_DEPTH`].
/// Lone surrogates (`"\ud800"`) are legal in the grammar and are let through; readers see U+FFFD for them. Numbers
/// may have any size.
pub fn scan(bytes: &[u8]) -> Result<Members, JsonError> {
    let mut members = Members::default();
    check_encoding(bytes)
        .and_then(|()| syntax::Walker::new(bytes).document(&mut members))
        .and_then(|()| members.refuse_duplicates(bytes))
        .map_err(|fault| fault.locate(bytes))?;
    Ok(members)
}

fn check_encoding(bytes: &[u8]) -> Result<(), Fault> {
    if simdutf8::basic::from_utf8(bytes).is_ok() {
        return Ok(());
    }
    // The fast check does not say where: ask again.
    let Err(error) = std::str::from_utf8(bytes) else {
        return Ok(());
    };
    Err(match error.error_len() {
        None => Fault::new(JsonErrorKind::Truncated, bytes.len()),
        Some(_) => Fault::new(JsonErrorKind::InvalidUtf8, error.valid_up_to()),
    })
}
