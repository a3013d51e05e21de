//! The metrics of the `OpenTelemetry` `GenAI` conventions (open-telemetry/semantic-conventions-genai,
//! `docs/gen-ai/gen-ai-metrics.md`), by the names that Prometheus gives them: `gen_ai.client.*` of each attempt, as of a client
//! of its upstream, `gen_ai.server.*` of each exchange, as its client sees it.

use millgate_plugin::Endpoint;
use smallvec::smallvec;

use super::{
    family::{Family, Labels},
    histogram::{DURATION, FIRST_TOKEN, Histogram, PER_TOKEN, TOKENS},
    known::Known,
    table::{Room, Table, Word},
};
use crate::telemetry::ended::Ended;

/// What a provider is called on the way from a table to a label, where its name in the config stands for several.
const PROVIDER: &str = "millgate_provider";

/// The gateway itself, where it answered and no provider did.
const OWN: &str = "millgate";

/// The tables.
pub(super) struct GenAi {
    tokens: Table<Histogram>,
    operations: Table<Histogram>,
    chunks: Table<Chunks>,
    requests: Table<Histogram>,
    streams: Table<Stream>,
}

struct Chunks {
    first: Histogram,
    each: Histogram,
}

struct Stream {
    first: Histogram,
    per_token: Histogram,
}

const OPERATION: &str = "gen_ai_operation_name";
const PROVIDER_NAME: &str = "gen_ai_provider_name";
const MODEL: &str = "gen_ai_request_model";
const ERROR: &str = "error_type";

impl Default for GenAi {
    fn default() -> Self {
        let tokens = &[OPERATION, PROVIDER, MODEL, "gen_ai_token_type"];
        let operations = &[OPERATION, PROVIDER, MODEL, ERROR];
        let chunks = &[OPERATION, PROVIDER, MODEL];
        let requests = &[OPERATION, PROVIDER_NAME, MODEL, ERROR];
        let streams = &[OPERATION, PROVIDER_NAME, MODEL];
        let lines = |bounds: &[f64]| bounds.len() + 3;
        let durations = lines(DURATION);
        Self {
            tokens: Table::new(tokens, lines(TOKENS), || Histogram::new(TOKENS)),
            operations: Table::new(operations, durations, || Histogram::new(DURATION)),
            chunks: Table::new(chunks, 2 * durations, || Chunks {
                first: Histogram::new(DURATION),
                each: Histogram::new(DURATION),
            }),
            requests: Table::new(requests, durations, || Histogram::new(DURATION)),
            streams: Table::new(streams, lines(FIRST_TOKEN) + lines(PER_TOKEN), || Stream {
                first: Histogram::new(FIRST_TOKEN),
                per_token: Histogram::new(PER_TOKEN),
            }),
        }
    }
}

impl GenAi {
    pub(super) fn add(&mut self, ended: &Ended, known: &Known, room: &mut Room) {
        let Some(operation) = ended.operation() else {
            return;
        };
        self.add_attempts(ended, operation, known, room);
        self.add_tokens(ended, operation, known, room);
        if !ended.is_revalidation {
            self.add_request(ended, operation, known, room);
        }
    }

    fn add_attempts(
        &mut self,
        ended: &Ended,
        operation: &'static str,
        known: &Known,
        room: &mut Room,
    ) {
        for judged in ended.judged() {
            let attempt = judged.attempt;
            let provider = Word::from(&attempt.target.provider.name);
            let model = known.model(&attempt.model);
            if let Some(pace) = &attempt.pace
                && let Some(first) = pace.first()
            {
                let words = smallvec![operation.into(), provider.clone(), model.clone()];
                let chunks = self.chunks.row(words, room);
                chunks.first.record(first.as_secs_f64());
                chunks.each.add(&pace.gaps(), pace.spread().as_secs_f64());
            }
            let error = judged.error.map_or(Word::Own(""), Word::from);
            let words = smallvec![operation.into(), provider, model, error];
            self.operations
                .row(words, room)
                .record_of(judged.lasted.as_secs_f64(), ended);
        }
    }

    /// Tokens that an upstream has counted. Those that nobody has counted are not reported here, as the conventions
    /// demand.
    fn add_tokens(
        &mut self,
        ended: &Ended,
        operation: &'static str,
        known: &Known,
        room: &mut Room,
    ) {
        let counted = ended.charged().filter(|tokens| !tokens.is_estimate);
        let (Some(tokens), Some(provider)) = (counted, &ended.provider) else {
            return;
        };
        let model = known.model(ended.model.as_deref().unwrap_or_default());
        let is_text = ended.endpoint != Endpoint::Embeddings;
        let output = is_text.then_some(("output", tokens.usage.output));
        for (kind, count) in [("input", tokens.usage.input)].into_iter().chain(output) {
            let words = smallvec![
                operation.into(),
                provider.into(),
                model.clone(),
                kind.into()
            ];
            self.tokens.row(words, room).record(count as f64);
        }
    }

    fn add_request(
        &mut self,
        ended: &Ended,
        operation: &'static str,
        known: &Known,
        room: &mut Room,
    ) {
        let provider = ended.provider.as_deref();
        let provider = provider.map_or(Word::Own(OWN), |provider| known.kind(provider));
        let model = known.asked(ended);
        let error = ended.error_type();
        let is_good = error.is_none();
        let error = error.map_or(Word::Own(""), Word::from);
        let words = smallvec![operation.into(), provider.clone(), model.clone(), error];
        self.requests
            .row(words, room)
            .record_of(ended.total.as_secs_f64(), ended);
        let Some(first) = ended.first.filter(|_| ended.stream && is_good) else {
            return;
        };
        let words = smallvec![operation.into(), provider, model];
        let stream = self.streams.row(words, room);
        stream.first.record(first.as_secs_f64());
        let counted = ended.tokens.filter(|tokens| !tokens.is_estimate);
        let output = counted.map_or(0, |tokens| tokens.usage.output);
        if output > 1 {
            let rest = ended.total.saturating_sub(first).as_secs_f64();
            stream.per_token.record(rest / (output - 1) as f64);
        }
    }

    pub(super) fn families(&self, known: &Known) -> Vec<Family> {
        let of_clients = [
            self.tokens.histogram(
                (
                    "gen_ai_client_token_usage",
                    "Tokens of an operation, as its upstream has counted them.",
                ),
                |tokens| tokens,
            ),
            self.operations.histogram(
                (
                    "gen_ai_client_operation_duration_seconds",
                    "How long an attempt took, to the end of its answer or its failure.",
                ),
                |duration| duration,
            ),
            self.chunks.histogram(
                (
                    "gen_ai_client_operation_time_to_first_chunk_seconds",
                    "From the beginning of an attempt to its stream's first chunk with content.",
                ),
                |chunks| &chunks.first,
            ),
            self.chunks.histogram(
                (
                    "gen_ai_client_operation_time_per_output_chunk_seconds",
                    "Between two chunks with content of a stream.",
                ),
                |chunks| &chunks.each,
            ),
        ];
        let of_servers = [
            self.requests.histogram(
                (
                    "gen_ai_server_request_duration_seconds",
                    "How long a request took, to the last byte of its reply.",
                ),
                |duration| duration,
            ),
            self.streams.histogram(
                (
                    "gen_ai_server_time_to_first_token_seconds",
                    "From a request to the first byte of its stream.",
                ),
                |stream| &stream.first,
            ),
            self.streams.histogram(
                (
                    "gen_ai_server_time_per_output_token_seconds",
                    "From the first byte of a stream to its end, for each token after the first.",
                ),
                |stream| &stream.per_token,
            ),
        ];
        let of_clients = of_clients.into_iter().map(|mut family| {
            for series in &mut family.series {
                name_provider(&mut series.labels, known);
            }
            family
        });
        of_clients.chain(of_servers).collect()
    }
}

/// Adds what the conventions want to know of a provider beside its name in the config.
fn name_provider(labels: &mut Labels, known: &Known) {
    let provider = labels.iter().find(|(name, _)| name == PROVIDER);
    let Some(facts) = provider.and_then(|(_, name)| known.provider(name)) else {
        return;
    };
    labels.push((PROVIDER_NAME.into(), facts.kind.into()));
    if let Some((address, port)) = &facts.server {
        labels.push(("server_address".into(), address.clone().into()));
        labels.push(("server_port".into(), port.to_string().into()));
    }
}
