//! How fast texts are redacted, on one core: `cargo run --release --example redact_speed`.
//!
//! Texts are of a kind each, put together from sentences in a random order, with a value to find now and then. What
//! counts is the best of several rounds, in time on the processor where the system tells it (Linux): others on the machine
//! can only slow it down.

use std::time::Instant;

use millgate::redact::{
    Redactor,
    lines::{Lines, Output},
};

const SIZE: usize = 16 << 20;
const ROUNDS: usize = 5;

const ENGLISH: &[&str] = &[
    "The quick brown fox jumps over the lazy dog, while 12 monkeys watch from a distance of 300 metres. ",
    "In 2024 the committee met on March 3rd at 10:30 and adopted resolution 1701 without a vote.\n",
    "It was the best of times, it was the worst of times; it was the age of wisdom, it was the age of foolishness. ",
    "Prices rose by 3.5% (from $1,200 to $1,242), which analysts - most of them, at least - had expected.\n",
    "See section 4.2.1 of the manual: \"restart the service, wait 30 seconds, and look at the log again\". ",
    "Everything that happens once can never happen again, but everything that happens twice will surely happen a third time. ",
];

const KOREAN: &[&str] = &[
    "오늘 회의는 오후 3시 30분에 시작해서 5시쯤 끝날 예정이니 자료를 미리 준비해 주시기 바랍니다. ",
    "2024년 매출은 전년 대비 12.5% 늘어난 1,234억 원으로, 사상 최대를 기록했습니다.\n",
    "나는 오늘도 하늘을 우러러 한 점 부끄럼이 없기를, 잎새에 이는 바람에도 괴로워했다. ",
    "이 모델은 GPT-4보다 빠르고, 한국어 문장을 더 자연스럽게 만들어 냅니다. ",
    "자세한 내용은 ‘운영 안내서’ 제3장을 보시고, 궁금한 점은 담당자에게 물어보세요.\n",
];

const LOGS: &[&str] = &[
    "{\"timestamp\":\"2026-11-22T14:14:39.266418Z\",\"level\":\"INFO\",\"request_id\":\"0193a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b\",\"method\":\"POST\",\"path\":\"/v1/chat/completions\",\"route\":\"default\",\"status\":200,\"outcome\":\"ok\",\"ms\":1234.567,\"input_tokens\":112,\"output_tokens\":348,\"bytes\":18231,\"target\":\"millgate::access\"}\n",
    "{\"timestamp\":\"2026-11-22T14:14:40.000001Z\",\"level\":\"DEBUG\",\"fields\":{\"message\":\"connection to upstream reused\",\"pool\":\"internal\",\"idle_ms\":17},\"span\":{\"id\":4611686018427387904},\"target\":\"hyper_util::client\"}\n",
    "{\"timestamp\":1763820879266,\"level\":\"WARN\",\"detail\":\"upstream answered 503 after 12ms: {\\\"error\\\":{\\\"message\\\":\\\"The model is overloaded, try again in 20 seconds\\\"}}\",\"attempt\":2}\n",
];

const VALUES: &[&str] = &[
    "kim@example.com ",
    "010-1234-5678 ",
    "900101-1234568 ",
    "4111 1111 1111 1111 ",
    "10.1.2.3 ",
    "https://a:secret@host.example/ ",
];

/// A text of these sentences, every `rarity`th followed by a value.
fn text(sentences: &[&str], rarity: u64) -> String {
    let mut text = String::with_capacity(SIZE + 1024);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    while text.len() < SIZE {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        text.push_str(sentences[(random >> 8) as usize % sentences.len()]);
        if rarity > 0 && (random >> 32).is_multiple_of(rarity) {
            text.push_str(VALUES[(random >> 20) as usize % VALUES.len()]);
        }
    }
    text
}

/// Seconds that this thread has had a processor, or else those of the clock since `start`.
fn seconds(start: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let on_processor = told.and_then(|told| told.split(' ').next()?.parse::<u64>().ok());
    on_processor.map_or_else(|| start.elapsed().as_secs_f64(), |nanos| nanos as f64 / 1e9)
}

/// The best rate of several rounds, in megabytes (10⁶) a second.
fn rate(bytes: usize, mut work: impl FnMut() -> usize) -> f64 {
    let start = Instant::now();
    let round = |work: &mut dyn FnMut() -> usize| {
        let before = seconds(start);
        std::hint::black_box(work());
        bytes as f64 / (seconds(start) - before) / 1e6
    };
    (0..ROUNDS).map(|_| round(&mut work)).fold(0.0, f64::max)
}

#[allow(
    clippy::print_stdout,
    reason = "its numbers are what it is started for"
)]
fn main() {
    let redactor = Redactor::default();
    let of_every_kind = |sentences| [("", text(sentences, 0)), (", values", text(sentences, 20))];
    let texts = [
        ("English", ENGLISH),
        ("Korean", KOREAN),
        ("JSON logs", LOGS),
    ];
    println!(
        "{:<22}{:>10}{:>12}{:>12}",
        "MB/s", "whole", "lines", "lines JSON"
    );
    for (name, sentences) in texts {
        for (with, text) in of_every_kind(sentences) {
            let whole = rate(text.len(), || redactor.redact(&text).len());
            let lines = |output| {
                rate(text.len(), || {
                    let mut lines = Lines::new(&redactor, output);
                    let mut out = Vec::new();
                    let mut written = 0;
                    for chunk in text.as_bytes().chunks(64 << 10) {
                        lines.push(chunk, &mut out);
                        written += out.len();
                        out.clear();
                    }
                    written
                })
            };
            let (plain, json) = (lines(Output::Text), lines(Output::Json));
            println!(
                "{:<22}{whole:>10.0}{plain:>12.0}{json:>12.0}",
                format!("{name}{with}")
            );
        }
    }
}
