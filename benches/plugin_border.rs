//! What the C interface costs: the same stage built in, and through the functions that a plugin would export.
//!
//! `cargo bench --bench plugin_border`

#![expect(
    unsafe_code,
    reason = "the interface's table is handed over by pointer"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use millgate::{
    pipeline::erased::{ErasedStage, Native},
    plugin::{Plugin, host, stage::Foreign},
};
use millgate_plugin::{
    BoxFuture, Bytes, Chunk, ChunkFlow, Done, Exchange, Field, Flow, Hooks, Host, HttpCall, Metric,
    MetricKind, Services, SetError, SetupError, Stage, StageError, Tally,
    border::{self, abi},
};

/// An event as models send them.
const EVENT: &[u8] = br#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" mill"},"finish_reason":null}]}

"#;

/// Reads a header and writes one; keeps chunks, or replaces them.
struct Work<const REPLACES: bool>;

impl<const REPLACES: bool> Stage for Work<REPLACES> {
    const KIND: &'static str = "work";
    type Config = ();
    type State = u64;

    fn new(_: &str, (): (), _: &Host) -> Result<Self, SetupError> {
        Ok(Self)
    }

    fn hooks(&self) -> Hooks {
        Hooks::REQUEST | Hooks::CHUNK
    }

    fn begin(&self) -> u64 {
        0
    }

    fn on_request(&self, _: &mut u64, exchange: &mut dyn Exchange) -> Result<Flow, StageError> {
        let found = exchange.get(Field::RequestHeader, "x-department");
        let length = found.map_or(0, <[u8]>::len);
        let value: &[u8] = if length > 3 { b"long" } else { b"short" };
        exchange.set(Field::UpstreamHeader, "x-dep-ticket", Some(value))?;
        Ok(Flow::Next)
    }

    fn on_chunk(
        &self,
        seen: &mut u64,
        _: &mut dyn Exchange,
        chunk: Chunk<'_>,
    ) -> Result<ChunkFlow, StageError> {
        *seen += chunk.len() as u64;
        if REPLACES {
            return Ok(ChunkFlow::Replace(Bytes::copy_from_slice(&chunk)));
        }
        Ok(ChunkFlow::Keep)
    }
}

/// An exchange with a few headers, as an attempt sees it.
struct Board {
    request: http::HeaderMap,
    upstream: http::HeaderMap,
}

impl Board {
    fn new() -> Self {
        let mut request = http::HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            ("user-agent", "OpenAI/Python"),
            ("x-department", "milling"),
        ] {
            request.insert(name, http::HeaderValue::from_static(value));
        }
        Self {
            request,
            upstream: http::HeaderMap::new(),
        }
    }
}

impl Exchange for Board {
    fn get(&self, field: Field, key: &str) -> Option<&[u8]> {
        match field {
            Field::RequestHeader => self.request.get(key).map(http::HeaderValue::as_bytes),
            _ => None,
        }
    }

    fn number(&self, _: Field) -> Option<u64> {
        None
    }

    fn set(&mut self, _: Field, key: &str, value: Option<&[u8]>) -> Result<(), SetError> {
        let name = http::HeaderName::from_bytes(key.as_bytes()).map_err(|_| SetError::Invalid)?;
        let value = http::HeaderValue::from_bytes(value.unwrap_or_default())
            .map_err(|_| SetError::Invalid)?;
        self.upstream.insert(name, value);
        Ok(())
    }

    fn each(&self, _: Field, _: &mut dyn FnMut(&str, &[u8]) -> bool) {}
}

/// A host that nobody asks for anything.
struct Nothing;

impl Services for Nothing {
    fn call(&self, _: HttpCall, _: Done) {}

    fn sleep(&self, _: std::time::Duration) -> BoxFuture {
        Box::pin(std::future::ready(()))
    }

    fn tally(&self, _: &str) -> Tally {
        unimplemented!("nobody asks")
    }

    fn metric(&self, _: MetricKind, _: &str, _: &[(&str, &str)]) -> std::sync::Arc<dyn Metric> {
        unimplemented!("nobody asks")
    }
}

static KEEPS: abi::StageType = border::stage_type::<Work<false>>();
static REPLACES: abi::StageType = border::stage_type::<Work<true>>();

fn native<const REPLACES: bool>() -> Box<dyn ErasedStage> {
    let made = Work::<REPLACES>::new("work", (), &Host::new(Nothing));
    Box::new(Native(made.expect("it has no table to refuse")))
}

fn foreign(kind: &'static abi::StageType) -> Box<dyn ErasedStage> {
    // SAFETY: the functions of the table do what the interface says.
    unsafe { border::connect(&host::TABLE) };
    let plugin = Plugin::leak("bench", "1");
    let made = Foreign::create(plugin, kind, "work", "null", false);
    Box::new(made.expect("it has no table to refuse"))
}

/// A stage each way, in turn.
fn both(
    criterion: &mut Criterion,
    group: &str,
    stages: [Box<dyn ErasedStage>; 2],
    mut work: impl FnMut(&dyn ErasedStage, &mut millgate::pipeline::erased::State, &mut Board),
) {
    let mut group = criterion.benchmark_group(group);
    for (way, stage) in ["built_in", "plugin"].into_iter().zip(stages) {
        let mut board = Board::new();
        let mut state = stage.begin();
        group.bench_function(way, |bench| {
            bench.iter(|| work(black_box(&*stage), &mut *state, &mut board));
        });
    }
    group.finish();
}

fn border(criterion: &mut Criterion) {
    let event = Bytes::from_static(EVENT);
    let chunk = |stage: &dyn ErasedStage,
                 state: &mut millgate::pipeline::erased::State,
                 board: &mut Board| {
        let chunk = Chunk::from(&event);
        drop(black_box(stage.on_chunk(state, board, chunk)));
    };
    let stages = [native::<false>(), foreign(&KEEPS)];
    both(criterion, "chunk_kept", stages, chunk);
    let stages = [native::<true>(), foreign(&REPLACES)];
    both(criterion, "chunk_replaced", stages, chunk);
    let stages = [native::<false>(), foreign(&KEEPS)];
    both(
        criterion,
        "header_get_and_set",
        stages,
        |stage, state, board| {
            drop(black_box(stage.on_request(state, board)));
        },
    );
}

criterion_group!(benches, border);
criterion_main!(benches);
