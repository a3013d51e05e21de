//! Every file that the page names is served, is named only once by its content, and asks for nothing from elsewhere.

use std::collections::HashSet;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;

use super::{ASSETS, FILES, serve};

fn asked(if_none_match: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(
        header::IF_NONE_MATCH,
        HeaderValue::from_static(if_none_match),
    )])
}

#[tokio::test]
async fn a_file_comes_with_its_type_its_hash_and_the_policy() {
    let asset = serve("/assets/app.js").expect("it is there");
    let etag = asset.etag.clone();
    let response = asset.response(&HeaderMap::new());
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers();
    assert_eq!(
        headers[header::CONTENT_TYPE],
        "text/javascript; charset=utf-8"
    );
    assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
    assert_eq!(headers[header::ETAG], etag);
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let policy = headers[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .expect("text");
    assert!(policy.contains("script-src 'self'; "), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let body = response
        .into_body()
        .collect()
        .await
        .expect("whole")
        .to_bytes();
    assert_eq!(body, include_str!("app.js"));
}

#[tokio::test]
async fn what_the_browser_has_is_not_sent_again() {
    let asset = serve("/").expect("it is there");
    let etag = asset.etag.to_str().expect("text").to_owned();
    for known in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"other\", {etag}"),
        "*".into(),
    ] {
        let headers = asked(known.leak());
        let response = asset.clone().response(&headers);
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{headers:?}");
        assert_eq!(response.headers()[header::ETAG], etag.as_str());
        let body = response
            .into_body()
            .collect()
            .await
            .expect("whole")
            .to_bytes();
        assert!(body.is_empty());
    }
    let response = asset.response(&asked("\"other\""));
    assert_eq!(response.status(), StatusCode::OK);
}

#[test]
fn each_file_has_a_hash_of_its_own() {
    let tags: HashSet<_> = ASSETS.iter().map(|(_, asset)| &asset.etag).collect();
    assert_eq!(tags.len(), FILES.len());
}

#[test]
fn nothing_else_is_served() {
    for path in [
        "",
        "/index.html",
        "/assets/",
        "/assets/../page.rs",
        "/assets/app.js/",
        "/api/status",
    ] {
        assert!(serve(path).is_none(), "{path}");
    }
}

/// What stands in quotes after `before` in a text.
fn named<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.match_indices(before)
        .filter_map(|(at, _)| {
            let rest = &text[at + before.len()..];
            let quote = rest.chars().next().filter(|first| "'\"".contains(*first))?;
            rest[1..].split(quote).next()
        })
        .collect()
}

#[test]
fn every_file_that_is_named_is_served_and_none_comes_from_elsewhere() {
    let mut reached = HashSet::from(["/".to_owned()]);
    let mut waiting = vec!["/".to_owned()];
    while let Some(path) = waiting.pop() {
        let (_, kind, text) = FILES
            .iter()
            .find(|(known, ..)| *known == path)
            .expect(&path);
        let links = if *kind == super::HTML {
            [named(text, "src="), named(text, "href=")].concat()
        } else {
            named(text, " from ")
        };
        for link in links.into_iter().filter(|link| !link.starts_with('#')) {
            let link = link
                .strip_prefix("./")
                .map_or_else(|| link.to_owned(), |name| format!("/assets/{name}"));
            assert!(serve(&link).is_some(), "{path} names {link}");
            if !link.contains("uplot") && reached.insert(link.clone()) {
                waiting.push(link);
            }
        }
    }
    let unreached = FILES
        .iter()
        .filter(|(path, ..)| !path.contains("uplot") && !reached.contains(*path));
    assert_eq!(
        unreached.map(|(path, ..)| *path).collect::<Vec<_>>(),
        Vec::<&str>::new()
    );
}

#[test]
fn nothing_becomes_markup_and_no_style_or_script_stands_in_it() {
    for (path, _, text) in FILES.iter().filter(|(path, ..)| !path.contains("uplot")) {
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            " style=\"",
            " onclick=\"",
            "https://",
        ] {
            assert!(!text.contains(forbidden), "{path}: {forbidden}");
        }
    }
}
