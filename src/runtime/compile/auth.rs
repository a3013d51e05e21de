//! What the config says about who may call: whether everybody is asked, and before anything wants to know.

use crate::{
    callers::Callers,
    config::{
        self, Loaded, Patterns, Severity,
        stage::{Mode, OnError},
        tree::Value,
    },
    nearest::nearest,
    pipeline::{Phases, Pipeline},
    stages::auth::Auth,
};

use super::pipeline::ROUTE;

/// Kinds of stages that tell callers apart, whatever their `when` says.
const NEED_CALLER: &[&str] = &["rate_limit", "cache"];

/// A stage of the kind `auth` that stands above `route`.
pub(super) struct Asked<'a> {
    name: &'a str,
    stage: &'a config::Stage,
    /// Where in the pipeline.
    index: usize,
    require: &'a str,
    has_jwt: bool,
}

impl Asked<'_> {
    /// Whether it lets nobody by who has no key; a `when` is told of by itself.
    fn refuses(&self) -> bool {
        self.stage.mode == Mode::Enforce && self.require != "optional"
    }

    /// Whether it knows callers that the config does not.
    fn knows_others(&self) -> bool {
        self.has_jwt || self.require == "upstream"
    }
}

/// Every stage that asks who is calling, in pipeline order.
pub(super) fn asked(loaded: &Loaded) -> Vec<Asked<'_>> {
    let above = loaded
        .config
        .pipeline
        .iter()
        .take_while(|name| *name != ROUTE);
    let asked = |(index, name): (usize, &'_ String)| {
        let (name, stage) = loaded
            .config
            .stages
            .iter()
            .find(|(known, _)| known == name)?;
        let is_auth = kind_of(name, stage) == <Auth as millgate_plugin::Stage>::KIND;
        is_auth.then(|| Asked {
            name,
            stage,
            index,
            require: text(loaded, &["stages", name, "require"]).unwrap_or("key"),
            has_jwt: loaded.tree.at(&["stages", name, "jwt"]).is_some(),
        })
    };
    above.enumerate().filter_map(asked).collect()
}

/// Whether a caller who is not known is refused.
pub(super) fn is_everybody_asked(loaded: &Loaded) -> bool {
    asked(loaded).iter().any(Asked::refuses)
}

/// Tells of callers whom nobody asks, of stages that ask too late or not all, and of credentials that go nowhere.
pub(super) fn check(loaded: &Loaded, pipeline: &Pipeline, callers: &Callers) {
    let asked = asked(loaded);
    if asked.is_empty() {
        unasked(loaded);
    }
    for stage in &asked {
        gaps(loaded, stage);
    }
    if let Some(first) = asked.first() {
        order(loaded, first, &pipeline.above);
        nobody(loaded, first, callers);
        forwarding(loaded, &asked);
    }
    if !asked.iter().any(Asked::knows_others) {
        strangers(loaded, &asked, callers);
    }
}

fn unasked(loaded: &Loaded) {
    if let Some(id) = loaded.config.callers.names().next() {
        loaded.report_key(
            &["callers", id],
            Severity::Warning,
            "no stage asks callers for their keys",
            Some("add [stages.auth], and \"auth\" to `pipeline` above \"route\"".to_owned()),
        );
    }
}

/// Requests that pass by.
fn gaps(loaded: &Loaded, asked: &Asked<'_>) {
    let place = |key| ["stages", asked.name, key];
    let when = &asked.stage.when;
    if when.caller.is_some() || when.team.is_some() {
        let key = if when.caller.is_some() {
            "caller"
        } else {
            "team"
        };
        loaded.report(
            &["stages", asked.name, "when", key],
            Severity::Error,
            format!("who is calling is not known before `{}`", asked.name),
            None,
        );
    } else if *when != config::stage::When::default() {
        let bodies = if when.model.is_some() {
            ", and the bodies of all have to be read to know their models"
        } else {
            ""
        };
        loaded.report(
            &place("when"),
            Severity::Warning,
            format!(
                "requests that this does not match pass `{}` without a key{bodies}",
                asked.name
            ),
            Some("take `when` out, unless that is meant".to_owned()),
        );
    }
    if asked.stage.on_error == OnError::Skip {
        loaded.report(
            &place("on_error"),
            Severity::Warning,
            "where this stage fails, requests pass without a key",
            Some("set on_error = \"fail\"".to_owned()),
        );
    }
}

/// Stages that want to know the caller and run before it is known, or have bodies read before anybody is refused.
fn order(loaded: &Loaded, first: &Asked<'_>, above: &Phases) {
    for (index, name) in loaded.config.pipeline[..first.index].iter().enumerate() {
        let Some(stage) = loaded.config.stages.get(name) else {
            continue;
        };
        let by_when = stage.when.caller.is_some() || stage.when.team.is_some();
        let wants_caller = by_when || NEED_CALLER.contains(&kind_of(name, stage));
        let mut mounted = above.stages().iter();
        let wants_body = mounted.any(|mounted| *mounted.name == **name && mounted.needs_body());
        let what = match (wants_caller, wants_body && first.refuses()) {
            (false, false) => continue,
            (true, false) => "so knows no caller",
            (false, true) => "needs the body of a request, so that strangers' bodies are held too",
            (true, true) => {
                "so knows no caller, and needs the body of a request, so that strangers' bodies are held too"
            }
        };
        loaded.report(
            &["pipeline", &index.to_string()],
            Severity::Warning,
            format!("`{name}` runs before `{}` and {what}", first.name),
            Some(format!("write \"{}\" before \"{name}\"", first.name)),
        );
    }
}

/// Keys are asked for, and there is none.
fn nobody(loaded: &Loaded, asked: &Asked<'_>, callers: &Callers) {
    let is_closed = asked.require == "key" && !asked.has_jwt;
    if is_closed && loaded.config.callers.is_empty() && !callers.any(|_| true) {
        loaded.report_key(
            &["stages", asked.name],
            Severity::Warning,
            "there is no caller yet, so that every request is refused",
            Some("add a table [callers.NAME] with key_sha256 or key".to_owned()),
        );
    }
}

/// Clients' own keys that are to be sent on, but can't be.
fn forwarding(loaded: &Loaded, asked: &[Asked<'_>]) {
    let providers = || loaded.config.providers.iter();
    let upstream = asked.iter().find(|asked| asked.require == "upstream");
    if let Some(upstream) = upstream {
        if !providers().any(|(_, provider)| provider.forward_auth) {
            loaded.report(
                &["stages", upstream.name, "require"],
                Severity::Error,
                "no provider takes the clients' own keys",
                Some("set forward_auth = true for those that do".to_owned()),
            );
        }
        return;
    }
    for (name, _) in providers().filter(|(_, provider)| provider.forward_auth) {
        loaded.report(
            &["providers", name, "forward_auth"],
            Severity::Warning,
            format!(
                "the clients' keys are for `{}`, which passes none of them on",
                asked[0].name
            ),
            Some(format!(
                "set require = \"upstream\" in [stages.{}], or take forward_auth out",
                asked[0].name
            )),
        );
    }
}

/// Names in `when` that no caller has.
fn strangers(loaded: &Loaded, asked: &[Asked<'_>], callers: &Callers) {
    for (name, stage) in loaded.config.stages.iter() {
        let (ids, teams) = (&stage.when.caller, &stage.when.team);
        if asked.is_empty() {
            let key = if ids.is_some() { "caller" } else { "team" };
            if ids.is_some() || teams.is_some() {
                loaded.report_key(
                    &["stages", name, "when", key],
                    Severity::Warning,
                    "no stage asks who is calling, so that this never matches",
                    Some(
                        "add [stages.auth], and \"auth\" to `pipeline` above \"route\"".to_owned(),
                    ),
                );
            }
            continue;
        }
        let known: Vec<&str> = loaded.config.callers.names().collect();
        let is_known = |id: &str| callers.any(|caller| *caller.id == *id);
        unknown(loaded, (name, "caller", ids), &known, is_known);
        let tables = loaded.config.callers.iter();
        let known: Vec<&str> = tables
            .filter_map(|(_, caller)| caller.team.as_deref())
            .collect();
        let is_known = |team: &str| callers.any(|caller| caller.team.as_deref() == Some(team));
        unknown(loaded, (name, "team", teams), &known, is_known);
    }
}

fn unknown(
    loaded: &Loaded,
    (stage, what, patterns): (&str, &str, &Option<Patterns>),
    known: &[&str],
    is_known: impl Fn(&str) -> bool,
) {
    for (index, name) in patterns.iter().flat_map(Patterns::iter).enumerate() {
        if name.contains(['*', '?']) || known.contains(&name) || is_known(name) {
            continue;
        }
        loaded.report(
            &["stages", stage, "when", what, &index.to_string()],
            Severity::Warning,
            format!("there is no {what} `{name}`"),
            nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?")),
        );
    }
}

fn kind_of<'a>(name: &'a str, stage: &'a config::Stage) -> &'a str {
    stage.kind.as_deref().unwrap_or(name)
}

fn text<'a>(loaded: &'a Loaded, path: &[&str]) -> Option<&'a str> {
    match &loaded.tree.at(path)?.value {
        Value::String(text) => Some(&text.text),
        _ => None,
    }
}
