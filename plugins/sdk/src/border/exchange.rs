//! The host's exchange, as the trait that stages know.

use std::{
    any::Any,
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

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
        // An empty slice is not null: it sets nothing, and does not remove.
        let value = value.map_or(NOTHING, slice);
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
        let mut visitor = Visitor { visit, panic: None };
        // SAFETY: the exchange is valid for the time of the hook, and the visitor outlives the call.
        unsafe {
            each(
                self.0,
                field as u32,
                Some(visit_one),
                (&raw mut visitor).cast(),
            );
        }
        if let Some(panic) = visitor.panic {
            resume_unwind(panic);
        }
    }
}

/// Who looks at a map, and how that went wrong: a panic goes around the host, and on behind it.
struct Visitor<'a> {
    visit: &'a mut dyn FnMut(&str, &[u8]) -> bool,
    panic: Option<Box<dyn Any + Send>>,
}

/// Passes one key and value to the visitor behind `user`.
unsafe extern "C" fn visit_one(user: *mut c_void, key: abi::Slice, value: abi::Slice) -> u32 {
    // SAFETY: `each` above handed in a pointer to its visitor, and is still running; the slices live for the call.
    let (visitor, key, value) =
        unsafe { (&mut *user.cast::<Visitor<'_>>(), text(key), bytes(value)) };
    if visitor.panic.is_some() {
        return 0;
    }
    match catch_unwind(AssertUnwindSafe(|| (visitor.visit)(key, value))) {
        Ok(go_on) => u32::from(go_on),
        Err(panic) => {
            visitor.panic = Some(panic);
            0
        }
    }
}
