mod head;
mod replaced;
mod script;

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use millgate_plugin::RefusalKind;

use self::script::{ACTS, Act, ChunkAct, Scripted, run, run_with};
use super::*;
use crate::routing::pattern::Glob;

#[tokio::test]
async fn the_way_in_is_in_order_and_the_way_out_in_reverse() {
    let mut run = run(|_| {});
    run.request().await.unwrap();
    assert_eq!(
        run.notes(),
        [
            "a begin",
            "a request",
            "b begin",
            "b request",
            "c begin",
            "c request"
        ]
    );
    assert!(run.response().await.is_empty());
    assert_eq!(
        run.notes(),
        ["c response 200", "b response 200", "a response 200"]
    );
    assert!(run.phases.wants_chunks(&run.states));
    assert_eq!(run.chunk("x").unwrap(), ["x"]);
    assert_eq!(run.notes(), ["c chunk x", "b chunk x", "a chunk x"]);
    run.end(Outcome::Ok);
    assert_eq!(run.notes(), ["c end ok", "b end ok", "a end ok"]);
}

#[tokio::test]
async fn a_stage_that_an_exchange_is_not_for_is_never_called() {
    let for_llama = |mounted: &mut Mounted| mounted.when.model = vec![Glob::new("llama*")];
    let mut run = run_with(|_| {}, for_llama);
    run.request().await.unwrap();
    run.response().await;
    run.chunk("x").unwrap();
    run.end(Outcome::Ok);
    let notes = run.notes();
    assert!(
        notes.iter().all(|note| !note.starts_with("b ")),
        "{notes:?}"
    );
    assert_eq!(notes.len(), 10);

    let for_gpt = |mounted: &mut Mounted| mounted.when.model = vec![Glob::new("gpt-*")];
    let mut run = run_with(|_| {}, for_gpt);
    run.request().await.unwrap();
    assert!(run.notes().contains(&"b request".to_owned()));
}

#[tokio::test]
async fn hooks_that_a_stage_does_not_want_are_not_called() {
    let mut run = run(|stage| stage.hooks = Hooks::NONE);
    run.request().await.unwrap();
    run.response().await;
    run.chunk("x").unwrap();
    run.end(Outcome::Ok);
    let of_b: Vec<_> = run
        .notes()
        .into_iter()
        .filter(|note| note.starts_with("b "))
        .collect();
    assert_eq!(of_b, ["b begin"]);
}

#[tokio::test]
async fn an_answer_or_a_refusal_skips_what_comes_after_it() {
    for act in [Act::Reply, Act::Reject] {
        let mut run = run(|stage| stage.request = act);
        let stop = run.request().await.unwrap_err();
        match act {
            Act::Reply => assert!(matches!(stop, Stop::Reply(reply) if reply.status == 299)),
            _ => assert!(matches!(stop, Stop::Reject(no) if no.kind == RefusalKind::Forbidden)),
        }
        run.response().await;
        run.end(Outcome::Rejected);
        let notes = run.notes();
        assert!(
            notes.iter().all(|note| !note.starts_with("c ")),
            "{notes:?}"
        );
        assert_eq!(
            notes[4..],
            [
                "b response 200",
                "a response 200",
                "b end rejected",
                "a end rejected"
            ]
        );
    }
}

#[tokio::test]
async fn a_hook_that_waits_is_called_again() {
    let mut run = run(|stage| {
        stage.request = Act::Wait;
        stage.response = Act::WaitInVain;
    });
    run.request().await.unwrap();
    assert!(run.response().await.is_empty());
    assert_eq!(
        run.notes(),
        [
            "a begin",
            "a request",
            "b begin",
            "b request",
            "b request",
            "c begin",
            "c request",
            "c response 200",
            "b response 200",
            "b response 200",
            "a response 200",
        ]
    );
}

#[tokio::test]
async fn shadow_mode_lets_refusals_pass_and_nothing_else() {
    for act in ACTS {
        let change = |stage: &mut Scripted| {
            stage.request = act;
            stage.response = act;
        };
        let mut run = run_with(change, |mounted| mounted.mode = Mode::Shadow);
        let passes = matches!(act, Act::Next | Act::Reject | Act::Wait | Act::WaitInVain);
        assert_eq!(run.request().await.is_ok(), passes, "{act:?}");
        assert_eq!(run.response().await.is_empty(), passes, "{act:?}");
    }
}

#[tokio::test]
async fn a_failure_ends_the_exchange_unless_the_stage_is_to_be_skipped() {
    for act in [Act::Fail, Act::Panic] {
        let change = |stage: &mut Scripted| {
            stage.request = act;
            stage.response = act;
        };
        let mut run = run(change);
        let Err(Stop::Failed { stage, error }) = run.request().await else {
            panic!("{act:?} has passed");
        };
        assert_eq!(&*stage, "b");
        assert_eq!(error.0.contains("panicked: on purpose"), act == Act::Panic);

        let mut run = run_with(change, |mounted| mounted.on_error = OnError::Skip);
        run.request().await.unwrap();
        assert!(run.response().await.is_empty());
        assert!(run.notes().contains(&"a response 200".to_owned()));
    }
}

#[tokio::test]
async fn skipping_failures_never_turns_a_refusal_into_a_pass() {
    let change = |stage: &mut Scripted| stage.request = Act::Reject;
    let mut run = run_with(change, |mounted| mounted.on_error = OnError::Skip);
    assert!(matches!(run.request().await, Err(Stop::Reject(_))));
}

#[tokio::test]
async fn what_replaces_a_reply_is_the_reply_of_the_stages_further_out() {
    for (act, status) in [
        (Act::Reply, 299),
        (Act::Reject, 403),
        (Act::Fail, 500),
        (Act::Panic, 500),
    ] {
        let mut run = run(|stage| stage.response = act);
        run.request().await.unwrap();
        run.notes();
        assert_eq!(run.response().await.len(), 1, "{act:?}");
        let outermost = format!("a response {status}");
        assert_eq!(
            run.notes(),
            ["c response 200", "b response 200", &outermost]
        );
    }
}

#[tokio::test]
async fn pieces_are_kept_dropped_replaced_or_split() {
    for (act, left) in [
        (ChunkAct::Keep, &["xy"] as &[&str]),
        (ChunkAct::Drop, &[]),
        (ChunkAct::Replace("z"), &["z"]),
        (ChunkAct::Split, &["x", "y"]),
    ] {
        let mut run = run(|stage| stage.chunk = act);
        run.request().await.unwrap();
        run.notes();
        assert_eq!(run.chunk("xy").unwrap(), left, "{act:?}");
        let notes = run.notes();
        assert_eq!(notes[..2], ["c chunk xy", "b chunk xy"]);
        let seen_by_a: Vec<String> = left.iter().map(|left| format!("a chunk {left}")).collect();
        assert_eq!(notes[2..], seen_by_a, "{act:?}");
    }
}

#[tokio::test]
async fn a_failure_on_a_piece_breaks_the_reply_off_or_passes_the_piece() {
    for act in [ChunkAct::Fail, ChunkAct::Panic] {
        let mut run = run(|stage| stage.chunk = act);
        run.request().await.unwrap();
        assert!(matches!(run.chunk("x"), Err(Stop::Failed { stage, .. }) if &*stage == "b"));

        let change = |stage: &mut Scripted| stage.chunk = act;
        let mut run = run_with(change, |mounted| mounted.on_error = OnError::Skip);
        run.request().await.unwrap();
        assert_eq!(run.chunk("x").unwrap(), ["x"]);
    }
}

#[tokio::test]
async fn every_stage_that_was_entered_hears_of_the_end_exactly_once() {
    for request in ACTS {
        for response in ACTS {
            for end_panics in [false, true] {
                let mut run = run(|stage| {
                    stage.request = request;
                    stage.response = response;
                    stage.end_panics = end_panics;
                });
                let _ = run.request().await;
                run.response().await;
                let _ = run.chunk("x");
                run.end(Outcome::Ok);
                run.end(Outcome::ClientClosed);
                let notes = run.notes();
                for stage in ["a", "b", "c"] {
                    let count = |what: &str| {
                        let of_stage = format!("{stage} {what}");
                        notes
                            .iter()
                            .filter(|note| note.starts_with(&of_stage))
                            .count()
                    };
                    assert_eq!(
                        count("begin"),
                        count("end"),
                        "{request:?} {response:?} {notes:?}"
                    );
                }
                assert!(!notes.iter().any(|note| note.ends_with("client_closed")));
            }
        }
    }
}

#[test]
fn an_exchange_that_is_dropped_while_a_stage_waits_still_ends() {
    let mut run = run(|stage| stage.request = Act::WaitForever);
    {
        let mut waiting = pin!(run.request());
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(waiting.as_mut().poll(&mut context), Poll::Pending));
    }
    run.end(Outcome::ClientClosed);
    assert_eq!(
        run.notes(),
        [
            "a begin",
            "a request",
            "b begin",
            "b request",
            "b end client_closed",
            "a end client_closed"
        ]
    );
}

#[tokio::test]
async fn pieces_are_looked_at_only_where_a_stage_that_was_entered_wants_them() {
    let nobody = |stage: &mut Scripted| stage.hooks = Hooks::REQUEST;
    let mut quiet = run(nobody);
    quiet.request().await.unwrap();
    assert!(
        quiet.phases.wants_chunks(&quiet.states),
        "a and c want them"
    );

    let mut refused = run(|stage| stage.request = Act::Reject);
    assert!(
        !refused.phases.wants_chunks(&refused.states),
        "nobody was entered yet"
    );
    let _ = refused.request().await;
    assert!(refused.phases.wants_chunks(&refused.states));
    refused.end(Outcome::Rejected);
    assert!(!refused.phases.wants_chunks(&refused.states));
}
