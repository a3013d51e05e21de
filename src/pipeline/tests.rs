use std::{
    future::Future,
    pin::pin,
    sync::Mutex,
    task::{Context, Poll, Waker},
};

use millgate_plugin::{Field, RefusalKind, SetError, SetupError, Stage};

use super::{erased::Native, *};
use crate::routing::pattern::Glob;

/// What a test's stage does in a hook.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
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

const ACTS: [Act; 7] = [
    Act::Next,
    Act::Reply,
    Act::Reject,
    Act::Fail,
    Act::Panic,
    Act::Wait,
    Act::WaitInVain,
];

#[derive(Clone, Copy, Debug)]
enum ChunkAct {
    Keep,
    Drop,
    Replace(&'static str),
    Fail,
    Panic,
}

type Journal = Arc<Mutex<Vec<String>>>;

/// A stage that does as it is told, and writes down what it was asked.
struct Scripted {
    name: &'static str,
    journal: Journal,
    hooks: Hooks,
    request: Act,
    response: Act,
    chunk: ChunkAct,
    end_panics: bool,
}

impl Scripted {
    fn note(&self, what: impl std::fmt::Display) {
        let line = format!("{} {what}", self.name);
        self.journal.lock().unwrap().push(line);
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
    /// How often `on_request` and `on_response` were called.
    type State = [u32; 2];

    fn new(_name: &str, (): ()) -> Result<Self, SetupError> {
        Err(SetupError::at(["scripted"], "made by hand"))
    }

    fn hooks(&self) -> Hooks {
        self.hooks
    }

    fn begin(&self) -> [u32; 2] {
        self.note("begin");
        [0; 2]
    }

    fn on_request(&self, state: &mut [u32; 2], _: &mut dyn Exchange) -> Result<Flow, StageError> {
        self.note("request");
        Self::act(self.request, &mut state[0])
    }

    fn on_response(
        &self,
        state: &mut [u32; 2],
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        let status = exchange.number(Field::ReplyStatus).unwrap();
        self.note(format_args!("response {status}"));
        Self::act(self.response, &mut state[1])
    }

    fn on_chunk(
        &self,
        _: &mut [u32; 2],
        _: &mut dyn Exchange,
        chunk: &Bytes,
    ) -> Result<ChunkFlow, StageError> {
        self.note(format_args!("chunk {}", String::from_utf8_lossy(chunk)));
        match self.chunk {
            ChunkAct::Keep => Ok(ChunkFlow::Keep),
            ChunkAct::Drop => Ok(ChunkFlow::Drop),
            ChunkAct::Replace(text) => Ok(ChunkFlow::Replace(Bytes::from_static(text.as_bytes()))),
            ChunkAct::Fail => Err(StageError("failed".to_owned())),
            ChunkAct::Panic => panic!("on purpose"),
        }
    }

    fn on_end(&self, _: &mut [u32; 2], _: &mut dyn Exchange, outcome: Outcome) {
        self.note(format_args!("end {}", outcome.name()));
        assert!(!self.end_panics, "on purpose");
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

/// Three stages `a`, `b` and `c`, of which `b` is changed.
struct Run {
    phases: Phases,
    states: States,
    board: Board,
    journal: Journal,
}

fn run_with(change: impl Fn(&mut Scripted), mount: impl Fn(&mut Mounted)) -> Run {
    let journal = Journal::default();
    let mounted = ["a", "b", "c"].map(|name| {
        let mut stage = Scripted {
            name,
            journal: journal.clone(),
            hooks: Hooks::REQUEST | Hooks::RESPONSE | Hooks::CHUNK | Hooks::END,
            request: Act::Next,
            response: Act::Next,
            chunk: ChunkAct::Keep,
            end_panics: false,
        };
        if name == "b" {
            change(&mut stage);
        }
        let mut mounted = Mounted {
            name: name.into(),
            when: When::default(),
            on_error: OnError::Fail,
            mode: Mode::Enforce,
            hooks: stage.hooks,
            stage: Arc::new(Native(stage)),
        };
        if name == "b" {
            mount(&mut mounted);
        }
        mounted
    });
    Run {
        phases: Phases::new(mounted.into()),
        states: States::default(),
        board: Board { status: 200 },
        journal,
    }
}

fn run(change: impl Fn(&mut Scripted)) -> Run {
    run_with(change, |_| {})
}

impl Run {
    async fn request(&mut self) -> Result<(), Stop> {
        self.phases
            .on_request(&mut self.states, &mut self.board)
            .await
    }

    /// What took the reply's place, one after the other.
    async fn response(&mut self) -> Vec<Stop> {
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

    fn chunk(&mut self, text: &'static str) -> Result<Option<Bytes>, Stop> {
        let chunk = Bytes::from_static(text.as_bytes());
        self.phases
            .on_chunk(&mut self.states, &mut self.board, chunk)
    }

    fn end(&mut self, outcome: Outcome) {
        self.phases
            .on_end(&mut self.states, &mut self.board, outcome);
    }

    /// What was written down since this was last asked.
    fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.journal.lock().unwrap())
    }
}

#[tokio::test]
async fn the_way_in_is_in_order_and_the_way_out_in_reverse() {
    let mut run = run(|_| {});
    run.request().await.unwrap();
    assert_eq!(
        run.notes(),
        [
            "a begin",
            "a request",
            "b begin",
            "b request",
            "c begin",
            "c request"
        ]
    );
    assert!(run.response().await.is_empty());
    assert_eq!(
        run.notes(),
        ["c response 200", "b response 200", "a response 200"]
    );
    assert!(run.phases.wants_chunks(&run.states));
    assert_eq!(run.chunk("x").unwrap().unwrap(), "x");
    assert_eq!(run.notes(), ["c chunk x", "b chunk x", "a chunk x"]);
    run.end(Outcome::Ok);
    assert_eq!(run.notes(), ["c end ok", "b end ok", "a end ok"]);
}

#[tokio::test]
async fn a_stage_that_an_exchange_is_not_for_is_never_called() {
    let for_llama = |mounted: &mut Mounted| mounted.when.model = vec![Glob::new("llama*")];
    let mut run = run_with(|_| {}, for_llama);
    run.request().await.unwrap();
    run.response().await;
    run.chunk("x").unwrap();
    run.end(Outcome::Ok);
    let notes = run.notes();
    assert!(
        notes.iter().all(|note| !note.starts_with("b ")),
        "{notes:?}"
    );
    assert_eq!(notes.len(), 10);

    let for_gpt = |mounted: &mut Mounted| mounted.when.model = vec![Glob::new("gpt-*")];
    let mut run = run_with(|_| {}, for_gpt);
    run.request().await.unwrap();
    assert!(run.notes().contains(&"b request".to_owned()));
}

#[tokio::test]
async fn hooks_that_a_stage_does_not_want_are_not_called() {
    let mut run = run(|stage| stage.hooks = Hooks::NONE);
    run.request().await.unwrap();
    run.response().await;
    run.chunk("x").unwrap();
    run.end(Outcome::Ok);
    let of_b: Vec<_> = run
        .notes()
        .into_iter()
        .filter(|note| note.starts_with("b "))
        .collect();
    assert_eq!(of_b, ["b begin"]);
}

#[tokio::test]
async fn an_answer_or_a_refusal_skips_what_comes_after_it() {
    for act in [Act::Reply, Act::Reject] {
        let mut run = run(|stage| stage.request = act);
        let stop = run.request().await.unwrap_err();
        match act {
            Act::Reply => assert!(matches!(stop, Stop::Reply(reply) if reply.status == 299)),
            _ => assert!(matches!(stop, Stop::Reject(no) if no.kind == RefusalKind::Forbidden)),
        }
        run.response().await;
        run.end(Outcome::Rejected);
        let notes = run.notes();
        assert!(
            notes.iter().all(|note| !note.starts_with("c ")),
            "{notes:?}"
        );
        assert_eq!(
            notes[4..],
            [
                "b response 200",
                "a response 200",
                "b end rejected",
                "a end rejected"
            ]
        );
    }
}

#[tokio::test]
async fn a_hook_that_waits_is_called_again() {
    let mut run = run(|stage| {
        stage.request = Act::Wait;
        stage.response = Act::WaitInVain;
    });
    run.request().await.unwrap();
    assert!(run.response().await.is_empty());
    assert_eq!(
        run.notes(),
        [
            "a begin",
            "a request",
            "b begin",
            "b request",
            "b request",
            "c begin",
            "c request",
            "c response 200",
            "b response 200",
            "b response 200",
            "a response 200",
        ]
    );
}

#[tokio::test]
async fn shadow_mode_lets_refusals_pass_and_nothing_else() {
    for act in ACTS {
        let change = |stage: &mut Scripted| {
            stage.request = act;
            stage.response = act;
        };
        let mut run = run_with(change, |mounted| mounted.mode = Mode::Shadow);
        let passes = matches!(act, Act::Next | Act::Reject | Act::Wait | Act::WaitInVain);
        assert_eq!(run.request().await.is_ok(), passes, "{act:?}");
        assert_eq!(run.response().await.is_empty(), passes, "{act:?}");
    }
}

#[tokio::test]
async fn a_failure_ends_the_exchange_unless_the_stage_is_to_be_skipped() {
    for act in [Act::Fail, Act::Panic] {
        let change = |stage: &mut Scripted| {
            stage.request = act;
            stage.response = act;
        };
        let mut run = run(change);
        let Err(Stop::Failed { stage, error }) = run.request().await else {
            panic!("{act:?} has passed");
        };
        assert_eq!(&*stage, "b");
        assert_eq!(error.0.contains("panicked: on purpose"), act == Act::Panic);

        let mut run = run_with(change, |mounted| mounted.on_error = OnError::Skip);
        run.request().await.unwrap();
        assert!(run.response().await.is_empty());
        assert!(run.notes().contains(&"a response 200".to_owned()));
    }
}

#[tokio::test]
async fn skipping_failures_never_turns_a_refusal_into_a_pass() {
    let change = |stage: &mut Scripted| stage.request = Act::Reject;
    let mut run = run_with(change, |mounted| mounted.on_error = OnError::Skip);
    assert!(matches!(run.request().await, Err(Stop::Reject(_))));
}

#[tokio::test]
async fn what_replaces_a_reply_is_the_reply_of_the_stages_further_out() {
    for (act, status) in [
        (Act::Reply, 299),
        (Act::Reject, 403),
        (Act::Fail, 500),
        (Act::Panic, 500),
    ] {
        let mut run = run(|stage| stage.response = act);
        run.request().await.unwrap();
        run.notes();
        assert_eq!(run.response().await.len(), 1, "{act:?}");
        let outermost = format!("a response {status}");
        assert_eq!(
            run.notes(),
            ["c response 200", "b response 200", &outermost]
        );
    }
}

#[tokio::test]
async fn pieces_are_kept_dropped_or_replaced() {
    for (act, left, seen_by_a) in [
        (ChunkAct::Keep, Some("x"), Some("a chunk x")),
        (ChunkAct::Drop, None, None),
        (ChunkAct::Replace("y"), Some("y"), Some("a chunk y")),
    ] {
        let mut run = run(|stage| stage.chunk = act);
        run.request().await.unwrap();
        run.notes();
        let out = run.chunk("x").unwrap();
        assert_eq!(out.as_deref(), left.map(str::as_bytes), "{act:?}");
        let notes = run.notes();
        assert_eq!(notes[..2], ["c chunk x", "b chunk x"]);
        assert_eq!(notes.get(2).map(String::as_str), seen_by_a);
    }
}

#[tokio::test]
async fn a_failure_on_a_piece_breaks_the_reply_off_or_passes_the_piece() {
    for act in [ChunkAct::Fail, ChunkAct::Panic] {
        let mut run = run(|stage| stage.chunk = act);
        run.request().await.unwrap();
        assert!(matches!(run.chunk("x"), Err(Stop::Failed { stage, .. }) if &*stage == "b"));

        let change = |stage: &mut Scripted| stage.chunk = act;
        let mut run = run_with(change, |mounted| mounted.on_error = OnError::Skip);
        run.request().await.unwrap();
        assert_eq!(run.chunk("x").unwrap().unwrap(), "x");
    }
}

#[tokio::test]
async fn every_stage_that_was_entered_hears_of_the_end_exactly_once() {
    for request in ACTS {
        for response in ACTS {
            for end_panics in [false, true] {
                let mut run = run(|stage| {
                    stage.request = request;
                    stage.response = response;
                    stage.end_panics = end_panics;
                });
                let _ = run.request().await;
                run.response().await;
                let _ = run.chunk("x");
                run.end(Outcome::Ok);
                run.end(Outcome::ClientClosed);
                let notes = run.notes();
                for stage in ["a", "b", "c"] {
                    let count = |what: &str| {
                        let of_stage = format!("{stage} {what}");
                        notes
                            .iter()
                            .filter(|note| note.starts_with(&of_stage))
                            .count()
                    };
                    assert_eq!(
                        count("begin"),
                        count("end"),
                        "{request:?} {response:?} {notes:?}"
                    );
                }
                assert!(!notes.iter().any(|note| note.ends_with("client_closed")));
            }
        }
    }
}

#[test]
fn an_exchange_that_is_dropped_while_a_stage_waits_still_ends() {
    let mut run = run(|stage| stage.request = Act::WaitForever);
    {
        let mut waiting = pin!(run.request());
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(waiting.as_mut().poll(&mut context), Poll::Pending));
    }
    run.end(Outcome::ClientClosed);
    assert_eq!(
        run.notes(),
        [
            "a begin",
            "a request",
            "b begin",
            "b request",
            "b end client_closed",
            "a end client_closed"
        ]
    );
}

#[tokio::test]
async fn pieces_are_looked_at_only_where_a_stage_that_was_entered_wants_them() {
    let nobody = |stage: &mut Scripted| stage.hooks = Hooks::REQUEST;
    let mut quiet = run(nobody);
    quiet.request().await.unwrap();
    assert!(
        quiet.phases.wants_chunks(&quiet.states),
        "a and c want them"
    );

    let mut refused = run(|stage| stage.request = Act::Reject);
    assert!(
        !refused.phases.wants_chunks(&refused.states),
        "nobody was entered yet"
    );
    let _ = refused.request().await;
    assert!(refused.phases.wants_chunks(&refused.states));
    refused.end(Outcome::Rejected);
    assert!(!refused.phases.wants_chunks(&refused.states));
}
