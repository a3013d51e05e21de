//! What a plugin may write, and with which bytes.

use super::{
    script::{Inside, Script, stage},
    *,
};
use crate::plugin::slices::NOTHING;

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

/// As long as its value: whoever frees the value too early is given its place for the name.
const NAME: &str = "x-as-long-as-its-value";
const VALUE: &[u8] = b"-as-long-as-its-name-:";

#[test]
fn what_was_found_may_be_set_again() {
    const { assert!(NAME.len() == VALUE.len()) };
    let mut staged = stage(Script {
        request: |inside| {
            let header = abi::FIELD_REPLY_HEADER;
            inside.set(header, NAME, VALUE);
            let found = inside.get_slice(header, NAME);
            let set = inside.set_slice(header, slice(NAME.as_bytes()), found);
            assert_eq!(set, abi::NEXT);
            assert_eq!(inside.get(header, NAME).unwrap(), VALUE);
            abi::REPLY
        },
        ..Script::default()
    });
    let mut state = staged.stage.begin();
    assert!(matches!(staged.request(&mut *state), Ok(Flow::Reply(_))));
}

#[test]
fn what_belongs_to_the_connection_is_not_set() {
    let mut staged = stage(Script {
        request: |inside| {
            let header = abi::FIELD_REPLY_HEADER;
            for name in ["Transfer-Encoding", "content-length", "connection"] {
                assert_eq!(inside.set(header, name, b"3"), abi::INVALID, "{name}");
                let removed = inside.set_slice(header, slice(name.as_bytes()), NOTHING);
                assert_eq!(removed, abi::NEXT, "{name}");
            }
            abi::REPLY
        },
        ..Script::default()
    });
    let mut state = staged.stage.begin();
    let Ok(Flow::Reply(reply)) = staged.request(&mut *state) else {
        panic!("no reply");
    };
    assert!(reply.headers.is_empty());
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
