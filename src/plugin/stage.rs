//! A stage from a plugin, behind the trait that built-in stages are behind too.

use std::{
    any::Any,
    ffi::c_void,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use millgate_plugin::{
    Chunk, ChunkFlow, Exchange, Flow, Hooks, Outcome, Place, Refusal, RefusalKind, SetupError,
    StageError, border::abi,
};

use super::{
    host::{Hook, Output, Phase, Setup},
    slices::slice,
    token::Token,
    watch::{self, Plugin},
};
use crate::pipeline::erased::{ErasedStage, State};

/// The hooks that this version calls.
const KNOWN_HOOKS: u32 =
    Hooks::REQUEST_HEAD.0 | Hooks::REQUEST.0 | Hooks::RESPONSE.0 | Hooks::CHUNK.0 | Hooks::END.0;

/// How long a hook may wait, all in all, where the exchange has no deadline.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// A stage that a plugin has made.
pub struct Foreign {
    made: Arc<Made>,
    hooks: Hooks,
    place: Place,
    needs_store: bool,
}

/// What the plugin has made. It is freed only once nobody is entered in it any more.
struct Made {
    plugin: &'static Plugin,
    kind: &'static abi::StageType,
    stage: *mut c_void,
}

// SAFETY: the interface says that a stage is shared by threads.
unsafe impl Send for Made {}
// SAFETY: as above.
unsafe impl Sync for Made {}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(destroy) = self.kind.destroy {
            let _running = watch::enter(self.plugin);
            // SAFETY: `create` made it, and this is the one time that it is given back.
            unsafe { destroy(self.stage) };
        }
    }
}

/// An exchange or attempt that is entered, until it is dropped.
struct Entered {
    made: Arc<Made>,
    state: *mut c_void,
    /// It has panicked, or found its plugin switched off: from here on it is passed over, and only freed.
    is_over: bool,
    /// Set where it has waited until its time was up.
    overdue: Option<Arc<AtomicBool>>,
    /// When the hook that waits has waited for [`LONGEST_WAIT`], however often it was woken meanwhile.
    until: Option<Instant>,
}

// SAFETY: the interface says that a state is used by one thread at a time, but not always by the same.
unsafe impl Send for Entered {}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(end) = self.made.kind.end
            && !self.state.is_null()
        {
            let _running = watch::enter(self.made.plugin);
            // SAFETY: `begin` made it, and this is the one time that it is given back.
            unsafe { end(self.state) };
        }
    }
}

/// The JSON Schema that a kind writes; `None` where it writes none.
#[must_use]
pub fn schema(kind: &'static abi::StageType) -> Option<String> {
    let mut output = Output::default();
    // SAFETY: the output is valid for the time of the call.
    unsafe { kind.schema?(output.as_ptr()) };
    output.into_text()
}

impl Foreign {
    /// Makes the stage `name` of a kind of `plugin`'s from its table, less the keys that every stage has.
    pub fn create(
        plugin: &'static Plugin,
        kind: &'static abi::StageType,
        name: &str,
        config_json: &str,
        shadow: bool,
    ) -> Result<Self, SetupError> {
        let setup = Setup {
            is_shadow: shadow,
            ..Setup::default()
        };
        let stage = setup.create(plugin, kind.create, name, config_json)?;
        let made = Made {
            plugin,
            kind,
            stage,
        };
        // SAFETY: `create` made the stage; no exchange is involved.
        let ask = |function: Option<unsafe extern "C" fn(*const c_void) -> u32>| unsafe {
            let _running = watch::enter(plugin);
            function.map_or(0, |function| function(stage))
        };
        let place = match ask(kind.place) {
            abi::PLACE_ANYWHERE => Place::Anywhere,
            abi::PLACE_ABOVE_ROUTE => Place::AboveRoute,
            abi::PLACE_BELOW_ROUTE => Place::BelowRoute,
            other => {
                let message = format!(
                    "the plugin wants it at place {other} of the pipeline, which this gateway does not know"
                );
                return Err(SetupError::at([""; 0], message));
            }
        };
        Ok(Self {
            hooks: Hooks(ask(kind.hooks) & KNOWN_HOOKS),
            place,
            needs_store: ask(kind.needs_store) != 0,
            made: Arc::new(made),
        })
    }

    /// The state to call a hook with; `None` where it is passed over.
    #[inline]
    fn entered<'s>(&self, state: &'s mut State) -> Result<Option<&'s mut Entered>, StageError> {
        let Some(entered) = state.downcast_mut::<Entered>() else {
            return Err(StageError("called with another stage's state".to_owned()));
        };
        if entered.is_over {
            return Ok(None);
        }
        if self.made.plugin.is_off() {
            entered.is_over = true;
            return Err(StageError(format!(
                "the plugin {} is switched off, because it kept panicking",
                self.made.plugin.shown_name()
            )));
        }
        Ok(Some(entered))
    }

    /// Calls a hook that may answer, refuse and wait.
    fn flow(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
        phase: Phase,
        (name, function): (&'static str, abi::Hook),
    ) -> Result<Flow, StageError> {
        let (Some(function), Some(entered)) = (function, self.entered(state)?) else {
            return Ok(Flow::Next);
        };
        if let Some(overdue) = entered.overdue.take()
            && overdue.load(Ordering::Relaxed)
        {
            tracing::warn!(
                plugin = self.made.plugin.shown_name(),
                hook = name,
                "nobody woke the token within the exchange's time"
            );
            self.made.plugin.failed();
            let refusal = Refusal::new(
                RefusalKind::Timeout,
                "A step of the gateway took too long. Try again later.",
            );
            return Ok(Flow::Reject(refusal));
        }
        let mut hook = Hook::new(exchange, phase);
        let running = watch::enter(self.made.plugin);
        // SAFETY: `create` and `begin` made stage and state, which nobody else uses; the exchange is valid for the call.
        let status = unsafe { function(self.made.stage, entered.state, hook.as_ptr()) };
        drop(running);
        if status != abi::WAIT {
            entered.until = None;
        }
        match status {
            abi::NEXT if hook.said().is_none() => Ok(Flow::Next),
            abi::REPLY => hook.take_reply().map(Flow::Reply).ok_or_else(|| {
                self.strange(name, "came back with REPLY, but set and emitted nothing")
            }),
            abi::REJECT => Ok(Flow::Reject(self.refusal(name, &mut hook))),
            abi::WAIT => match hook.token.take() {
                Some(token) => Ok(entered.wait(token, hook.time_left())),
                None => Err(self.strange(name, "came back with WAIT, but took no token")),
            },
            status => Err(self.failure(name, entered, status, &mut hook)),
        }
    }

    /// How a hook refuses. One that does not say how has refused nevertheless.
    fn refusal(&self, name: &str, hook: &mut Hook<'_>) -> Refusal {
        hook.refusal.take().unwrap_or_else(|| {
            let error = self.strange(name, "came back with REJECT, but did not say how");
            tracing::warn!(%error, "a plugin refuses without words");
            Refusal::new(RefusalKind::Internal, "The request was refused.")
        })
    }

    /// What a status means that is not one of a hook's good ones.
    #[cold]
    fn failure(
        &self,
        name: &str,
        entered: &mut Entered,
        status: abi::Status,
        hook: &mut Hook<'_>,
    ) -> StageError {
        let said = hook.failure.take();
        match status {
            abi::PANICKED => {
                entered.is_over = true;
                let message = said.unwrap_or_else(|| "it did not say why".to_owned());
                self.made.plugin.panicked(&message);
                StageError(format!("panicked: {message}"))
            }
            abi::FAILED => {
                self.made.plugin.failed();
                StageError(said.unwrap_or_else(|| format!("{name} failed and did not say why")))
            }
            abi::NEXT | abi::DROP => {
                hook.failure = said;
                let said = hook.said().unwrap_or("did something");
                self.strange(name, &format!("{said}, but came back with status {status}"))
            }
            status => {
                let message = format!("came back with status {status}, which means nothing there");
                self.strange(name, &message)
            }
        }
    }

    /// A hook has done what the interface does not allow.
    #[cold]
    fn strange(&self, hook: &str, what: &str) -> StageError {
        self.made.plugin.failed();
        StageError(format!("{hook} {what}"))
    }

    /// A chunk that is not simply kept.
    #[cold]
    fn changed(
        &self,
        entered: &mut Entered,
        status: abi::Status,
        hook: &mut Hook<'_>,
    ) -> Result<ChunkFlow, StageError> {
        match status {
            abi::REPLACE => {
                let mut pieces = std::mem::take(&mut hook.emitted);
                Ok(match pieces.len() {
                    0 => ChunkFlow::Drop,
                    1 => ChunkFlow::Replace(pieces.swap_remove(0)),
                    _ => ChunkFlow::Split(pieces.into_vec()),
                })
            }
            abi::DROP if hook.said().is_none() => Ok(ChunkFlow::Drop),
            status => Err(self.failure("on_chunk", entered, status, hook)),
        }
    }
}

impl Entered {
    /// Waits for the token to be woken, but no longer than the exchange has time.
    fn wait(&mut self, token: Token, time_left: Option<Duration>) -> Flow {
        let now = Instant::now();
        let until = *self.until.get_or_insert_with(|| now + LONGEST_WAIT);
        let time = time_left.unwrap_or_else(|| until.saturating_duration_since(now));
        let overdue = Arc::new(AtomicBool::new(false));
        self.overdue = Some(overdue.clone());
        Flow::Wait(Box::pin(async move {
            // A hook whose token is woken at once, again and again, leaves room for others, and hears that its client has left.
            tokio::task::consume_budget().await;
            if time.is_zero() || tokio::time::timeout(time, token).await.is_err() {
                overdue.store(true, Ordering::Relaxed);
            }
        }))
    }
}

impl ErasedStage for Foreign {
    fn adopt(&self, old: &dyn ErasedStage) {
        let Some(old) = (old as &dyn Any).downcast_ref::<Self>() else {
            return;
        };
        // What another image remembers may look otherwise.
        if let Some(adopt) = self.made.kind.adopt
            && std::ptr::eq(self.made.kind, old.made.kind)
        {
            let _running = watch::enter(self.made.plugin);
            // SAFETY: `create` of the same kind made both.
            unsafe { adopt(self.made.stage, old.made.stage) };
        }
    }

    fn place(&self) -> Place {
        self.place
    }

    fn hooks(&self) -> Hooks {
        self.hooks
    }

    fn needs_store(&self) -> bool {
        self.needs_store
    }

    fn begin(&self) -> Box<State> {
        let mut state = std::ptr::null_mut();
        let is_off = self.made.plugin.is_off();
        if let Some(begin) = self.made.kind.begin
            && !is_off
        {
            let _running = watch::enter(self.made.plugin);
            // SAFETY: `create` made the stage.
            state = unsafe { begin(self.made.stage) };
        }
        Box::new(Entered {
            made: self.made.clone(),
            state,
            is_over: false,
            overdue: None,
            until: None,
        })
    }

    fn on_request_head(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        let hook = ("on_request_head", self.made.kind.on_request_head);
        self.flow(state, exchange, Phase::Request, hook)
    }

    fn on_request(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        let hook = ("on_request", self.made.kind.on_request);
        self.flow(state, exchange, Phase::Request, hook)
    }

    fn on_response(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        let hook = ("on_response", self.made.kind.on_response);
        self.flow(state, exchange, Phase::Response, hook)
    }

    fn on_chunk(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
        chunk: Chunk<'_>,
    ) -> Result<ChunkFlow, StageError> {
        let (Some(function), Some(entered)) = (self.made.kind.on_chunk, self.entered(state)?)
        else {
            return Ok(ChunkFlow::Keep);
        };
        let mut hook = Hook::new(exchange, Phase::Chunk);
        let running = watch::enter(self.made.plugin);
        let (stage, chunk) = (self.made.stage, slice(&chunk));
        // SAFETY: `create` and `begin` made stage and state, which nobody else uses; exchange and chunk are valid for the call.
        let status = unsafe { function(stage, entered.state, hook.as_ptr(), chunk) };
        drop(running);
        if status == abi::NEXT && hook.said().is_none() {
            // Nothing in it has to be freed, and looking for it would cost several nanoseconds.
            std::mem::forget(hook);
            return Ok(ChunkFlow::Keep);
        }
        self.changed(entered, status, &mut hook)
    }

    fn on_end(&self, state: &mut State, exchange: &mut dyn Exchange, outcome: Outcome) {
        let (Some(function), Ok(Some(entered))) = (self.made.kind.on_end, self.entered(state))
        else {
            return;
        };
        let mut hook = Hook::new(exchange, Phase::End);
        let running = watch::enter(self.made.plugin);
        let (stage, outcome) = (self.made.stage, outcome as u32);
        // SAFETY: `create` and `begin` made stage and state, which nobody else uses; the exchange is valid for the call.
        let status = unsafe { function(stage, entered.state, hook.as_ptr(), outcome) };
        drop(running);
        if status != abi::NEXT || hook.said().is_some() {
            let error = self.failure("on_end", entered, status, &mut hook);
            tracing::error!(
                plugin = self.made.plugin.shown_name(),
                %error,
                "on_end failed"
            );
        }
    }
}

#[cfg(test)]
mod tests;
