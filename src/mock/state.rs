//! What the connections of one mock share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use percent_encoding::percent_decode_str;
use tokio::sync::{Semaphore, watch};

use super::request::Log;
use super::script::Series;
use super::{Counts, Plan, Request, Script};

pub(super) struct State {
    pub(super) counts: watch::Sender<Counts>,
    /// Permits are events that may go out.
    pub(super) gate: Semaphore,
    /// Set once, to stop. Every task of the mock holds a receiver while it lives.
    pub(super) stop: watch::Sender<bool>,
    log: Mutex<Log>,
    scripts: Mutex<Scripts>,
    serial: AtomicU64,
}

/// The plan, and how often each part of it was used.
#[derive(Default)]
struct Scripts {
    plan: Plan,
    /// By where in the plan a script stands.
    served: HashMap<Place, u64>,
    /// The scripts that requests brought along, by their text.
    brought: HashMap<String, Series>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Place {
    Brought(String),
    Path(String),
    Model(String),
    Default,
}

/// Past this many, the scripts that requests brought are forgotten.
const MAX_BROUGHT: usize = 1000;

/// A script, whether the model exists, and the models to list.
type Chosen = (Script, bool, Vec<String>);

impl State {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            counts: watch::Sender::default(),
            gate: Semaphore::new(0),
            stop: watch::Sender::default(),
            log: Mutex::default(),
            scripts: Mutex::new(Scripts {
                plan,
                ..Scripts::default()
            }),
            serial: AtomicU64::new(0),
        }
    }

    pub(super) fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn scripts(&self) -> MutexGuard<'_, Scripts> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a plan in place of the present one; every list in it begins anew.
    pub(super) fn set_plan(&self, plan: Plan) {
        *self.scripts() = Scripts {
            plan,
            ..Scripts::default()
        };
    }

    /// The script that answers `request`. Fails where the request brought one that cannot be read.
    pub(super) fn script_for(
        &self,
        request: &Request,
        model: Option<&str>,
    ) -> Result<Chosen, serde_json::Error> {
        let mut scripts = self.scripts();
        let scripts = &mut *scripts;
        let plan = &scripts.plan;
        let exists = match (&plan.only, model) {
            (Some(only), Some(model)) => only.iter().any(|name| name == model),
            _ => true,
        };
        let listed = plan
            .only
            .clone()
            .unwrap_or_else(|| plan.models.keys().cloned().collect());

        let brought = brought_by(request);
        if let Some(text) = &brought
            && !scripts.brought.contains_key(text)
        {
            let script = serde_json::from_str(text)?;
            if scripts.brought.len() >= MAX_BROUGHT {
                scripts.brought.clear();
                scripts
                    .served
                    .retain(|place, _| !matches!(place, Place::Brought(_)));
            }
            scripts.brought.insert(text.clone(), Series::One(script));
        }
        let chosen = match (
            brought,
            plan.paths.get(&request.path),
            model.and_then(|name| plan.models.get_key_value(name)),
        ) {
            (Some(text), _, _) => scripts
                .brought
                .get(&text)
                .map(|series| (series, Place::Brought(text))),
            (None, Some(series), _) => Some((series, Place::Path(request.path.clone()))),
            (None, None, Some((name, series))) => Some((series, Place::Model(name.clone()))),
            (None, None, None) if request.method == "POST" => {
                plan.default.as_ref().map(|series| (series, Place::Default))
            }
            (None, None, None) => None,
        };
        let Some((series, place)) = chosen else {
            return Ok((Script::default(), exists, listed));
        };
        let served = scripts.served.entry(place).or_default();
        let script = series.at(*served).cloned().unwrap_or_default();
        *served += 1;
        let script = match script.fail_first {
            Some(first) if *served > first => script.recovered(),
            _ => script,
        };
        Ok((script, exists, listed))
    }
}

/// Returns once the mock is to stop.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the mock is gone altogether.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The text of the script that a request carries: in `x-mock`, else in the query parameter `mock`.
fn brought_by(request: &Request) -> Option<String> {
    if let Some(text) = request.header("x-mock") {
        return Some(text.to_owned());
    }
    let text = request
        .query
        .as_deref()?
        .split('&')
        .find_map(|pair| pair.strip_prefix("mock="))?;
    Some(percent_decode_str(text).decode_utf8_lossy().into_owned())
}
