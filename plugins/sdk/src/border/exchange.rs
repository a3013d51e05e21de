//! The host's exchange, as the trait that stages know.

use millgate_plugin_abi as abi;

use super::{
    host::table,
    slices::{NOTHING, bytes, slice, text},
};
use crate::{Exchange, Field, SetError};

/// An exchange on the other side of the border, for the time of one hook.
pub(super) struct Foreign(*mut abi::Exchange);

impl Foreign {
    /// The exchange that a hook was handed.
    ///
    /// # Safety
    /// It is valid for as long as this lives, and nobody else uses it meanwhile.
    pub(super) unsafe fn new(exchange: *mut abi::Exchange) -> Self {
        Self(exchange)
    }
}

impl Exchange for Foreign {
    fn get(&self, field: Field, key: &str) -> Option<&[u8]> {
        let mut value = NOTHING;
        let get = table().get?;
        // SAFETY: the exchange is valid for the time of the hook; what comes back lives until the next `set`, which
        // borrows this mutably.
        unsafe {
            let found = get(self.0, field as u32, slice(key.as_bytes()), &raw mut value);
            (found != 0).then(|| bytes(value))
        }
    }

    fn number(&self, field: Field) -> Option<u64> {
        let mut value = 0;
        let number = table().number?;
        // SAFETY: the exchange is valid for the time of the hook.
        let found = unsafe { number(self.0, field as u32, &raw mut value) };
        (found != 0).then_some(value)
    }

    fn set(&mut self, field: Field, key: &str, value: Option<&[u8]>) -> Result<(), SetError> {
        let Some(set) = table().set else {
            return Err(SetError::ReadOnly);
        };
        let value = match value {
            Some([]) => abi::Slice {
                ptr: std::ptr::NonNull::dangling().as_ptr(),
                len: 0,
            },
            Some(value) => slice(value),
            None => NOTHING,
        };
        // SAFETY: the exchange is valid for the time of the hook; key and value are borrowed for the call.
        match unsafe { set(self.0, field as u32, slice(key.as_bytes()), value) } {
            abi::NEXT => Ok(()),
            abi::INVALID => Err(SetError::Invalid),
            abi::UNKNOWN => Err(SetError::Unknown),
            abi::UNAVAILABLE => Err(SetError::Unavailable),
            _ => Err(SetError::ReadOnly),
        }
    }

    fn each(&self, field: Field, visit: &mut dyn FnMut(&str, &[u8]) -> bool) {
        let Some(each) = table().each else { return };
        let mut visit = visit;
        // SAFETY: the exchange is valid for the time of the hook, and `visit` outlives the call.
        unsafe {
            each(
                self.0,
                field as u32,
                Some(visit_one),
                (&raw mut visit).cast(),
            );
        }
    }
}

/// Passes one key and value to the visitor behind `user`.
unsafe extern "C" fn visit_one(
    user: *mut std::ffi::c_void,
    key: abi::Slice,
    value: abi::Slice,
) -> u32 {
    super::contain(
        || {
            // SAFETY: `each` above handed in a pointer to its visitor, and is still running; the slices live for the call.
            let (visit, key, value) = unsafe {
                let visit = &mut *user.cast::<&mut dyn FnMut(&str, &[u8]) -> bool>();
                (visit, text(key), bytes(value))
            };
            u32::from(visit(key, value))
        },
        |_| 0,
    )
}
