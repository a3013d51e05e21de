//! A provider from a plugin, behind the trait that built-in codecs are behind too.

use std::{
    collections::HashSet,
    ffi::c_void,
    sync::{Arc, Mutex, PoisonError},
};

use millgate_plugin::{
    Answer, Call, Endpoint, HeadFlow, Refusal, RefusalKind, SetupError, UpstreamHead,
    UpstreamRequest, border::abi,
};

use super::{
    host::{Output, Reader, Setup},
    slices::{NOTHING, slice, text},
    watch::{self, Plugin},
};
use crate::providers::erased::{ErasedProvider, State};

/// A provider that a plugin has made.
pub struct Foreign {
    made: Arc<Made>,
    kind: &'static str,
    base_path: &'static str,
    features: u32,
}

/// What the plugin has made. It is freed only once no attempt is at work with it any more.
struct Made {
    plugin: &'static Plugin,
    kind: &'static abi::ProviderType,
    provider: *mut c_void,
}

// SAFETY: the interface says that a provider is shared by threads.
unsafe impl Send for Made {}
// SAFETY: as above.
unsafe impl Sync for Made {}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(destroy) = self.kind.destroy {
            let _running = watch::enter(self.plugin);
            // SAFETY: `create` made it, and this is the one time that it is given back.
            unsafe { destroy(self.provider) };
        }
    }
}

/// The state of an attempt, until it is dropped.
struct Attempt {
    made: Arc<Made>,
    state: *mut c_void,
    /// Why it cannot go on; its state is not used again.
    broken: Option<Refusal>,
}

// SAFETY: the interface says that a state is used by one thread at a time, but not always by the same.
unsafe impl Send for Attempt {}

impl Drop for Attempt {
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
pub fn schema(kind: &'static abi::ProviderType) -> Option<String> {
    let mut output = Output::default();
    // SAFETY: the output is valid for the time of the call.
    unsafe { kind.schema?(output.as_ptr()) };
    output.into_text()
}

/// A fault of the codec's: the client reads that there is one, the log which.
fn fault() -> Refusal {
    Refusal::new(
        RefusalKind::Internal,
        "The provider's plugin failed. Operators: see the log.",
    )
}

fn foreign_state() -> Refusal {
    Refusal::new(
        RefusalKind::Internal,
        "the codec was called with another codec's state",
    )
}

impl Foreign {
    /// Makes the provider `name` of a kind of `plugin`'s from its table, less the keys that every provider has.
    pub fn create(
        plugin: &'static Plugin,
        kind: &'static abi::ProviderType,
        name: &str,
        config_json: &str,
    ) -> Result<Self, SetupError> {
        let provider = Setup::default().create(plugin, kind.create, name, config_json)?;
        let made = Made {
            plugin,
            kind,
            provider,
        };
        let features = kind.features.map_or(0, |features| {
            let _running = watch::enter(plugin);
            // SAFETY: `create` made the provider.
            unsafe { features(provider) }
        });
        // SAFETY: texts of a kind live as long as the plugin, which is for ever.
        let (own, base_path) = unsafe { (text(kind.name), text(kind.base_path)) };
        Ok(Self {
            made: Arc::new(made),
            kind: kind_name(plugin, own.unwrap_or_default()),
            base_path: base_path.unwrap_or_default(),
            features,
        })
    }

    /// The attempt to go on with, unless it or its plugin cannot.
    fn attempt<'s>(&self, state: &'s mut State) -> Result<&'s mut Attempt, Refusal> {
        let attempt = state.downcast_mut::<Attempt>().ok_or_else(foreign_state)?;
        match &attempt.broken {
            Some(refusal) => Err(refusal.clone()),
            None => self.made.switched_on().map(|()| attempt),
        }
    }
}

impl Made {
    fn switched_on(&self) -> Result<(), Refusal> {
        if !self.plugin.is_off() {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalKind::Internal,
            "The provider's plugin is switched off, because it kept failing. Operators: see the log.",
        ))
    }

    /// Runs a function of the codec that may refuse.
    fn run(
        &self,
        name: &str,
        output: &mut Output,
        broken: &mut Option<Refusal>,
        function: impl FnOnce(&mut Output) -> abi::Status,
    ) -> Result<(), Refusal> {
        let running = watch::enter(self.plugin);
        let status = function(output);
        drop(running);
        if status == abi::PANICKED {
            *broken = Some(fault());
        }
        self.verdict(name, status, output)
    }

    /// What a status means.
    fn verdict(&self, name: &str, status: abi::Status, output: &mut Output) -> Result<(), Refusal> {
        let refusal = output.refusal.take();
        match (status, refusal) {
            (abi::NEXT, None) => return Ok(()),
            (abi::REJECT, Some(refusal)) => return Err(refusal),
            (abi::PANICKED, refusal) => {
                let message = refusal.map_or("it did not say why".into(), |said| said.message);
                self.plugin.panicked(&message);
                self.tell(name, &message);
            }
            (abi::NEXT, Some(_)) => {
                self.strange(name, "said how it refuses, but came back with NEXT");
            }
            (abi::REJECT, None) => self.strange(name, "came back with REJECT, but did not say how"),
            (abi::FAILED, refusal) => {
                let message = refusal.map_or("failed".into(), |said| said.message);
                self.strange(name, &message);
            }
            (status, _) => {
                let message = format!("came back with status {status}, which means nothing there");
                self.strange(name, &message);
            }
        }
        Err(fault())
    }

    /// The codec has done what the interface does not allow.
    #[cold]
    fn strange(&self, function: &str, what: &str) {
        self.plugin.failed();
        self.tell(function, what);
    }

    fn tell(&self, function: &str, error: &str) {
        tracing::error!(
            plugin = self.plugin.shown_name(),
            function,
            error,
            "a provider's plugin failed"
        );
    }
}

/// What the config calls a kind: `plugin/kind`, and for what is built in just `kind`. There are only so many.
fn kind_name(plugin: &Plugin, own: &str) -> &'static str {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let name = if plugin.name.is_empty() {
        own.to_owned()
    } else {
        format!("{}/{own}", plugin.name)
    };
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if let Some(known) = names.get(&*name) {
        return known;
    }
    let name: &'static str = name.leak();
    names.insert(name);
    name
}

/// A call as plugins read it.
fn call_of(call: &Call<'_>) -> abi::Call {
    abi::Call {
        size: size_of::<abi::Call>() as u32,
        endpoint: call.endpoint as u32,
        method: slice(call.method.as_bytes()),
        path: slice(call.path.as_bytes()),
        query: call.query.map_or(NOTHING, |query| slice(query.as_bytes())),
        model: slice(call.model.as_bytes()),
        stream: u32::from(call.stream),
        reserved: 0,
        body: slice(call.body),
        request_id: slice(call.request_id.as_bytes()),
        created: call.created,
    }
}

impl ErasedProvider for Foreign {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn answers(&self) -> bool {
        self.made.kind.flags & abi::PROVIDER_ANSWERS != 0
    }

    fn include_usage(&self) -> bool {
        self.features & abi::FEATURE_INCLUDE_USAGE != 0
    }

    fn charges(&self) -> bool {
        self.features & abi::FEATURE_IS_FREE == 0
    }

    fn serves(&self, endpoint: Endpoint) -> bool {
        let Some(serves) = self.made.kind.serves else {
            return false;
        };
        if self.made.plugin.is_off() {
            // It is asked then, and says why it cannot.
            return true;
        }
        let _running = watch::enter(self.made.plugin);
        // SAFETY: `create` made the provider.
        unsafe { serves(self.made.provider, endpoint as u32) != 0 }
    }

    fn base_path(&self) -> &'static str {
        self.base_path
    }

    fn begin(&self) -> Box<State> {
        let mut state = std::ptr::null_mut();
        if let Some(begin) = self.made.kind.begin
            && !self.made.plugin.is_off()
        {
            let _running = watch::enter(self.made.plugin);
            // SAFETY: `create` made the provider.
            state = unsafe { begin(self.made.provider) };
        }
        Box::new(Attempt {
            made: self.made.clone(),
            state,
            broken: None,
        })
    }

    fn encode(&self, state: &mut State, call: &Call<'_>) -> Result<UpstreamRequest, Refusal> {
        let attempt = self.attempt(state)?;
        let Some(encode) = self.made.kind.encode else {
            return Err(fault());
        };
        let mut output = Output::default();
        let call = call_of(call);
        let (provider, state) = (self.made.provider, attempt.state);
        let broken = &mut attempt.broken;
        let encoded = self.made.run("encode", &mut output, broken, |output| {
            // SAFETY: `create` and `begin` made provider and state; call and output are valid for the call.
            unsafe { encode(provider, state, &raw const call, output.as_ptr()) }
        });
        encoded.map(|()| output.request)
    }

    fn on_head(&self, state: &mut State, head: &UpstreamHead<'_>) -> HeadFlow {
        let (Some(on_head), Ok(attempt)) = (self.made.kind.on_head, self.attempt(state)) else {
            return HeadFlow::Passthrough;
        };
        let (provider, status) = (self.made.provider, u32::from(head.status));
        let content_type = slice(head.content_type.as_bytes());
        let running = watch::enter(self.made.plugin);
        // SAFETY: `create` and `begin` made provider and state; the text is valid for the call.
        let status = unsafe { on_head(provider, attempt.state, status, content_type) };
        drop(running);
        match status {
            abi::PASSTHROUGH => HeadFlow::Passthrough,
            abi::DECODE => HeadFlow::Decode,
            status => {
                // `on_data` is where it can be said.
                let verdict = self.made.verdict("on_head", status, &mut Output::default());
                if verdict.is_ok() {
                    self.made
                        .strange("on_head", "came back with NEXT, which means nothing there");
                }
                attempt.broken = Some(fault());
                HeadFlow::Decode
            }
        }
    }

    fn on_data(
        &self,
        state: &mut State,
        data: &[u8],
        end: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let attempt = self.attempt(state)?;
        let Some(on_data) = self.made.kind.on_data else {
            self.made
                .strange("on_head", "came back with DECODE, but there is no on_data");
            return Err(fault());
        };
        let mut output = Output {
            bytes: std::mem::take(out),
            ..Output::default()
        };
        let (provider, state) = (self.made.provider, attempt.state);
        let (data, end) = (slice(data), u32::from(end));
        let broken = &mut attempt.broken;
        let decoded = self.made.run("on_data", &mut output, broken, |output| {
            // SAFETY: `create` and `begin` made provider and state; data and output are valid for the call.
            unsafe { on_data(provider, state, data, end, output.as_ptr()) }
        });
        *out = output.bytes;
        decoded
    }

    fn on_error(&self, status: u16, body: &[u8]) -> Option<Refusal> {
        let on_error = self.made.kind.on_error?;
        self.made.switched_on().ok()?;
        let mut output = Output::default();
        let (provider, status, body) = (self.made.provider, u32::from(status), slice(body));
        let running = watch::enter(self.made.plugin);
        // SAFETY: `create` made the provider; body and output are valid for the call.
        let verdict = unsafe { on_error(provider, status, body, output.as_ptr()) };
        drop(running);
        match (verdict, output.refusal.take()) {
            (abi::REJECT, Some(refusal)) => Some(refusal),
            (verdict, refusal) => {
                output.refusal = refusal;
                // What the status says by itself is good enough for the client.
                let _ = self.made.verdict("on_error", verdict, &mut output);
                None
            }
        }
    }

    fn answer(&self, call: &Call<'_>, answer: &mut dyn Answer) -> Result<(), Refusal> {
        self.made.switched_on()?;
        let Some(function) = self.made.kind.answer else {
            return Err(fault());
        };
        let mut reader = Reader::new(answer);
        let mut output = Output::default();
        let call = call_of(call);
        let running = watch::enter_at_leisure(self.made.plugin);
        // SAFETY: `create` made the provider; call, reader and output are valid for the call.
        let status = unsafe {
            let (call, reader) = (&raw const call, reader.as_ptr());
            function(self.made.provider, call, reader, output.as_ptr())
        };
        drop(running);
        self.made.verdict("answer", status, &mut output)
    }
}

#[cfg(test)]
mod tests;
