use std::borrow::Cow;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 20;

/// What a splitter makes of a stream that comes in these frames.
#[derive(Debug, PartialEq)]
struct Split {
    events: Vec<Bytes>,
    tail: Option<Bytes>,
}

fn one_by_one(frames: &[&[u8]]) -> Split {
    let mut splitter = Splitter::new(LIMIT);
    let mut events = Vec::new();
    for frame in frames {
        splitter.push(Bytes::copy_from_slice(frame));
        while let Some(event) = splitter.next_event().expect("small events") {
            events.push(event);
        }
    }
    Split {
        events,
        tail: splitter.finish(),
    }
}

fn in_batches(frames: &[&[u8]]) -> Split {
    let mut splitter = Splitter::new(LIMIT);
    let mut events = Vec::new();
    for frame in frames {
        splitter.push(Bytes::copy_from_slice(frame));
        let before = events.len();
        let batch = splitter.batch(|event| events.push(Bytes::copy_from_slice(event)));
        let shown = events[before..].concat();
        assert_eq!(batch.expect("small events").unwrap_or_default(), shown);
    }
    Split {
        events,
        tail: splitter.finish(),
    }
}

/// The name and data of every event, empty lines before it aside, and what stands in the tail.
fn meaning(split: &Split) -> Vec<(Vec<u8>, Vec<u8>)> {
    let read = |event: &Bytes| {
        let fields = fields(event);
        (fields.name.to_vec(), fields.data.to_vec())
    };
    split.events.iter().chain(&split.tail).map(read).collect()
}

/// The standard's algorithm, line by line over the whole stream at once.
fn reference(stream: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let stream = stream.strip_prefix(&BOM).unwrap_or(stream);
    let mut text = Vec::new();
    for (at, &byte) in stream.iter().enumerate() {
        match byte {
            b'\n' if at > 0 && stream[at - 1] == b'\r' => {}
            b'\r' => text.push(b'\n'),
            other => text.push(other),
        }
    }
    let mut events = Vec::new();
    let mut block: Vec<&[u8]> = Vec::new();
    for line in text.split(|&byte| byte == b'\n').chain([&b""[..]]) {
        if !line.is_empty() {
            block.push(line);
            continue;
        }
        if block.is_empty() {
            continue;
        }
        let value = |line: &[u8], field: &[u8]| {
            if line == field {
                return Some(Vec::new());
            }
            let rest = line.strip_prefix(field)?.strip_prefix(b":")?;
            Some(rest.strip_prefix(b" ").unwrap_or(rest).to_vec())
        };
        let mut names = block.iter().filter_map(|line| value(line, b"event"));
        let data: Vec<Vec<u8>> = block
            .iter()
            .filter_map(|line| value(line, b"data"))
            .collect();
        events.push((names.next_back().unwrap_or_default(), data.join(&b'\n')));
        block.clear();
    }
    events
}

fn cut<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut points: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    points.extend([0, stream.len()]);
    points.sort_unstable();
    points
        .windows(2)
        .map(|pair| &stream[pair[0]..pair[1]])
        .collect()
}

fn check(stream: &[u8], frames: &[&[u8]]) {
    for split in [one_by_one(frames), in_batches(frames)] {
        assert_eq!(meaning(&split), reference(stream), "{frames:?}");
        let mut bytes = split.events.concat();
        bytes.extend_from_slice(split.tail.as_deref().unwrap_or_default());
        let body = stream.strip_prefix(&BOM).unwrap_or(stream);
        let lost = body.strip_prefix(&bytes[..]).expect("the same bytes");
        assert!(
            lost.iter().all(|byte| matches!(byte, b'\r' | b'\n')),
            "only empty lines at the very end may be dropped, not {lost:?}"
        );
    }
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => "data: ?[a-z가-힣 :]{0,12}",
        1 => ":[ a-z]{0,6}",
        1 => "event: ?[a-z.]{0,6}",
        1 => "(data|id: 7|retry|datax: 1|\u{feff}data: 2)",
        3 => Just(String::new()),
    ];
    let end = prop::sample::select(&["\n", "\r\n", "\r"][..]);
    let lines = prop::collection::vec((line, end), 0..12)
        .prop_map(|lines| lines.into_iter().map(|(l, e)| l + e).collect::<String>());
    ("\u{feff}?", lines, "(data: cut)?")
        .prop_map(|(bom, lines, tail)| (bom + &lines + &tail).into_bytes())
}

proptest! {
    #[test]
    fn cuts_change_nothing(stream in stream(), cuts in prop::collection::vec(any::<usize>(), 0..6)) {
        check(&stream, &[&stream]);
        check(&stream, &cut(&stream, &cuts));
        for at in 0..=stream.len() {
            check(&stream, &[&stream[..at], &stream[at..]]);
        }
        check(&stream, &stream.chunks(1).collect::<Vec<_>>());
    }

    #[test]
    fn arbitrary_bytes_come_out_as_they_went_in(
        stream in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n:da\xEF\xBB\xBF"[..])], 0..80),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        check(&stream, &cut(&stream, &cuts));
    }

    #[test]
    fn no_whole_event_waits_for_the_next_frame(stream in stream(), at in any::<prop::sample::Index>()) {
        let seen = &stream[..at.index(stream.len() + 1)];
        let mut splitter = Splitter::new(LIMIT);
        splitter.push(Bytes::copy_from_slice(seen));
        let mut count = 0;
        splitter.batch(|_| count += 1).expect("small events");
        prop_assert_eq!(count, ended_events(seen));
    }
}

/// How many events have had the first byte of their empty line's end.
fn ended_events(stream: &[u8]) -> usize {
    let text = String::from_utf8_lossy(stream.strip_prefix(&BOM).unwrap_or(stream))
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.pop();
    let begins_blank = |pair: &&[&str]| !pair[0].is_empty() && pair[1].is_empty();
    lines.windows(2).filter(begins_blank).count()
}

fn texts(split: &Split) -> Vec<&str> {
    let text = |event| std::str::from_utf8(event).expect("UTF-8");
    split.events.iter().map(|event| text(event)).collect()
}

#[test]
fn events_keep_their_empty_line() {
    let split = one_by_one(&[b"data: a\n\n: ping\n\ndata: b\r\n\r\ndata: c\r\rdata: d"]);
    assert_eq!(
        texts(&split),
        [
            "data: a\n\n",
            ": ping\n\n",
            "data: b\r\n\r\n",
            "data: c\r\r"
        ]
    );
    assert_eq!(split.tail.as_deref(), Some(&b"data: d"[..]));
}

#[test]
fn a_line_feed_that_comes_late_goes_before_the_next_event() {
    let split = one_by_one(&[b"data: a\r\n\r", b"\ndata: b\r\n\r", b"\n"]);
    assert_eq!(texts(&split), ["data: a\r\n\r", "\ndata: b\r\n\r"]);
    assert_eq!(split.tail, None, "nothing is missing");
}

#[test]
fn a_line_end_cut_in_two_is_not_an_empty_line() {
    let split = one_by_one(&[b"event: a\r", b"\ndata: b\n\n"]);
    assert_eq!(texts(&split), ["event: a\r\ndata: b\n\n"]);
}

#[test]
fn events_within_a_frame_are_not_copied() {
    let frame = Bytes::from_static(b"data: a\n\ndata: b\n\ndata: c");
    let mut splitter = Splitter::new(LIMIT);
    splitter.push(frame.clone());
    let first = splitter.next_event().expect("small").expect("whole");
    assert_eq!(first.as_ptr(), frame.as_ptr());
    splitter.next_event().expect("small").expect("whole");
    assert_eq!(splitter.next_event(), Ok(None));

    let mut splitter = Splitter::new(LIMIT);
    splitter.push(frame.clone());
    let batch = splitter.batch(|_| {}).expect("small").expect("whole");
    assert_eq!(batch.as_ptr(), frame.as_ptr());
    assert_eq!(batch, frame[..18]);
}

#[test]
fn frames_pushed_too_early_are_not_lost() {
    let mut splitter = Splitter::new(LIMIT);
    splitter.push(Bytes::from_static(b"data: a\n\nda"));
    assert_eq!(
        splitter.next_event(),
        Ok(Some(Bytes::from_static(b"data: a\n\n")))
    );
    splitter.push(Bytes::from_static(b"ta: b\n"));
    splitter.push(Bytes::from_static(b"\n"));
    assert_eq!(
        splitter.next_event(),
        Ok(Some(Bytes::from_static(b"data: b\n\n")))
    );
}

#[test]
fn an_event_may_be_as_large_as_the_limit_and_no_larger() {
    let error = Err(EventTooLarge { limit: 9 });
    let mut splitter = Splitter::new(9);
    splitter.push(Bytes::from_static(b"data: a\n\ndata: bc\n\ndata: d\n\n"));
    let batch = splitter.batch(|_| {}).expect("one fits");
    assert_eq!(batch.as_deref(), Some(&b"data: a\n\n"[..]));
    assert_eq!(splitter.batch(|_| {}), error);
    assert_eq!(splitter.next_event(), error);

    // One that never ends is refused as soon as it is too large, not kept.
    let mut splitter = Splitter::new(9);
    for frame in ["data:", " abc"] {
        splitter.push(Bytes::from_static(frame.as_bytes()));
        assert_eq!(splitter.next_event(), Ok(None));
    }
    splitter.push(Bytes::from_static(b"d"));
    assert_eq!(splitter.next_event(), error);
}

#[test]
fn fields_are_read_as_the_standard_says() {
    let event = b": note\nevent: delta\ndata: a\ndata:b\rdata:  c\r\ndata\nid: 1\n\n";
    let read = fields(event);
    assert_eq!(read.name, b"delta");
    assert_eq!(&*read.data, b"a\nb\n c\n");
    assert!(!read.is_comment_only);
    assert!(matches!(data(b"data: one\n\n"), Cow::Borrowed(b"one")));
    for silent in [&b": ping\n\n"[..], b":\r\n\r\n", b"\n", b""] {
        assert!(is_comment_only(silent));
        assert_eq!(&*data(silent), b"");
    }
    for loud in [&b"data\n\n"[..], b": a\ndata: b\n\n", b"id: 1\n\n"] {
        assert!(!is_comment_only(loud));
    }
}
