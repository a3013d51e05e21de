//! What is measured, and the measuring.

use std::io;
use std::net::SocketAddr;

use crate::client::{Client, Shape, Template};
use crate::load;
use crate::proxies::Proxy;
use crate::report::{Samples, Table, milliseconds};

/// A load for the proxies, in a closed loop.
pub(crate) struct Scenario {
    title: String,
    shape: Shape,
    connections: usize,
    /// Requests per proxy and round.
    requests: u64,
    /// What the mock is told.
    script: String,
    /// Events in each reply: the cost is shown per event too.
    events: Option<u32>,
}

/// How much of everything.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Requests are divided by this.
    pub(crate) divisor: u64,
    pub(crate) korean: bool,
    pub(crate) same: bool,
}

const CHUNKS: u32 = 100;
const RATE: u32 = 200;

/// Title of [`latency`].
pub(crate) const LATENCY: &str = "Open loop, 200 requests/s, upstream takes 20 ms";

/// All scenarios of a closed loop.
pub(crate) fn all(effort: Effort) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for (prompt_bytes, size, requests) in [
        (512, "0.5 KB", 30_000),
        (16 << 10, "16 KB", 16_000),
        (128 << 10, "128 KB", 4_000),
    ] {
        for connections in [16, 64] {
            scenarios.push(Scenario {
                title: format!("Prompt of {size}, {connections} connections"),
                shape: Shape {
                    prompt_bytes,
                    korean: effort.korean,
                    stream: false,
                    same: effort.same,
                },
                connections,
                requests: requests / effort.divisor,
                script: r#"{"log":false}"#.to_owned(),
                events: None,
            });
        }
    }
    for (interval, requests) in [(0, 1_500), (5, 256)] {
        let pace = if interval == 0 {
            "at once".to_owned()
        } else {
            format!("every {interval} ms")
        };
        scenarios.push(Scenario {
            title: format!("Streams of {CHUNKS} chunks, {pace}, 64 connections"),
            shape: Shape {
                prompt_bytes: 512,
                korean: effort.korean,
                stream: true,
                same: effort.same,
            },
            connections: 64,
            requests: (requests / effort.divisor).max(64),
            script: format!(r#"{{"log":false,"chunks":{CHUNKS},"interval":{interval}}}"#),
            // The role, the finish and [DONE] are events too.
            events: Some(CHUNKS + 3),
        });
    }
    scenarios
}

async fn tell(mock: SocketAddr, script: &str) -> io::Result<()> {
    Client::connect(mock)
        .await?
        .put("/mock/script", script)
        .await
}

impl Scenario {
    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// Measures the proxies in turn, round after round. The first of them is the one to compare with.
    ///
    /// Fails with the first request that does.
    pub(crate) async fn measure(
        &self,
        effort: Effort,
        mock: SocketAddr,
        proxies: &[Proxy],
    ) -> io::Result<String> {
        tell(mock, &self.script).await?;
        let template = Template::new(self.shape);
        for proxy in proxies {
            self.load(
                proxy,
                &template,
                (self.requests / 5).max(self.connections as u64),
            )
            .await?;
        }
        let mut measured: Vec<Measured> = proxies.iter().map(|_| Measured::default()).collect();
        for _ in 0..effort.rounds {
            for (proxy, measured) in proxies.iter().zip(&mut measured) {
                let (cpu, rate) = self.load(proxy, &template, self.requests).await?;
                measured.cpu.push(cpu);
                measured.rate.push(rate);
            }
        }
        Ok(self.table(proxies, &measured))
    }

    /// Microseconds of CPU time per request, and requests per second.
    async fn load(
        &self,
        proxy: &Proxy,
        template: &Template,
        requests: u64,
    ) -> io::Result<(f64, f64)> {
        let before = proxy.process.cpu();
        let taken = load::closed_loop(proxy.address, template, self.connections, requests)
            .await
            .map_err(|error| io::Error::other(format!("{}: {error}", proxy.name)))?;
        let cpu = proxy.process.cpu().since(&before);
        Ok((
            cpu.as_secs_f64() * 1e6 / requests as f64,
            requests as f64 / taken.as_secs_f64(),
        ))
    }

    fn table(&self, proxies: &[Proxy], measured: &[Measured]) -> String {
        let mut columns = vec!["proxy", "µs CPU per request", "× bare", "requests/s"];
        if self.events.is_some() {
            columns.push("µs CPU per event");
        }
        let mut table = Table::new(&self.title, &columns);
        for (proxy, own) in proxies.iter().zip(measured) {
            let ratios = own.cpu.ratios(&measured[0].cpu);
            let mut row = vec![
                proxy.name.clone(),
                own.cpu.with_spread(1),
                ratios.with_spread(2),
                format!("{:.0}", own.rate.median()),
            ];
            if let Some(events) = self.events {
                row.push(format!("{:.2}", own.cpu.median() / f64::from(events)));
            }
            table.row(&row);
        }
        table.finish()
    }
}

#[derive(Default)]
struct Measured {
    cpu: Samples,
    rate: Samples,
}

/// Latency at 200 requests per second against an upstream that takes 20 ms, beside that without a proxy.
///
/// Fails with the first request that does.
pub(crate) async fn latency(
    effort: Effort,
    mock: SocketAddr,
    proxies: &[Proxy],
) -> io::Result<String> {
    tell(mock, r#"{"log":false,"delay":20}"#).await?;
    let shape = Shape {
        prompt_bytes: 512,
        korean: effort.korean,
        stream: false,
        same: effort.same,
    };
    let template = Template::new(shape);
    let requests = (1000 / effort.divisor) as u32;
    let ways: Vec<(&str, SocketAddr)> = std::iter::once(("direct", mock))
        .chain(
            proxies
                .iter()
                .map(|proxy| (proxy.name.as_str(), proxy.address)),
        )
        .collect();
    let mut measured: Vec<[Samples; 2]> = ways.iter().map(|_| Default::default()).collect();
    for round in 0..=effort.rounds {
        for ((name, address), samples) in ways.iter().zip(&mut measured) {
            let taken = load::open_loop(*address, &template, RATE, requests)
                .await
                .map_err(|error| io::Error::other(format!("{name}: {error}")))?;
            // The first round warms up.
            if round > 0 {
                samples[0].push(milliseconds(&taken, 0.5));
                samples[1].push(milliseconds(&taken, 0.99));
            }
        }
    }
    let mut table = Table::new(
        LATENCY,
        &["way", "p50 ms", "p50 added", "p99 ms", "p99 added"],
    );
    for ((name, _), [p50, p99]) in ways.iter().zip(&measured) {
        let [direct50, direct99] = &measured[0];
        table.row(&[
            (*name).to_owned(),
            p50.with_spread(2),
            format!("{:.2}", p50.differences(direct50).median()),
            p99.with_spread(2),
            format!("{:.2}", p99.differences(direct99).median()),
        ]);
    }
    Ok(table.finish())
}
