//! Bytes, texts and structs across the border.

use std::mem::MaybeUninit;

use millgate_plugin::border::abi::Slice;

/// Borrowed bytes for a plugin.
pub(super) const fn slice(bytes: &[u8]) -> Slice {
    Slice {
        ptr: bytes.as_ptr(),
        len: bytes.len(),
    }
}

/// No bytes.
pub(super) const NOTHING: Slice = Slice {
    ptr: std::ptr::null(),
    len: 0,
};

/// A plugin's bytes; `None` where the slice is null.
///
/// # Safety
/// The slice is null, or its bytes live for `'a` and nobody writes to them.
pub(super) unsafe fn bytes<'a>(slice: Slice) -> Option<&'a [u8]> {
    if slice.ptr.is_null() {
        return None;
    }
    if slice.len > isize::MAX as usize {
        // No memory is as large: the plugin lies.
        return Some(&[]);
    }
    // SAFETY: not null, not too long; the caller vouches for the rest.
    Some(unsafe { std::slice::from_raw_parts(slice.ptr, slice.len) })
}

/// Whether a slice can be bytes at all: not longer than any memory, and nothing where it points to nothing.
pub(super) const fn is_sound(slice: Slice) -> bool {
    slice.len <= isize::MAX as usize && (slice.len == 0 || !slice.ptr.is_null())
}

/// A plugin's text; `None` where it is no UTF-8. Null is empty.
///
/// # Safety
/// As for [`bytes`].
pub(super) unsafe fn text<'a>(slice: Slice) -> Option<&'a str> {
    // SAFETY: as the caller vouches for.
    std::str::from_utf8(unsafe { bytes(slice) }.unwrap_or_default()).ok()
}

/// A plugin's struct, as large as this version knows it: what it is shorter by is zero.
///
/// # Safety
/// `T` is a struct of the interface, for which zero is valid everywhere; `source` has `size` bytes.
pub(super) unsafe fn sized<T>(source: *const T, size: u32) -> T {
    let mut whole = MaybeUninit::<T>::zeroed();
    // Whole words, so that no pointer is torn.
    let known = size_of::<T>().min(size as usize & !7);
    // SAFETY: both have `known` bytes, and they are different places.
    unsafe {
        std::ptr::copy_nonoverlapping(source.cast::<u8>(), whole.as_mut_ptr().cast(), known);
        whole.assume_init()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_read_whole_or_not_at_all() {
        #[repr(C)]
        struct Shared {
            size: u64,
            pointer: *const u8,
        }
        let shared = Shared {
            size: 12,
            pointer: std::ptr::dangling(),
        };
        for (size, is_there) in [(8, false), (12, false), (16, true), (64, true)] {
            // SAFETY: the struct has 16 bytes, and any bits are good for its members.
            let read = unsafe { sized(&raw const shared, size) };
            assert_eq!(read.size, 12);
            assert_eq!(!read.pointer.is_null(), is_there, "{size}");
        }
    }
}
