//! A watch over hooks: one that does not come back holds up all exchanges of its thread, and somebody should know.
//!
//! Entering a hook writes one number into a place of its thread; a thread that wakes ten times a second looks at all of them.

use std::{
    cell::OnceCell,
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicPtr, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// How often the watch looks.
const TICK: Duration = Duration::from_millis(100);

/// How many looks a hook may take.
const PATIENCE: u64 = 10;

/// Looks so far, from 1: what a hook writes down when it begins.
static NOW: AtomicU64 = AtomicU64::new(1);

static SEATS: Mutex<Vec<Arc<Seat>>> = Mutex::new(Vec::new());

/// Where a thread says what it runs.
#[derive(Default)]
struct Seat {
    /// When its hook began; 0 while none runs.
    since: AtomicU64,
    /// Whose hook it is.
    whose: AtomicPtr<Watched>,
}

/// Something whose hooks are watched; lives for ever.
pub struct Watched {
    /// What to call it in the log.
    pub name: Box<str>,
    /// How often a hook of its has blocked.
    pub blocked: AtomicU64,
}

thread_local! {
    static SEAT: OnceCell<Arc<Seat>> = const { OnceCell::new() };
}

/// A hook that runs, until this is dropped.
#[must_use = "dropped, the hook is over"]
pub struct Running(*const Seat);

/// A hook begins on this thread.
#[inline]
pub fn begin(whose: &'static Watched) -> Running {
    SEAT.with(|seat| {
        let seat = seat.get_or_init(sit_down);
        seat.whose
            .store(std::ptr::from_ref(whose).cast_mut(), Ordering::Relaxed);
        seat.since
            .store(NOW.load(Ordering::Relaxed), Ordering::Release);
        Running(Arc::as_ptr(seat))
    })
}

impl Drop for Running {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the seat belongs to this thread, which is still there, and to the list, which keeps it for ever.
        unsafe { &*self.0 }.since.store(0, Ordering::Release);
    }
}

fn sit_down() -> Arc<Seat> {
    static WATCH: Once = Once::new();
    let seat = Arc::new(Seat::default());
    SEATS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(seat.clone());
    WATCH.call_once(|| {
        // Without the watch everything works, unwatched.
        let _ = thread::Builder::new()
            .name("plugin-watch".to_owned())
            .spawn(watch);
    });
    seat
}

fn watch() {
    let mut told: Vec<u64> = Vec::new();
    loop {
        thread::sleep(TICK);
        let now = NOW.fetch_add(1, Ordering::Relaxed) + 1;
        let seats = SEATS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        told.resize(seats.len(), 0);
        for (seat, told) in seats.iter().zip(&mut told) {
            let since = seat.since.load(Ordering::Acquire);
            if since == 0 || now < since + PATIENCE || *told == since {
                continue;
            }
            *told = since;
            // SAFETY: null, or a `Watched` that lives for ever.
            let Some(watched) = (unsafe { seat.whose.load(Ordering::Relaxed).as_ref() }) else {
                continue;
            };
            watched.blocked.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                plugin = &*watched.name,
                "a hook has not come back for a second, and holds up other exchanges: hooks must not block, but return WAIT"
            );
        }
    }
}
