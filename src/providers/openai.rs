//! An upstream that speaks the OpenAI API itself: calls and answers pass as they are.

use millgate_plugin::{Call, Endpoint, Provider, Refusal, SetupError, UpstreamRequest};
use schemars::JsonSchema;
use serde::Deserialize;

/// An upstream with an OpenAI-compatible API. Neither bodies nor answers are rewritten.
#[derive(Debug)]
pub struct OpenAi {
    config: OpenAiConfig,
}

/// The table of an `openai` provider.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OpenAiConfig {
    /// Whether streams are asked to end with their token usage (`stream_options.include_usage`).
    /// Set it to `false` for a server that rejects that member. Default: `true`.
    pub include_usage: bool,
    /// The endpoints that the server has; a target is skipped for all others. Default: every endpoint.
    pub endpoints: Option<Vec<EndpointName>>,
}

impl Default for OpenAiConfig {
    fn default() -> Self {
        Self {
            include_usage: true,
            endpoints: None,
        }
    }
}

/// An endpoint as the config names it.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum EndpointName {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Completions,
    /// `/v1/embeddings`
    Embeddings,
    /// `/v1/responses`
    Responses,
    /// `/v1/models`
    Models,
    /// Everything that is passed on unread: audio, images, moderations …
    Forward,
}

impl EndpointName {
    const fn endpoint(self) -> Endpoint {
        match self {
            Self::Chat => Endpoint::Chat,
            Self::Completions => Endpoint::Completions,
            Self::Embeddings => Endpoint::Embeddings,
            Self::Responses => Endpoint::Responses,
            Self::Models => Endpoint::Models,
            Self::Forward => Endpoint::Forward,
        }
    }
}

impl Provider for OpenAi {
    const KIND: &'static str = "openai";
    const BASE_PATH: &'static str = "/v1";
    type Config = OpenAiConfig;
    type State = ();

    fn new(_name: &str, config: Self::Config) -> Result<Self, SetupError> {
        if config.endpoints.as_ref().is_some_and(Vec::is_empty) {
            return Err(SetupError::at(
                ["endpoints"],
                "the list is empty, so the provider would never be asked; leave it out to allow every endpoint",
            ));
        }
        Ok(Self { config })
    }

    fn serves(&self, endpoint: Endpoint) -> bool {
        let Some(endpoints) = &self.config.endpoints else {
            return true;
        };
        endpoints.iter().any(|name| name.endpoint() == endpoint)
    }

    fn include_usage(&self) -> bool {
        self.config.include_usage
    }

    fn begin(&self) -> Self::State {}

    /// The call itself: an empty method and no body mean the client's own.
    fn encode(&self, _state: &mut (), call: &Call<'_>) -> Result<UpstreamRequest, Refusal> {
        Ok(UpstreamRequest {
            path: call.path.to_owned(),
            query: call.query.map(str::to_owned),
            ..UpstreamRequest::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use millgate_plugin::{HeadFlow, UpstreamHead};

    use super::*;

    const ALL: [Endpoint; 6] = [
        Endpoint::Chat,
        Endpoint::Completions,
        Endpoint::Embeddings,
        Endpoint::Responses,
        Endpoint::Models,
        Endpoint::Forward,
    ];

    fn provider(table: &str) -> OpenAi {
        OpenAi::new("upstream", toml::from_str(table).unwrap()).unwrap()
    }

    fn call<'a>(method: &'a str, path: &'a str, query: Option<&'a str>) -> Call<'a> {
        Call {
            endpoint: Endpoint::Forward,
            method,
            path,
            query,
            model: "a model/with:odd?characters",
            stream: false,
            body: b"{}",
            request_id: "r-1",
            created: 0,
        }
    }

    #[test]
    fn a_call_passes_as_it_came() {
        let call = call("DELETE", "/files/file-1", Some("purpose=a%20b"));
        let request = provider("").encode(&mut (), &call).unwrap();
        assert_eq!(request.method, "", "the client's");
        assert_eq!(request.path, "/files/file-1");
        assert_eq!(request.query.as_deref(), Some("purpose=a%20b"));
        assert_eq!(request.headers, []);
        assert_eq!(request.body, None, "the client's");
    }

    #[test]
    fn an_answer_passes_as_it_came() {
        let head = UpstreamHead {
            status: 200,
            content_type: "text/event-stream",
        };
        assert_eq!(provider("").on_head(&mut (), &head), HeadFlow::Passthrough);
        assert_eq!(provider("").on_error(400, b"{\"error\":{}}"), None);
    }

    #[test]
    fn the_defaults_serve_everything_and_ask_for_usage() {
        let provider = provider("");
        assert!(ALL.into_iter().all(|endpoint| provider.serves(endpoint)));
        assert!(provider.include_usage());
    }

    #[test]
    fn endpoints_can_be_narrowed_by_name() {
        for endpoint in ALL {
            let provider = provider(&format!("endpoints = [\"{}\"]", endpoint.name()));
            let served: Vec<_> = ALL.into_iter().filter(|e| provider.serves(*e)).collect();
            assert_eq!(served, [endpoint]);
        }
    }

    #[test]
    fn usage_is_not_asked_of_a_server_that_rejects_it() {
        assert!(!provider("include_usage = false").include_usage());
    }

    #[test]
    fn mistakes_in_the_table_are_refused() {
        let empty = OpenAi::new("upstream", toml::from_str("endpoints = []").unwrap());
        assert_eq!(empty.unwrap_err().path, ["endpoints"]);
        assert!(toml::from_str::<OpenAiConfig>("endpoint = []").is_err());
        assert!(toml::from_str::<OpenAiConfig>("endpoints = [\"chats\"]").is_err());
    }
}
