//! Bytes across the border.

use std::mem::MaybeUninit;

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
    if slice.ptr.is_null() || slice.len > isize::MAX as usize {
        return &[];
    }
    // SAFETY: not null, and no longer than memory is; the caller vouches for the rest.
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

/// The other side's struct, as large as this version knows it: what it is shorter by is zero.
///
/// # Safety
/// `T` is a struct of the interface that begins with its size and for which zero is valid everywhere, and `source` has as
/// many bytes as it says.
pub(super) unsafe fn sized<T>(source: *const T) -> T {
    let mut whole = MaybeUninit::<T>::zeroed();
    // SAFETY: every struct begins with its size; both have that many bytes, and they are different places.
    unsafe {
        // Whole words, so that no pointer is torn.
        let size = (source.cast::<u32>().read() as usize & !7).min(size_of::<T>());
        std::ptr::copy_nonoverlapping(source.cast::<u8>(), whole.as_mut_ptr().cast(), size);
        whole.assume_init()
    }
}

/// The first of a plugin's names that was given.
#[must_use]
pub const fn name_of(names: &[&'static str]) -> &'static str {
    names[0]
}

/// Headers as `name: value` lines; the name of one that would be read as something else.
pub(super) fn header_lines(headers: &[(String, String)]) -> Result<String, &str> {
    let mut lines = String::new();
    for (name, value) in headers {
        if name.contains([':', '\r', '\n']) || value.contains(['\r', '\n']) {
            return Err(name);
        }
        lines.extend([name, ": ", value, "\n"]);
    }
    Ok(lines)
}

/// The headers of `name: value` lines.
pub(super) fn headers_of(lines: &str) -> Vec<(String, String)> {
    lines
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
