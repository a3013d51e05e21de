//! Bytes across the border.

use millgate_plugin_abi::Slice;

/// Borrowed bytes for the other side.
#[must_use]
pub const fn slice(bytes: &[u8]) -> Slice {
    Slice {
        ptr: bytes.as_ptr(),
        len: bytes.len(),
    }
}

/// No bytes; of a value to set: remove.
pub(super) const NOTHING: Slice = Slice {
    ptr: std::ptr::null(),
    len: 0,
};

/// The other side's bytes.
///
/// # Safety
/// The slice is null, or its bytes live for `'a` and are not written to.
#[must_use]
pub(super) unsafe fn bytes<'a>(slice: Slice) -> &'a [u8] {
    if slice.ptr.is_null() || slice.len == 0 {
        return &[];
    }
    // SAFETY: not null; the caller vouches for the rest.
    unsafe { std::slice::from_raw_parts(slice.ptr, slice.len) }
}

/// The other side's text; empty where it is not UTF-8, which the interface rules out.
///
/// # Safety
/// As for [`bytes`].
#[must_use]
pub(super) unsafe fn text<'a>(slice: Slice) -> &'a str {
    // SAFETY: as the caller vouches for.
    std::str::from_utf8(unsafe { bytes(slice) }).unwrap_or_default()
}

/// The first of a plugin's names that was given.
#[must_use]
pub const fn name_of(names: &[&'static str]) -> &'static str {
    names[0]
}

/// Headers as `name: value` lines.
pub(super) fn header_lines(headers: &[(String, String)]) -> String {
    headers.iter().fold(String::new(), |lines, (name, value)| {
        lines + name + ": " + value + "\n"
    })
}

/// The headers of `name: value` lines.
pub(super) fn headers_of(lines: &str) -> Vec<(String, String)> {
    lines
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
