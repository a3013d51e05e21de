//! What a plugin may call on: the host's side of the C interface.

mod exchange;
mod output;
mod services;

use std::{borrow::Cow, ffi::c_void, time::Duration};

use millgate_plugin::{Refusal, RefusalKind, SetupError, border::abi};

use super::{
    slices::{bytes, sized, slice, text},
    watch::{self, Plugin},
};

pub use exchange::Hook;
pub(super) use exchange::Phase;
pub use output::{Output, Reader};
pub use services::serve;

/// The table that every plugin is given.
pub static TABLE: abi::Host = abi::Host {
    size: size_of::<abi::Host>() as u32,
    minor: abi::MINOR,
    get: Some(exchange::get),
    number: Some(exchange::number),
    set: Some(exchange::set),
    each: Some(exchange::each),
    emit: Some(exchange::emit),
    reject: Some(exchange::reject),
    fail: Some(exchange::fail),
    token: Some(exchange::token),
    wake: Some(services::wake),
    refuse: Some(refuse),
    request: Some(output::request),
    write: Some(output::write),
    reject_output: Some(output::reject_output),
    send: Some(output::send),
    pause: Some(output::pause),
    logs: Some(services::logs),
    log: Some(services::log),
    metric: Some(services::metric),
    record: Some(services::record),
    call: Some(services::call),
    timer: Some(services::timer),
    tally: Some(services::tally),
    tally_add: Some(services::tally_add),
    shadow: Some(shadow),
};

/// The making of a stage or provider: what `MgSetup` points to.
#[derive(Default)]
pub struct Setup {
    /// What is wrong with its table.
    pub(super) error: Option<SetupError>,
    /// Whether it is a stage in shadow mode.
    pub(super) is_shadow: bool,
}

/// Makes a stage or a provider.
type Create = Option<
    unsafe extern "C" fn(*mut abi::Setup, abi::Slice, abi::Slice, *mut *mut c_void) -> abi::Status,
>;

impl Setup {
    /// What `create` makes of a table, which is not null.
    pub(super) fn create(
        mut self,
        plugin: &'static Plugin,
        create: Create,
        name: &str,
        config_json: &str,
    ) -> Result<*mut c_void, SetupError> {
        let whole_table = |message: String| SetupError::at([""; 0], message);
        let Some(create) = create else {
            return Err(whole_table("the plugin has no way to make it".to_owned()));
        };
        let mut made = std::ptr::null_mut();
        let (name, config) = (slice(name.as_bytes()), slice(config_json.as_bytes()));
        // It may take its time: no exchange waits for it.
        let running = watch::enter_at_leisure(plugin);
        // SAFETY: all of it is valid for the time of the call.
        let status = unsafe { create(self.as_ptr(), name, config, &raw mut made) };
        drop(running);
        let said = self.error.take();
        match status {
            abi::NEXT if !made.is_null() => return Ok(made),
            abi::PANICKED => {
                let why = said.as_ref().map_or("", |error| &error.message);
                plugin.panicked(why);
            }
            _ => plugin.failed(),
        }
        Err(match status {
            abi::NEXT => {
                whole_table("the plugin says that it has made it, but there is nothing".to_owned())
            }
            abi::FAILED | abi::PANICKED => said.unwrap_or_else(|| {
                whole_table("the plugin could not make it, and did not say why".to_owned())
            }),
            status => whole_table(format!(
                "the plugin could not make it: `create` came back with status {status}, which means nothing there"
            )),
        })
    }

    /// The pointer that a plugin is given.
    pub(super) fn as_ptr(&mut self) -> *mut abi::Setup {
        std::ptr::from_mut(self).cast()
    }
}

/// A refusal, copied.
///
/// # Safety
/// The pointer is null, or a refusal that begins with its size.
unsafe fn refusal_of(refusal: *const abi::Refusal) -> Option<Refusal> {
    if refusal.is_null() {
        return None;
    }
    // SAFETY: not null; it begins with its size, and its texts are borrowed for the call.
    let (refusal, message, code, error_type, param) = unsafe {
        let refusal = sized(refusal, refusal.cast::<u32>().read());
        let (message, code) = (owned(refusal.message), owned(refusal.code));
        let (error_type, param) = (owned(refusal.error_type), owned(refusal.param));
        (refusal, message, code, error_type, param)
    };
    let kind = RefusalKind::from_number(refusal.kind).unwrap_or(RefusalKind::Internal);
    let after = Duration::from_millis(refusal.retry_after).min(LONGEST_RETRY);
    Some(Refusal {
        kind,
        message: message.unwrap_or(Cow::Borrowed("The request was refused.")),
        code,
        error_type,
        param,
        retry_after: (!after.is_zero()).then_some(after),
    })
}

/// Longer than anybody waits, and short enough to be added to any time.
const LONGEST_RETRY: Duration = Duration::from_hours(365 * 24);

/// A text, copied; `None` where it is empty, or no text.
///
/// # Safety
/// As for [`bytes`].
unsafe fn owned(slice: abi::Slice) -> Option<Cow<'static, str>> {
    // SAFETY: as the caller vouches for.
    unsafe { text(slice) }
        .filter(|text| !text.is_empty())
        .map(|text| Cow::Owned(text.to_owned()))
}

unsafe extern "C" fn refuse(setup: *mut abi::Setup, path: abi::Slice, message: abi::Slice) {
    // SAFETY: the plugin hands back what it was given, inside `create`; the texts are borrowed.
    let (setup, path, message) =
        unsafe { (setup.cast::<Setup>().as_mut(), bytes(path), bytes(message)) };
    if let Some(setup) = setup {
        let path = path.and_then(|path| serde_json::from_slice::<Vec<String>>(path).ok());
        setup.error = Some(SetupError {
            path: path.unwrap_or_default(),
            message: String::from_utf8_lossy(message.unwrap_or_default()).into_owned(),
        });
    }
}

unsafe extern "C" fn shadow(setup: *const abi::Setup) -> u32 {
    // SAFETY: the plugin hands back what it was given, inside `create`.
    let setup = unsafe { setup.cast::<Setup>().as_ref() };
    u32::from(setup.is_some_and(|setup| setup.is_shadow))
}
