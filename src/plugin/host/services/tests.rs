use std::{
    io::Write,
    sync::{Arc, mpsc},
};

use millgate_plugin::{BoxFuture, Count, Done, Metric, Services};

use super::*;
use crate::plugin::slices::NOTHING;

/// Services that answer at once, from a task.
struct Fake;

struct Sum(std::sync::atomic::AtomicI64);

impl Count for Sum {
    fn total(&self) -> i64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn add(&self, amount: i64) {
        self.0
            .fetch_add(amount, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Services for Fake {
    fn call(&self, call: HttpCall, done: Done) {
        tasks::spawn(async move {
            done(Ok(HttpAnswer {
                status: 207,
                headers: call.headers,
                body: Bytes::from(format!("{} {}", call.method, call.url)),
            }));
        });
    }

    fn sleep(&self, time: Duration) -> BoxFuture {
        Box::pin(tokio::time::sleep(time))
    }

    fn tally(&self, _: &str) -> Tally {
        Tally::new(Arc::new(Sum(0.into())))
    }

    fn metric(&self, _: MetricKind, _: &str, _: &[(&str, &str)]) -> Arc<dyn Metric> {
        unreachable!("plugins' metrics are not the host's")
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// The tests share what is there once for a process: where background work is done.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    serve(&Host::new(Fake));
    guard
}

/// What `done` was told.
#[derive(Debug, PartialEq)]
enum Told {
    Nothing,
    Answer(u32, String, String, String),
}

/// Whose code it was that was told, and what.
type Telling = (Option<&'static str>, Told);

unsafe extern "C" fn done(user: *mut c_void, answer: *const abi::HttpAnswer) {
    // SAFETY: `telling` below leaked it, for this one call.
    let sender = unsafe { Box::from_raw(user.cast::<mpsc::Sender<Telling>>()) };
    // SAFETY: null, or valid for the call.
    let told = unsafe {
        answer.as_ref().map_or(Told::Nothing, |answer| {
            let text = |slice| text(slice).unwrap().to_owned();
            let (headers, body) = (text(answer.headers), text(answer.body));
            Told::Answer(answer.status, text(answer.error), headers, body)
        })
    };
    let whose = watch::current().map(|plugin| &*plugin.name);
    sender.send((whose, told)).unwrap();
}

fn telling() -> (*mut c_void, mpsc::Receiver<Telling>) {
    let (sender, receiver) = mpsc::channel();
    (Box::into_raw(Box::new(sender)).cast(), receiver)
}

fn call_to(url: &str, headers: &str) -> mpsc::Receiver<Telling> {
    let (user, told) = telling();
    let wanted = abi::HttpCall {
        size: size_of::<abi::HttpCall>() as u32,
        timeout: 1000,
        max_body: 1000,
        method: slice(b"POST"),
        url: slice(url.as_bytes()),
        headers: slice(headers.as_bytes()),
        body: NOTHING,
    };
    // SAFETY: the call is borrowed, and `done` is told once.
    unsafe { call(&raw const wanted, Some(done), user) };
    told
}

fn patiently(told: &mpsc::Receiver<Telling>) -> Telling {
    let telling = told.recv_timeout(Duration::from_secs(30)).unwrap();
    // Once, and only once.
    assert!(told.recv_timeout(Duration::from_secs(1)).is_err());
    telling
}

#[test]
fn a_call_is_answered_on_whatever_thread_with_its_plugin_known() {
    let _alone = alone();
    let runtime = runtime();
    let plugin = Plugin::leak("calling", "1");
    let told = {
        let _guard = runtime.enter();
        let _running = watch::enter(plugin);
        call_to("http://here/", "x-a: 1\nx-b:2\n\n")
    };
    let answer = |url: &str, headers: &str| {
        Told::Answer(
            207,
            String::new(),
            headers.to_owned(),
            format!("POST {url}"),
        )
    };
    let expected = (Some("calling"), answer("http://here/", "x-a: 1\nx-b: 2\n"));
    assert_eq!(patiently(&told), expected);
    // From a thread of the plugin's own, which knows of no runtime.
    let told = call_to("http://there/", "");
    assert_eq!(patiently(&told), (None, answer("http://there/", "")));
}

#[test]
fn a_call_that_is_no_good_is_answered_too() {
    let _alone = alone();
    let invalid = Told::Answer(
        0,
        "the call is not valid".into(),
        String::new(),
        String::new(),
    );
    let told = call_to("http://here/", "no header");
    assert_eq!(patiently(&told).1, invalid);
    let (user, told) = telling();
    // SAFETY: null is no call; `done` is told once.
    unsafe { call(std::ptr::null(), Some(done), user) };
    assert_eq!(patiently(&told).1, invalid);
    // SAFETY: nobody to be told.
    unsafe { call(std::ptr::null(), None, std::ptr::null_mut()) };
}

#[test]
fn after_the_gateway_has_shut_down_everybody_is_told_so() {
    let _alone = alone();
    let runtime = runtime();
    let (user, told_of_time) = telling();
    {
        let _guard = runtime.enter();
        // SAFETY: `done` is told once.
        unsafe { timer(u64::MAX, Some(done), user) };
    }
    runtime.shutdown_timeout(Duration::from_secs(30));
    let gone = Told::Answer(
        0,
        "the gateway is shutting down".into(),
        String::new(),
        String::new(),
    );
    assert_eq!(patiently(&told_of_time).1, gone);
    assert_eq!(patiently(&call_to("http://here/", "")).1, gone);
}

#[test]
fn a_timer_tells_of_nothing_but_time() {
    let _alone = alone();
    let runtime = runtime();
    let _guard = runtime.enter();
    let (user, told) = telling();
    let begun = std::time::Instant::now();
    // SAFETY: `done` is told once.
    unsafe { timer(20, Some(done), user) };
    assert_eq!(patiently(&told), (None, Told::Nothing));
    assert!(begun.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_sum_is_the_same_under_the_same_key() {
    let _alone = alone();
    // SAFETY: texts are borrowed.
    let tally = |key: &[u8]| unsafe { tally(slice(key)) };
    // SAFETY: numbers.
    let add = |tally, amount| unsafe { tally_add(tally, amount) };
    let (one, other) = (tally(b"one"), tally(b"other"));
    assert_eq!(add(one, 5), 5);
    assert_eq!(add(tally(b"one"), -2), 3);
    assert_eq!((add(one, 0), add(other, 0)), (3, 0));
    assert_eq!((add(0, 1), add(u64::MAX, 1), tally(b"\xff")), (0, 0, 0));
}

#[test]
fn a_metric_is_made_from_json_and_refused_with_zero() {
    let made = |kind, name: &[u8], labels: &[u8]| {
        // SAFETY: texts are borrowed.
        unsafe { metric(kind, slice(name), slice(labels)) }
    };
    let counter = made(abi::METRIC_COUNTER, b"from_json", br#"{"a":"1"}"#);
    assert_ne!(counter, 0);
    assert_ne!(made(abi::METRIC_HISTOGRAM, b"from_nothing", b""), 0);
    // SAFETY: numbers.
    unsafe { record(counter, 2.0) };
    let found = metrics::snapshot();
    let found = found
        .iter()
        .find(|metric| metric.name.ends_with("from_json"))
        .unwrap();
    assert_eq!(found.value, metrics::Value::Counter(2.0));
    for (kind, name, labels) in [
        (3, &b"a"[..], &b"{}"[..]),
        (1, b"a b", b"{}"),
        (1, b"\xff", b"{}"),
        (1, b"a", br#"{"a":1}"#),
        (1, b"a", b"[]"),
    ] {
        assert_eq!(made(kind, name, labels), 0, "{name:?} {labels:?}");
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_of_the_log_names_its_plugin() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let _running = watch::enter(Plugin::leak("talkative", "1"));
        // SAFETY: texts are borrowed.
        unsafe {
            log(abi::LEVEL_WARN, slice(b"crate::part"), slice(b"odd\xff"));
            log(abi::LEVEL_DEBUG, NOTHING, slice(b"nobody asked"));
            assert_eq!(logs(abi::LEVEL_INFO, NOTHING), 1);
            assert_eq!(logs(abi::LEVEL_DEBUG, NOTHING), 0);
            assert_eq!(logs(99, NOTHING), 0);
        }
    });
    let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(
        lines.contains(
            "WARN millgate::plugin: odd\u{fffd} plugin=\"talkative\" from=\"crate::part\""
        ),
        "{lines}"
    );
}

#[test]
fn a_message_without_end_is_cut() {
    assert_eq!(start_of(b"short"), b"short");
    assert_eq!(start_of(&vec![b'x'; 1 << 20]).len(), 64 << 10);
}
