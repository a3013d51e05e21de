//! Which call a method and path mean.

use http::Method;
use millgate_plugin::Endpoint;

/// A call that the gateway knows, or why it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// Understood: its JSON is read.
    Understood(Endpoint),
    /// `GET /v1/models` or, with a name, `GET /v1/models/{name}`: answered by the gateway itself.
    Models(Option<&'a str>),
    /// Stateless: passed on to a target that speaks the OpenAI API.
    Forward,
    /// Leaves something behind at the upstream, where one key serves many callers: passed on only
    /// where a route names the path and says `shared_state = true`.
    Stateful,
    /// The path exists, with these other methods, as `Allow` lists them.
    WrongMethod(&'static str),
    /// No such path.
    Unknown,
}

/// Stateless families below `/v1` that are passed on.
const STATELESS: [&str; 7] = [
    "audio/speech",
    "audio/transcriptions",
    "audio/translations",
    "images/",
    "moderations",
    "rerank",
    "score",
];

/// Families below `/v1` that keep state at the upstream.
const STATEFUL: [&str; 15] = [
    "files",
    "uploads",
    "batches",
    "responses/",
    "conversations",
    "vector_stores",
    "assistants",
    "threads",
    "fine_tuning",
    "evals",
    "containers",
    "videos",
    "chat/completions/",
    "realtime",
    // Voices and the consents to them.
    "audio/",
];

/// The methods that are passed on. TRACE would have the upstream quote the gateway's own key (RFC 9110, 9.3.8).
const PASSED_ON: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

/// Classifies a request by its method and its path (with `/v1`, without the query).
#[must_use]
pub fn classify<'a>(method: &Method, path: &'a str) -> Call<'a> {
    let Some(rest) = path.strip_prefix("/v1/") else {
        return Call::Unknown;
    };
    if !is_plain(rest) {
        return Call::Unknown;
    }
    let understood = match rest.trim_end_matches('/') {
        "chat/completions" => Some(Endpoint::Chat),
        "completions" => Some(Endpoint::Completions),
        "embeddings" => Some(Endpoint::Embeddings),
        "responses" => Some(Endpoint::Responses),
        _ => None,
    };
    if let Some(endpoint) = understood {
        return match *method {
            Method::POST => Call::Understood(endpoint),
            // Stored chat completions are listed with GET on the same path.
            Method::GET if endpoint == Endpoint::Chat => Call::Stateful,
            _ if endpoint == Endpoint::Chat => Call::WrongMethod("GET, POST"),
            _ => Call::WrongMethod("POST"),
        };
    }
    if rest == "models" || rest.starts_with("models/") {
        let name = rest.strip_prefix("models/").filter(|name| !name.is_empty());
        return match *method {
            Method::GET => Call::Models(name),
            Method::DELETE if name.is_some() => Call::Stateful,
            _ if name.is_some() => Call::WrongMethod("GET, DELETE"),
            _ => Call::WrongMethod("GET"),
        };
    }
    let call = match () {
        () if STATELESS.iter().any(|family| in_family(rest, family)) => Call::Forward,
        () if STATEFUL.iter().any(|family| in_family(rest, family)) => Call::Stateful,
        () => return Call::Unknown,
    };
    if PASSED_ON.contains(method) {
        call
    } else {
        Call::WrongMethod("GET, HEAD, POST, PUT, PATCH, DELETE")
    }
}

/// A path with a slash behind it is the same call, and must be the same for routes and for the `when` of stages.
#[must_use]
pub fn without_last_slash(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    }
}

/// Whether a path is the family itself or lies below it.
fn in_family(path: &str, family: &str) -> bool {
    path.strip_prefix(family)
        .is_some_and(|rest| family.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}

/// Whether a path can be handed to an upstream as it is: nothing in it may lead out of the API's own tree,
/// neither plainly nor once an upstream has decoded it, be it twice. Nor may it be a path that a route or the `when` of
/// a stage names, written otherwise.
fn is_plain(path: &str) -> bool {
    let Ok(decoded) = percent_encoding::percent_decode_str(path).decode_utf8() else {
        return false;
    };
    !hides_plain_characters(path)
        && !decoded.contains(['\\', '%'])
        && decoded.ends_with('/') == path.ends_with('/')
        && !decoded.chars().any(char::is_control)
        && decoded.split('/').all(|segment| !climbs(segment))
        && !decoded.contains("//")
}

/// Whether a character is percent-encoded that never need be: such a path is equal to the one with the character itself
/// (RFC 3986, 6.2.2.2), and yet no pattern for that one matches it.
fn hides_plain_characters(path: &str) -> bool {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    path.split('%').skip(1).any(|rest| {
        let digits = rest.get(..2);
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(is_unreserved)
    })
}

/// `.` and `..`, also with the parameters that some servers drop from a segment (RFC 3986, 3.3).
fn climbs(segment: &str) -> bool {
    let name = segment.split(';').next().unwrap_or_default();
    matches!(name, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(path: &str) -> Call<'_> {
        classify(&Method::POST, path)
    }

    #[test]
    fn understood_endpoints_want_post() {
        assert_eq!(
            post("/v1/chat/completions"),
            Call::Understood(Endpoint::Chat)
        );
        assert_eq!(
            post("/v1/embeddings"),
            Call::Understood(Endpoint::Embeddings)
        );
        assert_eq!(post("/v1/responses"), Call::Understood(Endpoint::Responses));
        assert_eq!(
            classify(&Method::GET, "/v1/completions"),
            Call::WrongMethod("POST")
        );
    }

    #[test]
    fn models_are_listed_and_looked_up_by_names_with_slashes() {
        assert_eq!(classify(&Method::GET, "/v1/models"), Call::Models(None));
        assert_eq!(
            classify(&Method::GET, "/v1/models/ollama/llama3.1:8b"),
            Call::Models(Some("ollama/llama3.1:8b"))
        );
    }

    #[test]
    fn state_is_told_from_what_leaves_none() {
        assert_eq!(post("/v1/audio/speech"), Call::Forward);
        assert_eq!(post("/v1/images/generations"), Call::Forward);
        assert_eq!(post("/v1/moderations"), Call::Forward);
        assert_eq!(post("/v1/audio/voice_consents"), Call::Stateful);
        assert_eq!(post("/v1/files"), Call::Stateful);
        assert_eq!(
            classify(&Method::GET, "/v1/responses/resp_1"),
            Call::Stateful
        );
        assert_eq!(
            classify(&Method::GET, "/v1/chat/completions"),
            Call::Stateful
        );
        assert_eq!(post("/v1/filesystem"), Call::Unknown);
        assert_eq!(post("/chat/completions"), Call::Unknown);
    }

    #[test]
    fn methods_that_quote_or_tunnel_are_not_passed_on() {
        for method in ["TRACE", "CONNECT", "OPTIONS", "PURGE"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            for path in ["/v1/audio/speech", "/v1/files"] {
                let call = classify(&method, path);
                assert!(matches!(call, Call::WrongMethod(_)), "{method} {path}");
            }
        }
        assert_eq!(classify(&Method::DELETE, "/v1/files/f"), Call::Stateful);
        assert_eq!(classify(&Method::GET, "/v1/images/x"), Call::Forward);
    }

    #[test]
    fn paths_that_climb_are_unknown() {
        for path in [
            "/v1/audio/../../admin",
            "/v1/audio/%2e%2e/admin",
            "/v1/audio/%2e%2e%2fadmin",
            "/v1/audio//x",
            "/v1/audio/..%5cadmin",
            "/v1/audio/..;/admin",
            "/v1/audio/..%3bx/admin",
            "/v1/audio/a%0d%0ab",
            "/v1/audio/%252e%252e/admin",
            "/v1/audio/%c0%ae%c0%ae/admin",
        ] {
            assert_eq!(post(path), Call::Unknown, "{path}");
        }
    }

    #[test]
    fn a_path_has_one_way_to_be_written() {
        for path in [
            "/v1/images/gen%65rations",
            "/v1/images/%67enerations",
            "/v1/images/generations%2f",
            "/v1/audio/speec%68",
        ] {
            assert_eq!(post(path), Call::Unknown, "{path}");
        }
        assert_eq!(
            classify(&Method::GET, "/v1/models/a%2Fb%3A8b"),
            Call::Models(Some("a%2Fb%3A8b"))
        );
        assert_eq!(post("/v1/files/%EA%B0%80 b%20c"), Call::Stateful);
    }
}
