//! What holds for every answer.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::json;

use super::{answers::*, *};
use crate::routing::scanner::StreamScanner;

/// A document there and back, written with and without line ends.
fn there_and_back(endpoint: Endpoint, expected: &Value) -> Result<(), TestCaseError> {
    let compact = serde_json::to_vec(expected).expect("JSON");
    let pretty = serde_json::to_vec_pretty(expected).expect("JSON");
    for written in [compact, pretty] {
        let told = told(endpoint, &written);
        let document = assembled(endpoint, &bytes(&told));
        prop_assert_eq!(document.as_ref(), Ok(expected));
        the_scanner_agrees(endpoint, expected, &told)?;
    }
    Ok(())
}

/// The host takes the stream for what it is: not an error, complete, with the usage where it says so.
fn the_scanner_agrees(
    endpoint: Endpoint,
    document: &Value,
    told: &[Event],
) -> Result<(), TestCaseError> {
    let choices = document["choices"].as_array().map_or(1, Vec::len);
    let mut scanner = StreamScanner::new(endpoint).choices_of(choices as u64);
    let mut has_ended = false;
    for event in told {
        let lines = memchr::memchr_iter(b'\n', &event.bytes).count();
        prop_assert_eq!(lines, 2 + usize::from(endpoint == Endpoint::Responses));
        let mark = scanner.look(&event.bytes);
        prop_assert!(!mark.garbage);
        prop_assert_eq!(mark.usage_only, event.is_usage);
        prop_assert!(mark.error.is_none() || document["status"] == "failed");
        has_ended |= mark.end;
    }
    prop_assert!(has_ended);
    Ok(())
}

/// The pieces of a text, cut at any places.
fn cut(text: &str, cuts: &[Index]) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut ends: BTreeSet<usize> = cuts.iter().map(|cut| cut.index(chars.len() + 1)).collect();
    ends.insert(chars.len());
    let mut start = 0;
    let pieces = ends.into_iter().map(|end| {
        let piece = chars[start..end].iter().collect();
        start = end;
        piece
    });
    pieces.collect()
}

/// The deltas of a message whose texts are cut.
fn deltas(message: &Value, cuts: &[Index]) -> Vec<Value> {
    let mut deltas = vec![json!({"role": "assistant"})];
    for (name, value) in message.as_object().expect("a message") {
        match (name.as_str(), value) {
            ("content" | "refusal" | "reasoning_content" | "reasoning", Value::String(text)) => {
                deltas.extend(
                    cut(text, cuts)
                        .iter()
                        .map(|piece| json!({ name.as_str(): piece })),
                );
            }
            ("tool_calls", Value::Array(calls)) if !calls.is_empty() => {
                for (index, call) in calls.iter().enumerate() {
                    let mut first = call.clone();
                    first["index"] = json!(index);
                    first["function"]["arguments"] = json!("");
                    deltas.push(json!({"tool_calls": [first]}));
                    let arguments = call["function"]["arguments"].as_str().expect("a text");
                    deltas.extend(cut(arguments, cuts).iter().map(|piece| {
                        json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
                    }));
                }
            }
            ("audio", audio) => {
                for piece in cut(audio["data"].as_str().expect("a text"), cuts) {
                    deltas.push(json!({"audio": {"id": audio["id"], "data": piece}}));
                }
                deltas
                    .push(json!({"audio": {"transcript": "", "expires_at": audio["expires_at"]}}));
            }
            _ => deltas.push(json!({ name.as_str(): value })),
        }
    }
    deltas
}

/// The stream of a chat whose texts are cut and whose choices take turns.
fn cut_stream(document: &Value, cuts: &[Index], turns: &[Index]) -> Vec<Bytes> {
    let event = |choices: Value, usage: Option<&Value>| {
        let mut chunk = document.clone();
        let members = chunk.as_object_mut().expect("an object");
        members.insert("object".into(), json!("chat.completion.chunk"));
        members.insert("choices".into(), choices);
        members.insert("usage".into(), usage.cloned().unwrap_or_default());
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let mut queues: Vec<std::collections::VecDeque<Value>> = Vec::new();
    for choice in document["choices"].as_array().expect("choices") {
        let index = &choice["index"];
        let chunk = |delta| json!({"index": index, "delta": delta, "finish_reason": null});
        let mut queue: Vec<Value> = deltas(&choice["message"], cuts)
            .into_iter()
            .map(chunk)
            .collect();
        let mut last = choice.clone();
        last.as_object_mut().expect("an object").remove("message");
        last["delta"] = json!({});
        queue.push(last);
        queues.push(queue.into());
    }
    let mut events = vec![Bytes::from_static(b": ping\n\n")];
    let mut turns = turns.iter().cycle();
    while !queues.is_empty() {
        let turn = turns.next().map_or(0, |turn| turn.index(queues.len()));
        match queues[turn].pop_front() {
            Some(choice) => events.push(event(json!([choice]), None)),
            None => drop(queues.remove(turn)),
        }
    }
    if let Some(usage) = document.get("usage") {
        events.push(event(json!([]), Some(usage)));
    }
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

/// Deltas of every shape that is of one type per member, their texts not yet filled in.
fn sound_delta() -> impl Strategy<Value = Value> {
    let text = || Just(json!(""));
    let inner = (any::<bool>(), text(), 0..3_u8)
        .prop_map(|(on, text, index)| json!({"on": on, "text": text, "type": "t", "index": index}));
    let member = prop_oneof![
        text().prop_map(|text| ("content", text)),
        text().prop_map(|text| ("reasoning", text)),
        text().prop_map(|text| ("unheard_of", text)),
        Just(("content", Value::Null)),
        inner.clone().prop_map(|mut inner| {
            inner["index"].take();
            ("object", inner)
        }),
        vec(inner, 0..3).prop_map(|list| ("details", Value::from(list))),
        (0..3_u8).prop_map(|index| {
            (
                "tool_calls",
                json!([{"index": index, "function": {"name": "f", "arguments": ""}}]),
            )
        }),
    ];
    vec(member, 0..3).prop_map(|members| {
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    })
}

/// Numbers every text that may grow: `<where it stands>number;`.
fn number(value: &mut Value, place: &str, next: &mut usize) {
    match value {
        Value::String(text) if text.is_empty() => {
            *text = format!("<{place}>{next};");
            *next += 1;
        }
        Value::Array(list) => list.iter_mut().for_each(|element| {
            let index = element["index"].as_u64().unwrap_or_default();
            number(element, &format!("{place}[{index}]"), next);
        }),
        Value::Object(members) => {
            for (name, value) in members {
                number(value, &format!("{place}.{name}"), next);
            }
        }
        _ => {}
    }
}

/// Every numbered text in `value` stands where it came from, in the order in which it came.
fn is_of_its_place(value: &Value, place: &str, seen: &mut BTreeSet<usize>) -> bool {
    match value {
        Value::String(text) => {
            let mut last = None;
            text.split_terminator(';')
                .filter(|text| text.starts_with('<'))
                .all(|text| {
                    let Some(number) = text.strip_prefix(&format!("<{place}>")) else {
                        return false;
                    };
                    let number: usize = number.parse().expect("a number");
                    last.replace(number) < Some(number) && seen.insert(number)
                })
        }
        Value::Array(list) => list.iter().enumerate().all(|(at, element)| {
            let is_index_taken = |other: &Value| other["index"] == element["index"];
            if element["index"].is_u64() && list[..at].iter().any(is_index_taken) {
                return false;
            }
            let index = element["index"].as_u64().unwrap_or(at as u64);
            is_of_its_place(element, &format!("{place}[{index}]"), seen)
        }),
        Value::Object(members) => members
            .iter()
            .all(|(name, value)| is_of_its_place(value, &format!("{place}.{name}"), seen)),
        _ => true,
    }
}

proptest! {
    #[test]
    fn a_chat_comes_back_as_it_was(document in chat()) {
        there_and_back(Endpoint::Chat, &document)?;
    }

    #[test]
    fn a_completion_comes_back_as_it_was(document in completion()) {
        there_and_back(Endpoint::Completions, &document)?;
    }

    #[test]
    fn a_response_comes_back_as_it_was(document in response()) {
        there_and_back(Endpoint::Responses, &document)?;
    }

    #[test]
    fn how_a_stream_was_cut_makes_no_difference(
        document in chat(), cuts in vec(any::<Index>(), 0..6), turns in vec(any::<Index>(), 1..9),
    ) {
        let events = cut_stream(&document, &cuts, &turns);
        prop_assert_eq!(assembled(Endpoint::Chat, &events), Ok(document));
    }

    #[test]
    fn every_text_comes_from_its_own_place_and_none_is_lost(
        deltas in vec((0..2_u8, sound_delta()), 1..12),
    ) {
        let mut next = 0;
        let mut events = Vec::new();
        for (index, mut delta) in deltas {
            number(&mut delta, &format!("{index}"), &mut next);
            let chunk = json!({"choices": [{"index": index, "delta": delta}]});
            events.push(Bytes::from(format!("data: {chunk}\n\n")));
        }
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        let document = assembled(Endpoint::Chat, &events).expect("a sound stream");
        let mut seen = BTreeSet::new();
        for choice in document["choices"].as_array().expect("choices") {
            let mut message = choice["message"].clone();
            if let Some(calls) = message["tool_calls"].as_array_mut() {
                // Which index a call had is not told any more: its own text says.
                for call in calls {
                    let text = call["function"]["arguments"].as_str().expect("a text");
                    let index = text.split(['[', ']']).nth(1).expect("an index");
                    call["index"] = index.parse::<u64>().expect("a number").into();
                }
            }
            let is_sound = is_of_its_place(&message, &choice["index"].to_string(), &mut seen);
            prop_assert!(is_sound, "{}", document);
        }
        prop_assert_eq!(seen.len(), next);
    }

    #[test]
    fn nothing_makes_it_panic(
        document in prop_oneof![chat(), completion(), response()],
        noise in vec(any::<u8>(), 0..12), at in any::<Index>(), drop in any::<bool>(),
    ) {
        let mut bytes_of = serde_json::to_vec(&document).expect("JSON");
        for endpoint in [Endpoint::Chat, Endpoint::Completions, Endpoint::Responses] {
            let mut streams = vec![vec![Bytes::from(noise.clone())]];
            streams.extend(events(endpoint, &bytes_of).ok().map(|events| bytes(&events)));
            for mut stream in streams {
                let hit = at.index(stream.len());
                let mut event = stream[hit].to_vec();
                let place = at.index(event.len() + 1);
                event.splice(place..place, noise.iter().copied());
                stream[hit] = event.into();
                let _ = super::document(endpoint, &stream);
                if drop {
                    stream.remove(hit);
                }
                let _ = super::document(endpoint, &stream);
            }
        }
        let place = at.index(bytes_of.len());
        bytes_of.splice(place..place, noise);
        for endpoint in [Endpoint::Chat, Endpoint::Completions, Endpoint::Responses] {
            let _ = events(endpoint, &bytes_of);
        }
    }
}
