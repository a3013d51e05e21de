//! A scripted source, readers that come, read and leave in any order, and a scheduler that polls nobody who was not
//! woken: a waker that gets lost leaves a reader behind, and that is what fails the test.

use std::{
    sync::{
        Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;

use super::*;

/// What a source does next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Whole,
    Breaks,
    FailsAtOnce,
    Panics,
}

#[derive(Default)]
struct Script {
    /// Steps that it may take without waiting.
    allowed: usize,
    taken: usize,
    waker: Option<Waker>,
    kept: Vec<Vec<u8>>,
    is_gone: bool,
    most_held: usize,
}

struct Scripted {
    script: Arc<Mutex<Script>>,
    pieces: Vec<Bytes>,
    /// Which of them is the usage chunk.
    usage: Option<usize>,
    end: End,
    is_over: bool,
}

impl Scripted {
    /// The number of the step to take, once it is allowed.
    fn step(&mut self, context: &Context<'_>) -> Poll<usize> {
        let mut script = self.script.lock().unwrap();
        if script.taken == script.allowed {
            script.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        script.taken += 1;
        Poll::Ready(script.taken - 1)
    }
}

impl Source for Scripted {
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Head, NoAnswer>> {
        std::task::ready!(self.step(context));
        if self.end == End::FailsAtOnce {
            let error = ApiError::internal("no");
            return Poll::Ready(Err(NoAnswer::Error(error, Outcome::UpstreamError)));
        }
        Poll::Ready(Ok(head()))
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Piece, Broken>>> {
        assert!(!self.is_over, "asked after its end");
        let number = std::task::ready!(self.step(context)) - 1;
        if let Some(bytes) = self.pieces.get(number) {
            return Poll::Ready(Some(Ok(Piece {
                bytes: bytes.clone(),
                is_usage: self.usage == Some(number),
            })));
        }
        self.is_over = true;
        match self.end {
            End::Whole | End::FailsAtOnce => Poll::Ready(None),
            End::Panics => panic!("as told"),
            End::Breaks => Poll::Ready(Some(Err(Broken {
                error: ApiError::internal("cut"),
                detail: String::new(),
                outcome: Outcome::UpstreamError,
            }))),
        }
    }

    fn extent(&self) -> Extent {
        Extent::Part
    }

    fn seen(&self) -> Seen {
        Seen {
            usage: None,
            output_estimate: Some(self.script.lock().unwrap().taken as u64),
        }
    }

    fn keep(&mut self, _head: &Head, pieces: &VecDeque<Piece>) -> bool {
        let all = pieces
            .iter()
            .map(|piece| piece.bytes.to_vec())
            .collect::<Vec<_>>()
            .concat();
        self.script.lock().unwrap().kept.push(all);
        true
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.script.lock().unwrap().is_gone = true;
    }
}

fn head() -> Head {
    Head {
        reply: ReplyHead {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
        },
        provider: "up".into(),
        model: "m".into(),
        is_stream: true,
        is_all: false,
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// How a reader came to its end.
#[derive(Clone, Debug, PartialEq)]
enum Ended {
    Whole,
    Broken,
    NoHead,
    Outgrown,
}

struct Client {
    reader: Option<Reader<Scripted>>,
    wants_whole: bool,
    woken: Arc<Woken>,
    has_head: bool,
    had: Vec<u8>,
    ended: Option<Ended>,
}

impl Client {
    fn new(reader: Reader<Scripted>, wants_whole: bool) -> Self {
        Self {
            reader: Some(reader),
            wants_whole,
            woken: Arc::new(Woken(AtomicBool::new(true))),
            has_head: false,
            had: Vec::new(),
            ended: None,
        }
    }

    fn is_runnable(&self) -> bool {
        self.ended.is_none() && self.reader.is_some() && self.woken.0.load(Ordering::SeqCst)
    }

    /// One poll; a reader that got something may be polled again.
    fn run(&mut self) {
        let Some(reader) = self.reader.as_mut().filter(|_| self.ended.is_none()) else {
            return;
        };
        self.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(self.woken.clone());
        let context = &mut Context::from_waker(&waker);
        let ended = if !self.has_head {
            match reader.poll_head(context) {
                Poll::Pending => return,
                Poll::Ready(Ok(_)) => {
                    self.has_head = true;
                    None
                }
                Poll::Ready(Err(_)) => Some(Ended::NoHead),
            }
        } else if self.wants_whole {
            match reader.poll_whole(context) {
                Poll::Pending => return,
                Poll::Ready(Ok(pieces)) => {
                    for piece in pieces {
                        self.had.extend_from_slice(&piece.bytes);
                    }
                    Some(Ended::Whole)
                }
                Poll::Ready(Err(NotWhole::Outgrown)) => Some(Ended::Outgrown),
                Poll::Ready(Err(NotWhole::Broken(_))) => Some(Ended::Broken),
            }
        } else {
            match reader.poll_piece(context) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(piece))) => {
                    self.had.extend_from_slice(&piece.bytes);
                    None
                }
                Poll::Ready(Some(Err(_))) => Some(Ended::Broken),
                Poll::Ready(None) => Some(Ended::Whole),
            }
        };
        self.ended = ended;
        self.woken.0.store(true, Ordering::SeqCst);
        if self.ended.is_some() {
            // As a body does once it has been written.
            self.reader = None;
        }
    }
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// The upstream sends something.
    Allow,
    /// Somebody polls, if it was woken.
    Run(usize),
    Leave(usize),
    Join {
        wants_whole: bool,
    },
}

struct World {
    script: Arc<Mutex<Script>>,
    flight: Weak<Flight<Scripted>>,
    clients: Vec<Client>,
    all: Vec<u8>,
    steps: usize,
    farewells: Arc<Mutex<Vec<Seen>>>,
}

impl World {
    fn new(sizes: &[usize], end: End, limit: usize) -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let pieces: Vec<Bytes> = sizes
            .iter()
            .enumerate()
            .map(|(number, size)| vec![number as u8; *size].into())
            .collect();
        let all = pieces.concat();
        let steps = pieces.len() + 2;
        let source = Scripted {
            script: script.clone(),
            usage: pieces.len().checked_sub(1),
            pieces,
            end,
            is_over: false,
        };
        let (flight, reader) = Flight::begin(source, limit);
        let farewells = Arc::new(Mutex::new(Vec::new()));
        let heard = farewells.clone();
        flight.at_end(Box::new(move |seen| heard.lock().unwrap().push(seen)));
        Self {
            script,
            flight: Arc::downgrade(&flight),
            clients: vec![Client::new(reader, false)],
            all,
            steps,
            farewells,
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Allow => self.allow(),
            Op::Run(index) => {
                let count = self.clients.len();
                let client = &mut self.clients[index % count];
                if client.is_runnable() {
                    client.run();
                }
            }
            Op::Leave(index) => {
                let count = self.clients.len();
                self.clients[index % count].reader = None;
            }
            Op::Join { wants_whole } => {
                let joined = self.flight.upgrade().and_then(|flight| flight.join());
                self.clients
                    .extend(joined.map(|reader| Client::new(reader, wants_whole)));
            }
        }
        self.note_held();
    }

    fn allow(&mut self) {
        let mut script = self.script.lock().unwrap();
        if script.allowed < self.steps {
            script.allowed += 1;
            let waker = script.waker.take();
            drop(script);
            waker.into_iter().for_each(Waker::wake);
        }
    }

    fn note_held(&self) {
        if let Some(flight) = self.flight.upgrade() {
            let held = flight.lock().held;
            let mut script = self.script.lock().unwrap();
            script.most_held = script.most_held.max(held);
        }
    }

    /// Lets everything happen that still can.
    fn settle(&mut self) {
        for _ in 0..=self.steps {
            self.allow();
            while let Some(client) = self.clients.iter_mut().find(|client| client.is_runnable()) {
                client.run();
                self.note_held();
            }
        }
    }
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => Just(Op::Allow),
        8 => (0usize..6).prop_map(Op::Run),
        1 => (0usize..6).prop_map(Op::Leave),
        2 => any::<bool>().prop_map(|wants_whole| Op::Join { wants_whole }),
    ];
    prop::collection::vec(op, 0..60)
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => Just(End::Whole),
        2 => Just(End::Breaks),
        1 => Just(End::FailsAtOnce),
        1 => Just(End::Panics),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_reader_gets_all_of_it_or_the_error_whoever_comes_and_leaves(
        sizes in prop::collection::vec(1usize..20, 0..8),
        end in end(),
        limit in 0usize..80,
        ops in ops(),
    ) {
        let total: usize = sizes.iter().sum();
        let mut world = World::new(&sizes, end, limit);
        for op in ops {
            world.apply(op);
        }
        world.settle();
        let expected = match end {
            End::Whole => Ended::Whole,
            End::FailsAtOnce => Ended::NoHead,
            End::Breaks | End::Panics => Ended::Broken,
        };
        let mut stayed = 0;
        for client in &world.clients {
            prop_assert!(world.all.starts_with(&client.had));
            // Whoever is left behind has missed a wake.
            let is_done = client.reader.is_none();
            prop_assert!(is_done, "{:?} of {:?}", client.had, world.all);
            let Some(ended) = &client.ended else { continue };
            stayed += 1;
            if *ended == Ended::Outgrown {
                prop_assert!(client.wants_whole && total > limit);
            } else {
                prop_assert_eq!(ended, &expected);
            }
            if *ended == Ended::Whole {
                prop_assert_eq!(&client.had, &world.all);
            }
        }
        let script = world.script.lock().unwrap();
        prop_assert!(script.is_gone);
        prop_assert!(world.flight.upgrade().is_none());
        prop_assert_eq!(world.farewells.lock().unwrap().len(), 1);
        let largest = sizes.iter().max().copied().unwrap_or(0);
        prop_assert!(script.most_held <= limit.max(1) + largest, "{}", script.most_held);
        for kept in &script.kept {
            prop_assert_eq!(kept, &world.all);
            prop_assert!(end == End::Whole && total <= limit);
        }
        prop_assert!(script.kept.len() <= 1);
        if end == End::Whole && total <= limit && stayed > 0 {
            prop_assert_eq!(script.kept.len(), 1);
        }
    }
}

#[test]
fn the_last_reader_takes_the_source_along() {
    let mut world = World::new(&[1, 1, 1], End::Whole, 100);
    world.apply(Op::Join { wants_whole: false });
    world.apply(Op::Allow);
    world.apply(Op::Run(0));
    world.apply(Op::Leave(0));
    assert!(!world.script.lock().unwrap().is_gone);
    assert!(world.farewells.lock().unwrap().is_empty());
    world.apply(Op::Leave(1));
    assert!(world.script.lock().unwrap().is_gone);
    assert_eq!(world.farewells.lock().unwrap().len(), 1);
}

#[test]
fn where_nobody_reads_nothing_is_taken_from_the_source() {
    let mut world = World::new(&[1, 1, 1], End::Whole, 100);
    (0..5).for_each(|_| world.apply(Op::Allow));
    assert_eq!(world.script.lock().unwrap().taken, 0);
    world.apply(Op::Run(0));
    world.apply(Op::Run(0));
    assert_eq!(world.script.lock().unwrap().taken, 2);
}

#[test]
fn nobody_joins_what_has_ended() {
    let mut world = World::new(&[1], End::Whole, 100);
    world.apply(Op::Join { wants_whole: false });
    let flight = world.flight.upgrade().unwrap();
    (0..3).for_each(|_| world.apply(Op::Allow));
    (0..4).for_each(|_| world.apply(Op::Run(0)));
    assert_eq!(world.clients[0].ended, Some(Ended::Whole));
    assert!(flight.join().is_none());
    drop(flight);
    world.settle();
    assert_eq!(world.clients[1].had, world.all);
}

#[test]
fn the_length_counts_the_usage_chunk_only_for_whom_it_is_shown_to() {
    let mut world = World::new(&[1, 2, 4], End::Whole, 100);
    world.apply(Op::Join { wants_whole: false });
    (0..5).for_each(|_| world.apply(Op::Allow));
    let size = |world: &World, with_usage| {
        let reader = world.clients[1].reader.as_ref().unwrap();
        reader.exact_size(with_usage)
    };
    assert_eq!(size(&world, true), None);
    (0..5).for_each(|_| world.apply(Op::Run(0)));
    assert_eq!(size(&world, true), Some(7));
    assert_eq!(size(&world, false), Some(3));
}
