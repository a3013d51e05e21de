//! What stages do while there is only the head of a request.

use super::{
    replaced::chat,
    script::{ACTS, Act, Journal, Run, Scripted, mounted},
    *,
};
use crate::mock::{Mock, Script};

const ALL: Hooks = Hooks(31);

fn with_head(stage: &mut Scripted) {
    stage.hooks = ALL;
}

/// `a` and `c` look at heads, and so does `b`, changed.
fn run_with(change: impl Fn(&mut Scripted), mount: impl Fn(&mut Mounted)) -> Run {
    let journal = Journal::default();
    let stages = ["a", "b", "c"].map(|name| {
        let mut stage = mounted(name, &journal, |stage| {
            with_head(stage);
            if name == "b" {
                change(stage);
            }
        });
        if name == "b" {
            mount(&mut stage);
        }
        stage
    });
    Run::new(stages.into(), journal)
}

fn run(change: impl Fn(&mut Scripted)) -> Run {
    run_with(change, |_| {})
}

#[tokio::test]
async fn heads_go_first_and_nobody_is_entered_twice() {
    let mut run = run(|_| {});
    run.head().await.unwrap();
    assert_eq!(
        run.notes(),
        [
            "a begin", "a head", "b begin", "b head", "c begin", "c head"
        ]
    );
    run.request().await.unwrap();
    assert_eq!(run.notes(), ["a request", "b request", "c request"]);
    run.response().await;
    run.notes();
    run.end(Outcome::Ok);
    assert_eq!(run.notes(), ["c end ok", "b end ok", "a end ok"]);
}

#[tokio::test]
async fn nobody_is_asked_before_who_stands_further_out_and_needs_the_body() {
    let only_request = |stage: &mut Scripted| stage.hooks = Hooks::REQUEST | Hooks::END;
    let by_model = |model: &'static str| {
        move |mounted: &mut Mounted| mounted.when.model = vec![Glob::new(model)]
    };
    for (mut run, of_b) in [
        (run(only_request), &["b begin", "b request"][..]),
        (
            run_with(|_| {}, by_model("gpt-*")),
            &["b begin", "b head", "b request"],
        ),
        (run_with(|_| {}, by_model("llama*")), &[]),
        // Whatever it wants to hear of.
        (
            run_with(|stage| stage.hooks = Hooks::NONE, by_model("*")),
            &["b begin"],
        ),
    ] {
        run.head().await.unwrap();
        assert_eq!(run.notes(), ["a begin", "a head"]);
        run.request().await.unwrap();
        let of_c = ["c begin", "c head", "c request"];
        assert_eq!(run.notes(), [&["a request"], of_b, &of_c].concat());
    }
}

#[tokio::test]
async fn who_has_nothing_to_say_on_the_way_in_holds_nobody_up() {
    let mut run = run(|stage| stage.hooks = Hooks::RESPONSE | Hooks::END);
    run.head().await.unwrap();
    assert_eq!(run.notes()[2..], ["b begin", "c begin", "c head"]);
    // It was entered, and hears of what becomes of the head.
    run.response().await;
    run.end(Outcome::Rejected);
    assert!(run.notes().contains(&"b response 200".to_owned()));
}

#[tokio::test]
async fn below_route_heads_are_shown_with_their_requests() {
    let mut run = run(|_| {});
    run.request().await.unwrap();
    assert_eq!(
        run.notes()[..6],
        [
            "a begin",
            "a head",
            "a request",
            "b begin",
            "b head",
            "b request"
        ]
    );
}

#[tokio::test]
async fn what_is_answered_or_refused_by_its_head_goes_no_further() {
    for act in [Act::Reply, Act::Reject, Act::Fail, Act::Panic] {
        let mut run = run(|stage| stage.head = act);
        let stop = run.head().await.unwrap_err();
        let is_right = match act {
            Act::Reply => matches!(stop, Stop::Reply(reply) if reply.status == 299),
            Act::Reject => matches!(stop, Stop::Reject(_)),
            _ => matches!(stop, Stop::Failed { stage, .. } if &*stage == "b"),
        };
        assert!(is_right, "{act:?}");
        run.response().await;
        run.end(Outcome::Rejected);
        assert_eq!(
            run.notes()[2..],
            [
                "b begin",
                "b head",
                "b response 200",
                "a response 200",
                "b end rejected",
                "a end rejected"
            ]
        );
    }
}

#[tokio::test]
async fn a_stage_whose_word_on_a_head_does_not_count_is_asked_on() {
    let shadow = |mounted: &mut Mounted| mounted.mode = Mode::Shadow;
    let skip = |mounted: &mut Mounted| mounted.on_error = OnError::Skip;
    for (act, mount) in [
        (Act::Reject, &shadow as &dyn Fn(&mut Mounted)),
        (Act::Fail, &skip),
        (Act::Panic, &skip),
    ] {
        let mut run = run_with(|stage| stage.head = act, mount);
        run.head().await.unwrap();
        run.request().await.unwrap();
        let notes = run.notes();
        assert_eq!(notes[3..6], ["b head", "c begin", "c head"]);
        assert_eq!(notes[6..], ["a request", "b request", "c request"]);
    }
}

#[tokio::test]
async fn a_head_may_wait_and_its_time_counts() {
    for act in [Act::Wait, Act::WaitInVain] {
        let mut run = run(|stage| {
            stage.head = act;
            stage.hooks = Hooks::REQUEST_HEAD;
        });
        run.head().await.unwrap();
        let heads = run.notes().into_iter().filter(|note| note == "b head");
        assert_eq!(heads.count(), 2, "{act:?}");
        let took: Vec<_> = run.phases.took(&run.states).collect();
        assert_eq!(*took[1].0, "b".into());
        assert!(took[1].1 > Duration::ZERO);
    }
}

#[test]
fn a_client_that_leaves_while_its_head_is_looked_at_is_told_of() {
    let mut run = run(|stage| stage.head = Act::WaitForever);
    {
        let mut waiting = pin!(run.head());
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
    }
    run.end(Outcome::ClientClosed);
    assert_eq!(
        run.notes()[2..],
        [
            "b begin",
            "b head",
            "b end client_closed",
            "a end client_closed"
        ]
    );
}

#[tokio::test]
async fn whatever_becomes_of_a_head_who_was_entered_hears_of_the_end_exactly_once() {
    for head in ACTS {
        for request in ACTS {
            let mut run = run(|stage| {
                stage.head = head;
                stage.request = request;
            });
            if run.head().await.is_ok() {
                let _ = run.request().await;
            }
            run.response().await;
            run.end(Outcome::Ok);
            run.end(Outcome::ClientClosed);
            let notes = run.notes();
            for stage in ["a", "b", "c"] {
                let count = |what: &str| {
                    let wanted = format!("{stage} {what}");
                    notes
                        .iter()
                        .filter(|note| note.starts_with(&wanted))
                        .count()
                };
                assert!(count("begin") <= 1, "{head:?} {request:?} {notes:?}");
                assert_eq!(
                    count("begin"),
                    count("end"),
                    "{head:?} {request:?} {notes:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_depends_on_the_body_is_not_known_of_a_head() {
    let upstream = Mock::with(Script::default()).await.unwrap();
    let seen = chat(
        &upstream,
        |stage| {
            with_head(stage);
            stage.tries = stage.name == "a";
        },
        true,
    )
    .await;
    assert_eq!(seen.status, 200);
    let [head, request] = seen.noted("finds").try_into().unwrap();
    assert_eq!(
        head,
        "a finds Some(\"chat\") None None None false [None, None, None] Err(ReadOnly)"
    );
    assert!(
        request.starts_with("a finds Some(\"chat\") Some(\"m\") Some(\"all\") Some("),
        "{request}"
    );
    assert!(request.ends_with("Ok(())"), "{request}");
    // What was asked of the head has left no trace.
    assert!(
        request.contains("true [Some(1), Some(1), Some("),
        "{request}"
    );
    assert!(!request.contains("Some(0)"), "{request}");
    assert_eq!(seen.access["route"], "special");
}

#[tokio::test]
async fn an_exchange_that_is_answered_by_its_head_asks_nobody() {
    let upstream = Mock::with(Script::default()).await.unwrap();
    for (act, status, outcome) in [
        (Act::Reply, 299, "ok"),
        (Act::Reject, 403, "rejected"),
        (Act::Fail, 500, "internal_error"),
    ] {
        let change = |stage: &mut Scripted| {
            with_head(stage);
            if stage.name == "a" {
                stage.head = act;
            }
        };
        let seen = chat(&upstream, change, false).await;
        assert_eq!(seen.status, status);
        assert_eq!(seen.access["outcome"], outcome);
        assert_eq!(seen.noted("begin"), ["a begin"]);
        assert_eq!(seen.noted("end"), [format!("a end {outcome}")]);
    }
    assert_eq!(upstream.counts().requests, 0);
}
