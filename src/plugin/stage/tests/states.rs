//! What is remembered of an exchange: made, used and freed.

use super::{
    script::{KIND, Script, stage, try_stage},
    *,
};

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
    static STATELESS: abi::StageType = abi::StageType {
        begin: None,
        end: None,
        ..script::kind()
    };
    let script = || Script {
        request: |inside| {
            assert_eq!(inside.calls, 0);
            abi::NEXT
        },
        begins_null: true,
        ..Script::default()
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
