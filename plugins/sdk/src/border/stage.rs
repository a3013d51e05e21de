//! A [`Stage`] as a table of C functions.

use std::ffi::c_void;

use millgate_plugin_abi::{self as abi, Slice, Status};
use schemars::SchemaGenerator;
use serde::de::DeserializeOwned;

use super::{
    contain,
    exchange::Foreign,
    host::{host, table},
    slices::{NOTHING, bytes, slice, text},
    wait,
};
use crate::{
    BoxFuture, Chunk, ChunkFlow, Exchange, Field, Flow, Outcome, Place, Refusal, Reply, SetupError,
    Stage, StageError,
};

/// The functions of a stage.
#[must_use]
pub const fn stage_type<S: Stage>() -> abi::StageType {
    abi::StageType {
        size: size_of::<abi::StageType>() as u32,
        reserved: 0,
        name: slice(S::KIND.as_bytes()),
        schema: Some(schema::<S>),
        create: Some(create::<S>),
        destroy: Some(destroy::<S>),
        hooks: Some(hooks::<S>),
        place: Some(place::<S>),
        needs_store: Some(needs_store::<S>),
        adopt: Some(adopt::<S>),
        begin: Some(begin::<S>),
        on_request_head: Some(on_request_head::<S>),
        on_request: Some(on_request::<S>),
        on_response: Some(on_response::<S>),
        on_chunk: Some(on_chunk::<S>),
        on_end: Some(on_end::<S>),
        end: Some(end::<S>),
    }
}

/// What an exchange's stage remembers, and what it waits for.
struct Entered<S: Stage> {
    state: S::State,
    wait: Option<BoxFuture>,
}

unsafe extern "C" fn schema<S: Stage>(output: *mut abi::Output) {
    contain(
        // SAFETY: the output is valid for the time of the call.
        || unsafe { write_schema::<S::Config>(output) },
        |_| (),
    );
}

/// Writes the schema of a table.
///
/// # Safety
/// The output is valid for the time of the call.
pub(super) unsafe fn write_schema<C: schemars::JsonSchema>(output: *mut abi::Output) {
    let schema = SchemaGenerator::default().into_root_schema_for::<C>();
    let text = schema.as_value().to_string();
    if let Some(write) = table().write {
        // SAFETY: as the caller vouches for.
        unsafe { write(output, slice(text.as_bytes())) };
    }
}

/// Reads a table that came as JSON.
pub(super) fn read_config<C: DeserializeOwned>(json: &[u8]) -> Result<C, SetupError> {
    let mut json = serde_json::Deserializer::from_slice(json);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().iter().filter_map(|segment| match segment {
            serde_path_to_error::Segment::Seq { index } => Some(index.to_string()),
            serde_path_to_error::Segment::Map { key } => Some(key.clone()),
            _ => None,
        });
        SetupError::at(path.collect::<Vec<_>>(), error.inner().to_string())
    })
}

/// Makes what a `create` was asked for, or tells what is wrong with its table.
///
/// # Safety
/// `setup` and `made` are valid for the time of the call.
pub(super) unsafe fn hand_over<T>(
    setup: *mut abi::Setup,
    made: *mut *mut c_void,
    create: impl FnOnce() -> Result<T, SetupError>,
) -> Status {
    let (error, status) = match contain(
        || create().map_err(|error| (error, abi::FAILED)),
        |panic| {
            let error = SetupError::at(Vec::<String>::new(), format!("panicked: {panic}"));
            Err((error, abi::PANICKED))
        },
    ) {
        Ok(it) => {
            // SAFETY: as the caller vouches for.
            unsafe { made.write(Box::into_raw(Box::new(it)).cast()) };
            return abi::NEXT;
        }
        Err(refused) => refused,
    };
    let path = serde_json::to_string(&error.path).unwrap_or_default();
    if let Some(refuse) = table().refuse {
        // SAFETY: as the caller vouches for; the texts are borrowed for the call.
        unsafe {
            refuse(
                setup,
                slice(path.as_bytes()),
                slice(error.message.as_bytes()),
            );
        }
    }
    status
}

unsafe extern "C" fn create<S: Stage>(
    setup: *mut abi::Setup,
    name: Slice,
    config: Slice,
    stage: *mut *mut c_void,
) -> Status {
    // SAFETY: all of it is valid for the time of the call.
    unsafe {
        hand_over(setup, stage, || {
            let shadow = table().shadow.is_some_and(|shadow| shadow(setup) != 0);
            let host = host().with_shadow(shadow);
            S::new(text(name), read_config(bytes(config))?, &host)
        })
    }
}

unsafe extern "C" fn destroy<S: Stage>(stage: *mut c_void) {
    // SAFETY: `create` made this box, and the host gives it back once.
    contain(|| drop(unsafe { Box::from_raw(stage.cast::<S>()) }), |_| ());
}

unsafe extern "C" fn hooks<S: Stage>(stage: *const c_void) -> u32 {
    // SAFETY: `create` made it.
    contain(|| unsafe { &*stage.cast::<S>() }.hooks().0, |_| 0)
}

unsafe extern "C" fn place<S: Stage>(stage: *const c_void) -> u32 {
    let place = contain(
        // SAFETY: `create` made it.
        || unsafe { &*stage.cast::<S>() }.place(),
        |_| S::PLACE,
    );
    match place {
        Place::Anywhere => abi::PLACE_ANYWHERE,
        Place::AboveRoute => abi::PLACE_ABOVE_ROUTE,
        Place::BelowRoute => abi::PLACE_BELOW_ROUTE,
    }
}

unsafe extern "C" fn needs_store<S: Stage>(stage: *const c_void) -> u32 {
    contain(
        // SAFETY: `create` made it.
        || u32::from(unsafe { &*stage.cast::<S>() }.needs_store()),
        |_| 0,
    )
}

unsafe extern "C" fn adopt<S: Stage>(stage: *const c_void, old: *const c_void) {
    contain(
        || {
            // SAFETY: `create` made both.
            let (stage, old) = unsafe { (&*stage.cast::<S>(), &*old.cast::<S>()) };
            stage.adopt(old);
        },
        |_| (),
    );
}

unsafe extern "C" fn begin<S: Stage>(stage: *const c_void) -> *mut c_void {
    contain(
        || {
            // SAFETY: `create` made it.
            let state = unsafe { &*stage.cast::<S>() }.begin();
            Box::into_raw(Box::new(Entered::<S> { state, wait: None })).cast()
        },
        |_| std::ptr::null_mut(),
    )
}

unsafe extern "C" fn end<S: Stage>(state: *mut c_void) {
    if state.is_null() {
        return;
    }
    // SAFETY: `begin` made this box, and the host gives it back once.
    contain(
        || drop(unsafe { Box::from_raw(state.cast::<Entered<S>>()) }),
        |_| (),
    );
}

/// Runs a hook; what it says goes to the host.
///
/// # Safety
/// The pointers are what `create`, `begin` and the host made, and the exchange is valid for the time of the call.
unsafe fn run<S: Stage>(
    stage: *const c_void,
    state: *mut c_void,
    exchange: *mut abi::Exchange,
    hook: impl FnOnce(&S, &mut Entered<S>, &mut Foreign) -> Result<Status, StageError>,
) -> Status {
    let failed = |message: &str| {
        if let Some(fail) = table().fail {
            // SAFETY: as the caller vouches for; the text is borrowed for the call.
            unsafe { fail(exchange, slice(message.as_bytes())) };
        }
    };
    contain(
        || {
            // SAFETY: as the caller vouches for; a state is used by one thread at a time.
            let (stage, entered, mut exchange) = unsafe {
                let entered = state.cast::<Entered<S>>().as_mut();
                (&*stage.cast::<S>(), entered, Foreign::new(exchange))
            };
            let Some(entered) = entered else {
                failed("it panicked when it was entered");
                return abi::PANICKED;
            };
            hook(stage, entered, &mut exchange).unwrap_or_else(|error| {
                failed(&error.0);
                abi::FAILED
            })
        },
        |panic| {
            failed(panic);
            abi::PANICKED
        },
    )
}

/// A hook that may answer, refuse and wait.
type FlowHook<S> = fn(&S, &mut <S as Stage>::State, &mut dyn Exchange) -> Result<Flow, StageError>;

unsafe fn run_flow<S: Stage>(
    stage: *const c_void,
    state: *mut c_void,
    raw: *mut abi::Exchange,
    hook: FlowHook<S>,
) -> Status {
    // SAFETY: as the host promises.
    unsafe {
        run::<S>(stage, state, raw, |stage, entered, exchange| {
            loop {
                if let Some(future) = &mut entered.wait {
                    if wait::poll(future, raw).is_pending() {
                        return Ok(abi::WAIT);
                    }
                    entered.wait = None;
                }
                match hook(stage, &mut entered.state, exchange)? {
                    Flow::Next => return Ok(abi::NEXT),
                    Flow::Wait(future) => entered.wait = Some(future),
                    Flow::Reply(reply) => return answer(exchange, raw, &reply),
                    Flow::Reject(refusal) => {
                        reject(raw, &refusal);
                        return Ok(abi::REJECT);
                    }
                }
            }
        })
    }
}

/// Hands over a reply of the stage's own.
///
/// # Safety
/// The exchange is valid for the time of the call.
unsafe fn answer(
    exchange: &mut Foreign,
    raw: *mut abi::Exchange,
    reply: &Reply,
) -> Result<Status, StageError> {
    let status = reply.status.to_string();
    exchange.set(Field::ReplyStatus, "", Some(status.as_bytes()))?;
    for (name, value) in &reply.headers {
        exchange.set(Field::ReplyHeader, name, Some(value.as_bytes()))?;
    }
    if let Some(emit) = table().emit {
        // SAFETY: as the caller vouches for; the body is borrowed for the call.
        unsafe { emit(raw, slice(&reply.body)) };
    }
    Ok(abi::REPLY)
}

/// Hands over a refusal.
///
/// # Safety
/// The exchange is valid for the time of the call.
unsafe fn reject(exchange: *mut abi::Exchange, refusal: &Refusal) {
    if let Some(reject) = table().reject {
        let refusal = across(refusal);
        // SAFETY: as the caller vouches for; the refusal is borrowed for the call.
        unsafe { reject(exchange, &raw const refusal) };
    }
}

/// A refusal as the other side reads it.
pub(super) fn across(refusal: &Refusal) -> abi::Refusal {
    let text = |text: &Option<std::borrow::Cow<'static, str>>| {
        text.as_ref().map_or(NOTHING, |text| slice(text.as_bytes()))
    };
    abi::Refusal {
        size: size_of::<abi::Refusal>() as u32,
        kind: refusal.kind as u32,
        retry_after: refusal
            .retry_after
            .map_or(0, |after| (after.as_millis() as u64).max(1)),
        message: slice(refusal.message.as_bytes()),
        code: text(&refusal.code),
        param: text(&refusal.param),
        error_type: text(&refusal.error_type),
    }
}

unsafe extern "C" fn on_request_head<S: Stage>(
    stage: *const c_void,
    state: *mut c_void,
    exchange: *mut abi::Exchange,
) -> Status {
    // SAFETY: as the host promises.
    unsafe { run_flow(stage, state, exchange, S::on_request_head as FlowHook<S>) }
}

unsafe extern "C" fn on_request<S: Stage>(
    stage: *const c_void,
    state: *mut c_void,
    exchange: *mut abi::Exchange,
) -> Status {
    // SAFETY: as the host promises.
    unsafe { run_flow(stage, state, exchange, S::on_request as FlowHook<S>) }
}

unsafe extern "C" fn on_response<S: Stage>(
    stage: *const c_void,
    state: *mut c_void,
    exchange: *mut abi::Exchange,
) -> Status {
    // SAFETY: as the host promises.
    unsafe { run_flow(stage, state, exchange, S::on_response as FlowHook<S>) }
}

unsafe extern "C" fn on_chunk<S: Stage>(
    stage: *const c_void,
    state: *mut c_void,
    raw: *mut abi::Exchange,
    chunk: Slice,
) -> Status {
    let emit = |piece: &[u8]| {
        if let Some(emit) = table().emit {
            // SAFETY: the exchange is valid for the time of the hook; the piece is borrowed for the call.
            unsafe { emit(raw, slice(piece)) };
        }
    };
    // SAFETY: as the host promises.
    unsafe {
        run::<S>(stage, state, raw, |stage, entered, exchange| {
            let chunk = Chunk::borrowed(bytes(chunk));
            Ok(match stage.on_chunk(&mut entered.state, exchange, chunk)? {
                ChunkFlow::Keep => abi::NEXT,
                ChunkFlow::Drop => abi::DROP,
                ChunkFlow::Replace(piece) => {
                    emit(&piece);
                    abi::REPLACE
                }
                ChunkFlow::Split(pieces) => {
                    for piece in &pieces {
                        emit(piece);
                    }
                    abi::REPLACE
                }
            })
        })
    }
}

unsafe extern "C" fn on_end<S: Stage>(
    stage: *const c_void,
    state: *mut c_void,
    exchange: *mut abi::Exchange,
    outcome: u32,
) {
    let outcome = Outcome::from_number(outcome).unwrap_or(Outcome::InternalError);
    // SAFETY: as the host promises.
    unsafe {
        run::<S>(stage, state, exchange, |stage, entered, exchange| {
            entered.wait = None;
            stage.on_end(&mut entered.state, exchange, outcome);
            Ok(abi::NEXT)
        });
    }
}
