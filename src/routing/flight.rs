//! From a route to an answer: target after target, try after try, until one commits or the chain is exhausted.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use millgate_plugin::{Outcome, Reply};
use smallvec::SmallVec;
use tokio::time::error::Elapsed;

use super::{
    attempt::{Attempt, Context, NotCommitted},
    balance::{self, TargetLoad},
    failure::Failure,
    pace::Pace,
    retry::{self, Attempts, FailureClass, Room, Step},
    route::Route,
    scanner::Witness,
    target::Target,
    upload::Upload,
};
use crate::{
    api::error::ApiError,
    pipeline::request::{ClientRequest, Vars},
};

/// What is remembered of an attempt, for the log.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Who was asked.
    pub target: Arc<Target>,
    /// When.
    pub begun: Instant,
    /// Whether it has failed or committed: until then it is under way.
    pub is_settled: bool,
    /// In which way it failed; `None` once it has committed, and while it is under way.
    pub failure: Option<FailureClass>,
    /// How long it took to get there.
    pub took: Duration,
    /// The stages below `route` that had a say in it, and how long each took; once it has committed.
    pub stages: StageTimes,
    /// When the events of its answer came, where a stream was asked for.
    pub pace: Option<Arc<Pace>>,
    /// What a trace tells of it; only where spans are made of its exchange.
    pub witness: Option<Arc<Witness>>,
}

impl Tried {
    /// An attempt that begins.
    fn begin(attempt: &Attempt, begun: Instant) -> Self {
        Self {
            target: attempt.target.clone(),
            begun,
            is_settled: false,
            failure: None,
            took: Duration::ZERO,
            stages: StageTimes::new(),
            pace: attempt.pace.clone(),
            witness: attempt.witness.clone(),
        }
    }
}

/// How long stages took over an attempt.
pub type StageTimes = SmallVec<[(Arc<str>, Duration); 2]>;

/// Where the attempts of a flight are written down as they are made, so that they are known whatever becomes of it.
pub trait Journal: Send {
    /// An attempt begins.
    fn begin(&mut self, tried: Tried);

    /// The attempt that was begun last has ended.
    fn settle(&mut self, begun: Instant, ended: Result<StageTimes, FailureClass>);
}

impl Journal for Vec<Tried> {
    fn begin(&mut self, tried: Tried) {
        self.push(tried);
    }

    fn settle(&mut self, begun: Instant, ended: Result<StageTimes, FailureClass>) {
        if let Some(last) = self.last_mut() {
            last.took = begun.elapsed();
            last.is_settled = true;
            match ended {
                Ok(stages) => last.stages = stages,
                Err(class) => last.failure = Some(class),
            }
        }
    }
}

/// How a flight ends without an answer.
#[derive(Clone, Debug)]
pub enum NoAnswer {
    /// Every target failed, or the request itself was at fault.
    Error(ApiError, Outcome),
    /// A stage below `route` answered.
    Reply(Reply),
}

impl From<Failure> for NoAnswer {
    fn from(failed: Failure) -> Self {
        let outcome = failed.outcome();
        Self::Error(failed.error, outcome)
    }
}

/// Asks the route's targets until one commits. `tried` grows as every attempt begins, so that it is known even when
/// the client leaves and this future is dropped.
pub async fn answer(
    context: &Context,
    vars: &Vars,
    tried: &mut dyn Journal,
) -> Result<Attempt, NoAnswer> {
    let route = &context.route;
    let targets = &route.targets;
    let deadline = context.deadline;
    let order = order(targets, route.strategy);
    let mut attempts = Attempts::default();
    let mut last: Option<Failure> = None;
    let mut position = 0;
    let mut is_retry = false;
    let mut something_answered = false;

    while let Some(target) = order.get(position).map(|&index| &targets[index]) {
        if target.provider.is_last_resort() && something_answered {
            // Something real is there, and failed: a rehearsed answer would hide that.
            break;
        }
        if let Some(skipped) = passed_over(target, &context.request) {
            last = Some(worse(last, skipped));
            something_answered = true;
            is_retry = false;
            position += 1;
            continue;
        }
        let begun = Instant::now();
        if !is_retry {
            target.provider.budget.deposit();
        }
        let mut attempt = Attempt::new(
            context.clone(),
            target.clone(),
            attempts.number(),
            vars.clone(),
        );
        attempt.pace = context.request.stream.then(|| Arc::new(Pace::begin(begun)));
        tried.begin(Tried::begin(&attempt, begun));
        let until = deadline.min(begun + route.attempt_timeout);
        let run = bounded(attempt.run(), until, context.request.upload.as_ref()).await;
        let failed = match run {
            Ok(Ok(())) => {
                tried.settle(begun, Ok(attempt.stages_took()));
                return Ok(attempt);
            }
            Ok(Err(NotCommitted::Reply(reply))) => {
                tried.settle(begun, Ok(attempt.stages_took()));
                attempt.end(Outcome::Ok);
                return Err(NoAnswer::Reply(reply));
            }
            Ok(Err(NotCommitted::Failed(failed))) => *failed,
            Err(_) => {
                let limit = if until == deadline {
                    "deadline"
                } else {
                    "attempt_timeout"
                };
                Failure::timeout(&target.provider.name, limit)
            }
        };
        attempt.end(failed.outcome());
        drop(attempt);
        something_answered |=
            failed.class != FailureClass::Connect && !target.provider.is_last_resort();
        tell(context, target, attempts.number(), &failed);
        tried.settle(begun, Err(failed.class));

        let now = Instant::now();
        let seen = retry::Failed {
            class: failed.class,
            retry_after: failed.retry_after,
            replayable: is_replayable(&context.request, failed.class),
        };
        let room = Room {
            now,
            left: deadline.saturating_duration_since(now),
            targets_left: order[position + 1..]
                .iter()
                .filter(|&&index| !(something_answered && targets[index].provider.is_last_resort()))
                .count(),
            random: fastrand::f64(),
        };
        let step = attempts.next(&route.retry, &seen, &target.provider.budget, &room);
        last = Some(worse(last, failed));
        match step {
            Step::Again { after } => {
                is_retry = true;
                tokio::time::sleep(after).await;
            }
            Step::NextTarget => {
                is_retry = false;
                position += 1;
            }
            Step::Stop => break,
        }
    }
    Err(no_answer(last, route))
}

/// Why a target is not even asked; `None` where it is.
fn passed_over(target: &Target, request: &ClientRequest) -> Option<Failure> {
    let provider = &target.provider;
    if !provider.codec.serves(request.endpoint) {
        return Some(Failure::unsupported(&provider.name, request.endpoint));
    }
    (!provider.takes_credential_of(request)).then(|| Failure::takes_no_credential(&provider.name))
}

/// How often it is looked whether a client that is being waited for has gone on.
const GLANCE: Duration = Duration::from_millis(100);

/// Runs an attempt until then. The clock stands still while more of an upload is waited for: how slow a client is says
/// nothing about its provider, and has a limit of its own.
async fn bounded<T>(
    attempt: impl Future<Output = T>,
    until: Instant,
    upload: Option<&Upload>,
) -> Result<T, Elapsed> {
    let mut attempt = pin!(attempt);
    let mut alarm = until;
    loop {
        let run = tokio::time::timeout_at(alarm.into(), attempt.as_mut()).await;
        let (elapsed, upload) = match (run, upload) {
            (Ok(done), _) => return Ok(done),
            (Err(elapsed), None) => return Err(elapsed),
            (Err(elapsed), Some(upload)) => (elapsed, upload),
        };
        let now = Instant::now();
        let extended = until + upload.waited();
        if extended <= now {
            return Err(elapsed);
        }
        alarm = extended.max(now + GLANCE);
    }
}

/// Whether the request can be sent once more. What may have left something behind is not: only after a failure
/// that shows that it has not.
fn is_replayable(request: &ClientRequest, class: FailureClass) -> bool {
    let is_held = !request.upload.as_ref().is_some_and(Upload::is_touched);
    is_held && (class.is_before_any_effect() || !request.leaves_something())
}

/// The log line of an attempt that failed.
fn tell(context: &Context, target: &Target, number: u32, failed: &Failure) {
    tracing::info!(
        request_id = context.request.id(),
        route = &*context.route.name,
        upstream = target.label(),
        attempt = number,
        class = %failed.class,
        detail = &*failed.detail,
        "attempt failed"
    );
}

/// The order in which targets are asked: as the strategy says, with what is only a last resort at the end.
fn order(targets: &[Arc<Target>], strategy: balance::Strategy) -> SmallVec<[usize; 8]> {
    if let [_] = targets {
        return SmallVec::from_slice(&[0]);
    }
    let loads: SmallVec<[TargetLoad; 8]> = targets
        .iter()
        .map(|target| TargetLoad {
            weight: target.weight,
            busy: target.busy.count(),
        })
        .collect();
    let mut order = balance::order(strategy, &loads, fastrand::f64);
    order.sort_by_key(|&index| targets[index].provider.is_last_resort());
    order
}

/// Of two failures the one that tells the client more: an upstream's own status before anything else that went wrong
/// with one, then that none could be reached, and last that one was skipped. Of two that tell as much, the later one.
fn worse(earlier: Option<Failure>, failed: Failure) -> Failure {
    let telling = |failed: &Failure| match failed.class {
        FailureClass::Status(_) | FailureClass::Client | FailureClass::ModelMissing => 3,
        FailureClass::Connect => 1,
        FailureClass::Unsupported => 0,
        _ => 2,
    };
    match earlier {
        Some(earlier) if telling(&earlier) > telling(&failed) => earlier,
        // Where stages refuse every target, the client may come back as soon as the first of them lets it pass.
        Some(earlier) if both_refused(&earlier, &failed) && comes_sooner(&earlier, &failed) => {
            earlier
        }
        _ => failed,
    }
}

fn both_refused(one: &Failure, other: &Failure) -> bool {
    let refused = FailureClass::Rejected;
    (one.class, other.class) == (refused, refused)
}

/// Whether `earlier` may be asked again sooner than `failed`; what names no time never may.
fn comes_sooner(earlier: &Failure, failed: &Failure) -> bool {
    let after = |failure: &Failure| failure.retry_after.unwrap_or(Duration::MAX);
    after(earlier) < after(failed)
}

fn no_answer(last: Option<Failure>, route: &Route) -> NoAnswer {
    let Some(mut failed) = last else {
        let error = ApiError::new(
            http::StatusCode::SERVICE_UNAVAILABLE,
            "no_target",
            format!(
                "The route `{}` has no target that can answer now.",
                route.name
            ),
        );
        return NoAnswer::Error(error, Outcome::UpstreamError);
    };
    // Where the route does not try again, a client's own retries multiply nothing; and what a stage refuses now, it
    // may let pass when the client comes back.
    let is_retried = route.retry.fallback_on.covers(failed.class);
    failed.error.exhausted = is_retried
        && !matches!(
            failed.class,
            FailureClass::Unsupported | FailureClass::Rejected
        );
    failed.into()
}
