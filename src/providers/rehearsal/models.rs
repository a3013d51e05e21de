//! `GET /v1/models`, and one of them.

use millgate_plugin::{Call, Refusal, RefusalKind};
use serde_json::{Value, json};

use super::script::Script;

/// The one model there is. Any other name is answered as well, but not listed.
const MODEL: &str = "rehearsal";

pub(super) fn script(call: &Call<'_>) -> Result<Script, Refusal> {
    match call.path.strip_prefix("/models/") {
        None | Some("") => Ok(Script::document(
            &json!({"object": "list", "data": [model()]}),
        )),
        Some(MODEL) => Ok(Script::document(&model())),
        Some(_) => Err(Refusal::new(
            RefusalKind::NotFound,
            "the rehearsal provider lists one model, `rehearsal`",
        )
        .code("model_not_found")
        .param("model")),
    }
}

/// `created` is fixed: the model has no birthday, and clients may compare lists.
fn model() -> Value {
    json!({"id": MODEL, "object": "model", "created": 0, "owned_by": "millgate"})
}
