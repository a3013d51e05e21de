mod native;
mod script;

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    task::{Context, Waker},
};

use self::script::{Inside, KIND, Script, stage, try_stage, wake};
use super::*;
use crate::plugin::{host::TABLE, slices::NOTHING};

fn error_of(flow: Result<Flow, StageError>) -> String {
    match flow {
        Err(error) => error.0,
        Ok(_) => panic!("no error"),
    }
}

fn is_ready(wait: &mut millgate_plugin::BoxFuture) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    Pin::new(wait).poll(&mut context).is_ready()
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
fn fields_take_only_what_is_good() {
    let mut staged = stage(Script {
        request: |inside| {
            let header = abi::FIELD_UPSTREAM_HEADER;
            assert_eq!(inside.set(header, "x-a", b"1\r\nx-b: 2"), abi::INVALID);
            let reply = abi::FIELD_REPLY_HEADER;
            for value in [&b"1\r\nx-b: 2"[..], b"\n", b"\0", b"\xff\xfe"] {
                assert_eq!(inside.set(reply, "x-a", value), abi::INVALID, "{value:?}");
            }
            assert_eq!(inside.set(reply, "x a", b"1"), abi::INVALID);
            assert_eq!(inside.set(reply, "", b"1"), abi::INVALID);
            for status in [&b""[..], b"99", b"600", b"ok", b"\xff"] {
                let set = inside.set(abi::FIELD_REPLY_STATUS, "", status);
                assert_eq!(set, abi::INVALID, "{status:?}");
            }
            assert_eq!(inside.set(abi::FIELD_MODEL, "", b"x"), abi::READ_ONLY);
            assert_eq!(inside.set(4711, "", b"x"), abi::READ_ONLY);
            assert_eq!(inside.set(abi::FIELD_CALLER_ID, "", b"x"), abi::UNKNOWN);
            assert_eq!(
                inside.set(abi::FIELD_CALLER_KEY, "", b"x"),
                abi::UNAVAILABLE
            );
            assert_eq!(inside.get(4711, ""), None);
            abi::NEXT
        },
        ..Script::default()
    });
    let mut state = staged.stage.begin();
    assert!(matches!(staged.request(&mut *state), Ok(Flow::Next)));
    assert!(staged.board.fields.is_empty());
}

#[test]
fn slices_that_cannot_be_are_not_read() {
    let mut staged = stage(Script {
        request: |inside| {
            let var = abi::FIELD_VAR;
            let good = slice(b"a");
            let long = abi::Slice {
                ptr: b"x".as_ptr(),
                len: usize::MAX,
            };
            let nowhere = abi::Slice {
                ptr: std::ptr::null(),
                len: 3,
            };
            assert_eq!(inside.set_slice(var, good, long), abi::INVALID);
            assert_eq!(inside.set_slice(var, good, nowhere), abi::INVALID);
            assert_eq!(inside.set_slice(var, slice(b"\xff"), good), abi::INVALID);
            assert_eq!(inside.set_slice(var, good, slice(b"1")), abi::NEXT);
            assert_eq!(inside.set_slice(var, NOTHING, slice(b"2")), abi::NEXT);
            assert_eq!(inside.set_slice(var, good, NOTHING), abi::NEXT);
            abi::NEXT
        },
        ..Script::default()
    });
    let mut state = staged.stage.begin();
    assert!(matches!(staged.request(&mut *state), Ok(Flow::Next)));
    // A null key is an empty one, and a null value removes.
    let place = (Field::Var, String::new());
    assert_eq!(staged.board.fields.len(), 1);
    assert_eq!(staged.board.fields[&place], b"2");
}

#[test]
fn nothing_is_written_while_a_visitor_reads() {
    unsafe extern "C" fn visit(user: *mut c_void, key: abi::Slice, _: abi::Slice) -> u32 {
        let exchange = user.cast::<abi::Exchange>();
        let inside = Inside {
            exchange,
            calls: 0,
            chunk: &[],
        };
        assert_eq!(
            inside.set_slice(abi::FIELD_VAR, key, NOTHING),
            abi::READ_ONLY
        );
        assert_eq!(inside.get(abi::FIELD_VAR, "a").unwrap(), b"1");
        1
    }
    let mut staged = stage(Script {
        request: |inside| {
            inside.set(abi::FIELD_VAR, "a", b"1");
            let (exchange, user) = (inside.exchange, inside.exchange.cast());
            // SAFETY: inside the hook.
            unsafe { TABLE.each.unwrap()(exchange, abi::FIELD_VAR, Some(visit), user) };
            inside.set(abi::FIELD_VAR, "a", b"2")
        },
        ..Script::default()
    });
    let mut state = staged.stage.begin();
    assert!(matches!(staged.request(&mut *state), Ok(Flow::Next)));
    assert_eq!(staged.board.fields[&(Field::Var, "a".to_owned())], b"2");
}

#[test]
fn a_state_is_freed_once_whatever_way_things_went() {
    let acts: [script::Act; 6] = [
        |_| abi::NEXT,
        |_| abi::FAILED,
        |_| abi::PANICKED,
        |_| abi::REJECT,
        |_| 99,
        |inside| {
            inside.token();
            abi::WAIT
        },
    ];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    for act in acts {
        for ends in [false, true] {
            let mut staged = stage(Script {
                request: act,
                response: act,
                chunk: act,
                end: act,
                ..Script::default()
            });
            let mut state = staged.stage.begin();
            let _ = staged.request(&mut *state);
            let _ = staged.chunk(&mut *state, "x");
            let _ = staged.response(&mut *state);
            if ends {
                staged
                    .stage
                    .on_end(&mut *state, &mut staged.board, Outcome::Ok);
            }
            let script = staged.script;
            // The stage may go before what has been entered in it.
            drop(staged);
            assert_eq!(script.counts(), (1, 0, 0));
            drop(state);
            assert_eq!(script.counts(), (1, 1, 1));
        }
    }
}

#[test]
fn a_state_that_has_panicked_is_not_used_again() {
    let mut staged = stage(Script {
        request: |_| abi::PANICKED,
        response: |_| 99,
        chunk: |_| 99,
        end: |_| 99,
        ..Script::default()
    });
    let mut state = staged.stage.begin();
    assert!(error_of(staged.request(&mut *state)).starts_with("panicked: "));
    assert!(matches!(staged.request(&mut *state), Ok(Flow::Next)));
    assert!(matches!(staged.response(&mut *state), Ok(Flow::Next)));
    assert_eq!(staged.chunk(&mut *state, "x").unwrap(), ["x"]);
    staged
        .stage
        .on_end(&mut *state, &mut staged.board, Outcome::InternalError);
    assert_eq!(staged.script.called.load(Ordering::Relaxed), 1);
}

#[test]
fn a_stage_may_have_nothing_to_remember() {
    let script = || Script {
        request: |inside| {
            assert_eq!(inside.calls, 0);
            abi::NEXT
        },
        begins_null: true,
        ..Script::default()
    };
    static STATELESS: abi::StageType = abi::StageType {
        begin: None,
        end: None,
        ..script::kind()
    };
    for kind in [&KIND, &STATELESS] {
        let mut staged = try_stage(kind, script()).unwrap();
        let mut state = staged.stage.begin();
        for _ in 0..2 {
            assert!(matches!(staged.request(&mut *state), Ok(Flow::Next)));
        }
        drop(state);
        assert_eq!(staged.script.counts().1, 0);
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

#[tokio::test]
async fn a_hook_that_waits_is_ready_once_its_token_is_woken() {
    let mut staged = stage(Script {
        request: |inside| match inside.calls {
            0 => {
                let token = inside.token();
                // There is one for each hook.
                assert_eq!(inside.token(), token);
                inside.set(abi::FIELD_VAR, "token", token.to_string().as_bytes());
                abi::WAIT
            }
            _ => abi::NEXT,
        },
        ..Script::default()
    });
    let mut state = staged.stage.begin();
    let Ok(Flow::Wait(mut wait)) = staged.request(&mut *state) else {
        panic!("does not wait");
    };
    let token = &staged.board.fields[&(Field::Var, "token".to_owned())];
    let token: u64 = std::str::from_utf8(token).unwrap().parse().unwrap();
    // Others' tokens, none, and one that was never given out.
    wake(0);
    wake(token ^ (1 << 40));
    assert!(!is_ready(&mut wait));
    wake(token);
    wake(token);
    wait.await;
    // Late, it is none any more.
    wake(token);
    assert!(matches!(staged.request(&mut *state), Ok(Flow::Next)));
    assert_eq!(staged.script.called.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_token_may_be_taken_and_not_used_and_an_exchange_may_leave_while_it_waits() {
    let mut staged = stage(Script {
        request: |inside| match inside.calls {
            0 => {
                inside.token();
                abi::NEXT
            }
            _ => {
                wake(inside.token());
                abi::WAIT
            }
        },
        ..Script::default()
    });
    let mut state = staged.stage.begin();
    assert!(matches!(staged.request(&mut *state), Ok(Flow::Next)));
    // Woken before anybody waits.
    let Ok(Flow::Wait(wait)) = staged.request(&mut *state) else {
        panic!("does not wait");
    };
    wait.await;
    let left = staged.request(&mut *state);
    drop((left, state));
    assert_eq!(staged.script.counts(), (1, 1, 0));
}

#[tokio::test]
async fn a_token_that_nobody_wakes_refuses_the_exchange_when_its_time_is_up() {
    let mut staged = stage(Script {
        request: |inside| {
            inside.token();
            abi::WAIT
        },
        ..Script::default()
    });
    staged.board.deadline = Some(20);
    let mut state = staged.stage.begin();
    let begun = tokio::time::Instant::now();
    let Ok(Flow::Wait(wait)) = staged.request(&mut *state) else {
        panic!("does not wait");
    };
    wait.await;
    assert!(begun.elapsed() >= Duration::from_millis(20));
    assert!(matches!(
        staged.request(&mut *state),
        Ok(Flow::Reject(refusal)) if refusal.kind == RefusalKind::Timeout
    ));
    assert_eq!(staged.script.called.load(Ordering::Relaxed), 1);
}

#[test]
fn a_plugin_that_keeps_panicking_is_not_called_any_more() {
    let mut staged = stage(Script {
        request: |_| abi::PANICKED,
        ..Script::default()
    });
    for _ in 0..10 {
        let mut state = staged.stage.begin();
        assert!(staged.request(&mut *state).is_err());
    }
    assert!(staged.plugin.is_off());
    let mut state = staged.stage.begin();
    let error = error_of(staged.request(&mut *state));
    assert_eq!(
        error,
        "the plugin scripted is switched off, because it kept panicking"
    );
    // An exchange is told once.
    assert!(matches!(staged.response(&mut *state), Ok(Flow::Next)));
    assert_eq!(staged.chunk(&mut *state, "x").unwrap(), ["x"]);
    drop(state);
    assert_eq!(staged.script.called.load(Ordering::Relaxed), 10);
    assert_eq!(staged.script.counts(), (10, 10, 0));
}
