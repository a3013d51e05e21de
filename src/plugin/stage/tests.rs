mod fields;
mod native;
mod script;
mod states;
mod waiting;

use self::script::{KIND, Script, stage, try_stage};
use millgate_plugin::Field;

use super::*;
use crate::plugin::host::TABLE;

fn error_of(flow: Result<Flow, StageError>) -> String {
    match flow {
        Err(error) => error.0,
        Ok(_) => panic!("no error"),
    }
}

#[test]
fn a_reply_of_its_own_has_what_was_set_and_emitted() {
    let mut staged = stage(Script {
        request: |inside| {
            let header = abi::FIELD_REPLY_HEADER;
            // Headers may come before the status: there is no other reply yet.
            assert_eq!(inside.set(header, "X-Made-By", b"a script"), abi::NEXT);
            assert_eq!(inside.set(abi::FIELD_REPLY_STATUS, "", b"418"), abi::NEXT);
            assert_eq!(inside.set(header, "content-type", b"text/plain"), abi::NEXT);
            assert_eq!(inside.get(header, "x-made-by").unwrap(), b"a script");
            inside.emit(b"short ");
            inside.emit(b"and stout");
            abi::REPLY
        },
        ..Script::default()
    });
    let mut state = staged.stage.begin();
    let Ok(Flow::Reply(reply)) = staged.request(&mut *state) else {
        panic!("no reply");
    };
    assert_eq!(reply.status, 418);
    assert_eq!(reply.body, "short and stout");
    let headers: Vec<_> = reply
        .headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(
        headers,
        [("x-made-by", "a script"), ("content-type", "text/plain")]
    );
    assert!(staged.board.fields.is_empty());
}

#[test]
fn on_the_way_out_headers_are_those_of_the_reply_that_is_there() {
    let mut staged = stage(Script {
        response: |inside| inside.set(abi::FIELD_REPLY_HEADER, "x-seen", b"1"),
        ..Script::default()
    });
    let mut state = staged.stage.begin();
    assert!(matches!(staged.response(&mut *state), Ok(Flow::Next)));
    let seen = (Field::ReplyHeader, "x-seen".to_owned());
    assert_eq!(staged.board.fields[&seen], b"1");
}

#[test]
fn a_refusal_comes_with_all_that_was_said() {
    let mut staged = stage(Script {
        request: |inside| {
            inside.reject(abi::REFUSAL_UNPROCESSABLE, "Mind your words.");
            abi::REJECT
        },
        response: |inside| {
            inside.reject(4711, "");
            abi::REJECT
        },
        ..Script::default()
    });
    let mut state = staged.stage.begin();
    let Ok(Flow::Reject(refusal)) = staged.request(&mut *state) else {
        panic!("no refusal");
    };
    let expected = Refusal::new(RefusalKind::Unprocessable, "Mind your words.")
        .code("too_rude")
        .retry_after(Duration::from_millis(1500));
    assert_eq!(refusal, expected);
    let Ok(Flow::Reject(refusal)) = staged.response(&mut *state) else {
        panic!("no refusal");
    };
    assert_eq!(refusal.kind, RefusalKind::Internal);
    assert_eq!(refusal.message, "The request was refused.");
    assert_eq!(staged.plugin.failures.load(Ordering::Relaxed), 0);
}

#[test]
fn a_refusal_without_words_is_one_nevertheless() {
    let mut staged = stage(Script {
        request: |_| abi::REJECT,
        ..Script::default()
    });
    let mut state = staged.stage.begin();
    assert!(matches!(
        staged.request(&mut *state),
        Ok(Flow::Reject(refusal)) if refusal.kind == RefusalKind::Internal
    ));
    assert_eq!(staged.plugin.failures.load(Ordering::Relaxed), 1);
}

#[test]
fn what_the_interface_does_not_allow_is_an_error_in_words() {
    let acts: [(script::Act, &str); 12] = [
        (
            |_| 4711,
            "on_request came back with status 4711, which means nothing there",
        ),
        (
            |_| abi::REPLACE,
            "on_request came back with status 4, which means nothing there",
        ),
        (
            |_| abi::GONE,
            "on_request came back with status 10, which means nothing there",
        ),
        (
            |_| abi::REPLY,
            "on_request came back with REPLY, but set and emitted nothing",
        ),
        (
            |_| abi::WAIT,
            "on_request came back with WAIT, but took no token",
        ),
        (|_| abi::FAILED, "on_request failed and did not say why"),
        (
            |inside| {
                inside.fail("no ink");
                abi::FAILED
            },
            "no ink",
        ),
        (
            |inside| {
                inside.fail("no ink");
                abi::NEXT
            },
            "on_request said why it failed, but came back with status 0",
        ),
        (
            |inside| {
                inside.emit(b"x");
                abi::NEXT
            },
            "on_request emitted something, but came back with status 0",
        ),
        (
            |inside| {
                inside.set(abi::FIELD_REPLY_STATUS, "", b"200");
                abi::NEXT
            },
            "on_request began a reply, but came back with status 0",
        ),
        (
            |inside| {
                inside.reject(abi::REFUSAL_FORBIDDEN, "no");
                abi::NEXT
            },
            "on_request said how it refuses, but came back with status 0",
        ),
        (
            |inside| {
                inside.fail("out of ink");
                abi::PANICKED
            },
            "panicked: out of ink",
        ),
    ];
    for (act, expected) in acts {
        let mut staged = stage(Script {
            request: act,
            ..Script::default()
        });
        let mut state = staged.stage.begin();
        assert_eq!(error_of(staged.request(&mut *state)), expected);
        drop(state);
        assert_eq!(staged.script.counts(), (1, 1, 0), "{expected}");
        let counted = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!(
            counted(&staged.plugin.failures) + counted(&staged.plugin.panics),
            1,
            "{expected}"
        );
    }
}

#[test]
fn a_piece_is_kept_replaced_split_or_dropped() {
    let acts: [(script::Act, &[&str]); 5] = [
        (|_| abi::NEXT, &["ab"]),
        (|_| abi::DROP, &[]),
        (|_| abi::REPLACE, &[]),
        (
            |inside| {
                inside.emit(&inside.chunk.to_ascii_uppercase());
                abi::REPLACE
            },
            &["AB"],
        ),
        (
            |inside| {
                inside.chunk.chunks(1).for_each(|byte| inside.emit(byte));
                abi::REPLACE
            },
            &["a", "b"],
        ),
    ];
    for (act, expected) in acts {
        let mut staged = stage(Script {
            chunk: act,
            ..Script::default()
        });
        let mut state = staged.stage.begin();
        for _ in 0..2 {
            assert_eq!(staged.chunk(&mut *state, "ab").unwrap(), expected);
        }
    }
}

#[test]
fn what_a_chunk_hook_may_not_do_is_an_error_in_words() {
    let acts: [(script::Act, &str); 5] = [
        (
            |inside| {
                inside.emit(b"x");
                abi::NEXT
            },
            "on_chunk emitted something, but came back with status 0",
        ),
        (
            |inside| {
                inside.emit(b"x");
                abi::DROP
            },
            "on_chunk emitted something, but came back with status 5",
        ),
        (
            |_| abi::WAIT,
            "on_chunk came back with status 3, which means nothing there",
        ),
        (
            |_| abi::REPLY,
            "on_chunk came back with status 1, which means nothing there",
        ),
        (
            |inside| {
                assert_eq!(inside.token(), 0);
                assert_eq!(
                    inside.set(abi::FIELD_REPLY_STATUS, "", b"200"),
                    abi::READ_ONLY
                );
                abi::FAILED
            },
            "on_chunk failed and did not say why",
        ),
    ];
    for (act, expected) in acts {
        let mut staged = stage(Script {
            chunk: act,
            ..Script::default()
        });
        let mut state = staged.stage.begin();
        assert_eq!(staged.chunk(&mut *state, "ab").unwrap_err().0, expected);
    }
}

#[test]
fn hooks_that_are_not_there_are_passed_over() {
    static BARE: abi::StageType = abi::StageType {
        place: None,
        adopt: None,
        begin: None,
        on_request: None,
        on_response: None,
        on_chunk: None,
        on_end: None,
        end: None,
        ..script::kind()
    };
    let mut staged = try_stage(&BARE, Script::default()).unwrap();
    assert_eq!(staged.stage.hooks(), Hooks(31));
    let mut state = staged.stage.begin();
    assert!(matches!(staged.request(&mut *state), Ok(Flow::Next)));
    assert!(matches!(staged.response(&mut *state), Ok(Flow::Next)));
    assert_eq!(staged.chunk(&mut *state, "x").unwrap(), ["x"]);
    staged
        .stage
        .on_end(&mut *state, &mut staged.board, Outcome::Ok);
    assert_eq!(staged.script.called.load(Ordering::Relaxed), 0);
}

#[test]
fn what_cannot_be_made_is_told_with_its_reason() {
    fn refuse(setup: *mut abi::Setup) -> abi::Status {
        let (path, message) = (slice(br#"["words","3"]"#), slice(b"is no word"));
        // SAFETY: inside `create`.
        unsafe { TABLE.refuse.unwrap()(setup, path, message) };
        abi::FAILED
    }
    let made = |create| {
        try_stage(
            &KIND,
            Script {
                create,
                ..Script::default()
            },
        )
        .map(|_| ())
        .unwrap_err()
    };
    assert_eq!(made(refuse), SetupError::at(["words", "3"], "is no word"));
    assert!(made(|_| abi::FAILED).message.contains("did not say why"));
    assert!(made(|_| abi::PANICKED).message.contains("did not say why"));
    assert!(made(|_| 77).message.contains("status 77"));
    let odd = try_stage(
        &KIND,
        Script {
            place: 9,
            ..Script::default()
        },
    );
    assert!(odd.is_err_and(|error| error.message.contains("place 9")));
}

#[test]
fn only_stages_of_the_same_kind_and_image_take_over_from_each_other() {
    static OTHER_IMAGE: abi::StageType = script::kind();
    let old = stage(Script::default());
    let other = try_stage(&OTHER_IMAGE, Script::default()).unwrap();
    let new = stage(Script::default());
    other.stage.adopt(&old.stage);
    assert_eq!(other.script.adopted.load(Ordering::Relaxed), 0);
    new.stage.adopt(&old.stage);
    assert_eq!(new.script.adopted.load(Ordering::Relaxed), 1);
}
