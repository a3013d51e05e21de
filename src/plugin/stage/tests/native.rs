//! A stage of the SDK's, through the functions that a plugin would export.

use std::{collections::HashMap, sync::Once};

use millgate_plugin::{BoxFuture, Host, Stage, border};

use super::*;

/// Panics where its table says, and counts itself.
struct Fragile {
    at: String,
    #[expect(dead_code, reason = "counts the stages that are")]
    alive: Alive,
}

struct Alive;

static ALIVE: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(0);

impl Alive {
    fn new() -> Self {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Fragile {
    fn at(&self, place: &str) {
        assert!(self.at != place, "fell at {place}");
    }
}

impl Stage for Fragile {
    const KIND: &'static str = "fragile";
    type Config = HashMap<String, String>;
    type State = (Alive, u32);

    fn new(_: &str, config: Self::Config, _: &Host) -> Result<Self, SetupError> {
        let at = config.get("at").cloned().unwrap_or_default();
        assert!(at != "new", "fell at new");
        Ok(Self {
            at,
            alive: Alive::new(),
        })
    }

    fn hooks(&self) -> Hooks {
        Hooks::REQUEST | Hooks::CHUNK | Hooks::END
    }

    fn begin(&self) -> Self::State {
        self.at("begin");
        (Alive::new(), 0)
    }

    fn on_request(
        &self,
        state: &mut Self::State,
        _: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        self.at("request");
        state.1 += 1;
        if self.at == "wait" && state.1 == 1 {
            let wait: BoxFuture = Box::pin(async { panic!("fell at wait") });
            return Ok(Flow::Wait(wait));
        }
        Ok(Flow::Next)
    }

    fn on_chunk(
        &self,
        _: &mut Self::State,
        _: &mut dyn Exchange,
        _: Chunk<'_>,
    ) -> Result<ChunkFlow, StageError> {
        self.at("chunk");
        Ok(ChunkFlow::Keep)
    }

    fn on_end(&self, _: &mut Self::State, _: &mut dyn Exchange, _: Outcome) {
        self.at("end");
    }
}

fn fragile(plugin: &'static Plugin, at: &str) -> Result<Foreign, SetupError> {
    static KIND: abi::StageType = border::stage_type::<Fragile>();
    static CONNECT: Once = Once::new();
    // SAFETY: the functions of the table do what the interface says.
    CONNECT.call_once(|| unsafe { border::connect(&TABLE) });
    Foreign::create(
        plugin,
        &KIND,
        "fragile",
        &format!(r#"{{"at":"{at}"}}"#),
        false,
    )
}

#[test]
fn a_panic_is_contained_wherever_it_happens() {
    for at in ["", "new", "begin", "request", "wait", "chunk", "end"] {
        let plugin = Plugin::leak("fragile", "1");
        let stage = match (fragile(plugin, at), at) {
            (Err(error), "new") => {
                assert_eq!(error.message, "panicked: fell at new");
                assert_eq!(plugin.panics.load(Ordering::Relaxed), 1);
                continue;
            }
            (stage, _) => stage.unwrap(),
        };
        let mut board = script::Board::default();
        let mut state = stage.begin();
        let request = stage.on_request(&mut *state, &mut board).map(|_| ());
        let chunk = stage
            .on_chunk(&mut *state, &mut board, Chunk::borrowed(b"x"))
            .map(|_| ());
        stage.on_end(&mut *state, &mut board, Outcome::Ok);
        let words = |result: Result<(), StageError>| result.err().map(|error| error.0);
        let (request, chunk) = (words(request), words(chunk));
        let expected = match at {
            "begin" => (Some("panicked: it panicked when it was entered"), None),
            "request" => (Some("panicked: fell at request"), None),
            "wait" => (Some("panicked: fell at wait"), None),
            "chunk" => (None, Some("panicked: fell at chunk")),
            _ => (None, None),
        };
        assert_eq!((request.as_deref(), chunk.as_deref()), expected, "{at}");
        let counted = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let faults = counted(&plugin.panics) + counted(&plugin.failures);
        assert_eq!(faults, u64::from(!at.is_empty()), "{at}");
        drop((state, stage));
        assert_eq!(ALIVE.load(Ordering::Relaxed), 0, "{at}");
    }
}
