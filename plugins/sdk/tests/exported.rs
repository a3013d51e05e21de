//! What `export_plugin!` puts into a library, and how it gets on with hosts that are older and newer than it.
#![expect(
    unsafe_code,
    reason = "a host looks at the symbol, and calls through pointers"
)]

use std::{
    collections::BTreeMap,
    ffi::c_void,
    mem::offset_of,
    ptr::{null, null_mut},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use millgate_plugin::{
    CallError, Endpoint, Exchange, Flow, Hooks, Host, HttpCall, Provider, Refusal, SetupError,
    Stage, StageError, UpstreamRequest,
    border::{self, abi},
    testing::block_on,
};

struct Filter;

impl Stage for Filter {
    const KIND: &'static str = "filter";
    type Config = BTreeMap<String, String>;
    type State = ();

    fn new(_: &str, _: Self::Config, _: &Host) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn hooks(&self) -> Hooks {
        Hooks::REQUEST
    }

    fn begin(&self) {}

    fn on_request(&self, (): &mut (), _: &mut dyn Exchange) -> Result<Flow, StageError> {
        panic!("on purpose")
    }
}

struct Codec;

impl Provider for Codec {
    const KIND: &'static str = "codec";
    type Config = BTreeMap<String, String>;
    type State = ();

    fn new(_: &str, _: Self::Config) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn serves(&self, _: Endpoint) -> bool {
        true
    }

    fn begin(&self) {}

    fn encode(
        &self,
        (): &mut (),
        _: &millgate_plugin::Call<'_>,
    ) -> Result<UpstreamRequest, Refusal> {
        Ok(UpstreamRequest::default())
    }
}

millgate_plugin::export_plugin! {
    name: "word-filter",
    stages: [Filter],
    providers: [Codec],
}

unsafe extern "C" {
    #[link_name = "millgate_plugin_v1"]
    static MANIFEST: abi::Manifest;
}

static LINES: Mutex<Vec<(u32, String)>> = Mutex::new(Vec::new());
static LEVEL: AtomicU32 = AtomicU32::new(abi::LEVEL_INFO);

fn text(slice: abi::Slice) -> String {
    // SAFETY: valid for the call, as the interface says.
    let bytes = unsafe { std::slice::from_raw_parts(slice.ptr, slice.len) };
    String::from_utf8(bytes.to_vec()).unwrap()
}

unsafe extern "C" fn logs(level: u32, _target: abi::Slice) -> u32 {
    u32::from(level <= LEVEL.load(Ordering::Relaxed))
}

unsafe extern "C" fn log(level: u32, target: abi::Slice, message: abi::Slice) {
    let line = format!("{}: {}", text(target), text(message));
    LINES.lock().unwrap().push((level, line));
}

fn lines() -> Vec<(u32, String)> {
    std::mem::take(&mut LINES.lock().unwrap())
}

/// A table with logs and nothing else, which says that it has `size` bytes.
const fn table(size: u32) -> abi::Host {
    abi::Host {
        size,
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
        logs: Some(logs),
        log: Some(log),
        metric: None,
        record: None,
        call: None,
        timer: None,
        tally: None,
        tally_add: None,
        shadow: None,
    }
}

/// A host of version 1.0 that ended after its log, with something behind it that is none of it.
#[repr(C)]
struct Older {
    host: abi::Host,
    foreign: [usize; 8],
}

impl Older {
    fn new() -> Self {
        let cut = offset_of!(abi::Host, metric);
        let mut older = Self {
            host: table(cut as u32),
            foreign: [usize::MAX; 8],
        };
        let host = &raw mut older.host;
        // SAFETY: within the table; what is written there is read by nobody who knows how long it is.
        unsafe {
            host.byte_add(cut)
                .cast::<u8>()
                .write_bytes(0xff, size_of::<abi::Host>() - cut);
        };
        older
    }
}

/// A host that has grown.
#[repr(C)]
struct Newer {
    host: abi::Host,
    more: [u64; 4],
}

static NEWER: Newer = Newer {
    host: table(size_of::<Newer>() as u32),
    more: [u64::MAX; 4],
};

static OLDER: OnceLock<Older> = OnceLock::new();

#[test]
fn the_manifest_says_what_the_plugin_is() {
    // SAFETY: the symbol is in this very program.
    let manifest = unsafe { &MANIFEST };
    assert_eq!(manifest.magic, abi::MAGIC);
    assert_eq!(manifest.size as usize, size_of::<abi::Manifest>());
    assert_eq!((manifest.minor, manifest.flags), (abi::MINOR, 0));
    assert_eq!(text(manifest.name), "word-filter");
    assert_eq!(text(manifest.version), env!("CARGO_PKG_VERSION"));
    assert_eq!(text(manifest.sdk), millgate_plugin::SDK);
    assert_eq!((manifest.stage_count, manifest.provider_count), (1, 1));
    // SAFETY: there is one of each.
    let (stage, provider) = unsafe { (&**manifest.stages, &**manifest.providers) };
    assert_eq!(
        (text(stage.name), text(provider.name)),
        ("filter".to_owned(), "codec".to_owned())
    );
    assert_eq!(stage.size as usize, size_of::<abi::StageType>());
    assert_eq!(provider.size as usize, size_of::<abi::ProviderType>());
}

/// One test for all of it: a process has one host.
#[test]
fn it_gets_on_with_older_and_newer_hosts() {
    // SAFETY: the symbol is in this very program.
    let init = unsafe { MANIFEST.init }.unwrap();
    // SAFETY: null is no host.
    assert_eq!(unsafe { init(null()) }, abi::FAILED);

    // SAFETY: the table lives for ever.
    assert_eq!(unsafe { init((&raw const NEWER).cast()) }, abi::NEXT);
    what_the_host_does_not_have_is_missed_by_nobody();
    what_is_logged_is_the_hosts();
    assert_eq!(NEWER.more, [u64::MAX; 4]);

    let older = OLDER.get_or_init(Older::new);
    // SAFETY: the table lives for ever, and has as many bytes as it says.
    let status = unsafe { init(std::ptr::from_ref(older).cast()) };
    assert_eq!(status, abi::NEXT);
    what_the_host_does_not_have_is_missed_by_nobody();
    what_is_logged_is_the_hosts();
}

fn what_the_host_does_not_have_is_missed_by_nobody() {
    let host = border::host();
    host.counter("a", &[("b", "c")]).add(1);
    host.histogram("d", &[]).record(1.0);
    let tally = host.tally("e");
    tally.add(1);
    assert_eq!(tally.total(), 0);
    block_on(host.sleep(Duration::from_hours(1)));
    let (tell, told) = mpsc::channel();
    host.call(HttpCall::get("http://localhost"), move |answer| {
        tell.send(answer.err()).unwrap();
    });
    let error = CallError("the gateway makes no calls".to_owned());
    assert_eq!(told.recv().unwrap(), Some(error));
}

fn what_is_logged_is_the_hosts() {
    lines();
    for level in [abi::LEVEL_INFO, abi::LEVEL_DEBUG] {
        // The gateway's filter may change while the plugin runs.
        LEVEL.store(level, Ordering::Relaxed);
        for said in 1..=2 {
            log::info!(target: "mine", "said {said}");
            log::debug!(target: "mine", "whispered");
            tracing::warn!(target: "mine", said, who = "me", "twice");
            tracing::debug!(target: "mine", "whispered too");
            let span = tracing::info_span!("nobody's");
            span.in_scope(|| ());
        }
    }
    let line = |level, line: &str| (level, line.to_owned());
    let loud = |said| {
        [
            line(abi::LEVEL_INFO, &format!("mine: said {said}")),
            line(
                abi::LEVEL_WARN,
                &format!("mine: twice said={said} who=\"me\""),
            ),
        ]
    };
    let whispers = [
        line(abi::LEVEL_DEBUG, "mine: whispered"),
        line(abi::LEVEL_DEBUG, "mine: whispered too"),
    ];
    let all = |said| {
        let ([info, warn], [one, two]) = (loud(said), whispers.clone());
        [info, one, warn, two]
    };
    let expected = [&loud(1)[..], &loud(2), &all(1), &all(2)].concat();
    assert_eq!(lines(), expected);

    assert_eq!(run_the_filter(), abi::PANICKED);
    let [(level, panic)] = &lines()[..] else {
        panic!("one line of the panic");
    };
    assert_eq!(*level, abi::LEVEL_ERROR);
    assert!(
        panic.contains("exported.rs") && panic.contains("on purpose"),
        "{panic}"
    );
}

/// Runs the hook of the stage, which panics.
fn run_the_filter() -> abi::Status {
    let mut made: *mut c_void = null_mut();
    // SAFETY: the functions are of one type, what they made is handed back to them, and a host that has no functions for
    // exchanges is asked for none.
    unsafe {
        let kind = &**MANIFEST.stages;
        let config = border::slice(b"{}");
        let created = kind.create.unwrap()(null_mut(), border::slice(b"it"), config, &raw mut made);
        assert_eq!(created, abi::NEXT);
        let state = kind.begin.unwrap()(made);
        let status = kind.on_request.unwrap()(made, state, null_mut());
        kind.end.unwrap()(state);
        kind.destroy.unwrap()(made);
        status
    }
}
