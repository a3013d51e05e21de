use super::*;

fn get(path: &str) -> Result<Value, Refusal> {
    let mut collected = Collected::default();
    let mut call = call(Endpoint::Models, b"", false, "r-1");
    (call.method, call.path) = ("GET", path);
    provider("").answer(&call, &mut collected)?;
    Ok(serde_json::from_slice(&collected.emitted[0]).unwrap())
}

#[test]
fn one_model_is_listed_and_found() {
    let list = get("/models").unwrap();
    assert_eq!(list["object"], "list");
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(list["data"][0]["id"], "rehearsal");
    assert_eq!(get("/models/rehearsal").unwrap(), list["data"][0]);
    let missing = get("/models/gpt-4").unwrap_err();
    assert_eq!(missing.kind.status(), 404);
    assert_eq!(missing.code.as_deref(), Some("model_not_found"));
}
