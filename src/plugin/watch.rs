//! The plugins that are loaded, and a watch over their hooks: one that does not come back holds up all exchanges of its
//! thread, and somebody should know.
//!
//! Entering a plugin writes two numbers into a place of the thread; a thread that wakes ten times a second looks at all of
//! them. The same place tells whose code runs, for what the plugin asks of the gateway meanwhile.

use std::{
    cell::{Cell, OnceCell},
    ptr,
    sync::{
        Arc, Mutex, Once, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How often the watch looks.
const TICK: Duration = Duration::from_millis(100);

/// How many looks a hook may take.
const PATIENCE: u64 = 10;

/// So many panics within [`PANIC_SPAN`] switch a plugin off.
const MOST_PANICS: usize = 10;

/// See [`MOST_PANICS`].
const PANIC_SPAN: Duration = Duration::from_mins(1);

/// A plugin that is loaded: one image of it. Lives for ever, as the image does.
#[derive(Debug)]
pub struct Plugin {
    /// What it calls itself; empty for what is built in.
    pub name: Box<str>,
    /// Its version.
    pub version: Box<str>,
    /// How often it has panicked.
    pub panics: AtomicU64,
    /// How often it has failed otherwise, or done what the interface does not allow.
    pub failures: AtomicU64,
    /// How often a hook of its has blocked for a second.
    pub blocked: AtomicU64,
    /// Whether it has panicked so often that it is not called any more.
    pub is_off: AtomicBool,
    /// When it last panicked, the oldest first.
    recent: Mutex<Vec<Instant>>,
}

impl Plugin {
    /// A plugin that has just been loaded.
    #[must_use]
    pub fn leak(name: &str, version: &str) -> &'static Self {
        let plugin: &'static Self = Box::leak(Box::new(Self {
            name: name.into(),
            version: version.into(),
            panics: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            is_off: AtomicBool::new(false),
            recent: Mutex::default(),
        }));
        LOADED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(plugin);
        plugin
    }

    /// Whether it has panicked so often that it is not called any more.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.is_off.load(Ordering::Relaxed)
    }

    /// What the log and metrics call it.
    #[must_use]
    pub fn shown_name(&self) -> &str {
        if self.name.is_empty() {
            "millgate"
        } else {
            &self.name
        }
    }

    /// It has failed, or done what the interface does not allow.
    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// It has panicked. One that keeps panicking is switched off.
    pub(super) fn panicked(&self, message: &str) {
        self.panicked_at(message, Instant::now());
    }

    fn panicked_at(&self, message: &str, now: Instant) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|then| now.saturating_duration_since(*then) < PANIC_SPAN);
        recent.push(now);
        if recent.len() >= MOST_PANICS && !self.is_off.swap(true, Ordering::Relaxed) {
            tracing::error!(
                plugin = self.shown_name(),
                version = &*self.version,
                panic = message,
                "the plugin has panicked {MOST_PANICS} times within a minute and is switched off: its stages fail (or are passed over, with on_error = \"skip\") and its providers refuse, until another image of it is loaded or the gateway restarts"
            );
        }
    }
}

/// Every plugin that has been loaded, in order.
static LOADED: Mutex<Vec<&'static Plugin>> = Mutex::new(Vec::new());

/// Every plugin that has been loaded, in the order of loading: one for each image.
#[must_use]
pub fn loaded() -> Vec<&'static Plugin> {
    LOADED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// What is built in, as a plugin without a name.
#[must_use]
pub fn built_in() -> &'static Plugin {
    static BUILT_IN: OnceLock<&'static Plugin> = OnceLock::new();
    BUILT_IN.get_or_init(|| Plugin::leak("", env!("CARGO_PKG_VERSION")))
}

/// Looks so far, from 1: what a hook writes down when it begins.
static NOW: AtomicU64 = AtomicU64::new(1);

static SEATS: Mutex<Vec<Arc<Seat>>> = Mutex::new(Vec::new());

/// Where a thread says whose code it runs.
#[derive(Default)]
struct Seat {
    /// Since when; 0 where that is nobody's business.
    since: AtomicU64,
    /// Whose; null for nobody's.
    whose: AtomicPtr<Plugin>,
    /// The `since` of the last hook that was told of.
    told: AtomicU64,
}

thread_local! {
    /// This thread's seat, for as long as [`LEAVE`] keeps it.
    static SEAT: Cell<*const Seat> = const { Cell::new(ptr::null()) };
    static LEAVE: OnceCell<Leave> = const { OnceCell::new() };
}

/// Gives up the seat when the thread ends.
struct Leave(Arc<Seat>);

impl Drop for Leave {
    fn drop(&mut self) {
        SEAT.set(ptr::null());
        let mut seats = SEATS.lock().unwrap_or_else(PoisonError::into_inner);
        seats.retain(|seat| !Arc::ptr_eq(seat, &self.0));
    }
}

/// Code of a plugin that runs on this thread, until this is dropped.
#[must_use = "dropped, it is over"]
pub(super) struct Running {
    seat: *const Seat,
    /// What ran on this thread before.
    since: u64,
    whose: *mut Plugin,
}

/// A hook begins on this thread; it is expected back within a second.
#[inline]
pub(super) fn enter(plugin: &'static Plugin) -> Running {
    begin(plugin, NOW.load(Ordering::Relaxed))
}

/// Something begins on this thread that may take its time.
pub(super) fn enter_at_leisure(plugin: &'static Plugin) -> Running {
    begin(plugin, 0)
}

#[inline]
fn begin(plugin: &'static Plugin, now: u64) -> Running {
    let mut seat = SEAT.get();
    if seat.is_null() {
        seat = sit_down();
    }
    // SAFETY: null, or this thread's own, which is kept until the thread ends.
    let Some(place) = (unsafe { seat.as_ref() }) else {
        return Running {
            seat,
            since: 0,
            whose: ptr::null_mut(),
        };
    };
    let running = Running {
        seat,
        since: place.since.load(Ordering::Relaxed),
        whose: place.whose.load(Ordering::Relaxed),
    };
    place
        .whose
        .store(ptr::from_ref(plugin).cast_mut(), Ordering::Relaxed);
    place.since.store(now, Ordering::Release);
    running
}

impl Drop for Running {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: null, or the seat of this thread, which the guard does not leave and which is kept until the thread ends.
        if let Some(seat) = unsafe { self.seat.as_ref() } {
            seat.whose.store(self.whose, Ordering::Relaxed);
            seat.since.store(self.since, Ordering::Release);
        }
    }
}

/// Whose code runs on this thread: the gateway is being called by it. `None` on a thread of a plugin's own.
pub(super) fn current() -> Option<&'static Plugin> {
    // SAFETY: null, or this thread's own seat, which is kept until the thread ends.
    let seat = unsafe { SEAT.get().as_ref() }?;
    // SAFETY: null, or a plugin, which lives for ever.
    unsafe { seat.whose.load(Ordering::Relaxed).as_ref() }
}

/// Takes a seat; null where the thread is ending.
#[cold]
fn sit_down() -> *const Seat {
    static WATCH: Once = Once::new();
    let seat = Arc::new(Seat::default());
    let kept = LEAVE.try_with(|leave| leave.set(Leave(seat.clone())).is_ok());
    if kept != Ok(true) {
        return ptr::null();
    }
    SEAT.set(Arc::as_ptr(&seat));
    let seat_here = Arc::as_ptr(&seat);
    SEATS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(seat);
    WATCH.call_once(|| {
        // Without the watch everything works, unwatched.
        let _ = thread::Builder::new()
            .name("plugin-watch".to_owned())
            .spawn(watch);
    });
    seat_here
}

fn watch() {
    loop {
        thread::sleep(TICK);
        let now = NOW.fetch_add(1, Ordering::Relaxed) + 1;
        let seats = SEATS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for seat in &seats {
            look(seat, now);
        }
    }
}

/// Tells of a hook that has not come back for too long, once.
fn look(seat: &Seat, now: u64) {
    let since = seat.since.load(Ordering::Acquire);
    if since == 0 || now < since + PATIENCE || seat.told.load(Ordering::Relaxed) == since {
        return;
    }
    // SAFETY: null, or a plugin, which lives for ever.
    let plugin = unsafe { seat.whose.load(Ordering::Relaxed).as_ref() };
    // It may have come back just now, and another one begun.
    let (Some(plugin), true) = (plugin, seat.since.load(Ordering::Acquire) == since) else {
        return;
    };
    seat.told.store(since, Ordering::Relaxed);
    plugin.blocked.fetch_add(1, Ordering::Relaxed);
    tracing::error!(
        plugin = plugin.shown_name(),
        "a hook has not come back for a second, and holds up other exchanges: hooks must not block, but return WAIT"
    );
}

#[cfg(test)]
mod tests;
