//! Addresses of mail and machines, and what URLs tell.

use super::*;

#[test]
fn mail_addresses() {
    are_found(
        "EMAIL_ADDRESS",
        &[
            "⟦kim@example.com⟧",
            "⟦kim.min-su+tag@mail.example.co.kr⟧으로 보내세요",
            "메일은⟦kim@example.com⟧입니다",
            "{\"to\":\"⟦kim@example.com⟧\"}",
            "{\"text\":\"hi\\n⟦nick@example.com⟧\\n\"}",
            "mailto:⟦kim@example.com⟧?subject=x",
            "https://x.com/?email=⟦kim@example.com⟧&a=b",
            "https://x.com/?email=⟦kim%40example.com⟧&a=b",
            "to%3A⟦kim@example.com⟧",
            "<⟦kim@example.com⟧>",
            "⟦KIM_99@EXAMPLE.COM⟧.",
            "⟦ｋｉｍ＠ｅｘａｍｐｌｅ．ｃｏｍ⟧",
            "⟦a@b.co⟧, or not",
            "⟦kim@example.com⟧-based",
            "...⟦kim@example.com⟧...",
            "⟦x@xn--bcher-kva.example⟧",
            "⟦1@example.museum⟧",
            "'⟦kim@sub.sub.example.io⟧'",
            "kim⟦@⟧"
                .replace("kim⟦@⟧", "⟦01012345678@naver.com⟧")
                .as_str(),
        ],
    );
    are_not_found(
        "EMAIL_ADDRESS",
        &[
            "@example.com",
            "kim@",
            "kim@localhost",
            "kim@example",
            "kim@example.c",
            "kim@.com",
            "kim@example..com",
            "kim.@example.com",
            "logo@2x.png",
            "react@18.2.0",
            "git@github.com:me/it.git",
            "kim@-example.com",
            "kim@@example.com",
            "k@1.2.3.4",
            "a..b@example.com",
            "@media screen",
            "user@host.service",
        ],
    );
    let long = format!("{}@example.com", "a".repeat(65));
    are_not_found("EMAIL_ADDRESS", &[&long]);
}

#[test]
fn ip_addresses() {
    are_found(
        "IP_ADDRESS",
        &[
            "⟦192.168.0.1⟧",
            "from ⟦10.0.0.1⟧:8080",
            "⟦8.8.8.8⟧입니다",
            "{\"peer\":\"⟦203.0.113.7⟧\"}",
            "http://⟦127.0.0.1⟧/x",
            "⟦10.1.2.0⟧/24",
            "⟦255.255.255.255⟧.",
            "⟦::1⟧",
            "[⟦2001:db8::1⟧]:443",
            "⟦2001:0db8:85a3:0000:0000:8a2e:0370:7334⟧",
            "⟦fe80::1⟧%eth0",
            "at ⟦fe80::1⟧: unreachable",
            "⟦::ffff:192.0.2.1⟧",
            "addr=⟦2001:DB8::A⟧.",
            "{\"ip\":\"⟦2001:db8::1⟧\"}",
        ],
    );
    are_not_found(
        "IP_ADDRESS",
        &[
            "256.1.1.1",
            "1.2.3",
            "1.2.3.4.5",
            "01.02.03.04",
            "version 1.2.3.4",
            "v1.2.3.4",
            "버전 1.2.3.4",
            "12:34:56",
            "2026-11-22T14:14:39.266418Z",
            "std::net",
            "add::bad",
            "::",
            "1:2:3:4:5:6:7:8:9",
            "a:b",
            "{\"a\":1,\"b\":2}",
            "12:34",
        ],
    );
}

#[test]
fn mac_addresses() {
    are_found(
        "MAC_ADDRESS",
        &[
            "⟦00:1A:2B:3C:4D:5E⟧",
            "⟦00-1a-2b-3c-4d-5e⟧",
            "mac=⟦de:ad:be:ef:00:01⟧,",
            "{\"mac\":\"⟦de:ad:be:ef:00:01⟧\"}",
            "⟦a0-b1-c2-d3-e4-f5⟧입니다",
        ],
    );
    are_not_found(
        "MAC_ADDRESS",
        &[
            "00:1A:2B:3C:4D",
            "00:1A:2B:3C:4D:5E:6F",
            "00:00:00:00:00:00",
            "ff-ff-ff-ff-ff-ff",
            "00:1A-2B:3C-4D:5E",
            "g0:1A:2B:3C:4D:5E",
        ],
    );
}

#[test]
fn what_urls_tell() {
    are_found(
        "URL_CREDENTIALS",
        &[
            "https://⟦user:secret@example⟧.com/"
                .replace("@example⟧", "⟧@example")
                .as_str(),
            "postgres://⟦app:p%40ss⟧@db:5432/x",
            "redis://⟦:secret⟧@cache",
            "https://⟦x-access-token-0123456789⟧@github.com/me/it",
            "{\"url\":\"https:\\/\\/⟦a:b⟧@host.example\\/\"}",
            "amqp://⟦a:b@c⟧@host.example/",
        ],
    );
    are_not_found(
        "URL_CREDENTIALS",
        &[
            "https://example.com/a@b",
            "ssh://git@github.com/x",
            "https://example.com:8080/",
            "://a:b@c",
            "https://user:@host",
        ],
    );
    are_found(
        "URL_SECRET",
        &[
            "/v1?api_key=⟦abc123⟧&x=1",
            "https://x.com/?a=1&token=⟦abc⟧#top",
            "GET /?access_token=⟦a.b-c⟧ HTTP/1.1",
            "\"https://x.com/cb?code=⟦4/0AX4XfWh⟧\"",
            "https://s3/x?X-Amz-Signature=⟦deadbeef⟧&y=1",
            "https://x/?a=1\\u0026sig=⟦xyz⟧\"",
            "https://x/?client_secret=⟦비밀⟧"
                .replace("비밀", "pssst")
                .as_str(),
            "https://x/?Password=⟦hunter2⟧",
        ],
    );
    are_not_found(
        "URL_SECRET",
        &[
            "/v1?q=abc",
            "key=abc",
            "let token = 5",
            "?monkey=1",
            "?token=",
            "if a&b==c",
            "?keyboard=us",
            "?code=404",
        ],
    );
}
