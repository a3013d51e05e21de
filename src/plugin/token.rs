//! Tokens: where a plugin's hook waits, until somebody in the plugin wakes it, from whatever thread.
//!
//! A token is a number of a place and of its generation, so that one that is stale wakes nobody.

use std::{
    future::Future,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

/// All places. One lock serves: waiting is rare, and held only to look at a place.
static PLACES: Mutex<Places> = Mutex::new(Places {
    places: Vec::new(),
    free: Vec::new(),
});

struct Places {
    places: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Place {
    generation: u32,
    waiting: Waiting,
}

#[derive(Default)]
enum Waiting {
    /// Nobody has asked yet whether it was woken.
    #[default]
    Quiet,
    By(Waker),
    Woken,
}

fn places() -> std::sync::MutexGuard<'static, Places> {
    PLACES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A token that is the host's to give out: a future that is ready once the token has been woken. Dropped, the token is none.
#[derive(Debug)]
pub struct Token {
    index: u32,
    generation: u32,
}

impl Token {
    /// A fresh one.
    #[must_use]
    pub fn new() -> Self {
        let mut places = places();
        let index = places.free.pop().unwrap_or_else(|| {
            places.places.push(Place::default());
            (places.places.len() - 1) as u32
        });
        let place = &mut places.places[index as usize];
        place.waiting = Waiting::Quiet;
        // Never 0, so that no token is the number 0.
        place.generation = place.generation.wrapping_add(1).max(1);
        Self {
            index,
            generation: place.generation,
        }
    }

    /// The number that a plugin is given.
    #[must_use]
    pub const fn number(&self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }
}

impl Default for Token {
    fn default() -> Self {
        Self::new()
    }
}

impl Future for Token {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut places = places();
        let place = &mut places.places[self.index as usize];
        match &mut place.waiting {
            Waiting::Woken => return Poll::Ready(()),
            Waiting::By(waker) => waker.clone_from(context.waker()),
            Waiting::Quiet => place.waiting = Waiting::By(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let mut places = places();
        let place = &mut places.places[self.index as usize];
        // From here on the number is stale.
        place.generation = place.generation.wrapping_add(1).max(1);
        let waiting = std::mem::take(&mut place.waiting);
        places.free.push(self.index);
        drop(places);
        // A waker's own drop is not to run under the lock.
        drop(waiting);
    }
}

/// Wakes whoever waits for this token; a number that is stale or none wakes nobody.
pub fn wake(token: u64) {
    let (generation, index) = ((token >> 32) as u32, token as u32);
    let mut places = places();
    let Some(place) = places.places.get_mut(index as usize) else {
        return;
    };
    if place.generation != generation {
        return;
    }
    let was = std::mem::replace(&mut place.waiting, Waiting::Woken);
    drop(places);
    if let Waiting::By(waker) = was {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn is_ready(token: &mut Token) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(token).poll(&mut context).is_ready()
    }

    #[test]
    fn a_token_is_ready_once_it_was_woken_before_or_after_it_is_waited_for() {
        for waits_first in [false, true] {
            let mut token = Token::new();
            if waits_first {
                assert!(!is_ready(&mut token));
            }
            wake(token.number());
            wake(token.number());
            assert!(is_ready(&mut token));
        }
    }

    #[test]
    fn a_stale_token_wakes_nobody() {
        let stale = Token::new().number();
        let mut tokens: Vec<_> = (0..64).map(|_| Token::new()).collect();
        wake(stale);
        wake(0);
        wake(u64::MAX);
        assert!(tokens.iter_mut().all(|token| !is_ready(token)));
        assert!(tokens.iter().all(|token| token.number() != stale));
    }
}
