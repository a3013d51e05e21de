//! The gateway's services, as the trait that stages know.

use std::{
    collections::BTreeMap,
    ffi::c_void,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicPtr, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use millgate_plugin_abi as abi;

use super::slices::{bytes, header_lines, headers_of, sized, slice, text};
use crate::{
    BoxFuture, CallError, Count, Done, Host, HttpAnswer, HttpCall, Metric, MetricKind, Services,
    Tally,
};

/// The host's table, once it has called `init`.
static HOST: AtomicPtr<abi::Host> = AtomicPtr::new(std::ptr::null_mut());

/// A table of nothing, for what runs before `init` or without a host.
static NO_HOST: abi::Host = abi::Host {
    size: 0,
    minor: 0,
    get: None,
    number: None,
    set: None,
    each: None,
    emit: None,
    reject: None,
    fail: None,
    token: None,
    wake: None,
    refuse: None,
    request: None,
    write: None,
    reject_output: None,
    send: None,
    pause: None,
    logs: None,
    log: None,
    metric: None,
    record: None,
    call: None,
    timer: None,
    tally: None,
    tally_add: None,
    shadow: None,
};

/// The functions of the host.
pub(super) fn table() -> &'static abi::Host {
    let host = HOST.load(Ordering::Acquire);
    // SAFETY: null, or what `take` has made sure is a whole table, which lives for ever.
    unsafe { host.as_ref() }.unwrap_or(&NO_HOST)
}

/// Takes note of the host, and of nothing else: for a gateway that drives what is built in through the border.
///
/// # Safety
/// The functions of the table do what the interface says.
pub unsafe fn connect(host: &'static abi::Host) {
    // SAFETY: it lives for ever, and has all its bytes.
    unsafe { take(host) };
}

/// Takes note of the host, and sends it what a plugin logs and how it panics: the `init` of every plugin.
///
/// # Safety
/// `host` is null, or points to a table that lives for ever, has as many bytes as it says, and whose functions do what the
/// interface says.
#[must_use]
pub unsafe extern "C" fn init(host: *const abi::Host) -> abi::Status {
    if host.is_null() {
        return abi::FAILED;
    }
    super::contain(
        || {
            // SAFETY: not null; as the caller vouches for.
            unsafe { take(host) };
            super::logs::install();
            abi::NEXT
        },
        |_| abi::FAILED,
    )
}

/// # Safety
/// As for [`init`], and not null.
unsafe fn take(host: *const abi::Host) {
    // SAFETY: as the caller vouches for; only the size is read before it is known that there is more.
    let size = unsafe { (&raw const (*host).size).read() };
    let whole = if (size as usize) < size_of::<abi::Host>() {
        // An older host's table is shorter: what it does not have is null.
        // SAFETY: as the caller vouches for; a null function is none.
        Box::into_raw(Box::new(unsafe { sized(host) }))
    } else {
        host.cast_mut()
    };
    HOST.store(whole, Ordering::Release);
}

/// The services of the gateway on the other side.
#[must_use]
pub fn host() -> Host {
    Host::new(Across)
}

struct Across;

impl Services for Across {
    fn call(&self, call: HttpCall, done: Done) {
        let Some(ask) = table().call else {
            done(Err(CallError("the gateway makes no calls".to_owned())));
            return;
        };
        let headers = match header_lines(&call.headers) {
            Ok(headers) => headers,
            Err(name) => {
                let error = format!("the header {name:?} cannot be sent");
                done(Err(CallError(error)));
                return;
            }
        };
        let request = abi::HttpCall {
            size: size_of::<abi::HttpCall>() as u32,
            timeout: u32::try_from(call.timeout.as_millis()).unwrap_or(u32::MAX),
            max_body: call.max_body as u64,
            method: slice(call.method.as_bytes()),
            url: slice(call.url.as_bytes()),
            headers: slice(headers.as_bytes()),
            body: slice(&call.body),
        };
        let user = Box::into_raw(Box::new(done));
        // SAFETY: the request is borrowed for the call; `answered` gets the box back, once.
        unsafe { ask(&raw const request, Some(answered), user.cast()) };
    }

    fn sleep(&self, time: Duration) -> BoxFuture {
        let alarm = Arc::new(Mutex::new(Alarm::Unset));
        Box::pin(std::future::poll_fn(move |context| {
            let mut state = alarm.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *state {
                Alarm::Rung => return Poll::Ready(()),
                Alarm::Set(waker) => waker.clone_from(context.waker()),
                Alarm::Unset => {
                    let Some(timer) = table().timer else {
                        return Poll::Ready(());
                    };
                    *state = Alarm::Set(context.waker().clone());
                    drop(state);
                    let user = Arc::into_raw(alarm.clone());
                    let millis =
                        u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
                    // SAFETY: `rung` gets the count back, once.
                    unsafe { timer(millis, Some(rung), user.cast_mut().cast()) };
                }
            }
            Poll::Pending
        }))
    }

    fn tally(&self, key: &str) -> Tally {
        let tally = table().tally;
        // SAFETY: the key is borrowed for the call.
        let handle = tally.map_or(0, |tally| unsafe { tally(slice(key.as_bytes())) });
        Tally::new(Arc::new(Handle(handle)))
    }

    fn metric(&self, kind: MetricKind, name: &str, labels: &[(&str, &str)]) -> Arc<dyn Metric> {
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let labels = serde_json::to_string(&labels).unwrap_or_default();
        // SAFETY: the texts are borrowed for the call.
        let handle = table().metric.map_or(0, |metric| unsafe {
            metric(
                kind as u32,
                slice(name.as_bytes()),
                slice(labels.as_bytes()),
            )
        });
        Arc::new(Meter(handle))
    }
}

/// The host's answer to a call.
unsafe extern "C" fn answered(user: *mut c_void, answer: *const abi::HttpAnswer) {
    super::contain(
        || {
            // SAFETY: `call` above handed in this box, and the host calls once.
            let done = unsafe { Box::from_raw(user.cast::<Done>()) };
            if answer.is_null() {
                return done(Err(CallError("no answer".to_owned())));
            }
            // SAFETY: not null, and valid for the time of this call, as its slices are; zero is valid everywhere.
            let answer = unsafe { sized(answer) };
            // SAFETY: as above.
            let (error, headers, body) =
                unsafe { (text(answer.error), text(answer.headers), bytes(answer.body)) };
            done(match u16::try_from(answer.status) {
                Ok(status) if status != 0 => Ok(HttpAnswer {
                    status,
                    headers: headers_of(headers),
                    body: Bytes::copy_from_slice(body),
                }),
                _ => Err(CallError(error.to_owned())),
            });
        },
        |_| (),
    );
}

enum Alarm {
    Unset,
    Set(Waker),
    Rung,
}

unsafe extern "C" fn rung(user: *mut c_void, _answer: *const abi::HttpAnswer) {
    super::contain(
        || {
            // SAFETY: `sleep` above handed in this count, and the host calls once.
            let alarm = unsafe { Arc::from_raw(user.cast_const().cast::<Mutex<Alarm>>()) };
            let was = std::mem::replace(
                &mut *alarm.lock().unwrap_or_else(PoisonError::into_inner),
                Alarm::Rung,
            );
            if let Alarm::Set(waker) = was {
                waker.wake();
            }
        },
        |_| (),
    );
}

/// A metric on the other side; 0 is none.
struct Meter(u64);

impl Metric for Meter {
    fn record(&self, value: f64) {
        if let Some(record) = table().record
            && self.0 != 0
        {
            // SAFETY: numbers only.
            unsafe { record(self.0, value) };
        }
    }
}

/// A sum on the other side.
struct Handle(u64);

impl Count for Handle {
    fn total(&self) -> i64 {
        self.change(0)
    }

    fn add(&self, amount: i64) {
        self.change(amount);
    }
}

impl Handle {
    fn change(&self, amount: i64) -> i64 {
        // SAFETY: numbers only.
        table()
            .tally_add
            .map_or(0, |add| unsafe { add(self.0, amount) })
    }
}
