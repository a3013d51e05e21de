//! A stage as a C author might write it, which does what a test tells it.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use millgate_plugin::{Bytes, Field, SetError};

use super::super::*;
use crate::plugin::{host::TABLE, slices::NOTHING};

/// What a hook does.
pub(super) type Act = fn(&Inside<'_>) -> abi::Status;

/// What the stage does, and how often.
pub(super) struct Script {
    pub(super) hooks: u32,
    pub(super) place: u32,
    pub(super) request: Act,
    pub(super) response: Act,
    pub(super) chunk: Act,
    pub(super) end: Act,
    /// Whether `begin` has nothing to remember.
    pub(super) begins_null: bool,
    /// What `create` comes back with.
    pub(super) create: fn(*mut abi::Setup) -> abi::Status,
    pub(super) called: AtomicU32,
    pub(super) begun: AtomicU32,
    pub(super) freed: AtomicU32,
    pub(super) destroyed: AtomicU32,
    pub(super) adopted: AtomicU32,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            hooks: u32::MAX,
            place: abi::PLACE_ANYWHERE,
            request: |_| abi::NEXT,
            response: |_| abi::NEXT,
            chunk: |_| abi::NEXT,
            end: |_| abi::NEXT,
            begins_null: false,
            create: |_| abi::NEXT,
            called: AtomicU32::new(0),
            begun: AtomicU32::new(0),
            freed: AtomicU32::new(0),
            destroyed: AtomicU32::new(0),
            adopted: AtomicU32::new(0),
        }
    }
}

impl Script {
    pub(super) fn counts(&self) -> (u32, u32, u32) {
        let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        (
            count(&self.begun),
            count(&self.freed),
            count(&self.destroyed),
        )
    }
}

/// What a hook was handed.
pub(super) struct Inside<'a> {
    pub(super) exchange: *mut abi::Exchange,
    /// How often a hook of this state has been called before.
    pub(super) calls: u32,
    pub(super) chunk: &'a [u8],
}

impl Inside<'_> {
    pub(super) fn set(&self, field: u32, key: &str, value: &[u8]) -> abi::Status {
        self.set_slice(field, slice(key.as_bytes()), slice(value))
    }

    pub(super) fn set_slice(&self, field: u32, key: abi::Slice, value: abi::Slice) -> abi::Status {
        // SAFETY: inside the hook.
        unsafe { TABLE.set.unwrap()(self.exchange, field, key, value) }
    }

    pub(super) fn get(&self, field: u32, key: &str) -> Option<Vec<u8>> {
        let mut value = NOTHING;
        let key = slice(key.as_bytes());
        // SAFETY: inside the hook; what is found is copied at once.
        unsafe {
            let found = TABLE.get.unwrap()(self.exchange, field, key, &raw mut value);
            (found != 0).then(|| {
                crate::plugin::slices::bytes(value)
                    .unwrap_or_default()
                    .to_vec()
            })
        }
    }

    /// What `get` has found, where it is.
    pub(super) fn get_slice(&self, field: u32, key: &str) -> abi::Slice {
        let mut value = NOTHING;
        let key = slice(key.as_bytes());
        // SAFETY: inside the hook.
        unsafe { TABLE.get.unwrap()(self.exchange, field, key, &raw mut value) };
        value
    }

    pub(super) fn emit(&self, bytes: &[u8]) {
        // SAFETY: inside the hook.
        unsafe { TABLE.emit.unwrap()(self.exchange, slice(bytes)) };
    }

    pub(super) fn fail(&self, message: &str) {
        // SAFETY: inside the hook.
        unsafe { TABLE.fail.unwrap()(self.exchange, slice(message.as_bytes())) };
    }

    pub(super) fn reject(&self, kind: u32, message: &str) {
        let refusal = abi::Refusal {
            size: size_of::<abi::Refusal>() as u32,
            kind,
            retry_after: 1500,
            message: slice(message.as_bytes()),
            code: slice(b"too_rude"),
            param: NOTHING,
            error_type: NOTHING,
        };
        // SAFETY: inside the hook.
        unsafe { TABLE.reject.unwrap()(self.exchange, &raw const refusal) };
    }

    pub(super) fn token(&self) -> u64 {
        // SAFETY: inside the hook.
        unsafe { TABLE.token.unwrap()(self.exchange) }
    }
}

pub(super) fn wake(token: u64) {
    // SAFETY: a number.
    unsafe { TABLE.wake.unwrap()(token) };
}

unsafe extern "C" fn create(
    setup: *mut abi::Setup,
    _: abi::Slice,
    config: abi::Slice,
    stage: *mut *mut c_void,
) -> abi::Status {
    // SAFETY: the test hands in the address of a script, which is leaked.
    unsafe {
        let address = crate::plugin::slices::text(config)
            .unwrap()
            .parse()
            .unwrap();
        let script = std::ptr::with_exposed_provenance_mut::<Script>(address);
        stage.write(script.cast());
        ((*script).create)(setup)
    }
}

fn script<'a>(stage: *const c_void) -> &'a Script {
    // SAFETY: as `create` made it.
    unsafe { &*stage.cast::<Script>() }
}

unsafe extern "C" fn destroy(stage: *mut c_void) {
    script(stage).destroyed.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn hooks(stage: *const c_void) -> u32 {
    script(stage).hooks
}

unsafe extern "C" fn place(stage: *const c_void) -> u32 {
    script(stage).place
}

unsafe extern "C" fn adopt(stage: *const c_void, _: *const c_void) {
    script(stage).adopted.fetch_add(1, Ordering::Relaxed);
}

/// What is remembered: whose it is, and how often a hook was called with it.
struct State {
    script: &'static Script,
    calls: u32,
}

unsafe extern "C" fn begin(stage: *const c_void) -> *mut c_void {
    let script = script(stage);
    script.begun.fetch_add(1, Ordering::Relaxed);
    if script.begins_null {
        return std::ptr::null_mut();
    }
    Box::into_raw(Box::new(State { script, calls: 0 })).cast()
}

unsafe extern "C" fn end(state: *mut c_void) {
    assert!(!state.is_null());
    // SAFETY: as `begin` made it.
    let state = unsafe { Box::from_raw(state.cast::<State>()) };
    state.script.freed.fetch_add(1, Ordering::Relaxed);
}

fn act(
    stage: *const c_void,
    state: *mut c_void,
    exchange: *mut abi::Exchange,
    chunk: &[u8],
    act: Act,
) -> abi::Status {
    script(stage).called.fetch_add(1, Ordering::Relaxed);
    // SAFETY: as `begin` made it.
    let state = unsafe { state.cast::<State>().as_mut() };
    let calls = state.map_or(0, |state| {
        state.calls += 1;
        state.calls - 1
    });
    act(&Inside {
        exchange,
        calls,
        chunk,
    })
}

unsafe extern "C" fn on_request(
    stage: *const c_void,
    state: *mut c_void,
    exchange: *mut abi::Exchange,
) -> abi::Status {
    act(stage, state, exchange, &[], script(stage).request)
}

unsafe extern "C" fn on_response(
    stage: *const c_void,
    state: *mut c_void,
    exchange: *mut abi::Exchange,
) -> abi::Status {
    act(stage, state, exchange, &[], script(stage).response)
}

unsafe extern "C" fn on_chunk(
    stage: *const c_void,
    state: *mut c_void,
    exchange: *mut abi::Exchange,
    chunk: abi::Slice,
) -> abi::Status {
    // SAFETY: borrowed for the call.
    let chunk = unsafe { crate::plugin::slices::bytes(chunk) }.unwrap();
    act(stage, state, exchange, chunk, script(stage).chunk)
}

unsafe extern "C" fn on_end(
    stage: *const c_void,
    state: *mut c_void,
    exchange: *mut abi::Exchange,
    _: u32,
) -> abi::Status {
    act(stage, state, exchange, &[], script(stage).end)
}

pub(super) static KIND: abi::StageType = kind();

pub(super) const fn kind() -> abi::StageType {
    abi::StageType {
        size: size_of::<abi::StageType>() as u32,
        reserved: 0,
        name: slice(b"scripted"),
        schema: None,
        create: Some(create),
        destroy: Some(destroy),
        hooks: Some(hooks),
        place: Some(place),
        needs_store: None,
        adopt: Some(adopt),
        begin: Some(begin),
        on_request_head: None,
        on_request: Some(on_request),
        on_response: Some(on_response),
        on_chunk: Some(on_chunk),
        on_end: Some(on_end),
        end: Some(end),
    }
}

/// A stage that follows a script, of a plugin of its own.
pub(super) struct Staged {
    pub(super) script: &'static Script,
    pub(super) plugin: &'static Plugin,
    pub(super) stage: Foreign,
    pub(super) board: Board,
}

/// Keeps scripts, so that a check for leaks finds only real ones.
static SCRIPTS: Mutex<Vec<&'static Script>> = Mutex::new(Vec::new());

pub(super) fn try_stage(
    kind: &'static abi::StageType,
    script: Script,
) -> Result<Staged, SetupError> {
    let script: &'static Script = Box::leak(Box::new(script));
    SCRIPTS.lock().unwrap().push(script);
    let plugin = Plugin::leak("scripted", "1");
    let address = std::ptr::from_ref(script).expose_provenance().to_string();
    let stage = Foreign::create(plugin, kind, "under-test", &address, false)?;
    Ok(Staged {
        script,
        plugin,
        stage,
        board: Board::default(),
    })
}

pub(super) fn stage(script: Script) -> Staged {
    try_stage(&KIND, script).unwrap()
}

impl Staged {
    pub(super) fn request(
        &mut self,
        state: &mut crate::pipeline::erased::State,
    ) -> Result<Flow, StageError> {
        self.stage.on_request(state, &mut self.board)
    }

    pub(super) fn response(
        &mut self,
        state: &mut crate::pipeline::erased::State,
    ) -> Result<Flow, StageError> {
        self.stage.on_response(state, &mut self.board)
    }

    pub(super) fn chunk(
        &mut self,
        state: &mut crate::pipeline::erased::State,
        text: &'static str,
    ) -> Result<Vec<Bytes>, StageError> {
        let chunk = Bytes::from_static(text.as_bytes());
        let flow = self
            .stage
            .on_chunk(state, &mut self.board, Chunk::from(&chunk))?;
        Ok(match flow {
            ChunkFlow::Keep => vec![chunk],
            ChunkFlow::Drop => vec![],
            ChunkFlow::Replace(piece) => vec![piece],
            ChunkFlow::Split(pieces) => pieces,
        })
    }
}

/// An exchange of notes and headers for an upstream.
#[derive(Default)]
pub(super) struct Board {
    pub(super) fields: HashMap<(Field, String), Vec<u8>>,
    pub(super) deadline: Option<u64>,
}

impl Exchange for Board {
    fn get(&self, field: Field, key: &str) -> Option<&[u8]> {
        self.fields.get(&(field, key.to_owned())).map(Vec::as_slice)
    }

    fn number(&self, field: Field) -> Option<u64> {
        self.deadline.filter(|_| field == Field::DeadlineLeft)
    }

    fn set(&mut self, field: Field, key: &str, value: Option<&[u8]>) -> Result<(), SetError> {
        match field {
            Field::Var => {}
            Field::CallerKey => return Err(SetError::Unavailable),
            Field::CallerId => return Err(SetError::Unknown),
            Field::UpstreamHeader | Field::ReplyHeader => {
                http::HeaderValue::from_bytes(value.unwrap_or_default())
                    .map_err(|_| SetError::Invalid)?;
            }
            _ => return Err(SetError::ReadOnly),
        }
        let place = (field, key.to_owned());
        match value {
            Some(value) => self.fields.insert(place, value.to_vec()),
            None => self.fields.remove(&place),
        };
        Ok(())
    }

    fn each(&self, field: Field, visit: &mut dyn FnMut(&str, &[u8]) -> bool) {
        for ((known, key), value) in &self.fields {
            if *known == field && !visit(key, value) {
                return;
            }
        }
    }
}
