//! A kind of stage on sample exchanges.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use millgate_plugin::{
    Chunk, ChunkFlow, Exchange, Field, Flow, Hooks, Host, Outcome, Place, SetupError, Stage,
    StageError,
    testing::{FakeExchange, Verdict, Visit, json},
};

use super::{
    drive::Times,
    inside::{Table, doing, fact, fault, lonely},
};
use crate::pipeline::{
    erased::{ErasedStage, State},
    registry::{Make, StageKind},
};

/// How long an exchange may wait, in milliseconds.
const PATIENCE: u64 = 3000;

const WHOLE: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"sample","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}"#;

const EVENTS: [&str; 5] = [
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"sample\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"sample\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"sample\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" there.\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"sample\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
];

/// A sample exchange: what became of it.
type Sample = fn(&Mounted) -> Result<String, StageError>;

/// Makes a stage of this kind, runs its hooks and tells how it did. Whether nothing is told that is wrong.
pub(super) fn check_stage(kind: &StageKind, table: &Table) -> bool {
    let Make::Stage(make) = &kind.make else {
        return false;
    };
    doing(format!("making a {}", kind.kind));
    let host = lonely().host();
    let Some(stage) = table.make(|section| make("check", section, &host)) else {
        return false;
    };
    let stage = Mounted {
        name: kind.kind,
        stage,
        times: Times::default(),
        is_quiet: AtomicBool::new(false),
    };
    fact("hooks", stage.described());
    let samples: [(&str, Sample); 3] = [
        ("a reply", reply),
        ("a stream", stream),
        ("a client leaves", leaving),
    ];
    let mut is_well = true;
    let began = Instant::now();
    for (name, sample) in samples {
        match catch_unwind(AssertUnwindSafe(|| sample(&stage))) {
            Ok(Ok(what)) => fact(name, what),
            Ok(Err(error)) => {
                is_well = false;
                fault(format!("{}, {name}: {error}", kind.kind));
            }
            Err(panic) => {
                is_well = false;
                fault(format!("{}, {name}: {}", kind.kind, said(&*panic)));
            }
        }
    }
    // One that waits its time out has nothing to be measured.
    if is_well && began.elapsed() < Duration::from_secs(1) {
        doing(format!("timing {}", kind.kind));
        stage.is_quiet.store(true, Ordering::Relaxed);
        stage.times.measure(|| {
            // What they say is known.
            let _ = reply(&stage);
            let _ = stream(&stage);
        });
        fact("median times", stage.times.medians());
    }
    doing(format!("freeing a {}", kind.kind));
    drop(stage);
    is_well
}

/// What a panic of the test bench said: that nobody woke who waits.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.unwrap_or("it came to no end")
}

fn sample(stage: &Mounted, stream: bool) -> FakeExchange {
    let messages = json!([{"role": "user", "content": "Say hello."}]);
    let exchange =
        FakeExchange::chat(&json!({"model": "sample", "stream": stream, "messages": messages}))
            .header("user-agent", "millgate-check")
            .with(Field::Route, "default")
            .with(Field::CallerId, "check")
            .with(Field::CallerTeam, "check")
            .with_number(Field::InputEstimate, 9)
            .with_number(Field::DeadlineLeft, PATIENCE);
    match stage.stage.place() {
        Place::BelowRoute => exchange.below_route("sample", "sample"),
        _ => exchange,
    }
}

fn reply(stage: &Mounted) -> Result<String, StageError> {
    let visit = Visit::new(stage, sample(stage, false));
    pass(visit, "application/json", &[WHOLE])
}

fn stream(stage: &Mounted) -> Result<String, StageError> {
    let visit = Visit::new(stage, sample(stage, true));
    pass(visit, "text/event-stream", &EVENTS)
}

/// In and out again.
fn pass(
    mut visit: Visit<'_, Mounted>,
    content_type: &str,
    pieces: &[&str],
) -> Result<String, StageError> {
    let verdict = visit.request()?;
    if verdict != Verdict::Next {
        visit.end(Outcome::Rejected);
        return Ok(described(&verdict));
    }
    let verdict = visit.response(200, &[("content-type", content_type)])?;
    if verdict != Verdict::Next {
        visit.end(Outcome::Rejected);
        return Ok(described(&verdict));
    }
    let mut kept = 0;
    for piece in pieces {
        kept += usize::from(visit.chunk(piece)? == [piece.as_bytes()]);
    }
    let edits = visit.end(Outcome::Ok).edits().len();
    Ok(format!(
        "passes: {edits} fields set, {kept} of {} pieces kept as they were",
        pieces.len()
    ))
}

/// The client leaves in the middle of a stream.
fn leaving(mounted: &Mounted) -> Result<String, StageError> {
    let mut visit = Visit::new(mounted, sample(mounted, true));
    if visit.request()? == Verdict::Next
        && visit.response(200, &[("content-type", "text/event-stream")])? == Verdict::Next
    {
        for piece in &EVENTS[..2] {
            visit.chunk(piece)?;
        }
    }
    visit.end(Outcome::ClientClosed);
    // Another one leaves while the stage waits for something, or before it could be asked.
    let mut state = mounted.begin();
    let mut exchange = sample(mounted, true);
    if mounted.hooks().contains(Hooks::REQUEST) {
        let waiting = mounted.on_request(&mut state, &mut exchange)?;
        drop(waiting);
    }
    if mounted.hooks().contains(Hooks::END) {
        mounted.on_end(&mut state, &mut exchange, Outcome::ClientClosed);
    }
    Ok("its state is freed".to_owned())
}

fn described(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Next => "passes".to_owned(),
        Verdict::Reply(reply) => format!("is answered with status {}", reply.status),
        Verdict::Reject(refusal) => {
            format!("is refused, {}: {}", refusal.kind.status(), refusal.message)
        }
    }
}

/// A stage of a plugin in the place of one in Rust, so that [`Visit`] can drive it. Takes the times of its hooks.
struct Mounted {
    name: &'static str,
    stage: Arc<dyn ErasedStage>,
    times: Times,
    /// Whether to say what is done.
    is_quiet: AtomicBool,
}

impl Mounted {
    fn described(&self) -> String {
        let hooks = self.stage.hooks();
        let names = [
            (Hooks::REQUEST_HEAD, "on_request_head"),
            (Hooks::REQUEST, "on_request"),
            (Hooks::RESPONSE, "on_response"),
            (Hooks::CHUNK, "on_chunk"),
            (Hooks::END, "on_end"),
        ];
        let wanted = names.iter().filter(|(hook, _)| hooks.contains(*hook));
        let wanted: Vec<_> = wanted.map(|(_, name)| *name).collect();
        let place = match self.stage.place() {
            Place::Anywhere => "on either side of route",
            Place::AboveRoute => "above route",
            Place::BelowRoute => "below route",
        };
        format!("{}; stands {place}", wanted.join(", "))
    }

    fn run<T>(&self, hook: &'static str, run: impl FnOnce() -> T) -> T {
        if !self.is_quiet.load(Ordering::Relaxed) {
            doing(format!("{hook} of {}", self.name));
        }
        self.times.of(hook, run)
    }
}

impl Stage for Mounted {
    const KIND: &'static str = "mounted";
    type Config = ();
    type State = Box<State>;

    fn new(_: &str, (): (), _: &Host) -> Result<Self, SetupError> {
        Err(SetupError::at([""; 0], "it is made of a plugin's"))
    }

    fn hooks(&self) -> Hooks {
        self.stage.hooks()
    }

    fn begin(&self) -> Box<State> {
        self.stage.begin()
    }

    fn on_request_head(
        &self,
        state: &mut Box<State>,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        self.run("on_request_head", || {
            self.stage.on_request_head(&mut **state, exchange)
        })
    }

    fn on_request(
        &self,
        state: &mut Box<State>,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        self.run("on_request", || {
            self.stage.on_request(&mut **state, exchange)
        })
    }

    fn on_response(
        &self,
        state: &mut Box<State>,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        self.run("on_response", || {
            self.stage.on_response(&mut **state, exchange)
        })
    }

    fn on_chunk(
        &self,
        state: &mut Box<State>,
        exchange: &mut dyn Exchange,
        chunk: Chunk<'_>,
    ) -> Result<ChunkFlow, StageError> {
        self.run("on_chunk", || {
            self.stage.on_chunk(&mut **state, exchange, chunk)
        })
    }

    fn on_end(&self, state: &mut Box<State>, exchange: &mut dyn Exchange, outcome: Outcome) {
        self.run("on_end", || {
            self.stage.on_end(&mut **state, exchange, outcome);
        });
    }
}
