//! Stages that do as a test tells them, and an exchange that runs through them.

use std::sync::Mutex;

use millgate_plugin::{Endpoint, Field, Host, RefusalKind, SetError, SetupError, Stage};

use crate::{
    config::{
        finding::{Place, Source},
        tree::Value,
    },
    pipeline::{erased::Native, *},
};

/// What a test's stage does in a hook.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Act {
    Next,
    Reply,
    Reject,
    Fail,
    Panic,
    /// Waits once, then goes on.
    Wait,
    /// Waits for something that panics, then goes on.
    WaitInVain,
    /// Waits for what never comes.
    WaitForever,
}

pub(super) const ACTS: [Act; 7] = [
    Act::Next,
    Act::Reply,
    Act::Reject,
    Act::Fail,
    Act::Panic,
    Act::Wait,
    Act::WaitInVain,
];

#[derive(Clone, Copy, Debug)]
pub(super) enum ChunkAct {
    Keep,
    Drop,
    Replace(&'static str),
    /// Into its bytes.
    Split,
    Fail,
    Panic,
}

/// What stages write down, one after the other.
pub(super) type Journal = Arc<Mutex<Vec<String>>>;

/// A stage that does as it is told, and writes down what it was asked.
pub(super) struct Scripted {
    pub(super) name: &'static str,
    journal: Journal,
    pub(super) hooks: Hooks,
    pub(super) head: Act,
    pub(super) request: Act,
    pub(super) response: Act,
    pub(super) chunk: ChunkAct,
    pub(super) end_panics: bool,
    /// The model that it asks for instead.
    pub(super) model: Option<&'static str>,
    /// Whether it tries, on the way in, what it may know and do.
    pub(super) tries: bool,
}

impl Scripted {
    fn note(&self, what: impl std::fmt::Display) {
        let line = format!("{} {what}", self.name);
        self.journal.lock().unwrap().push(line);
    }

    fn try_all(&self, exchange: &mut dyn Exchange) {
        if !self.tries {
            return;
        }
        let endpoint = exchange.endpoint().map(Endpoint::name);
        let model = exchange.text(Field::Model, "").map(str::to_owned);
        let route = exchange.text(Field::Route, "").map(str::to_owned);
        let body = exchange.get(Field::RequestBody, "").map(<[u8]>::len);
        let has_member = exchange.get(Field::RequestMember, "messages").is_some();
        let numbers = [Field::Stream, Field::ModelAllowed, Field::InputEstimate];
        let numbers = numbers.map(|field| exchange.number(field));
        let set = exchange.set(Field::Model, "", Some(b"special-x"));
        self.note(format_args!(
            "finds {endpoint:?} {model:?} {route:?} {body:?} {has_member} {numbers:?} {set:?}"
        ));
    }

    fn act(act: Act, calls: &mut u32) -> Result<Flow, StageError> {
        *calls += 1;
        match act {
            Act::Reply => Ok(Flow::Reply(Reply {
                status: 299,
                headers: Vec::new(),
                body: Bytes::from_static(b"a stage's own"),
            })),
            Act::Reject => Ok(Flow::Reject(Refusal::new(RefusalKind::Forbidden, "no"))),
            Act::Fail => Err(StageError("failed".to_owned())),
            Act::Panic => panic!("on purpose"),
            Act::Wait if *calls == 1 => Ok(Flow::Wait(Box::pin(tokio::task::yield_now()))),
            Act::WaitInVain if *calls == 1 => {
                Ok(Flow::Wait(Box::pin(async { panic!("on purpose") })))
            }
            Act::WaitForever => Ok(Flow::Wait(Box::pin(std::future::pending()))),
            Act::Next | Act::Wait | Act::WaitInVain => Ok(Flow::Next),
        }
    }
}

impl Stage for Scripted {
    const KIND: &'static str = "scripted";
    type Config = ();
    /// How often `on_request`, `on_response` and `on_request_head` were called.
    type State = [u32; 3];

    fn new(_name: &str, (): (), _host: &Host) -> Result<Self, SetupError> {
        Err(SetupError::at(["scripted"], "made by hand"))
    }

    fn hooks(&self) -> Hooks {
        self.hooks
    }

    fn begin(&self) -> [u32; 3] {
        self.note("begin");
        [0; 3]
    }

    fn on_request_head(
        &self,
        state: &mut [u32; 3],
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        self.note("head");
        self.try_all(exchange);
        Self::act(self.head, &mut state[2])
    }

    fn on_request(
        &self,
        state: &mut [u32; 3],
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        self.note("request");
        self.try_all(exchange);
        let mut known = Vec::new();
        exchange.each(Field::Var, &mut |name, _| {
            known.push(name.to_owned());
            true
        });
        if !known.is_empty() {
            self.note(format_args!("knows {}", known.join(" ")));
        }
        if let Some(model) = self.model {
            exchange.set(Field::Model, "", Some(model.as_bytes()))?;
        }
        // Only whole exchanges take notes.
        let _ = exchange.set(Field::Var, self.name, Some(b"was here"));
        Self::act(self.request, &mut state[0])
    }

    fn on_response(
        &self,
        state: &mut [u32; 3],
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        let status = exchange.number(Field::ReplyStatus).unwrap();
        self.note(format_args!("response {status}"));
        Self::act(self.response, &mut state[1])
    }

    fn on_chunk(
        &self,
        _: &mut [u32; 3],
        _: &mut dyn Exchange,
        chunk: Chunk<'_>,
    ) -> Result<ChunkFlow, StageError> {
        self.note(format_args!("chunk {}", String::from_utf8_lossy(&chunk)));
        match self.chunk {
            ChunkAct::Keep => Ok(ChunkFlow::Keep),
            ChunkAct::Drop => Ok(ChunkFlow::Drop),
            ChunkAct::Replace(text) => Ok(ChunkFlow::Replace(Bytes::from_static(text.as_bytes()))),
            ChunkAct::Split => {
                let pieces = chunk.chunks(1).map(Bytes::copy_from_slice);
                Ok(ChunkFlow::Split(pieces.collect()))
            }
            ChunkAct::Fail => Err(StageError("failed".to_owned())),
            ChunkAct::Panic => panic!("on purpose"),
        }
    }

    fn on_end(&self, _: &mut [u32; 3], _: &mut dyn Exchange, outcome: Outcome) {
        self.note(format_args!("end {}", outcome.name()));
        assert!(!self.end_panics, "on purpose");
    }
}

/// A stage that is made by hand comes from no file.
fn no_table() -> Node {
    let source = Source {
        name: String::new(),
        text: String::new(),
        shown: false,
    };
    let place = Place {
        source: Arc::new(source),
        span: 0..0,
    };
    Node {
        value: Value::Bool(true),
        place,
    }
}

/// An exchange of which the model and the reply's status are known.
struct Board {
    status: u64,
}

impl Exchange for Board {
    fn get(&self, field: Field, _: &str) -> Option<&[u8]> {
        (field == Field::Model).then_some(b"gpt-4o")
    }

    fn number(&self, field: Field) -> Option<u64> {
        (field == Field::ReplyStatus).then_some(self.status)
    }

    fn set(&mut self, _: Field, _: &str, _: Option<&[u8]>) -> Result<(), SetError> {
        Err(SetError::ReadOnly)
    }

    fn each(&self, _: Field, _: &mut dyn FnMut(&str, &[u8]) -> bool) {}
}

/// An exchange on its way through stages.
pub(super) struct Run {
    pub(super) phases: Phases,
    pub(super) states: States,
    board: Board,
    journal: Journal,
}

/// Three stages `a`, `b` and `c`, of which `b` is changed.
pub(super) fn run_with(change: impl Fn(&mut Scripted), mount: impl Fn(&mut Mounted)) -> Run {
    let journal = Journal::default();
    let stages = ["a", "b", "c"].map(|name| {
        let is_changed = name == "b";
        let change = |stage: &mut Scripted| {
            if is_changed {
                change(stage);
            }
        };
        let mut mounted = mounted(name, &journal, change);
        if is_changed {
            mount(&mut mounted);
        }
        mounted
    });
    Run::new(stages.into(), journal)
}

/// A stage of this name in its place, changed, that writes into `journal`.
pub(super) fn mounted(
    name: &'static str,
    journal: &Journal,
    change: impl FnOnce(&mut Scripted),
) -> Mounted {
    let mut stage = Scripted {
        name,
        journal: journal.clone(),
        hooks: Hooks::REQUEST | Hooks::RESPONSE | Hooks::CHUNK | Hooks::END,
        head: Act::Next,
        request: Act::Next,
        response: Act::Next,
        chunk: ChunkAct::Keep,
        end_panics: false,
        model: None,
        tries: false,
    };
    change(&mut stage);
    Mounted {
        name: name.into(),
        kind: Scripted::KIND,
        image: None,
        table: no_table(),
        when: When::default(),
        on_error: OnError::Fail,
        mode: Mode::Enforce,
        verdicts: Arc::default(),
        hooks: stage.hooks,
        stage: Arc::new(Native(stage)),
    }
}

pub(super) fn run(change: impl Fn(&mut Scripted)) -> Run {
    run_with(change, |_| {})
}

impl Run {
    /// An exchange and these stages, which write into `journal`.
    pub(super) fn new(stages: Vec<Mounted>, journal: Journal) -> Self {
        Self {
            phases: Phases::new(stages),
            states: States::default(),
            board: Board { status: 200 },
            journal,
        }
    }

    pub(super) async fn head(&mut self) -> Result<(), Stop> {
        self.phases
            .on_request_head(&mut self.states, &mut self.board)
            .await
    }

    pub(super) async fn request(&mut self) -> Result<(), Stop> {
        self.phases
            .on_request(&mut self.states, &mut self.board)
            .await
    }

    /// What took the reply's place, one after the other.
    pub(super) async fn response(&mut self) -> Vec<Stop> {
        let mut stops = Vec::new();
        self.phases
            .on_response(&mut self.states, &mut self.board, |board, stop| {
                board.status = match &stop {
                    Stop::Reply(reply) => u64::from(reply.status),
                    Stop::Reject(refusal) => u64::from(refusal.kind.status()),
                    Stop::Failed { .. } => 500,
                };
                stops.push(stop);
            })
            .await;
        stops
    }

    pub(super) fn chunk(&mut self, text: &'static str) -> Result<Vec<String>, Stop> {
        let chunk = Bytes::from_static(text.as_bytes());
        let chunks = self
            .phases
            .on_chunk(&mut self.states, &mut self.board, chunk)?;
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        Ok(chunks.iter().map(text).collect())
    }

    pub(super) fn end(&mut self, outcome: Outcome) {
        self.phases
            .on_end(&mut self.states, &mut self.board, outcome);
    }

    /// What was written down since this was last asked.
    pub(super) fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.journal.lock().unwrap())
    }
}
