//! Keys and tokens whose makers gave them a beginning of their own.

use super::{
    candidate::{Candidate, score},
    context::{self, Words},
    kind::Kind,
    text::Text,
};

/// What the rest of a key is made of.
#[derive(Clone, Copy)]
enum Rest {
    /// Letters and digits.
    Word,
    /// The same, `_` and `-`: base64url.
    Dashed,
    /// The same, `.` and `/` as well.
    Dotted,
    /// Upper-case letters and digits.
    Upper,
}

impl Rest {
    fn holds(self, byte: u8) -> bool {
        match self {
            Self::Word => byte.is_ascii_alphanumeric(),
            Self::Dashed => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Dotted => {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/')
            }
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        }
    }
}

/// How the keys of one maker begin, what the rest is made of, and how long that is at least and at most.
type Form = (Kind, &'static str, Rest, usize, usize);

/// A key is not longer than this.
const LONG: usize = 1024;

/// The more special beginning stands before the more general.
const FORMS: &[Form] = &[
    (Kind::AnthropicApiKey, "sk-ant-", Rest::Dashed, 16, LONG),
    (Kind::OpenaiApiKey, "sk-", Rest::Dashed, 20, LONG),
    (Kind::OpenaiApiKey, "sess-", Rest::Word, 40, LONG),
    (Kind::StripeApiKey, "sk_live_", Rest::Word, 16, LONG),
    (Kind::StripeApiKey, "sk_test_", Rest::Word, 16, LONG),
    (Kind::StripeApiKey, "rk_live_", Rest::Word, 16, LONG),
    (Kind::StripeApiKey, "rk_test_", Rest::Word, 16, LONG),
    (Kind::StripeApiKey, "whsec_", Rest::Dotted, 24, LONG),
    (Kind::AwsAccessKey, "AKIA", Rest::Upper, 16, 16),
    (Kind::AwsAccessKey, "ASIA", Rest::Upper, 16, 16),
    (Kind::AwsAccessKey, "ABIA", Rest::Upper, 16, 16),
    (Kind::AwsAccessKey, "ACCA", Rest::Upper, 16, 16),
    (Kind::GithubToken, "ghp_", Rest::Word, 30, LONG),
    (Kind::GithubToken, "gho_", Rest::Word, 30, LONG),
    (Kind::GithubToken, "ghu_", Rest::Word, 30, LONG),
    (Kind::GithubToken, "ghs_", Rest::Dotted, 30, LONG),
    (Kind::GithubToken, "ghr_", Rest::Word, 30, LONG),
    (Kind::GithubToken, "github_pat_", Rest::Dashed, 22, LONG),
    (Kind::GitlabToken, "glpat-", Rest::Dashed, 20, LONG),
    (Kind::GitlabToken, "gldt-", Rest::Dashed, 20, LONG),
    (Kind::GitlabToken, "glrt-", Rest::Dashed, 20, LONG),
    (Kind::SlackToken, "xoxb-", Rest::Dashed, 10, LONG),
    (Kind::SlackToken, "xoxp-", Rest::Dashed, 10, LONG),
    (Kind::SlackToken, "xoxa-", Rest::Dashed, 10, LONG),
    (Kind::SlackToken, "xoxr-", Rest::Dashed, 10, LONG),
    (Kind::SlackToken, "xoxs-", Rest::Dashed, 10, LONG),
    (Kind::SlackToken, "xoxc-", Rest::Dashed, 10, LONG),
    (Kind::SlackToken, "xoxd-", Rest::Dashed, 10, LONG),
    (Kind::SlackToken, "xoxe-", Rest::Dashed, 10, LONG),
    (Kind::SlackToken, "xoxe.", Rest::Dashed, 10, LONG),
    (Kind::SlackToken, "xapp-", Rest::Dashed, 10, LONG),
    (Kind::SlackToken, "hooks.slack.com/", Rest::Dotted, 24, LONG),
    (Kind::GoogleApiKey, "AIza", Rest::Dashed, 35, 35),
    (Kind::GoogleApiKey, "ya29.", Rest::Dotted, 20, LONG),
    (Kind::GoogleApiKey, "GOCSPX-", Rest::Dashed, 28, 28),
    (Kind::HuggingFaceToken, "hf_", Rest::Word, 30, LONG),
    (Kind::HuggingFaceToken, "api_org_", Rest::Word, 30, LONG),
    (Kind::ApiKey, "xai-", Rest::Word, 40, LONG),
    (Kind::ApiKey, "gsk_", Rest::Word, 40, LONG),
    (Kind::ApiKey, "pplx-", Rest::Word, 40, LONG),
    (Kind::ApiKey, "nvapi-", Rest::Dashed, 40, LONG),
    (Kind::ApiKey, "r8_", Rest::Word, 37, LONG),
    (Kind::ApiKey, "tvly-", Rest::Dashed, 20, LONG),
    (Kind::ApiKey, "npm_", Rest::Word, 36, LONG),
    (Kind::ApiKey, "pypi-", Rest::Dashed, 50, LONG),
    (Kind::ApiKey, "dckr_pat_", Rest::Dashed, 20, LONG),
    (Kind::ApiKey, "dop_v1_", Rest::Word, 64, 64),
    (Kind::ApiKey, "shpat_", Rest::Word, 32, 32),
    (Kind::ApiKey, "ATATT3", Rest::Dotted, 30, LONG),
    (Kind::ApiKey, "lin_api_", Rest::Word, 30, LONG),
    (Kind::ApiKey, "figd_", Rest::Dashed, 30, LONG),
    (Kind::ApiKey, "PMAK-", Rest::Dashed, 40, LONG),
    (Kind::ApiKey, "SG.", Rest::Dotted, 60, LONG),
    (Kind::ApiKey, "sbp_", Rest::Word, 40, LONG),
    (Kind::ApiKey, "hvs.", Rest::Dashed, 24, LONG),
];

/// The first two bytes of all forms, to be done quickly with all other words.
pub(super) fn may_begin(first: u8, second: u8) -> bool {
    match first {
        b's' => matches!(second, b'k' | b'e' | b'b' | b'h'),
        b'r' => matches!(second, b'k' | b'8'),
        b'w' => second == b'h',
        b'A' => matches!(second, b'K' | b'S' | b'B' | b'C' | b'I' | b'T'),
        b'g' => matches!(second, b'h' | b'i' | b'l' | b's'),
        b'x' => matches!(second, b'o' | b'a'),
        b'h' => matches!(second, b'o' | b'f' | b'v'),
        b'y' => second == b'a',
        b'G' => second == b'O',
        b'a' => second == b'p',
        b'p' => matches!(second, b'p' | b'y'),
        b'n' => matches!(second, b'v' | b'p'),
        b't' => second == b'v',
        b'd' => matches!(second, b'c' | b'o'),
        b'l' | b'f' => second == b'i',
        b'P' => second == b'M',
        b'S' => second == b'G',
        _ => false,
    }
}

/// A key that begins at `start`.
pub(super) fn maker_key(text: Text<'_>, start: usize) -> Option<Candidate> {
    // So that no run of words with dashes is read more than once.
    if matches!(text.before(start), b'-' | b'_' | b'.') {
        return None;
    }
    FORMS.iter().find_map(|form| {
        let (kind, prefix, rest, shortest, longest) = *form;
        if !text.has(start, prefix) {
            return None;
        }
        let from = start + prefix.len();
        // Full stops and dashes at the end belong to the sentence.
        let end = text.run(from, LONG, |byte| rest.holds(byte));
        let kept = text.slice(from, end).trim_end_matches(['.', '-', '/']);
        let end = from + kept.len();
        let is_long_enough = (shortest..=longest).contains(&kept.len());
        // Words with dashes between them are no key.
        let is_random = kept.bytes().any(|byte| byte.is_ascii_digit())
            && kept.bytes().any(|byte| byte.is_ascii_alphabetic())
            || kept.len() >= 40 && !kept.contains('-');
        let is_whole = longest == LONG || text.is_closed(end);
        (is_long_enough && is_random && is_whole)
            .then(|| Candidate::new(kind, start, end, score::CERTAIN))
    })
}

const AWS: Words = &[
    "aws_secret_access_key",
    "secret_access_key",
    "secretaccesskey",
    "aws_secret_key",
    "aws_secret",
    "aws secret",
];

/// The secret half of an AWS key: 40 characters of base64 behind its name, where the word begins at `start`.
pub(super) fn aws_secret(text: Text<'_>, start: usize) -> Option<Candidate> {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+');
    let is_long = [39, 23, 15, 7]
        .iter()
        .all(|further| is_base64(text.at(start + further)));
    if !is_long || !matches!(text.before(start), b'=' | b'"' | b'\'' | b' ' | b':') {
        return None;
    }
    let end = text.run(start, 41, is_base64);
    let is_one = end - start == 40 && context::is_in(text, start.saturating_sub(40)..start, AWS);
    is_one.then(|| Candidate::new(Kind::AwsSecretKey, start, end, score::CERTAIN))
}

/// What stands behind `Bearer` or `Basic`, the word beginning at `start`.
pub(super) fn bearer(text: Text<'_>, start: usize) -> Option<Candidate> {
    let from = ["bearer ", "basic "]
        .into_iter()
        .find(|scheme| text.has_ignoring_case(start, scheme))
        .map(|scheme| start + scheme.len())?;
    let is_token = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
    };
    let end = text.run(from, 4 * LONG, is_token);
    let token = text.slice(from, end).trim_end_matches('.');
    let is_random = token
        .bytes()
        .any(|byte| byte.is_ascii_digit() || byte == b'=');
    (token.len() >= 12 && is_random)
        .then(|| Candidate::new(Kind::BearerToken, from, from + token.len(), score::FORMED))
}
