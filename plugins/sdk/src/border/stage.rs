//! A [`Stage`] as a table of C functions.

use std::ffi::c_void;

use millgate_plugin_abi::{self as abi, Slice, Status};

use super::{
    contain,
    exchange::Foreign,
    host::{host, table},
    refusal::across,
    setup::{hand_over, read_config, write_schema},
    slices::{bytes, slice, text},
    wait,
};
use crate::{
    BoxFuture, Chunk, ChunkFlow, Exchange, Field, Flow, Outcome, Place, Refusal, Reply, Stage,
    StageError,
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
    wait: Option<Wait>,
}

/// What a hook waits for. Where time ran out the host goes on with another one, which is not to wait for it.
struct Wait {
    hook: u32,
    future: BoxFuture,
}

unsafe extern "C" fn schema<S: Stage>(output: *mut abi::Output) {
    contain(
        // SAFETY: the output is valid for the time of the call.
        || unsafe { write_schema::<S::Config>(output) },
        |_| (),
    );
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
    if stage.is_null() {
        return;
    }
    // SAFETY: `create` made this box, and the host gives it back once.
    contain(|| drop(unsafe { Box::from_raw(stage.cast::<S>()) }), |_| ());
}

unsafe extern "C" fn hooks<S: Stage>(stage: *const c_void) -> u32 {
    contain(
        // SAFETY: `create` made it.
        || unsafe { &*stage.cast::<S>() }.hooks().0,
        // Better asked for nothing than passed by.
        |_| u32::MAX,
    )
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
    let Entered { state, wait } = *unsafe { Box::from_raw(state.cast::<Entered<S>>()) };
    // One by one: where both panic as they are dropped, the second panic would end the process.
    contain(|| drop(wait), |_| ());
    contain(|| drop(state), |_| ());
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

/// Runs a hook that may wait, as often as it takes. `which` is its `HOOK_…`.
///
/// # Safety
/// As for [`run`].
unsafe fn run_flow<S: Stage>(
    stage: *const c_void,
    state: *mut c_void,
    raw: *mut abi::Exchange,
    (which, hook): (u32, FlowHook<S>),
) -> Status {
    // SAFETY: as the caller vouches for.
    unsafe {
        run::<S>(stage, state, raw, |stage, entered, exchange| {
            entered.wait.take_if(|wait| wait.hook != which);
            loop {
                if let Some(wait) = &mut entered.wait {
                    if wait::poll(&mut wait.future, raw)?.is_pending() {
                        return Ok(abi::WAIT);
                    }
                    entered.wait = None;
                }
                match hook(stage, &mut entered.state, exchange)? {
                    Flow::Next => return Ok(abi::NEXT),
                    Flow::Wait(future) => {
                        entered.wait = Some(Wait {
                            hook: which,
                            future,
                        });
                    }
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

unsafe extern "C" fn on_request_head<S: Stage>(
    stage: *const c_void,
    state: *mut c_void,
    exchange: *mut abi::Exchange,
) -> Status {
    let hook = (abi::HOOK_REQUEST_HEAD, S::on_request_head as FlowHook<S>);
    // SAFETY: as the host promises.
    unsafe { run_flow(stage, state, exchange, hook) }
}

unsafe extern "C" fn on_request<S: Stage>(
    stage: *const c_void,
    state: *mut c_void,
    exchange: *mut abi::Exchange,
) -> Status {
    let hook = (abi::HOOK_REQUEST, S::on_request as FlowHook<S>);
    // SAFETY: as the host promises.
    unsafe { run_flow(stage, state, exchange, hook) }
}

unsafe extern "C" fn on_response<S: Stage>(
    stage: *const c_void,
    state: *mut c_void,
    exchange: *mut abi::Exchange,
) -> Status {
    let hook = (abi::HOOK_RESPONSE, S::on_response as FlowHook<S>);
    // SAFETY: as the host promises.
    unsafe { run_flow(stage, state, exchange, hook) }
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
) -> Status {
    let outcome = Outcome::from_number(outcome).unwrap_or(Outcome::InternalError);
    // SAFETY: as the host promises.
    unsafe {
        run::<S>(stage, state, exchange, |stage, entered, exchange| {
            entered.wait = None;
            stage.on_end(&mut entered.state, exchange, outcome);
            Ok(abi::NEXT)
        })
    }
}
