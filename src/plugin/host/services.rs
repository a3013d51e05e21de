//! The services of the gateway that take no exchange: logs, metrics, timers, HTTP calls, sums. They may be called from any
//! thread of a plugin, at any time.

use std::{
    collections::HashMap,
    ffi::c_void,
    sync::{Mutex, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use millgate_plugin::{CallError, Host, HttpAnswer, HttpCall, MetricKind, Tally, border::abi};
use tokio::runtime::Handle;

use super::super::{
    metrics,
    slices::{bytes, is_sound, sized, slice, text},
    token,
    watch::{self, Plugin},
};
use crate::server::tasks;

/// The services behind the table.
static SERVING: OnceLock<Host> = OnceLock::new();

/// Where background work is done: plugins call from threads of their own.
static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);

static TALLIES: RwLock<Tallies> = RwLock::new(Tallies {
    by_key: None,
    tallies: Vec::new(),
});

struct Tallies {
    by_key: Option<HashMap<Box<str>, u64>>,
    tallies: Vec<Tally>,
}

/// From now on plugins are served by `host`; the first one counts.
pub fn serve(host: &Host) {
    SERVING.get_or_init(|| host.clone());
    let _ = runtime();
}

/// The runtime of this thread, else the last that was seen.
fn runtime() -> Option<Handle> {
    let mut known = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ok(here) = Handle::try_current() {
        *known = Some(here);
    }
    known.clone()
}

/// Somebody in a plugin who waits to be told, once, from whatever thread. Dropped, he is told that nothing comes.
struct Waiting {
    done: abi::Done,
    user: *mut c_void,
    plugin: Option<&'static Plugin>,
}

// SAFETY: the interface says that `done` may be called from any thread.
unsafe impl Send for Waiting {}

impl Waiting {
    fn new(done: abi::Done, user: *mut c_void) -> Self {
        Self {
            done,
            user,
            plugin: watch::current(),
        }
    }

    fn tell(&mut self, answer: *const abi::HttpAnswer) {
        if let Some(done) = self.done.take() {
            let _running = self.plugin.map(watch::enter);
            // SAFETY: function and data are the plugin's, which is never unloaded; this is the one time that it is told.
            unsafe { done(self.user, answer) };
        }
    }

    /// Tells of the answer to a call.
    fn answer(&mut self, got: Result<HttpAnswer, CallError>) {
        let (status, error, headers, body) = match got {
            Ok(answer) => {
                let lines = answer.headers.iter();
                let lines = lines.fold(String::new(), |lines, (name, value)| {
                    lines + name + ": " + value + "\n"
                });
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
        self.tell(&raw const answer);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.done.is_some() {
            self.answer(Err(CallError("the gateway is shutting down".to_owned())));
        }
    }
}

pub(super) unsafe extern "C" fn wake(token: u64) {
    token::wake(token);
}

pub(super) unsafe extern "C" fn logs(level: u32, _target: abi::Slice) -> u32 {
    macro_rules! is_enabled {
        ($level:ident) => {
            tracing::enabled!(target: "millgate::plugin", tracing::Level::$level)
        };
    }
    u32::from(match level {
        abi::LEVEL_ERROR => is_enabled!(ERROR),
        abi::LEVEL_WARN => is_enabled!(WARN),
        abi::LEVEL_INFO => is_enabled!(INFO),
        abi::LEVEL_DEBUG => is_enabled!(DEBUG),
        _ => is_enabled!(TRACE),
    })
}

/// The longest message of a log line, in bytes. What is logged is searched for secrets, on the thread that logs it.
const LONGEST_MESSAGE: usize = 64 << 10;

/// As much of a message as is logged.
fn start_of(message: &[u8]) -> &[u8] {
    &message[..message.len().min(LONGEST_MESSAGE)]
}

pub(super) unsafe extern "C" fn log(level: u32, target: abi::Slice, message: abi::Slice) {
    // SAFETY: texts borrowed for the call.
    let (target, message) = unsafe {
        (
            String::from_utf8_lossy(start_of(bytes(target).unwrap_or_default())),
            String::from_utf8_lossy(start_of(bytes(message).unwrap_or_default())),
        )
    };
    let plugin = watch::current().map_or("unknown", Plugin::shown_name);
    macro_rules! write {
        ($level:ident) => {
            tracing::event!(target: "millgate::plugin", tracing::Level::$level, plugin, from = &*target, "{message}")
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
    let mut waiting = Waiting::new(done, user);
    // SAFETY: null, or a call that begins with its size, borrowed for this call.
    let Some(wanted) = (unsafe { call_of(call) }) else {
        return waiting.answer(Err(CallError("the call is not valid".to_owned())));
    };
    let (Some(host), Some(runtime)) = (SERVING.get(), runtime()) else {
        return waiting.answer(Err(CallError("the gateway is not serving yet".to_owned())));
    };
    let _guard = runtime.enter();
    host.call(wanted, move |got| {
        let mut waiting = waiting;
        waiting.answer(got);
    });
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
    let (method, url, headers, body, call) = unsafe {
        let call = sized(call, call.cast::<u32>().read());
        if !is_sound(call.body) {
            return None;
        }
        let (method, url) = (text(call.method)?, text(call.url)?.to_owned());
        let body = Bytes::copy_from_slice(bytes(call.body).unwrap_or_default());
        (method, url, text(call.headers)?, body, call)
    };
    let known = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"];
    let method = known.into_iter().find(|known| *known == method)?;
    let headers = headers.lines().filter(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    });
    Some(HttpCall {
        method,
        url,
        headers: headers.collect::<Option<_>>()?,
        body,
        timeout: Duration::from_millis(u64::from(call.timeout).clamp(1, 600_000)),
        max_body: call.max_body.min(64 << 20) as usize,
    })
}

pub(super) unsafe extern "C" fn timer(millis: u64, done: abi::Done, user: *mut c_void) {
    let mut waiting = Waiting::new(done, user);
    let (Some(host), Some(runtime)) = (SERVING.get(), runtime()) else {
        return waiting.tell(std::ptr::null());
    };
    let _guard = runtime.enter();
    let sleep = host.sleep(Duration::from_millis(millis));
    tasks::spawn(async move {
        let mut waiting = waiting;
        sleep.await;
        waiting.tell(std::ptr::null());
    });
}

pub(super) unsafe extern "C" fn tally(key: abi::Slice) -> u64 {
    // SAFETY: a text borrowed for the call.
    let (Some(host), Some(key)) = (SERVING.get(), unsafe { text(key) }) else {
        return 0;
    };
    let is_built_in = watch::current().is_some_and(|plugin| plugin.name.is_empty());
    let key = if is_built_in {
        key.to_owned()
    } else {
        format!("plugin/{key}")
    };
    let mut tallies = TALLIES.write().unwrap_or_else(PoisonError::into_inner);
    let Tallies { by_key, tallies } = &mut *tallies;
    let by_key = by_key.get_or_insert_default();
    if let Some(&handle) = by_key.get(&*key) {
        return handle;
    }
    tallies.push(host.tally(&key));
    let handle = tallies.len() as u64;
    by_key.insert(key.into(), handle);
    handle
}

pub(super) unsafe extern "C" fn tally_add(tally: u64, amount: i64) -> i64 {
    let tallies = TALLIES.read().unwrap_or_else(PoisonError::into_inner);
    let index = usize::try_from(tally).ok().and_then(|at| at.checked_sub(1));
    let Some(tally) = index.and_then(|index| tallies.tallies.get(index)) else {
        return 0;
    };
    if amount != 0 {
        tally.add(amount);
    }
    tally.total()
}

pub(super) unsafe extern "C" fn metric(kind: u32, name: abi::Slice, labels: abi::Slice) -> u64 {
    let kind = match kind {
        abi::METRIC_COUNTER => MetricKind::Counter,
        abi::METRIC_HISTOGRAM => MetricKind::Histogram,
        _ => return 0,
    };
    // SAFETY: texts borrowed for the call.
    let (Some(name), Some(labels)) = (unsafe { (text(name), text(labels)) }) else {
        return 0;
    };
    let labels = match labels {
        "" => "{}",
        labels => labels,
    };
    let Ok(labels) = serde_json::from_str::<HashMap<String, String>>(labels) else {
        return 0;
    };
    let labels: Vec<_> = labels
        .iter()
        .map(|(label, value)| (&**label, &**value))
        .collect();
    let plugin = watch::current();
    metrics::metric(plugin, kind, name, &labels).unwrap_or_else(|error| {
        let plugin = plugin.map_or("unknown", Plugin::shown_name);
        tracing::warn!(plugin, metric = name, %error, "a metric of a plugin is refused");
        0
    })
}

pub(super) unsafe extern "C" fn record(metric: u64, value: f64) {
    metrics::record(metric, value);
}

#[cfg(test)]
mod tests;
