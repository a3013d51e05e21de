//! The services of the gateway that take no exchange: logs, metrics, timers, HTTP calls, sums. They may be called from any
//! thread of a plugin, at any time.

use std::{
    collections::HashMap,
    ffi::c_void,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use millgate_plugin::{CallError, Host, HttpAnswer, HttpCall, Tally, border::abi};

use super::super::{
    slices::{bytes, sized, slice, text},
    token,
};

/// The services behind the table.
struct Serving {
    host: Host,
    /// Where background work is done: plugins call from threads of their own.
    runtime: Mutex<Option<tokio::runtime::Handle>>,
    tallies: Mutex<Tallies>,
}

#[derive(Default)]
struct Tallies {
    by_key: HashMap<Box<str>, u64>,
    tallies: Vec<Tally>,
}

static SERVING: OnceLock<Serving> = OnceLock::new();

/// From now on plugins are served by `host`; the first one counts.
pub fn serve(host: &Host) {
    let serving = SERVING.get_or_init(|| Serving {
        host: host.clone(),
        runtime: Mutex::new(None),
        tallies: Mutex::default(),
    });
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        *lock(&serving.runtime) = Some(runtime);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a plugin wants to be called with; its own affair which thread that is on.
struct User(*mut c_void);

// SAFETY: the interface says that `done` may be called from any thread.
unsafe impl Send for User {}

impl User {
    /// Calls `done`, once.
    fn tell(self, done: abi::Done, answer: *const abi::HttpAnswer) {
        if let Some(done) = done {
            // SAFETY: the function and its data are the plugin's, which is never unloaded.
            unsafe { done(self.0, answer) };
        }
    }
}

pub(super) unsafe extern "C" fn wake(token: u64) {
    token::wake(token);
}

pub(super) unsafe extern "C" fn logs(level: u32, _target: abi::Slice) -> u32 {
    u32::from(match level {
        abi::LEVEL_ERROR => tracing::enabled!(target: "millgate::plugin", tracing::Level::ERROR),
        abi::LEVEL_WARN => tracing::enabled!(target: "millgate::plugin", tracing::Level::WARN),
        abi::LEVEL_INFO => tracing::enabled!(target: "millgate::plugin", tracing::Level::INFO),
        abi::LEVEL_DEBUG => tracing::enabled!(target: "millgate::plugin", tracing::Level::DEBUG),
        _ => tracing::enabled!(target: "millgate::plugin", tracing::Level::TRACE),
    })
}

pub(super) unsafe extern "C" fn log(level: u32, target: abi::Slice, message: abi::Slice) {
    // SAFETY: texts borrowed for the call.
    let (target, message) = unsafe {
        (
            String::from_utf8_lossy(bytes(target).unwrap_or_default()),
            String::from_utf8_lossy(bytes(message).unwrap_or_default()),
        )
    };
    macro_rules! write {
        ($level:ident) => {
            tracing::event!(target: "millgate::plugin", tracing::Level::$level, from = &*target, "{message}")
        };
    }
    match level {
        abi::LEVEL_ERROR => write!(ERROR),
        abi::LEVEL_WARN => write!(WARN),
        abi::LEVEL_INFO => write!(INFO),
        abi::LEVEL_DEBUG => write!(DEBUG),
        _ => write!(TRACE),
    }
}

pub(super) unsafe extern "C" fn call(
    call: *const abi::HttpCall,
    done: abi::Done,
    user: *mut c_void,
) {
    let user = User(user);
    // SAFETY: null, or a call that begins with its size, borrowed for this call.
    let wanted = unsafe { call_of(call) };
    let (Some(serving), Some(wanted)) = (SERVING.get(), wanted) else {
        answer(user, done, Err(CallError("the call is not valid".to_owned())));
        return;
    };
    let runtime = lock(&serving.runtime).clone();
    let Some(runtime) = runtime else {
        answer(user, done, Err(CallError("the gateway is not serving yet".to_owned())));
        return;
    };
    let _guard = runtime.enter();
    serving
        .host
        .call(wanted, move |got| answer(user, done, got));
}

fn answer(user: User, done: abi::Done, got: Result<HttpAnswer, CallError>) {
    let (status, error, headers, body) = match got {
        Ok(answer) => {
            let lines = answer
                .headers
                .iter()
                .fold(String::new(), |lines, (name, value)| lines + name + ": " + value + "\n");
            (u32::from(answer.status), String::new(), lines, answer.body)
        }
        Err(error) => (0, error.0, String::new(), Bytes::new()),
    };
    let answer = abi::HttpAnswer {
        size: size_of::<abi::HttpAnswer>() as u32,
        status,
        error: slice(error.as_bytes()),
        headers: slice(headers.as_bytes()),
        body: slice(&body),
    };
    user.tell(done, &raw const answer);
}

/// A call, copied; `None` where it is none.
///
/// # Safety
/// The pointer is null, or a call that begins with its size.
unsafe fn call_of(call: *const abi::HttpCall) -> Option<HttpCall> {
    if call.is_null() {
        return None;
    }
    // SAFETY: not null; it begins with its size, and its texts are borrowed.
    unsafe {
        let call = sized(call, call.cast::<u32>().read());
        let method = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]
            .into_iter()
            .find(|known| text(call.method) == Some(known))?;
        let headers = text(call.headers)?
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some(HttpCall {
            method,
            url: text(call.url)?.to_owned(),
            headers: headers.collect(),
            body: Bytes::copy_from_slice(bytes(call.body).unwrap_or_default()),
            timeout: Duration::from_millis(u64::from(call.timeout).clamp(1, 600_000)),
            max_body: call.max_body.min(64 << 20) as usize,
        })
    }
}

pub(super) unsafe extern "C" fn timer(millis: u64, done: abi::Done, user: *mut c_void) {
    let user = User(user);
    let serving = SERVING.get();
    let runtime = serving.and_then(|serving| lock(&serving.runtime).clone());
    let (Some(serving), Some(runtime)) = (serving, runtime) else {
        user.tell(done, std::ptr::null());
        return;
    };
    let _guard = runtime.enter();
    let sleep = serving.host.sleep(Duration::from_millis(millis));
    crate::server::tasks::spawn(async move {
        sleep.await;
        let user = user;
        user.tell(done, std::ptr::null());
    });
}

pub(super) unsafe extern "C" fn tally(key: abi::Slice) -> u64 {
    // SAFETY: a text borrowed for the call.
    let (Some(serving), Some(key)) = (SERVING.get(), unsafe { text(key) }) else {
        return 0;
    };
    let mut tallies = lock(&serving.tallies);
    if let Some(&handle) = tallies.by_key.get(key) {
        return handle;
    }
    let key = format!("plugin/{key}");
    tallies.tallies.push(serving.host.tally(&key));
    let handle = tallies.tallies.len() as u64;
    tallies.by_key.insert(key["plugin/".len()..].into(), handle);
    handle
}

pub(super) unsafe extern "C" fn tally_add(tally: u64, amount: i64) -> i64 {
    let Some(serving) = SERVING.get() else {
        return 0;
    };
    let tallies = lock(&serving.tallies);
    let index = usize::try_from(tally).ok().and_then(|handle| handle.checked_sub(1));
    let Some(tally) = index.and_then(|index| tallies.tallies.get(index)) else {
        return 0;
    };
    if amount != 0 {
        tally.add(amount);
    }
    tally.total()
}

pub(super) unsafe extern "C" fn metric(
    _kind: u32,
    _name: abi::Slice,
    _labels: abi::Slice,
) -> u64 {
    0
}

pub(super) unsafe extern "C" fn record(_metric: u64, _value: f64) {}
