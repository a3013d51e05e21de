//! What stands in the place of values, and which of two values counts.

use super::*;

fn in_style(style: Style) -> Redactor {
    Redactor::new(Settings {
        style,
        ..Settings::default()
    })
}

#[test]
fn styles() {
    let text = "메일 kim@example.com, 전화 010-1234-5678입니다";
    assert_eq!(
        in_style(Style::Label).redact(text),
        "메일 <EMAIL>, 전화 <PHONE>입니다"
    );
    assert_eq!(
        in_style(Style::Mask).redact(text),
        "메일 ***@*******.***, 전화 ***-****-****입니다"
    );
    assert_eq!(in_style(Style::Drop).redact(text), "메일 , 전화 입니다");
}

#[test]
fn a_text_without_values_is_not_copied() {
    for text in ["", "nothing here", "안녕하세요", "２０２４년"] {
        assert!(
            matches!(Redactor::default().redact(text), Cow::Borrowed(_)),
            "{text}"
        );
    }
}

#[test]
fn equal_values_have_equal_hashes_and_others_have_not() {
    let key = HashKey::derive("a key for this test alone");
    let redactor = in_style(Style::Hash(key));
    let hash = |text: &str| redactor.redact(text).into_owned();
    let card = hash("4111111111111111");
    assert!(
        card.starts_with("<CREDIT_CARD:") && card.len() == "<CREDIT_CARD:>".len() + 12,
        "{card}"
    );
    assert_eq!(card, hash("4111-1111-1111-1111"));
    assert_eq!(card, hash("４１１１ １１１１ １１１１ １１１１"));
    assert_ne!(card, hash("4242424242424242"));
    assert_eq!(hash("Kim@Example.com"), hash("kim@example.com"));
    assert_ne!(hash("k.im@example.com"), hash("kim@example.com"));
    let other = in_style(Style::Hash(HashKey::derive("another key of this test")));
    assert_ne!(other.redact("4111111111111111"), card);
    let (one, same) = (
        HashKey::of_process().unwrap(),
        HashKey::of_process().unwrap(),
    );
    let with = |key| {
        in_style(Style::Hash(key))
            .redact("kim@example.com")
            .into_owned()
    };
    assert_eq!(with(one), with(same));
    assert_eq!(
        format!("{:?}", Style::Hash(HashKey::derive("x"))),
        "Hash([secret])"
    );
}

#[test]
fn the_more_certain_value_counts_then_the_longer() {
    for (text, name, value) in [
        (
            "https://user:pw@mail.example/",
            "URL_CREDENTIALS",
            "user:pw",
        ),
        ("?token=kim@example.com", "URL_SECRET", "kim@example.com"),
        (
            "01012345678@naver.com",
            "EMAIL_ADDRESS",
            "01012345678@naver.com",
        ),
        ("::ffff:192.0.2.1", "IP_ADDRESS", "::ffff:192.0.2.1"),
        (
            "카드 4111 1111 1111 1111",
            "CREDIT_CARD",
            "4111 1111 1111 1111",
        ),
    ] {
        assert_eq!(found(text), [(name.to_owned(), value.to_owned())], "{text}");
    }
}

#[test]
fn only_wanted_kinds_are_found() {
    let redactor = Redactor::new(Settings {
        kinds: vec![Kind::PhoneNumber],
        ..Settings::default()
    });
    assert_eq!(
        redactor.redact("kim@example.com 010-1234-5678"),
        "kim@example.com <PHONE>"
    );
    for kind in Kind::ALL {
        assert_eq!(Kind::from_name(kind.name()), Some(*kind));
        assert!(kind.label().starts_with('<') && kind.label().ends_with('>'));
    }
}

#[test]
fn patterns_of_the_operator() {
    let pattern = |regex, validate| Pattern::new("EMPLOYEE_ID", regex, validate);
    let redactor = |pattern: Pattern| {
        Redactor::new(Settings {
            patterns: vec![pattern],
            ..Settings::default()
        })
    };
    let plain = redactor(pattern("EMP-[0-9]{6}", None).unwrap());
    assert_eq!(
        plain.redact("EMP-123456은 kim@example.com"),
        "<EMPLOYEE_ID>은 <EMAIL>"
    );
    let part = redactor(pattern("사번 (?<value>[0-9]{8})", None).unwrap());
    assert_eq!(part.redact("사번 12345678 님"), "사번 <EMPLOYEE_ID> 님");
    let checked = redactor(pattern("N[0-9]{9}", Some(Validate::Luhn)).unwrap());
    assert_eq!(
        checked.redact("N123456782 N123456783"),
        "<EMPLOYEE_ID> N123456783"
    );
    // An operator's pattern wins over the built-in recognizers.
    let own = redactor(pattern("[a-z]+@example[.]com", None).unwrap());
    assert_eq!(own.redact("kim@example.com"), "<EMPLOYEE_ID>");
    // Over the borders of the parts in which a long text is searched.
    let long = format!(
        "{}EMP-123456{}",
        "가".repeat(21_843),
        " EMP-654321".repeat(10_000)
    );
    assert_eq!(plain.find(&long).len(), 10_001);
}

#[test]
fn what_is_no_pattern_is_refused_in_one_line() {
    for (regex, says) in [
        ("[", "unclosed character class"),
        ("(?=x)", "look-around"),
        ("x*", "everywhere"),
        ("\\w{1000}{1000}", "too large"),
    ] {
        let error = Pattern::new("X", regex, None).unwrap_err().to_string();
        assert!(
            error.contains(says) && !error.contains('\n'),
            "{regex}: {error}"
        );
    }
}

#[test]
fn a_text_that_is_cut_shows_no_part_of_a_value() {
    let text = "see kim@example.com and 010-1234-5678";
    let redactor = Redactor::default();
    for limit in 0..=text.len() {
        let start = redactor.redact_start(text, limit);
        assert!(
            !start.contains("kim") && !start.contains("010"),
            "{limit}: {start}"
        );
        assert!(
            "see <EMAIL> and <PHONE>".starts_with(&start),
            "{limit}: {start}"
        );
    }
    assert_eq!(redactor.redact_start(text, 4000), "see <EMAIL> and <PHONE>");
}
