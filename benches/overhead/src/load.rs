//! Load: so many connections as fast as they can (closed loop), or requests at fixed times (open loop).

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::client::{Client, Template};

/// No load takes this long unless a reply never comes.
const PATIENCE: Duration = Duration::from_mins(3);

/// Numbers requests through the whole run, so that no two are the same.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// Sends `requests` over `connections`, each of which waits for its reply before the next. Returns how long
/// it took.
///
/// Fails with the first request that does.
pub(crate) async fn closed_loop(
    address: SocketAddr,
    template: &Template,
    connections: usize,
    requests: u64,
) -> io::Result<Duration> {
    let left = Arc::new(AtomicU64::new(requests));
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let (left, mut template) = (Arc::clone(&left), template.clone());
        tasks.spawn(async move {
            let mut client = Client::connect(address).await?;
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                })
                .is_ok()
            {
                template.number(SERIAL.fetch_add(1, Ordering::Relaxed));
                client.ask(&template).await?;
            }
            Ok::<(), io::Error>(())
        });
    }
    finish(tasks).await?;
    Ok(begin.elapsed())
}

/// Sends `requests` at `rate` per second, whether or not earlier ones were answered. Returns how long each
/// took from the moment that it was due.
///
/// The moments are jittered by up to a millisecond, evenly: timers tick in milliseconds, and a load that
/// keeps step with them would see any delay rounded.
///
/// Fails with the first request that does.
pub(crate) async fn open_loop(
    address: SocketAddr,
    template: &Template,
    rate: u32,
    requests: u32,
) -> io::Result<Vec<Duration>> {
    let (sender, mut due) = mpsc::unbounded_channel();
    // A thread of its own, because the runtime's timer is too coarse.
    let clock = std::thread::spawn(move || {
        let begin = Instant::now();
        for n in 0..requests {
            let jitter = (f64::from(n) * 0.618_033_988_75).fract() / 1000.0;
            let moment = begin + Duration::from_secs_f64(f64::from(n) / f64::from(rate) + jitter);
            std::thread::sleep(moment.saturating_duration_since(Instant::now()));
            if sender.send(moment).is_err() {
                return;
            }
        }
    });
    let idle = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    while let Some(moment) = due.recv().await {
        let (idle, mut template) = (Arc::clone(&idle), template.clone());
        tasks.spawn(async move {
            let pooled = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut client = match pooled {
                Some(client) => client,
                None => Client::connect(address).await?,
            };
            template.number(SERIAL.fetch_add(1, Ordering::Relaxed));
            client.ask(&template).await?;
            let taken = moment.elapsed();
            idle.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(client);
            Ok::<Duration, io::Error>(taken)
        });
    }
    let taken = finish(tasks).await;
    // It has sent its last moment, else the loop above would still wait.
    let _ = clock.join();
    taken
}

async fn finish<T: 'static>(mut tasks: JoinSet<io::Result<T>>) -> io::Result<Vec<T>> {
    let all = async {
        let mut results = Vec::with_capacity(tasks.len());
        while let Some(joined) = tasks.join_next().await {
            results.push(joined.map_err(io::Error::other)??);
        }
        Ok(results)
    };
    tokio::time::timeout(PATIENCE, all).await?
}
