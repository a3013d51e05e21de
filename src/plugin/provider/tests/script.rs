//! A codec as a C author might write it, which does what a test tells it.

use std::sync::{Mutex, atomic::AtomicU32};

use super::*;
use crate::plugin::slices::bytes;

pub(super) type Encode = fn(&abi::Call, &Inside) -> abi::Status;

/// What the codec does, and how often.
pub(super) struct Script {
    pub(super) features: u32,
    pub(super) serves: fn(u32) -> u32,
    pub(super) encode: Encode,
    pub(super) head: fn(u32, &str) -> abi::Status,
    pub(super) data: fn(&[u8], u32, &Inside) -> abi::Status,
    pub(super) error: fn(u32, &[u8], &Inside) -> abi::Status,
    pub(super) answer: fn(&abi::Call, &ToReader, &Inside) -> abi::Status,
    pub(super) begun: AtomicU32,
    pub(super) freed: AtomicU32,
    pub(super) destroyed: AtomicU32,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            features: 0,
            serves: |_| 1,
            encode: |_, _| abi::NEXT,
            head: |_, _| abi::PASSTHROUGH,
            data: |_, _, _| abi::NEXT,
            error: |_, _, _| abi::NEXT,
            answer: |_, _, _| abi::NEXT,
            begun: AtomicU32::new(0),
            freed: AtomicU32::new(0),
            destroyed: AtomicU32::new(0),
        }
    }
}

impl Script {
    /// States made, states freed, and whether the codec is.
    pub(super) fn counts(&self) -> (u32, u32, u32) {
        let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        (
            count(&self.begun),
            count(&self.freed),
            count(&self.destroyed),
        )
    }
}

/// What a function was handed to fill in.
pub(super) struct Inside(*mut abi::Output);

impl Inside {
    #[expect(clippy::unused_self, reason = "texts are those of the call")]
    pub(super) fn text(&self, text: abi::Slice) -> &str {
        // SAFETY: borrowed for the call.
        unsafe { crate::plugin::slices::text(text) }.unwrap()
    }

    pub(super) fn request(&self, part: u32, key: &str, value: &[u8]) -> abi::Status {
        // SAFETY: inside the function.
        unsafe { TABLE.request.unwrap()(self.0, part, slice(key.as_bytes()), slice(value)) }
    }

    pub(super) fn write(&self, bytes: &[u8]) {
        // SAFETY: inside the function.
        unsafe { TABLE.write.unwrap()(self.0, slice(bytes)) };
    }

    pub(super) fn reject(&self, kind: u32, message: &str) {
        let refusal = abi::Refusal {
            size: size_of::<abi::Refusal>() as u32,
            kind,
            retry_after: 0,
            message: slice(message.as_bytes()),
            code: NOTHING,
            param: NOTHING,
            error_type: NOTHING,
        };
        // SAFETY: inside the function.
        unsafe { TABLE.reject_output.unwrap()(self.0, &raw const refusal) };
    }
}

/// The reader of an answer.
pub(super) struct ToReader(*mut abi::Reader);

impl ToReader {
    pub(super) fn send(&self, bytes: &[u8]) -> abi::Status {
        // SAFETY: inside `answer`.
        unsafe { TABLE.send.unwrap()(self.0, slice(bytes)) }
    }

    pub(super) fn pause(&self, millis: u64) -> abi::Status {
        // SAFETY: inside `answer`.
        unsafe { TABLE.pause.unwrap()(self.0, millis) }
    }
}

unsafe extern "C" fn schema(output: *mut abi::Output) {
    Inside(output).write(br#"{"type":"object"}"#);
}

unsafe extern "C" fn create(
    _: *mut abi::Setup,
    _: abi::Slice,
    config: abi::Slice,
    provider: *mut *mut c_void,
) -> abi::Status {
    // SAFETY: the test hands in the address of a script, which is leaked.
    unsafe {
        let address = text(config).unwrap().parse().unwrap();
        provider.write(std::ptr::with_exposed_provenance_mut(address));
    }
    abi::NEXT
}

fn script<'a>(provider: *const c_void) -> &'a Script {
    // SAFETY: as `create` made it.
    unsafe { &*provider.cast::<Script>() }
}

unsafe extern "C" fn destroy(provider: *mut c_void) {
    script(provider).destroyed.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn features(provider: *const c_void) -> u32 {
    script(provider).features
}

unsafe extern "C" fn serves(provider: *const c_void, endpoint: u32) -> u32 {
    (script(provider).serves)(endpoint)
}

unsafe extern "C" fn begin(provider: *const c_void) -> *mut c_void {
    script(provider).begun.fetch_add(1, Ordering::Relaxed);
    Box::into_raw(Box::new(provider.addr())).cast()
}

unsafe extern "C" fn end(state: *mut c_void) {
    // SAFETY: as `begin` made it.
    let provider = unsafe { *Box::from_raw(state.cast::<usize>()) };
    let provider: *const c_void = std::ptr::with_exposed_provenance(provider);
    script(provider).freed.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn encode(
    provider: *const c_void,
    _: *mut c_void,
    call: *const abi::Call,
    output: *mut abi::Output,
) -> abi::Status {
    // SAFETY: valid for the call.
    (script(provider).encode)(unsafe { &*call }, &Inside(output))
}

unsafe extern "C" fn on_head(
    provider: *const c_void,
    _: *mut c_void,
    status: u32,
    content_type: abi::Slice,
) -> abi::Status {
    // SAFETY: borrowed for the call.
    (script(provider).head)(status, unsafe { text(content_type) }.unwrap())
}

unsafe extern "C" fn on_data(
    provider: *const c_void,
    _: *mut c_void,
    data: abi::Slice,
    end: u32,
    output: *mut abi::Output,
) -> abi::Status {
    // SAFETY: borrowed for the call.
    let data = unsafe { bytes(data) }.unwrap();
    (script(provider).data)(data, end, &Inside(output))
}

unsafe extern "C" fn on_error(
    provider: *const c_void,
    status: u32,
    body: abi::Slice,
    output: *mut abi::Output,
) -> abi::Status {
    // SAFETY: borrowed for the call.
    let body = unsafe { bytes(body) }.unwrap();
    (script(provider).error)(status, body, &Inside(output))
}

unsafe extern "C" fn answer(
    provider: *const c_void,
    call: *const abi::Call,
    reader: *mut abi::Reader,
    output: *mut abi::Output,
) -> abi::Status {
    // SAFETY: valid for the call.
    let call = unsafe { &*call };
    (script(provider).answer)(call, &ToReader(reader), &Inside(output))
}

pub(super) static KIND: abi::ProviderType = kind();

pub(super) const fn kind() -> abi::ProviderType {
    abi::ProviderType {
        size: size_of::<abi::ProviderType>() as u32,
        flags: abi::PROVIDER_ANSWERS,
        name: slice(b"codec"),
        schema: Some(schema),
        base_path: slice(b"/v9"),
        create: Some(create),
        destroy: Some(destroy),
        features: Some(features),
        serves: Some(serves),
        begin: Some(begin),
        encode: Some(encode),
        on_head: Some(on_head),
        on_data: Some(on_data),
        on_error: Some(on_error),
        answer: Some(answer),
        end: Some(end),
    }
}

/// A codec that follows a script, of a plugin of its own.
pub(super) struct Codec {
    pub(super) script: &'static Script,
    pub(super) plugin: &'static Plugin,
    pub(super) foreign: Foreign,
}

/// Keeps scripts, so that a check for leaks finds only real ones.
static SCRIPTS: Mutex<Vec<&'static Script>> = Mutex::new(Vec::new());

pub(super) fn try_codec(
    kind: &'static abi::ProviderType,
    script: Script,
) -> Result<Codec, SetupError> {
    let script: &'static Script = Box::leak(Box::new(script));
    SCRIPTS.lock().unwrap().push(script);
    let plugin = Plugin::leak("scripted", "1");
    let address = std::ptr::from_ref(script).expose_provenance().to_string();
    let foreign = Foreign::create(plugin, kind, "under-test", &address)?;
    Ok(Codec {
        script,
        plugin,
        foreign,
    })
}

pub(super) fn codec(script: Script) -> Codec {
    try_codec(&KIND, script).unwrap()
}
