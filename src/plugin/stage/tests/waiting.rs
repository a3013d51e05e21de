//! Hooks that wait for their token, and those that should have.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
};

use super::{
    script::{Script, stage, wake},
    *,
};

fn is_ready(wait: &mut millgate_plugin::BoxFuture) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    Pin::new(wait).poll(&mut context).is_ready()
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
        request: |inside| {
            let token = inside.token();
            if inside.calls == 0 {
                return abi::NEXT;
            }
            wake(token);
            abi::WAIT
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

#[tokio::test]
async fn a_hook_that_is_woken_at_once_again_and_again_leaves_room_for_others_until_its_time_is_up()
{
    let mut staged = stage(Script {
        request: |inside| {
            wake(inside.token());
            abi::WAIT
        },
        ..Script::default()
    });
    staged.board.deadline = Some(1000);
    let mut state = staged.stage.begin();
    let busy = async {
        loop {
            let Ok(Flow::Wait(wait)) = staged.request(&mut *state) else {
                panic!("does not wait");
            };
            wait.await;
        }
    };
    // Whoever never lets go of the thread is never found to take too long.
    let let_go = tokio::time::timeout(Duration::from_millis(1), busy).await;
    assert!(let_go.is_err());

    staged.board.deadline = Some(0);
    let Ok(Flow::Wait(wait)) = staged.request(&mut *state) else {
        panic!("does not wait");
    };
    wait.await;
    assert!(matches!(
        staged.request(&mut *state),
        Ok(Flow::Reject(refusal)) if refusal.kind == RefusalKind::Timeout
    ));
}
