//! The way of a result from what was waited for to the hook that is called again.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use crate::BoxFuture;

/// A place for one result: a hook puts a clone into what it starts and waits for the other, and finds the result when it is
/// called again. Part of a stage's `State`, as a rule. Clones are the same place.
///
/// ```
/// use millgate_plugin::{
///     CallError, Exchange, Flow, Host, HttpAnswer, HttpCall, Refusal, RefusalKind, WaitCell,
/// };
///
/// /// The `State` of the stage.
/// type Asked = WaitCell<Result<HttpAnswer, CallError>>;
///
/// fn on_request(host: &Host, state: &mut Asked) -> Flow {
///     let Some(answer) = state.take() else {
///         let asked = state.clone();
///         host.call(HttpCall::get("http://guard.internal/"), move |answer| asked.put(answer));
///         return Flow::Wait(state.filled());
///     };
///     match answer {
///         Ok(answer) if answer.status == 200 => Flow::Next,
///         _ => Flow::Reject(Refusal::new(RefusalKind::Forbidden, "The guard says no.")),
///     }
/// }
/// ```
pub struct WaitCell<T>(Arc<Mutex<Place<T>>>);

struct Place<T> {
    value: Option<T>,
    waiting: Option<Waker>,
}

impl<T> WaitCell<T> {
    /// An empty place.
    #[must_use]
    pub fn new() -> Self {
        let place = Place {
            value: None,
            waiting: None,
        };
        Self(Arc::new(Mutex::new(place)))
    }

    /// Puts a result in, over one that nobody has taken, and wakes whoever waits for it. From any thread; without effect
    /// once the exchange is over.
    pub fn put(&self, value: T) {
        let mut place = self.place();
        let old = place.value.replace(value);
        let waiting = place.waiting.take();
        // What runs as they are dropped or woken may come back here.
        drop(place);
        drop(old);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Takes the result out; `None` where there is none yet.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        self.place().value.take()
    }

    fn place(&self) -> MutexGuard<'_, Place<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> WaitCell<T> {
    /// Done when there is a result: for [`Flow::Wait`](crate::Flow::Wait). One waits at a time.
    #[must_use]
    pub fn filled(&self) -> BoxFuture {
        let cell = self.clone();
        Box::pin(std::future::poll_fn(move |context| {
            let mut place = cell.place();
            if place.value.is_some() {
                return Poll::Ready(());
            }
            let old = place.waiting.replace(context.waker().clone());
            drop(place);
            drop(old);
            Poll::Pending
        }))
    }

    /// Done when `future` is, and its result in here: for [`Flow::Wait`](crate::Flow::Wait).
    #[must_use]
    pub fn fill(&self, future: impl Future<Output = T> + Send + 'static) -> BoxFuture {
        let cell = self.clone();
        Box::pin(async move { cell.put(future.await) })
    }
}

impl<T> Clone for WaitCell<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for WaitCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for WaitCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_filled = self.place().value.is_some();
        write!(f, "WaitCell({})", if is_filled { "filled" } else { "empty" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::block_on;

    #[test]
    fn a_result_put_in_before_or_while_it_is_waited_for_is_found() {
        let before = WaitCell::new();
        before.put(1);
        block_on(before.filled());
        assert_eq!(before.take(), Some(1));
        assert_eq!(before.take(), None);

        let cell = WaitCell::new();
        let mut wait = cell.filled();
        let mut context = std::task::Context::from_waker(Waker::noop());
        assert!(wait.as_mut().poll(&mut context).is_pending());
        let other = cell.clone();
        let thread = std::thread::spawn(move || other.put(2));
        block_on(wait);
        assert_eq!(cell.take(), Some(2));
        thread.join().unwrap();
    }

    #[test]
    fn the_result_of_a_future_is_put_in() {
        let cell = WaitCell::new();
        block_on(cell.fill(async { "done" }));
        assert_eq!(cell.take(), Some("done"));
    }

    #[test]
    fn what_is_dropped_or_woken_may_look_at_the_cell() {
        struct Looks(WaitCell<Looks>);
        impl Drop for Looks {
            fn drop(&mut self) {
                let _ = format!("{:?}", self.0);
            }
        }
        let cell = WaitCell::new();
        cell.put(Looks(cell.clone()));
        cell.put(Looks(cell.clone()));
        drop(cell.take());
    }
}
