//! Stages driven through the border.

use std::{ffi::c_void, ptr::null_mut};

use millgate_plugin_abi::{self as abi, Status};

use super::{
    super::{slices::slice, stage_type},
    gateway::{Hook, Setup, await_token, connect, end_token},
};
use crate::testing::FakeExchange;

/// A stage made through the border.
pub(super) struct Made {
    pub(super) kind: abi::StageType,
    pub(super) stage: *mut c_void,
}

// SAFETY: a stage is shared by threads.
unsafe impl Sync for Made {}

impl Made {
    /// Makes a stage, or says with which status, at which path and why not.
    pub(super) fn try_new<S: crate::Stage>(
        config: &str,
        is_shadow: bool,
    ) -> Result<Self, (Status, String, String)> {
        connect();
        let kind = stage_type::<S>();
        let mut setup = Setup {
            is_shadow,
            error: None,
        };
        let mut stage = null_mut();
        // SAFETY: all of it lives for the call.
        let status = unsafe {
            kind.create.unwrap()(
                (&raw mut setup).cast(),
                slice(b"it"),
                slice(config.as_bytes()),
                &raw mut stage,
            )
        };
        match setup.error {
            None => {
                assert_eq!(status, abi::NEXT);
                Ok(Self { kind, stage })
            }
            Some((path, message)) => {
                assert!(stage.is_null());
                Err((status, path, message))
            }
        }
    }

    pub(super) fn new<S: crate::Stage>(config: &str) -> Self {
        Self::try_new::<S>(config, false).unwrap()
    }

    /// Lets an exchange enter the stage.
    pub(super) fn enter(&self, exchange: FakeExchange) -> Entered<'_> {
        // SAFETY: the stage is that of these functions.
        let state = unsafe { self.kind.begin.unwrap()(self.stage) };
        let hook = Hook {
            exchange,
            may_wait: true,
            ..Hook::default()
        };
        Entered {
            made: self,
            state,
            hook: Box::into_raw(Box::new(hook)),
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // SAFETY: `create` made it, and this is the only time.
        unsafe { self.kind.destroy.unwrap()(self.stage) };
    }
}

/// An exchange inside a stage.
pub(super) struct Entered<'a> {
    made: &'a Made,
    pub(super) state: *mut c_void,
    hook: *mut Hook,
}

impl Entered<'_> {
    pub(super) fn hook(&mut self) -> &mut Hook {
        // SAFETY: its own box, and no hook runs.
        unsafe { &mut *self.hook }
    }

    /// Calls a hook, once.
    pub(super) fn once(&mut self, hook: abi::Hook) -> Status {
        // SAFETY: stage and state are of these functions, and the exchange lives for the call.
        unsafe { hook.unwrap()(self.made.stage, self.state, self.hook.cast()) }
    }

    /// Calls a hook until it waits no more.
    pub(super) fn call(&mut self, hook: abi::Hook) -> Status {
        loop {
            let status = self.once(hook);
            if status != abi::WAIT {
                return status;
            }
            await_token(self.hook().token);
        }
    }

    pub(super) fn request(&mut self) -> Status {
        self.call(self.made.kind.on_request)
    }

    pub(super) fn response(&mut self) -> Status {
        self.call(self.made.kind.on_response)
    }

    /// Passes a piece through: the status, and what was emitted.
    pub(super) fn chunk(&mut self, chunk: &str) -> (Status, Vec<String>) {
        let on_chunk = self.made.kind.on_chunk.unwrap();
        // SAFETY: as for `once`.
        let status = unsafe {
            on_chunk(
                self.made.stage,
                self.state,
                self.hook.cast(),
                slice(chunk.as_bytes()),
            )
        };
        let emitted = std::mem::take(&mut self.hook().emitted);
        let emitted = emitted
            .into_iter()
            .map(|piece| String::from_utf8(piece).unwrap());
        (status, emitted.collect())
    }

    /// Ends the exchange for the stage.
    pub(super) fn end(&mut self, outcome: u32) -> abi::Status {
        let on_end = self.made.kind.on_end.unwrap();
        self.hook().may_wait = false;
        // SAFETY: as for `once`.
        unsafe { on_end(self.made.stage, self.state, self.hook.cast(), outcome) }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        end_token(self.hook().token);
        // SAFETY: `begin` made the state, and the box is its own; this is the only time.
        unsafe {
            self.made.kind.end.unwrap()(self.state);
            drop(Box::from_raw(self.hook));
        }
    }
}
