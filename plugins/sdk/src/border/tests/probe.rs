//! A stage that does what its table says.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    Bytes, CallError, Chunk, ChunkFlow, Exchange, Field, Flow, Hooks, Host, HttpAnswer, HttpCall,
    Outcome, Place, Refusal, RefusalKind, Reply, SetupError, Stage, StageError, WaitCell,
};

/// What to do, by hook.
pub(super) type Acts = BTreeMap<String, String>;

pub(super) struct Probe {
    acts: Acts,
    host: Host,
    /// What was heard, for `adopt` to take over.
    heard: Arc<Mutex<Vec<String>>>,
}

#[derive(Default)]
pub(super) struct Seen {
    calls: u32,
    answer: WaitCell<Result<HttpAnswer, CallError>>,
    /// Panics when it is dropped.
    bomb: Option<Bomb>,
}

pub(super) struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

impl Probe {
    fn act(&self, hook: &str) -> &str {
        self.acts.get(hook).map_or("", String::as_str)
    }

    fn flow(
        &self,
        hook: &str,
        state: &mut Seen,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        state.calls += 1;
        exchange.set(Field::Var, hook, Some(state.calls.to_string().as_bytes()))?;
        match self.act(hook) {
            "fail" => Err(StageError("as it was told".to_owned())),
            "panic" => panic!("at {hook}"),
            "reply" => Ok(Flow::Reply(Reply {
                status: 418,
                headers: vec![("x-pot".into(), "tea".to_owned())],
                body: Bytes::from_static(b"short and stout"),
            })),
            "reject" => Ok(Flow::Reject(
                Refusal::new(RefusalKind::RateLimited, "Later.")
                    .code("later")
                    .param("model")
                    .error_type("patience")
                    .retry_after(Duration::from_micros(1)),
            )),
            "bomb" => {
                state.bomb = Some(Bomb);
                Ok(Flow::Wait(Box::pin(async {
                    let _bomb = Bomb;
                    std::future::pending::<()>().await;
                })))
            }
            "wait for ever" => Ok(Flow::Wait(Box::pin(std::future::pending()))),
            "panic later" if state.calls == 1 => {
                let sleep = self.host.sleep(Duration::from_nanos(1));
                Ok(Flow::Wait(Box::pin(async {
                    sleep.await;
                    panic!("in what it waits for");
                })))
            }
            "sleep" if state.calls < 3 => Ok(Flow::Wait(
                self.host.sleep(Duration::from_millis(state.calls.into())),
            )),
            act => match act.split_once(' ') {
                Some(("ask", url)) => Ok(self.ask(url, state, exchange)?),
                _ => Ok(Flow::Next),
            },
        }
    }

    /// Asks a URL, and leaves a note of the answer.
    fn ask(
        &self,
        url: &str,
        state: &Seen,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        let Some(answer) = state.answer.take() else {
            let mut call = HttpCall::get(url);
            let value = if url == "broken" { "a\nb: c" } else { "1" };
            call.headers.push(("x-asked".to_owned(), value.to_owned()));
            let cell = state.answer.clone();
            self.host.call(call, move |answer| cell.put(answer));
            return Ok(Flow::Wait(state.answer.filled()));
        };
        let note = match answer {
            Ok(answer) => format!(
                "{} {:?} {}",
                answer.status,
                answer.headers,
                String::from_utf8_lossy(&answer.body)
            ),
            Err(error) => error.0,
        };
        exchange.set(Field::Var, "answer", Some(note.as_bytes()))?;
        Ok(Flow::Next)
    }
}

impl Stage for Probe {
    const KIND: &'static str = "probe";
    const PLACE: Place = Place::BelowRoute;
    type Config = Acts;
    type State = Seen;

    fn new(name: &str, acts: Acts, host: &Host) -> Result<Self, SetupError> {
        match acts.get("new").map(String::as_str) {
            Some("panic") => panic!("in new"),
            Some("refuse") => return Err(SetupError::at(["a", "b"], format!("not for {name}"))),
            Some("refuse shadow") if host.is_shadow() => {
                return Err(SetupError::at(["new"], "in shadow mode"));
            }
            _ => {}
        }
        Ok(Self {
            acts,
            host: host.clone(),
            heard: Arc::default(),
        })
    }

    fn adopt(&self, old: &Self) {
        let heard = old.heard.lock().unwrap().clone();
        self.heard.lock().unwrap().extend(heard);
        assert!(self.act("adopt") != "panic", "in adopt");
    }

    fn place(&self) -> Place {
        match self.act("place") {
            "panic" => panic!("in place"),
            "above" => Place::AboveRoute,
            _ => Place::Anywhere,
        }
    }

    fn hooks(&self) -> Hooks {
        assert!(self.act("hooks") != "panic", "in hooks");
        Hooks::REQUEST | Hooks::END
    }

    fn needs_store(&self) -> bool {
        self.act("store") == "yes"
    }

    fn begin(&self) -> Seen {
        assert!(self.act("begin") != "panic", "in begin");
        Seen::default()
    }

    fn on_request_head(
        &self,
        state: &mut Seen,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        self.flow("head", state, exchange)
    }

    fn on_request(
        &self,
        state: &mut Seen,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        self.flow("request", state, exchange)
    }

    fn on_response(
        &self,
        state: &mut Seen,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        self.flow("response", state, exchange)
    }

    fn on_chunk(
        &self,
        _: &mut Seen,
        _: &mut dyn Exchange,
        chunk: Chunk<'_>,
    ) -> Result<ChunkFlow, StageError> {
        Ok(match &*chunk {
            b"drop" => ChunkFlow::Drop,
            b"replace" => ChunkFlow::Replace(Bytes::from_static(b"other")),
            b"empty" => ChunkFlow::Replace(Bytes::new()),
            b"split" => ChunkFlow::Split(vec!["a".into(), "b".into()]),
            b"fail" => return Err(StageError("cannot read it".to_owned())),
            b"panic" => panic!("at a piece"),
            _ => ChunkFlow::Keep,
        })
    }

    fn on_end(&self, state: &mut Seen, exchange: &mut dyn Exchange, outcome: Outcome) {
        let heard = format!("{} after {}", outcome.name(), state.calls);
        let _ = exchange.set(Field::Var, "end", Some(heard.as_bytes()));
        self.heard.lock().unwrap().push(heard);
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        assert!(self.act("drop") != "panic", "in drop");
    }
}

/// A stage that looks at everything that an exchange has.
pub(super) struct Looks;

impl Stage for Looks {
    const KIND: &'static str = "looks";
    type Config = Acts;
    type State = ();

    fn new(_: &str, _: Acts, _: &Host) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn hooks(&self) -> Hooks {
        Hooks::REQUEST
    }

    fn begin(&self) {}

    fn on_request(&self, (): &mut (), exchange: &mut dyn Exchange) -> Result<Flow, StageError> {
        use crate::SetError::{Invalid, ReadOnly, Unknown};

        assert_eq!(exchange.model(), "m");
        assert_eq!(exchange.number(Field::Stream), Some(1));
        assert_eq!(exchange.number(Field::Cost), None);
        assert_eq!(exchange.get(Field::Route, ""), None);
        assert_eq!(exchange.request_header("x-empty"), Some(&b""[..]));
        assert_eq!(exchange.request_header("x-none"), None);

        let mut headers = Vec::new();
        let looks = &*exchange;
        looks.each(Field::RequestHeader, &mut |name, value| {
            // What looks at a map may look at the rest too.
            assert_eq!(looks.request_header(name), Some(value));
            headers.push(format!("{name}={}", String::from_utf8_lossy(value)));
            headers.len() < 2
        });
        assert_eq!(headers, ["x-a=1", "x-b=2"]);

        assert_eq!(exchange.set(Field::RequestHeader, "x-a", None), Ok(()));
        assert_eq!(exchange.request_header("x-a"), None);
        assert_eq!(exchange.set(Field::RequestHeader, "x-b", Some(b"")), Ok(()));
        assert_eq!(exchange.request_header("x-b"), Some(&b""[..]));
        let broken = exchange.set(Field::RequestHeader, "x-b", Some(b"\r\n"));
        assert_eq!(broken, Err(Invalid));
        assert_eq!(exchange.set(Field::Path, "", None), Err(ReadOnly));
        let nobody = exchange.set(Field::CallerKey, "", Some(&[0; 32]));
        assert_eq!(nobody, Err(Unknown));

        if exchange.request_header("x-panic").is_some() {
            exchange.each(Field::RequestHeader, &mut |name, _| panic!("at {name}"));
        }
        Ok(Flow::Next)
    }
}
