//! The gateway's own metrics, of exchanges that have ended: `millgate_*`.

use std::{collections::HashSet, time::Duration};

use millgate_plugin::Outcome;
use smallvec::smallvec;

use super::{
    family::{Family, Kind, Value},
    histogram::{FINE, Histogram, WIDE},
    known::{Known, OTHER},
    table::{Room, Table, Word, Words},
};
use crate::telemetry::ended::Ended;

/// So many codes of refusals are told apart; plugins may think of their own.
const MOST_CODES: usize = 64;

/// The tables.
pub(super) struct Own {
    exchanges: Table<u64>,
    refusals: Table<u64>,
    ways: Table<Way>,
    attempts: Table<u64>,
    providers: Table<Asked>,
    models: Table<Spent>,
    stages: Table<Histogram>,
    codes: HashSet<Box<str>>,
}

/// What exchanges of one route took.
struct Way {
    duration: Histogram,
    first: Histogram,
    upstream: Histogram,
    overhead: Histogram,
    request_bytes: u64,
    bytes: u64,
}

/// What attempts at one provider took.
struct Asked {
    duration: Histogram,
    retries: u64,
    fallbacks: u64,
}

/// What a model took and cost. Money is in billionths of a US dollar.
#[derive(Default)]
struct Spent {
    input: u64,
    output: u64,
    cached: u64,
    reasoning: u64,
    estimated_input: u64,
    estimated_output: u64,
    cost: u128,
    saved: u128,
    unpriced: u64,
}

impl Default for Own {
    fn default() -> Self {
        let (wide, fine) = (WIDE.len() + 3, FINE.len() + 3);
        Self {
            exchanges: Table::new(&["route", "endpoint", "outcome", "status"], 1, || 0),
            refusals: Table::new(&["route", "code"], 1, || 0),
            ways: Table::new(&["route", "endpoint"], 3 * wide + fine + 2, || Way {
                duration: Histogram::new(WIDE),
                first: Histogram::new(WIDE),
                upstream: Histogram::new(WIDE),
                overhead: Histogram::new(FINE),
                request_bytes: 0,
                bytes: 0,
            }),
            attempts: Table::new(&["provider", "result"], 1, || 0),
            providers: Table::new(&["provider"], wide + 2, || Asked {
                duration: Histogram::new(WIDE),
                retries: 0,
                fallbacks: 0,
            }),
            models: Table::new(&["provider", "model"], 9, Spent::default),
            stages: Table::new(&["stage"], fine, || Histogram::new(FINE)),
            codes: HashSet::new(),
        }
    }
}

impl Own {
    pub(super) fn add(&mut self, ended: &Ended, known: &Known, room: &mut Room) {
        self.add_exchange(ended, room);
        self.add_attempts(ended, room);
        self.add_tokens(ended, known, room);
        let below = ended.attempts.iter().flat_map(|attempt| &attempt.stages);
        let stages = ended.stages.iter().chain(&ended.looked_up).chain(below);
        for (stage, took) in stages {
            let row = self.stages.row(smallvec![stage.into()], room);
            row.record(took.as_secs_f64());
        }
    }

    fn add_exchange(&mut self, ended: &Ended, room: &mut Room) {
        let route = ended.route.as_ref().map_or(Word::Own(""), Word::from);
        let endpoint = Word::from(ended.endpoint.name());
        let words: Words = smallvec![
            route.clone(),
            endpoint.clone(),
            ended.outcome.name().into(),
            class(ended.status).into()
        ];
        *self.exchanges.row(words, room) += 1;
        if ended.outcome == Outcome::Rejected {
            let code = self.code(ended.error.as_deref().unwrap_or_default());
            *self.refusals.row(smallvec![route.clone(), code], room) += 1;
        }
        let way = self.ways.row(smallvec![route, endpoint], room);
        way.duration.record_of(ended.total.as_secs_f64(), ended);
        way.overhead.record(ended.overhead().as_secs_f64());
        let record = |histogram: &mut Histogram, took: Option<Duration>| {
            if let Some(took) = took {
                histogram.record(took.as_secs_f64());
            }
        };
        record(&mut way.first, ended.first);
        record(&mut way.upstream, ended.upstream);
        way.request_bytes += ended.request_bytes;
        way.bytes += ended.bytes;
    }

    /// The code of a refusal as a label.
    fn code(&mut self, code: &str) -> Word {
        if !self.codes.contains(code) {
            if self.codes.len() >= MOST_CODES {
                return OTHER.into();
            }
            self.codes.insert(code.into());
        }
        Word::Shared(code.into())
    }

    fn add_attempts(&mut self, ended: &Ended, room: &mut Room) {
        let mut before = None;
        for judged in ended.judged() {
            let attempt = judged.attempt;
            let provider = Word::from(&attempt.target.provider.name);
            let result = judged.error.map_or(Word::Own("ok"), Word::from);
            *self.attempts.row(smallvec![provider.clone(), result], room) += 1;
            let asked = self.providers.row(smallvec![provider], room);
            asked.duration.record(judged.lasted.as_secs_f64());
            match before.replace(&attempt.target) {
                None => {}
                Some(before) if std::sync::Arc::ptr_eq(before, &attempt.target) => {
                    asked.retries += 1;
                }
                Some(_) => asked.fallbacks += 1,
            }
        }
    }

    fn add_tokens(&mut self, ended: &Ended, known: &Known, room: &mut Room) {
        let Some(provider) = &ended.provider else {
            return;
        };
        let model = ended.model.as_deref().unwrap_or_default();
        let charged = ended.charged();
        if charged.is_none() && ended.saved.is_none() {
            return;
        }
        let words = smallvec![provider.into(), known.model(model)];
        let spent = self.models.row(words, room);
        spent.saved += u128::from(ended.saved.unwrap_or(0));
        let Some(tokens) = charged else { return };
        let usage = tokens.usage;
        let add = |sum: &mut u64, tokens: u64| *sum = sum.saturating_add(tokens);
        if tokens.is_estimate {
            add(&mut spent.estimated_input, usage.input);
            add(&mut spent.estimated_output, usage.output);
        } else {
            add(&mut spent.input, usage.input);
            add(&mut spent.output, usage.output);
            add(&mut spent.cached, usage.cached.unwrap_or(0));
            add(&mut spent.reasoning, usage.reasoning.unwrap_or(0));
        }
        match ended.cost {
            Some(cost) => spent.cost += u128::from(cost),
            None => spent.unpriced += 1,
        }
    }

    pub(super) fn families(&self) -> Vec<Family> {
        let number = |count: &u64| *count as f64;
        let usd = |billionths: u128| billionths as f64 / 1e9;
        let (ways, providers, models) = (&self.ways, &self.providers, &self.models);
        let mut families = vec![
            self.exchanges.counter(("millgate_exchanges", "Exchanges that have ended, by outcome and class of status."), number),
            self.refusals.counter(("millgate_refusals", "Exchanges that a stage has refused, by the code of the error."), number),
            ways.histogram(("millgate_exchange_duration_seconds", "From the head of a request to the end of its exchange."), |way| &way.duration),
            ways.histogram(("millgate_exchange_first_byte_seconds", "From the head of a request to the first byte of the reply's body."), |way| &way.first),
            ways.histogram(("millgate_exchange_upstream_seconds", "From the first attempt's beginning to the end of what the upstream sent."), |way| &way.upstream),
            ways.histogram(("millgate_overhead_seconds", "The time that the gateway itself took: the whole, less what client and upstream kept it waiting."), |way| &way.overhead),
            ways.counter(("millgate_request_bytes", "Bytes of requests' bodies."), |way| way.request_bytes as f64),
            ways.counter(("millgate_reply_bytes", "Bytes of replies' bodies that went out."), |way| way.bytes as f64),
            self.attempts.counter(("millgate_attempts", "Attempts, by what came of them: ok, the upstream's status, or what else went wrong."), number),
            providers.histogram(("millgate_attempt_duration_seconds", "How long attempts took, to the end of their answer or their failure."), |asked| &asked.duration),
            providers.counter(("millgate_retries", "Attempts at a target that had failed in the same exchange just before."), |asked| asked.retries as f64),
            providers.counter(("millgate_fallbacks", "Attempts at a target because another one had failed."), |asked| asked.fallbacks as f64),
            self.stages.histogram(("millgate_stage_seconds", "How long a stage, or the look into the cache, took over an exchange or an attempt."), |took| took),
            models.counter(("millgate_cost_usd", "What answers have cost, in US dollars, by the prices that are known."), |spent| usd(spent.cost)),
            models.counter(("millgate_saved_usd", "What answers from the cache would have cost, in US dollars."), |spent| usd(spent.saved)),
            models.counter(("millgate_unpriced_exchanges", "Exchanges with tokens whose price is not known."), |spent| spent.unpriced as f64),
        ];
        families.extend(self.tokens());
        families
    }

    fn tokens(&self) -> [Family; 2] {
        type Count = (&'static str, fn(&Spent) -> u64);
        let counted: [Count; 4] = [
            ("input", |spent| spent.input),
            ("output", |spent| spent.output),
            ("cached", |spent| spent.cached),
            ("reasoning", |spent| spent.reasoning),
        ];
        let estimated: [Count; 2] = [
            ("input", |spent| spent.estimated_input),
            ("output", |spent| spent.estimated_output),
        ];
        let family = |name, help, counts: &[Count]| {
            let mut whole = Family::new(name, Kind::Counter, help);
            for (kind, of) in counts {
                let value = |spent: &Spent| {
                    let count = of(spent);
                    (count > 0).then_some(Value::Number(count as f64))
                };
                let mut part = self.models.family((name, Kind::Counter, help), value);
                for series in &mut part.series {
                    series.labels.push(("type".into(), (*kind).into()));
                }
                whole.series.extend(part.series);
            }
            whole
        };
        [
            family(
                "millgate_tokens",
                "Tokens that upstreams have counted; cached ones are part of the input, reasoning of the output.",
                &counted,
            ),
            family(
                "millgate_estimated_tokens",
                "Tokens estimated from lengths, where no upstream has counted them.",
                &estimated,
            ),
        ]
    }
}

/// The class of a status; `none` where the client left before there was one.
const fn class(status: u16) -> &'static str {
    match status {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500..600 => "5xx",
        100..200 => "1xx",
        0 => "none",
        _ => OTHER,
    }
}
