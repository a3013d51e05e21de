//! `millgate top`

mod draw;
mod model;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::Duration,
};

use http::Method;
use ratatui::{
    DefaultTerminal, Terminal,
    backend::TestBackend,
    buffer::Cell,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    text::Span,
};
use tokio::signal::unix::{SignalKind, signal};

use self::model::Model;
use super::{
    fail,
    operators::{Gateway, Operators, runtime},
    print,
};

/// Options of `top`.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    #[command(flatten)]
    gateway: Gateway,
}

/// How often the gateway is asked.
const BEAT: Duration = Duration::from_secs(1);

/// How often keys are looked for.
const KEYS: Duration = Duration::from_millis(100);

/// The size of a picture for nobody's terminal.
const PLAIN: (u16, u16) = (100, 40);

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let first = runtime()
        .and_then(|runtime| runtime.block_on(async { ask(&arguments.gateway.reach()?).await }));
    let first = match first {
        Ok(model) => model,
        Err(error) => return fail(error),
    };
    if arguments.gateway.json {
        return print(&format!("{}\n", first.status));
    }
    if !io::stdout().is_terminal() {
        return print(&plain(&first));
    }
    // It gives the terminal back whatever happens, a panic included.
    let shown = ratatui::try_init().map(|terminal| {
        let shown = thread::scope(|scope| {
            let (tell, told) = mpsc::sync_channel(1);
            let (stop, stopped) = mpsc::sync_channel::<()>(0);
            scope.spawn(move || keep_asking(&arguments.gateway, &tell, &stopped));
            let shown = show(terminal, first, &told, &ended_from_outside());
            drop((stop, told));
            shown
        });
        ratatui::restore();
        shown
    });
    match shown {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) | Err(error) => fail(error),
    }
}

/// What is to be seen now.
async fn ask(operators: &Operators) -> Result<Model, String> {
    let get = async |path| {
        let answer = operators.call(Method::GET, path, None).await;
        answer.map_err(|error| error.to_string())
    };
    Ok(Model {
        status: get("/api/status").await?,
        minute: get("/api/history?range=1m").await?,
        history: get("/api/history?range=5m").await?,
        exchanges: get("/api/exchanges?limit=50").await?,
        trouble: None,
    })
}

/// Asks again and again, on a thread of its own, so that keys are heard meanwhile.
fn keep_asking(
    gateway: &Gateway,
    tell: &SyncSender<Result<Model, String>>,
    stopped: &Receiver<()>,
) {
    let Ok(runtime) = runtime() else {
        return;
    };
    while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
        // Its place is read anew: a gateway may be started again elsewhere.
        let asked = runtime.block_on(async {
            let asked = async { ask(&gateway.reach()?).await };
            let asked = tokio::time::timeout(2 * BEAT, asked).await;
            asked.unwrap_or_else(|_| Err("the gateway does not answer".to_owned()))
        });
        if tell.send(asked).is_err() {
            return;
        }
    }
}

/// Whether a signal has asked for the end, so that the terminal is given back then as well.
fn ended_from_outside() -> Arc<AtomicBool> {
    let is_ended = Arc::new(AtomicBool::new(false));
    let tell = is_ended.clone();
    // Nobody waits for it: it lives as long as the process.
    thread::spawn(move || {
        let waited = runtime().and_then(|runtime| {
            runtime.block_on(async {
                let asked = |kind| signal(kind).map_err(|error| error.to_string());
                let mut terminate = asked(SignalKind::terminate())?;
                let mut interrupt = asked(SignalKind::interrupt())?;
                let mut hangup = asked(SignalKind::hangup())?;
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    _ = hangup.recv() => {}
                }
                Ok(())
            })
        });
        tell.store(waited.is_ok(), Ordering::Relaxed);
    });
    is_ended
}

/// Draws what comes until somebody has seen enough.
fn show(
    mut terminal: DefaultTerminal,
    mut model: Model,
    told: &Receiver<Result<Model, String>>,
    is_ended: &AtomicBool,
) -> io::Result<()> {
    loop {
        terminal.draw(|frame| draw::draw(frame, &model))?;
        loop {
            if is_ended.load(Ordering::Relaxed) {
                return Ok(());
            }
            if event::poll(KEYS)? {
                match event::read()? {
                    Event::Key(key) if is_end(key) => return Ok(()),
                    Event::Resize(..) => break,
                    _ => {}
                }
            }
            match told.try_recv() {
                Ok(Ok(next)) => model = next,
                Ok(Err(trouble)) => model.trouble = trouble.lines().next().map(str::to_owned),
                Err(_) => continue,
            }
            break;
        }
    }
}

fn is_end(key: KeyEvent) -> bool {
    let is_interrupt =
        key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
    let is_quit = matches!(key.code, KeyCode::Char('q') | KeyCode::Esc);
    key.kind == KeyEventKind::Press && (is_interrupt || is_quit)
}

/// The picture as text.
fn plain(model: &Model) -> String {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(PLAIN.0, PLAIN.1));
    let Ok(_) = terminal.draw(|frame| draw::draw(frame, model));
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for cells in buffer.content().chunks(usize::from(PLAIN.0)) {
        let mut line = String::new();
        let mut at = 0;
        // A wide character stands in the first of its two cells.
        while let Some(symbol) = cells.get(at).map(Cell::symbol) {
            line.push_str(symbol);
            at += Span::raw(symbol).width().max(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wide_characters_are_not_torn_where_there_is_no_terminal() {
        let model = Model {
            status: json!({ "routes": [{ "name": "고객 상담", "minute": {}, "targets": [] }] }),
            ..Model::default()
        };
        let text = plain(&model);
        let line = text
            .lines()
            .find(|line| line.contains("고객 상담"))
            .unwrap();
        // Five characters take nine columns; the number ends where its title does.
        let title = text.lines().find(|line| line.starts_with("route"));
        let column = title.and_then(|title| title.find("rate"));
        let before = line.split("0.0/s").next().unwrap();
        assert_eq!(column, Some(before.chars().count() + 4 + 1), "{text}");
    }
}
