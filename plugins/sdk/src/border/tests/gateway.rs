//! The other side of the border, in process: a table of functions as a gateway would hand in, over [`FakeExchange`].

use std::{
    collections::BTreeSet,
    ffi::c_void,
    ptr::null,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use millgate_plugin_abi::{self as abi, Slice, Status};

use super::super::slices::{bytes, sized, slice, text};
use crate::{Exchange, Field, SetError, testing::FakeExchange};

pub(super) static TABLE: abi::Host = abi::Host {
    size: size_of::<abi::Host>() as u32,
    minor: abi::MINOR,
    get: Some(get),
    number: Some(number),
    set: Some(set),
    each: Some(each),
    emit: Some(emit),
    reject: Some(reject),
    fail: Some(fail),
    token: Some(token),
    wake: Some(wake),
    refuse: Some(refuse),
    request: Some(request),
    write: Some(write),
    reject_output: Some(reject_output),
    send: Some(send),
    pause: Some(pause),
    logs: None,
    log: None,
    metric: Some(metric),
    record: Some(record),
    call: Some(call),
    timer: Some(timer),
    tally: Some(tally),
    tally_add: Some(tally_add),
    shadow: Some(shadow),
};

/// From here on this gateway is the host of the process.
pub(super) fn connect() {
    // SAFETY: the functions below do what the interface says.
    unsafe { super::super::connect(&TABLE) };
}

/// A refusal, as it came across.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) kind: u32,
    pub(super) retry_after: u64,
    pub(super) texts: [String; 4],
}

impl Refused {
    unsafe fn of(refusal: *const abi::Refusal) -> Self {
        // SAFETY: handed in by the border for the time of the call.
        unsafe {
            let refusal = sized(refusal);
            let slices = [
                refusal.message,
                refusal.code,
                refusal.param,
                refusal.error_type,
            ];
            Self {
                kind: refusal.kind,
                retry_after: refusal.retry_after,
                texts: slices.map(|slice| text(slice).to_owned()),
            }
        }
    }
}

/// What `MgExchange` points to.
#[derive(Default)]
pub(super) struct Hook {
    pub(super) exchange: FakeExchange,
    pub(super) may_wait: bool,
    pub(super) reply: Vec<(String, String)>,
    pub(super) emitted: Vec<Vec<u8>>,
    pub(super) refusal: Option<Refused>,
    pub(super) failure: Option<String>,
    /// The last token given out.
    pub(super) token: u64,
}

/// What `MgSetup` points to.
#[derive(Default)]
pub(super) struct Setup {
    pub(super) is_shadow: bool,
    pub(super) error: Option<(String, String)>,
}

/// What `MgOutput` points to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    pub(super) parts: Vec<(u32, String, String)>,
    pub(super) refusal: Option<Refused>,
}

/// What `MgReader` points to.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) pieces: Vec<String>,
    pub(super) waited: u64,
    pub(super) leaves_after: usize,
}

/// Tokens that are waited for, and those that were woken.
static TOKENS: Mutex<Tokens> = Mutex::new(Tokens {
    open: BTreeSet::new(),
    woken: BTreeSet::new(),
});
static WAKING: Condvar = Condvar::new();

struct Tokens {
    open: BTreeSet<u64>,
    woken: BTreeSet<u64>,
}

fn tokens() -> MutexGuard<'static, Tokens> {
    TOKENS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until a token is woken; then it is none any more.
pub(super) fn await_token(token: u64) {
    let patience = Duration::from_secs(30);
    let tokens = tokens();
    let (mut tokens, timeout) = WAKING
        .wait_timeout_while(tokens, patience, |tokens| !tokens.woken.contains(&token))
        .unwrap();
    assert!(!timeout.timed_out(), "nobody woke token {token}");
    tokens.open.remove(&token);
    tokens.woken.remove(&token);
}

/// Ends a token that nobody waits for any more.
pub(super) fn end_token(token: u64) {
    let mut tokens = tokens();
    tokens.open.remove(&token);
    tokens.woken.remove(&token);
}

unsafe fn hook<'a>(exchange: *const abi::Exchange) -> &'a Hook {
    // SAFETY: it is what the hook was given; shared, as a visitor of `each` may ask for more.
    unsafe { &*exchange.cast::<Hook>() }
}

unsafe fn hook_mut<'a>(exchange: *mut abi::Exchange) -> &'a mut Hook {
    // SAFETY: it is what the hook was given, and nobody else uses it.
    unsafe { &mut *exchange.cast::<Hook>() }
}

unsafe extern "C" fn get(
    exchange: *const abi::Exchange,
    field: u32,
    key: Slice,
    value: *mut Slice,
) -> u32 {
    // SAFETY: handed in by the border.
    unsafe {
        let field = Field::from_number(field).unwrap();
        let Some(found) = hook(exchange).exchange.get(field, text(key)) else {
            return 0;
        };
        value.write(slice(found));
        1
    }
}

unsafe extern "C" fn number(exchange: *const abi::Exchange, field: u32, value: *mut u64) -> u32 {
    // SAFETY: handed in by the border.
    unsafe {
        let field = Field::from_number(field).unwrap();
        let Some(found) = hook(exchange).exchange.number(field) else {
            return 0;
        };
        value.write(found);
        1
    }
}

unsafe extern "C" fn set(
    exchange: *mut abi::Exchange,
    field: u32,
    key: Slice,
    value: Slice,
) -> Status {
    // SAFETY: handed in by the border.
    let (hook, key, value) = unsafe {
        let value = (!value.ptr.is_null()).then(|| bytes(value));
        (hook_mut(exchange), text(key), value)
    };
    let field = Field::from_number(field).unwrap();
    if field == Field::ReplyStatus || (field == Field::ReplyHeader && !hook.reply.is_empty()) {
        let value = String::from_utf8_lossy(value.unwrap()).into_owned();
        hook.reply.push((key.to_owned(), value));
        return abi::NEXT;
    }
    match hook.exchange.set(field, key, value) {
        Ok(()) => abi::NEXT,
        Err(SetError::ReadOnly) => abi::READ_ONLY,
        Err(SetError::Invalid) => abi::INVALID,
        Err(SetError::Unknown) => abi::UNKNOWN,
        Err(SetError::Unavailable) => abi::UNAVAILABLE,
    }
}

unsafe extern "C" fn each(
    exchange: *const abi::Exchange,
    field: u32,
    visit: Option<unsafe extern "C" fn(*mut c_void, Slice, Slice) -> u32>,
    user: *mut c_void,
) {
    let (field, visit) = (Field::from_number(field).unwrap(), visit.unwrap());
    // SAFETY: handed in by the border, which is still inside this call.
    unsafe {
        hook(exchange).exchange.each(field, &mut |key, value| {
            visit(user, slice(key.as_bytes()), slice(value)) != 0
        });
    }
}

unsafe extern "C" fn emit(exchange: *mut abi::Exchange, piece: Slice) {
    // SAFETY: handed in by the border.
    unsafe { hook_mut(exchange).emitted.push(bytes(piece).to_owned()) };
}

unsafe extern "C" fn reject(exchange: *mut abi::Exchange, refusal: *const abi::Refusal) {
    // SAFETY: handed in by the border.
    unsafe { hook_mut(exchange).refusal = Some(Refused::of(refusal)) };
}

unsafe extern "C" fn fail(exchange: *mut abi::Exchange, message: Slice) {
    // SAFETY: handed in by the border.
    unsafe { hook_mut(exchange).failure = Some(text(message).to_owned()) };
}

unsafe extern "C" fn token(exchange: *mut abi::Exchange) -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    // SAFETY: handed in by the border.
    let hook = unsafe { hook_mut(exchange) };
    if !hook.may_wait {
        return 0;
    }
    hook.token = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    tokens().open.insert(hook.token);
    hook.token
}

unsafe extern "C" fn wake(token: u64) {
    let mut tokens = tokens();
    if tokens.open.contains(&token) {
        tokens.woken.insert(token);
        WAKING.notify_all();
    }
}

unsafe extern "C" fn refuse(setup: *mut abi::Setup, path: Slice, message: Slice) {
    // SAFETY: handed in by the border.
    unsafe {
        let error = (text(path).to_owned(), text(message).to_owned());
        (*setup.cast::<Setup>()).error = Some(error);
    }
}

unsafe extern "C" fn shadow(setup: *const abi::Setup) -> u32 {
    // SAFETY: handed in by the border.
    u32::from(unsafe { &*setup.cast::<Setup>() }.is_shadow)
}

unsafe extern "C" fn request(
    output: *mut abi::Output,
    part: u32,
    key: Slice,
    value: Slice,
) -> Status {
    // SAFETY: handed in by the border.
    unsafe {
        let part = (part, text(key).to_owned(), text(value).to_owned());
        (*output.cast::<Output>()).parts.push(part);
    }
    abi::NEXT
}

unsafe extern "C" fn write(output: *mut abi::Output, piece: Slice) {
    // SAFETY: handed in by the border.
    unsafe {
        let output = &mut *output.cast::<Output>();
        output.bytes.extend_from_slice(bytes(piece));
    }
}

unsafe extern "C" fn reject_output(output: *mut abi::Output, refusal: *const abi::Refusal) {
    // SAFETY: handed in by the border.
    unsafe { (*output.cast::<Output>()).refusal = Some(Refused::of(refusal)) };
}

unsafe extern "C" fn send(reader: *mut abi::Reader, piece: Slice) -> Status {
    // SAFETY: handed in by the border.
    let (reader, piece) = unsafe { (&mut *reader.cast::<Reader>(), text(piece)) };
    if reader.pieces.len() >= reader.leaves_after {
        return abi::GONE;
    }
    reader.pieces.push(piece.to_owned());
    abi::NEXT
}

unsafe extern "C" fn pause(reader: *mut abi::Reader, millis: u64) -> Status {
    // SAFETY: handed in by the border.
    let reader = unsafe { &mut *reader.cast::<Reader>() };
    reader.waited += millis;
    if reader.pieces.len() >= reader.leaves_after {
        return abi::GONE;
    }
    abi::NEXT
}

unsafe extern "C" fn metric(kind: u32, name: Slice, labels: Slice) -> u64 {
    // SAFETY: handed in by the border.
    let (name, labels) = unsafe { (text(name), text(labels)) };
    METERS.with_borrow_mut(|meters| {
        meters.push((format!("{kind} {name} {labels}"), 0.0));
        meters.len() as u64
    })
}

unsafe extern "C" fn record(metric: u64, value: f64) {
    METERS.with_borrow_mut(|meters| meters[metric as usize - 1].1 += value);
}

thread_local! {
    /// The metrics that a test has made, and their sums.
    pub(super) static METERS: std::cell::RefCell<Vec<(String, f64)>> = const {
        std::cell::RefCell::new(Vec::new())
    };
}

/// A pointer on its way to another thread.
struct User(*mut c_void);

// SAFETY: `done` may be called from any thread.
unsafe impl Send for User {}

impl User {
    fn tell(self, done: abi::Done, answer: *const abi::HttpAnswer) {
        // SAFETY: the border's own function and pointer, once.
        unsafe { done.unwrap()(self.0, answer) };
    }
}

/// Answers with what was asked, according to the URL: at once, later, or with nothing.
unsafe extern "C" fn call(call: *const abi::HttpCall, done: abi::Done, user: *mut c_void) {
    // SAFETY: handed in by the border.
    let (call, url) = unsafe {
        let call = sized(call);
        (
            text(call.method).to_owned() + " " + text(call.headers),
            text(call.url),
        )
    };
    let user = User(user);
    let answer = move |user: User, status| {
        let error = "no such host";
        let answer = abi::HttpAnswer {
            size: size_of::<abi::HttpAnswer>() as u32,
            status,
            error: slice(error.as_bytes()),
            headers: slice(b"x-a: 1\nx-b: 2: 3\n"),
            body: slice(call.as_bytes()),
        };
        user.tell(done, &raw const answer);
    };
    match url {
        "now" => answer(user, 200),
        "later" => drop(thread::spawn(move || answer(user, 200))),
        "fails" => answer(user, 0),
        "odd" => answer(user, 70_000),
        _ => user.tell(done, null()),
    }
}

unsafe extern "C" fn timer(millis: u64, done: abi::Done, user: *mut c_void) {
    let user = User(user);
    if millis == 0 {
        user.tell(done, null());
    } else {
        thread::spawn(move || user.tell(done, null()));
    }
}

unsafe extern "C" fn tally(key: Slice) -> u64 {
    // SAFETY: handed in by the border.
    unsafe { text(key) }.len() as u64
}

unsafe extern "C" fn tally_add(tally: u64, amount: i64) -> i64 {
    tally.cast_signed() + amount
}
