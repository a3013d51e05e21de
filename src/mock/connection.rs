//! One connection: requests in, replies out, until either side ends it.

use std::io;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;

use super::counts::{InFlight, OpenConnection, Outcome};
use super::reply::{Ending, Reply};
use super::shape::{self, Ask};
use super::state::State;
use super::{Request, Script, control, player, request, state};

/// What a peer may send ahead while its reply is in the making, in bytes.
const MAX_AHEAD: usize = 1 << 20;

/// Serves a connection to its end, or resets it when the mock stops.
pub(super) async fn serve(mut stream: TcpStream, state: &State) {
    let (_open, number) = OpenConnection::begin(&state.counts);
    let mut stopping = state.stop.subscribe();
    let reset = tokio::select! {
        result = serve_requests(&mut stream, state, number) => matches!(result, Ok(Ending::Reset)),
        () = state::stopped(&mut stopping) => true,
    };
    if reset {
        // An error means that the peer was quicker.
        let _ = stream.set_zero_linger();
    }
}

async fn serve_requests(stream: &mut TcpStream, state: &State, number: u64) -> io::Result<Ending> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::new();
    while let Some(request) = request::read(stream, &mut buffer, number).await? {
        let ending = if request.path.starts_with("/mock/") {
            let reply = control::answer(&request, state);
            player::play(stream.split().1, &reply, &Script::default(), &state.gate).await?
        } else {
            answer(request, stream, &mut buffer, state).await?
        };
        if ending != Ending::Complete {
            return Ok(ending);
        }
    }
    Ok(Ending::Close)
}

/// Answers one request, and counts whether the peer stayed to the end.
async fn answer(
    request: Request,
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    state: &State,
) -> io::Result<Ending> {
    let (script, reply) = prepare(&request, state);
    let in_flight = InFlight::begin(&state.counts, &request.path);
    if script.log {
        state.log().push(request);
    }
    let (reader, writer) = stream.split();
    let played = tokio::select! {
        biased;
        played = player::play(writer, &reply, &script, &state.gate) => played,
        () = peer_gone(reader, buffer) => Err(io::ErrorKind::ConnectionAborted.into()),
    };
    in_flight.end(if played.is_ok() {
        Outcome::Completed
    } else {
        Outcome::Aborted
    });
    played
}

fn prepare(request: &Request, state: &State) -> (Script, Reply) {
    let ask = Ask::read(request);
    let model = ask.as_ref().ok().and_then(|ask| ask.model.as_deref());
    let serial = state.next_serial();
    let (script, exists, models) = match state.script_for(request, model) {
        Ok(chosen) => chosen,
        Err(error) => {
            let message = format!("The script cannot be used: {error}");
            return (
                Script::default(),
                Reply::json(400, &super::openai::error(400, &message)),
            );
        }
    };
    let reply = shape::answer(request, ask, &script, serial, &models, exists);
    (script, reply)
}

/// Returns when the peer closes its side or resets. What it sends ahead goes to `buffer`.
async fn peer_gone(mut reader: ReadHalf<'_>, buffer: &mut BytesMut) {
    while buffer.len() < MAX_AHEAD {
        buffer.reserve(1024);
        match reader.read_buf(buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    std::future::pending::<()>().await;
}
