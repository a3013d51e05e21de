//! Four times the text takes four times the work, whatever the text is.

use super::{text::steps, *};

/// How many bytes the recognizers look at.
fn work(text: &str) -> u64 {
    steps::take();
    let _ = Redactor::default().find(text);
    steps::take()
}

#[test]
fn work_grows_with_the_text_and_no_faster() {
    let patterns = [
        "1",
        "@",
        "-",
        "a.",
        ":",
        "a",
        "a@",
        "@a.",
        "1-",
        "1.",
        "1 ",
        "(1",
        "+1",
        "=",
        "?key=",
        "&a=",
        "%40",
        "\\",
        "\\n1",
        "\\u0040",
        "://",
        "http://a:b",
        "http://a@",
        "eyJ",
        "eyJ-",
        "eyJabcdefghijk.",
        "sk-",
        "sk-a",
        "sk-ant-",
        "SG.",
        "ghp_",
        "AKIA",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----a",
        "-----END ",
        "DE89",
        "DE89 ",
        "GB82WEST1234 ",
        "ff:",
        "f:f",
        "::1",
        "00-",
        "1a-",
        "12:34:",
        "M12345678 ",
        "010-",
        "010-1234-",
        "4111 ",
        "4111-1111-1111-111",
        "900101-",
        "900101-1234567 ",
        "123456789 ",
        "1234567890,",
        "bearer ",
        "Bearer a1",
        "a-1",
        "0x",
        "0xabcdef",
        "1A1zP1eP5Q",
        "bc1q",
        "hooks.slack.com/",
        "서울-12-",
        "주민",
        "０",
        "０１０－",
        "\u{AD}",
        "\u{3000}",
        "ssn ",
        "a..b@c",
        "x@x.",
        ".@",
    ];
    for pattern in patterns {
        // The plainest ones at their full size.
        let size = if matches!(pattern, "1" | "@" | "-" | "a.") {
            1 << 20
        } else {
            1 << 18
        };
        let text = |size: usize| pattern.repeat(size / pattern.len());
        let (once, four_times) = (work(&text(size / 4)), work(&text(size)));
        assert!(
            four_times <= once * 4 + once / 4 + 10_000,
            "{pattern:?}: {once} steps for a quarter, {four_times} for the whole"
        );
        // And the whole is not so slow that it would be felt.
        assert!(
            four_times < 400 * size as u64,
            "{pattern:?}: {four_times} steps"
        );
    }
}

#[test]
fn ordinary_text_is_looked_at_about_once() {
    let text =
        "오늘 회의는 3시에 시작합니다. The quick brown fox, as of 2024, jumps.\n".repeat(1000);
    let work = work(&text);
    assert!(
        work < 5 * text.len() as u64,
        "{work} steps for {} bytes",
        text.len()
    );
}
