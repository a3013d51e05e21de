//! Where the keys come from: asked for when the first token comes, again before they are stale, and when a token names
//! a key that is not among them. Whatever goes wrong, the last good set stays.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use millgate_plugin::{BoxFuture, CallError, Host, HttpAnswer, HttpCall};
use tokio::sync::watch;

use super::keys::KeySet;

/// Keys of one issuer.
pub(super) struct Keys(Arc<Inner>);

struct Inner {
    /// `None` where the keys stand in the config.
    url: Option<String>,
    host: Host,
    times: Times,
    current: ArcSwapOption<KeySet>,
    asking: Mutex<Asking>,
    /// Sent whenever asking has come to an end.
    ended: watch::Sender<()>,
}

/// When to ask.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// A set of this age is asked for anew.
    pub(super) refresh: Duration,
    /// Nothing is asked for twice within this time.
    pub(super) pause: Duration,
}

/// What is known of the asking.
#[derive(Clone, Copy, Default)]
struct Asking {
    is_under_way: bool,
    /// When it was last begun.
    begun: Option<Instant>,
    /// When the set in force was got.
    got: Option<Instant>,
    has_failed: bool,
}

/// What a token's bearer should do about the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Use what there is.
    Nothing,
    /// Use what there is, and have it asked for.
    Background,
    /// Wait for new ones.
    Wait,
}

impl Keys {
    /// Keys that stand in the config.
    pub(super) fn fixed(set: KeySet, host: &Host, times: Times) -> Self {
        Self::new(None, Some(set), host, times)
    }

    /// Keys to be got from a URL.
    pub(super) fn from_url(url: String, host: &Host, times: Times) -> Self {
        Self::new(Some(url), None, host, times)
    }

    fn new(url: Option<String>, set: Option<KeySet>, host: &Host, times: Times) -> Self {
        Self(Arc::new(Inner {
            url,
            host: host.clone(),
            times,
            current: ArcSwapOption::from_pointee(set),
            asking: Mutex::default(),
            ended: watch::Sender::new(()),
        }))
    }

    /// The keys in force. Has them asked for where they are getting old.
    pub(super) fn current(&self, now: Instant) -> Option<Arc<KeySet>> {
        let wanted = self.0.asking().wanted(self.0.times, now);
        if self.0.url.is_some() && wanted == Wanted::Background {
            self.0.ask(now);
        }
        self.0.current.load_full()
    }

    /// Whether the keys are so old that new ones should be waited for, if any can be had.
    pub(super) fn are_stale(&self, now: Instant) -> bool {
        self.0.url.is_some() && self.0.asking().wanted(self.0.times, now) == Wanted::Wait
    }

    /// To be waited for before looking at the keys again; `None` where they have just been asked for.
    pub(super) fn newer(&self, now: Instant) -> Option<BoxFuture> {
        self.0.url.as_ref()?;
        let mut ended = self.0.ended.subscribe();
        if !self.0.ask(now) {
            return None;
        }
        Some(Box::pin(async move {
            // The sender lives as long as the stage, which the exchange keeps.
            let _ = ended.changed().await;
        }))
    }

    /// How long it is best to wait with another try where there are no keys.
    pub(super) fn pause(&self) -> Duration {
        self.0.times.pause
    }

    /// Takes over the keys of another, where they are of the same issuer's URL; `with_tokens`: and the tokens that they
    /// have been seen to sign.
    pub(super) fn adopt(&self, old: &Self, with_tokens: bool) {
        if self.0.url.is_none() || self.0.url != old.0.url {
            return;
        }
        let Some(set) = old.0.current.load_full() else {
            return;
        };
        let kept = if with_tokens {
            set
        } else {
            Arc::new(set.fresh())
        };
        self.0.current.store(Some(kept));
        let known = *old.0.asking();
        *self.0.asking() = Asking {
            is_under_way: false,
            ..known
        };
    }
}

impl Asking {
    fn wanted(self, times: Times, now: Instant) -> Wanted {
        let Some(got) = self.got else {
            return Wanted::Nothing;
        };
        let age = now.saturating_duration_since(got);
        match () {
            () if age < times.refresh => Wanted::Nothing,
            // Nobody came for a while. Where it is the issuer who does not answer, waiting would not help.
            () if age >= 2 * times.refresh && !self.has_failed => Wanted::Wait,
            () => Wanted::Background,
        }
    }

    /// Whether something is under way then: begun now, or before.
    fn begin(&mut self, times: Times, now: Instant) -> Begun {
        if self.is_under_way {
            return Begun::Before;
        }
        let is_too_soon = |begun: Instant| now.saturating_duration_since(begun) < times.pause;
        if self.begun.is_some_and(is_too_soon) {
            return Begun::NotYet;
        }
        self.is_under_way = true;
        self.begun = Some(now);
        Begun::Now
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    Now,
    Before,
    NotYet,
}

impl Inner {
    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the keys, unless that is under way or was done just now; whether it is under way then.
    fn ask(self: &Arc<Self>, now: Instant) -> bool {
        let Some(url) = &self.url else {
            return false;
        };
        let begun = self.asking().begin(self.times, now);
        if begun == Begun::Now {
            let answer = Answer(Some(self.clone()));
            self.host
                .call(HttpCall::get(url), move |result| answer.is(result));
        }
        begun != Begun::NotYet
    }

    fn end(&self, result: Result<KeySet, String>) {
        let mut asking = self.asking();
        asking.is_under_way = false;
        asking.has_failed = result.is_err();
        match result {
            Ok(set) => {
                asking.got = Some(Instant::now());
                let is_new = |known: &Arc<KeySet>| !known.says_the_same(&set);
                if self.current.load().as_ref().is_none_or(is_new) {
                    self.current.store(Some(Arc::new(set)));
                    tracing::info!(url = self.url, "keys for tokens: a new set is in force");
                }
            }
            Err(error) => {
                let kept = asking.got.is_some();
                tracing::warn!(url = self.url, error, kept, "keys for tokens cannot be had");
            }
        }
        drop(asking);
        self.ended.send_replace(());
    }
}

/// The end of asking, which comes even where the host forgets to tell.
struct Answer(Option<Arc<Inner>>);

impl Answer {
    fn is(mut self, result: Result<HttpAnswer, CallError>) {
        if let Some(keys) = self.0.take() {
            keys.end(read(result));
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(keys) = self.0.take() {
            keys.end(Err("the call was given up".to_owned()));
        }
    }
}

fn read(result: Result<HttpAnswer, CallError>) -> Result<KeySet, String> {
    let answer = result.map_err(|error| error.to_string())?;
    if answer.status != 200 {
        return Err(format!("status {}", answer.status));
    }
    KeySet::parse(&answer.body).map_err(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        refresh: Duration::from_mins(10),
        pause: Duration::from_secs(5),
    };

    #[test]
    fn keys_are_asked_for_once_at_a_time_and_not_again_at_once() {
        let (mut asking, start) = (Asking::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(asking.wanted(TIMES, start), Wanted::Nothing);
        assert_eq!(asking.begin(TIMES, start), Begun::Now);
        assert_eq!(asking.begin(TIMES, start + 9 * second), Begun::Before);
        asking.is_under_way = false;
        assert_eq!(asking.begin(TIMES, start + 4 * second), Begun::NotYet);
        assert_eq!(asking.begin(TIMES, start + 5 * second), Begun::Now);
    }

    #[test]
    fn old_keys_are_renewed_in_the_background_and_very_old_ones_waited_for_unless_there_are_none() {
        let start = Instant::now();
        let got = Asking {
            got: Some(start),
            ..Asking::default()
        };
        let failed = Asking {
            has_failed: true,
            ..got
        };
        for (seconds, fine, broken) in [
            (599, Wanted::Nothing, Wanted::Nothing),
            (600, Wanted::Background, Wanted::Background),
            (1200, Wanted::Wait, Wanted::Background),
        ] {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(got.wanted(TIMES, now), fine, "{seconds}");
            assert_eq!(failed.wanted(TIMES, now), broken, "{seconds}");
        }
    }
}
