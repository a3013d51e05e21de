//! A [`Provider`] as a table of C functions.

use std::{ffi::c_void, time::Duration};

use millgate_plugin_abi::{self as abi, Slice, Status};

use super::{
    contain,
    host::table,
    refusal::across,
    setup::{hand_over, read_config, write_schema},
    slices::{bytes, sized, slice, text},
};
use crate::{Answer, Call, Endpoint, Gone, HeadFlow, Provider, Refusal, RefusalKind, UpstreamHead};

/// The functions of a provider.
#[must_use]
pub const fn provider_type<P: Provider>() -> abi::ProviderType {
    let answers = if P::ANSWERS { abi::PROVIDER_ANSWERS } else { 0 };
    abi::ProviderType {
        size: size_of::<abi::ProviderType>() as u32,
        flags: answers,
        name: slice(P::KIND.as_bytes()),
        schema: Some(schema::<P>),
        base_path: slice(P::BASE_PATH.as_bytes()),
        create: Some(create::<P>),
        destroy: Some(destroy::<P>),
        features: Some(features::<P>),
        serves: Some(serves::<P>),
        begin: Some(begin::<P>),
        encode: Some(encode::<P>),
        on_head: Some(on_head::<P>),
        on_data: Some(on_data::<P>),
        on_error: Some(on_error::<P>),
        answer: Some(answer::<P>),
        end: Some(end::<P>),
    }
}

unsafe extern "C" fn schema<P: Provider>(output: *mut abi::Output) {
    contain(
        // SAFETY: the output is valid for the time of the call.
        || unsafe { write_schema::<P::Config>(output) },
        |_| (),
    );
}

unsafe extern "C" fn create<P: Provider>(
    setup: *mut abi::Setup,
    name: Slice,
    config: Slice,
    provider: *mut *mut c_void,
) -> Status {
    // SAFETY: all of it is valid for the time of the call.
    unsafe {
        hand_over(setup, provider, || {
            P::new(text(name), read_config(bytes(config))?)
        })
    }
}

unsafe extern "C" fn destroy<P: Provider>(provider: *mut c_void) {
    if provider.is_null() {
        return;
    }
    // SAFETY: `create` made this box, and the host gives it back once.
    contain(
        || drop(unsafe { Box::from_raw(provider.cast::<P>()) }),
        |_| (),
    );
}

unsafe extern "C" fn features<P: Provider>(provider: *const c_void) -> u32 {
    contain(
        || {
            // SAFETY: `create` made it.
            let provider = unsafe { &*provider.cast::<P>() };
            let usage = if provider.include_usage() {
                abi::FEATURE_INCLUDE_USAGE
            } else {
                0
            };
            let free = if provider.charges() {
                0
            } else {
                abi::FEATURE_IS_FREE
            };
            usage | free
        },
        |_| 0,
    )
}

unsafe extern "C" fn serves<P: Provider>(provider: *const c_void, endpoint: u32) -> u32 {
    contain(
        || {
            let endpoint = Endpoint::from_number(u64::from(endpoint));
            // SAFETY: `create` made it.
            let provider = unsafe { &*provider.cast::<P>() };
            u32::from(endpoint.is_some_and(|endpoint| provider.serves(endpoint)))
        },
        |_| 0,
    )
}

unsafe extern "C" fn begin<P: Provider>(provider: *const c_void) -> *mut c_void {
    contain(
        || {
            // SAFETY: `create` made it.
            let state = unsafe { &*provider.cast::<P>() }.begin();
            Box::into_raw(Box::new(state)).cast()
        },
        |_| std::ptr::null_mut(),
    )
}

unsafe extern "C" fn end<P: Provider>(state: *mut c_void) {
    if state.is_null() {
        return;
    }
    // SAFETY: `begin` made this box, and the host gives it back once.
    contain(
        || drop(unsafe { Box::from_raw(state.cast::<P::State>()) }),
        |_| (),
    );
}

/// Runs a function of a codec; a refusal, or a panic as one, goes to the host.
///
/// # Safety
/// The output is valid for the time of the call.
unsafe fn run(output: *mut abi::Output, run: impl FnOnce() -> Result<Status, Refusal>) -> Status {
    let (refusal, status) = match contain(
        || run().map_err(|refusal| (refusal, abi::REJECT)),
        |panic| {
            let message = format!("panicked: {panic}");
            Err((Refusal::new(RefusalKind::Internal, message), abi::PANICKED))
        },
    ) {
        Ok(status) => return status,
        Err(refused) => refused,
    };
    if let Some(reject) = table().reject_output {
        let refusal = across(&refusal);
        // SAFETY: as the caller vouches for; the refusal is borrowed for the call.
        unsafe { reject(output, &raw const refusal) };
    }
    status
}

/// The state of an attempt.
///
/// # Safety
/// `begin` made it, and nobody else uses it.
unsafe fn state_of<'a, P: Provider>(state: *mut c_void) -> Result<&'a mut P::State, Refusal> {
    // SAFETY: as the caller vouches for.
    unsafe { state.cast::<P::State>().as_mut() }.ok_or_else(|| {
        Refusal::new(
            RefusalKind::Internal,
            "the provider panicked when the attempt began",
        )
    })
}

/// A call, as the trait knows it.
///
/// # Safety
/// The call and its slices are valid for `'a`.
unsafe fn call_of<'a>(call: *const abi::Call) -> Call<'a> {
    // SAFETY: as the caller vouches for; zero is valid for numbers and slices.
    unsafe {
        let call = sized(call);
        Call {
            endpoint: Endpoint::from_number(u64::from(call.endpoint)).unwrap_or(Endpoint::Forward),
            method: text(call.method),
            path: text(call.path),
            query: (!call.query.ptr.is_null()).then(|| text(call.query)),
            model: text(call.model),
            stream: call.stream != 0,
            body: bytes(call.body),
            request_id: text(call.request_id),
            created: call.created,
        }
    }
}

unsafe extern "C" fn encode<P: Provider>(
    provider: *const c_void,
    state: *mut c_void,
    call: *const abi::Call,
    output: *mut abi::Output,
) -> Status {
    // SAFETY: as the host promises.
    unsafe {
        run(output, || {
            let provider = &*provider.cast::<P>();
            let request = provider.encode(state_of::<P>(state)?, &call_of(call))?;
            let Some(set) = table().request else {
                return Ok(abi::NEXT);
            };
            let part = |part, key: &str, value: &[u8]| {
                set(output, part, slice(key.as_bytes()), slice(value))
            };
            if !request.method.is_empty() {
                part(abi::REQUEST_METHOD, "", request.method.as_bytes());
            }
            part(abi::REQUEST_PATH, "", request.path.as_bytes());
            if let Some(query) = &request.query {
                part(abi::REQUEST_QUERY, "", query.as_bytes());
            }
            for (name, value) in &request.headers {
                part(abi::REQUEST_HEADER, name, value.as_bytes());
            }
            if let Some(body) = &request.body {
                part(abi::REQUEST_BODY, "", body);
            }
            Ok(abi::NEXT)
        })
    }
}

unsafe extern "C" fn on_head<P: Provider>(
    provider: *const c_void,
    state: *mut c_void,
    status: u32,
    content_type: Slice,
) -> Status {
    contain(
        || {
            // SAFETY: as the host promises.
            let (provider, state, content_type) = unsafe {
                (
                    &*provider.cast::<P>(),
                    state_of::<P>(state),
                    text(content_type),
                )
            };
            let head = UpstreamHead {
                status: u16::try_from(status).unwrap_or(0),
                content_type,
            };
            match state.map(|state| provider.on_head(state, &head)) {
                Ok(HeadFlow::Decode) => abi::DECODE,
                Ok(HeadFlow::Passthrough) => abi::PASSTHROUGH,
                Err(_) => abi::PANICKED,
            }
        },
        |_| abi::PANICKED,
    )
}

unsafe extern "C" fn on_data<P: Provider>(
    provider: *const c_void,
    state: *mut c_void,
    data: Slice,
    end: u32,
    output: *mut abi::Output,
) -> Status {
    // SAFETY: as the host promises.
    unsafe {
        run(output, || {
            let provider = &*provider.cast::<P>();
            let mut decoded = Vec::new();
            let verdict =
                provider.on_data(state_of::<P>(state)?, bytes(data), end != 0, &mut decoded);
            // What was made of the bytes before it gave up is whole.
            if let Some(write) = table().write
                && !decoded.is_empty()
            {
                write(output, slice(&decoded));
            }
            verdict.map(|()| abi::NEXT)
        })
    }
}

unsafe extern "C" fn on_error<P: Provider>(
    provider: *const c_void,
    status: u32,
    body: Slice,
    output: *mut abi::Output,
) -> Status {
    // SAFETY: as the host promises.
    unsafe {
        run(output, || {
            let provider = &*provider.cast::<P>();
            let status = u16::try_from(status).unwrap_or(0);
            provider
                .on_error(status, bytes(body))
                .map_or(Ok(abi::NEXT), Err)
        })
    }
}

unsafe extern "C" fn answer<P: Provider>(
    provider: *const c_void,
    call: *const abi::Call,
    reader: *mut abi::Reader,
    output: *mut abi::Output,
) -> Status {
    // SAFETY: as the host promises.
    unsafe {
        run(output, || {
            let provider = &*provider.cast::<P>();
            provider
                .answer(&call_of(call), &mut Across(reader))
                .map(|()| abi::NEXT)
        })
    }
}

/// The reader on the other side, for the time of `answer`.
struct Across(*mut abi::Reader);

impl Answer for Across {
    fn emit(&mut self, bytes: Vec<u8>) -> Result<(), Gone> {
        // SAFETY: the reader is valid for the time of `answer`; the bytes are borrowed for the call.
        let status = table()
            .send
            .map_or(abi::GONE, |send| unsafe { send(self.0, slice(&bytes)) });
        if status == abi::NEXT {
            Ok(())
        } else {
            Err(Gone)
        }
    }

    fn wait(&mut self, time: Duration) -> Result<(), Gone> {
        let millis = u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        // SAFETY: the reader is valid for the time of `answer`.
        let status = table()
            .pause
            .map_or(abi::GONE, |pause| unsafe { pause(self.0, millis) });
        if status == abi::NEXT {
            Ok(())
        } else {
            Err(Gone)
        }
    }
}
