//! Streams of lines, however they are cut.

use serde_json::{Value, json};

use super::super::lines::{Lines, Output};
use super::*;

/// What comes out of a stream that comes in pieces of this size.
fn through(output: Output, input: &[u8], piece: usize) -> String {
    let redactor = Redactor::default();
    let mut lines = Lines::new(&redactor, output);
    let mut out = Vec::new();
    for part in input.chunks(piece) {
        lines.push(part, &mut out);
    }
    lines.finish(&mut out);
    String::from_utf8(out).unwrap()
}

const TEXT: &str = "메일 kim@example.com\r\n\n전화 010-1234-5678입니다\nlast 10.0.0.1";

#[test]
fn lines_come_out_as_they_came_whatever_the_pieces() {
    for piece in 1..=TEXT.len() {
        let out = through(Output::Text, TEXT.as_bytes(), piece);
        assert_eq!(out, "메일 <EMAIL>\r\n\n전화 <PHONE>입니다\nlast <IP>");
        let json = through(Output::Json, TEXT.as_bytes(), piece);
        let lines: Vec<Value> = json
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let entity = |name: &'static str, start: u64, end: u64| {
            move |line: &Value| {
                let entity = &line["entities"][0];
                assert_eq!(
                    (&entity["type"], &entity["start"], &entity["end"]),
                    (&json!(name), &json!(start), &json!(end))
                );
                assert!(entity["score"].as_f64().unwrap() > 0.5);
                assert_eq!(entity.as_object().unwrap().len(), 4);
            }
        };
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[1], json!({"entities": []}));
        entity("EMAIL_ADDRESS", 3, 18)(&lines[0]);
        entity("PHONE_NUMBER", 3, 16)(&lines[2]);
        entity("IP_ADDRESS", 5, 13)(&lines[3]);
    }
}

#[test]
fn nothing_comes_of_nothing() {
    for output in [Output::Text, Output::Json] {
        assert_eq!(through(output, b"", 1), "");
    }
    assert_eq!(through(Output::Text, b"\n", 1), "\n");
    assert_eq!(through(Output::Json, b"\n", 1), "{\"entities\":[]}\n");
}

#[test]
fn bytes_that_are_no_text_count_as_one_character_each() {
    let input = b"\xFF\xFE kim@example.com \xED\x95 x\n";
    let out = through(Output::Text, input, 3);
    assert_eq!(out, "\u{FFFD}\u{FFFD} <EMAIL> \u{FFFD} x\n");
    let json: Value = serde_json::from_str(&through(Output::Json, input, 3)).unwrap();
    assert_eq!(json["entities"][0]["start"], 3);
    assert_eq!(json["entities"][0]["end"], 18);
}

#[test]
fn a_line_without_end_is_written_in_parts_with_nothing_lost() {
    let sentence = "가나다 kim@example.com 라마바 010-1234-5678, ";
    let count = 60_000;
    let line = sentence.repeat(count) + "\nnext kim@example.com";
    let out = through(Output::Text, line.as_bytes(), 10_007);
    assert_eq!(
        out,
        "가나다 <EMAIL> 라마바 <PHONE>, ".repeat(count) + "\nnext <EMAIL>"
    );
    let json = through(Output::Json, line.as_bytes(), 10_007);
    let lines: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    let entities = lines[0]["entities"].as_array().unwrap();
    assert_eq!(entities.len(), 2 * count);
    let width = sentence.chars().count();
    for (index, pair) in entities.chunks(2).enumerate() {
        assert_eq!(pair[0]["start"], index * width + 4);
        assert_eq!(pair[1]["start"], index * width + 24);
        assert_eq!(pair[1]["end"], index * width + 37);
    }
    // Without any place to cut at.
    let long = "가".repeat(1 << 20);
    assert_eq!(through(Output::Text, long.as_bytes(), 65_536), long);
}

#[test]
fn a_private_key_may_take_several_lines() {
    let text = "before\n-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEvQIBADANBgkq\nhkiG9w0B==\n-----END RSA PRIVATE KEY----- after\nkim\n";
    assert_eq!(
        through(Output::Text, text.as_bytes(), 7),
        "before\n<PRIVATE_KEY>\n<PRIVATE_KEY>\n\n<PRIVATE_KEY>\n<PRIVATE_KEY>\n<PRIVATE_KEY> after\nkim\n"
    );
    // One that was cut off ends where something else begins.
    let text = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nnow, something else\nkim\n";
    assert_eq!(
        through(Output::Text, text.as_bytes(), 100),
        "<PRIVATE_KEY>\n<PRIVATE_KEY>\nnow, something else\nkim\n"
    );
}
