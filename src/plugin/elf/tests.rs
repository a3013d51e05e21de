use proptest::prelude::*;

use super::*;

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

const SIZE: u64 = size_of::<abi::Manifest>() as u64;

/// Where the pieces of [`library`] stand.
const SEGMENT: usize = 64;
const SECTIONS: usize = 120;
const SYMBOLS: usize = 248;
const NAMES: usize = 296;

/// A library with nothing in it but what is looked at: a segment, and one symbol of this name.
fn library(symbol: &str) -> Vec<u8> {
    let names = format!("\0{symbol}\0");
    let mut bytes = vec![0; NAMES + names.len()];
    let len = bytes.len() as u64;
    let machine = MACHINES
        .iter()
        .find(|(_, name)| *name == std::env::consts::ARCH);
    put(&mut bytes, 0, b"\x7fELF\x02\x01\x01");
    put(&mut bytes, 16, &SHARED_OBJECT.to_le_bytes());
    put(
        &mut bytes,
        18,
        &machine.map_or(0, |(number, _)| *number).to_le_bytes(),
    );
    put(&mut bytes, 32, &(SEGMENT as u64).to_le_bytes());
    put(&mut bytes, 40, &(SECTIONS as u64).to_le_bytes());
    for (at, value) in [(54, 56_u16), (56, 1), (58, 64), (60, 2)] {
        put(&mut bytes, at, &value.to_le_bytes());
    }
    put(&mut bytes, SEGMENT, &SEGMENT_LOAD.to_le_bytes());
    put(&mut bytes, SEGMENT + 32, &len.to_le_bytes());
    put(&mut bytes, SEGMENT + 40, &0x1000_u64.to_le_bytes());
    let (symbols, texts) = (SECTIONS, SECTIONS + 64);
    put(
        &mut bytes,
        symbols + 4,
        &SECTION_DYNAMIC_SYMBOLS.to_le_bytes(),
    );
    put(&mut bytes, symbols + 24, &(SYMBOLS as u64).to_le_bytes());
    put(&mut bytes, symbols + 32, &48_u64.to_le_bytes());
    put(&mut bytes, symbols + 40, &1_u32.to_le_bytes());
    put(&mut bytes, texts + 24, &(NAMES as u64).to_le_bytes());
    put(&mut bytes, texts + 32, &(names.len() as u64).to_le_bytes());
    let symbol = SYMBOLS + 24;
    put(&mut bytes, symbol, &1_u32.to_le_bytes());
    put(&mut bytes, symbol + 4, &[0x10 | SYMBOL_OBJECT, 0, 1, 0]);
    put(&mut bytes, symbol + 8, &0x100_u64.to_le_bytes());
    put(&mut bytes, symbol + 16, &SIZE.to_le_bytes());
    put(&mut bytes, NAMES, names.as_bytes());
    bytes
}

fn told(bytes: &[u8]) -> String {
    check(bytes).unwrap_err().message
}

#[test]
fn a_plugin_passes() {
    assert_eq!(check(&library("millgate_plugin_v1")), Ok(()));
}

#[test]
fn a_symbol_that_is_none_of_it() {
    assert!(told(&library("millgate_plugin_v")).contains("speaks version "));
    assert!(told(&library("millgate_plugin_v10")).contains("speaks version 10 "));
    assert!(told(&library("millgate_plugi")).contains("does not export"));
    let mut undefined = library("millgate_plugin_v1");
    put(&mut undefined, SYMBOLS + 24 + 6, &[0, 0]);
    assert!(told(&undefined).contains("does not export"));
}

#[test]
fn a_symbol_that_can_be_no_manifest() {
    let with = |at: usize, value: &[u8]| {
        let mut bytes = library("millgate_plugin_v1");
        put(&mut bytes, SYMBOLS + 24 + at, value);
        told(&bytes)
    };
    assert!(with(4, &[0x10 | SYMBOL_FUNCTION]).contains("is a function"));
    assert!(with(4, &[0x16]).contains("is something else"));
    assert!(with(16, &(SIZE - 1).to_le_bytes()).contains("too few"));
    for address in [0x1000, 0x1001 - SIZE, u64::MAX, u64::MAX - SIZE] {
        assert!(
            with(8, &address.to_le_bytes()).contains("damaged"),
            "{address:x}"
        );
    }
}

/// What the loader would read beyond the end of the file ends the process (SIGBUS).
#[test]
fn a_segment_that_is_not_all_there() {
    for (at, value) in [(8, 1), (32, 4096), (32, u64::MAX), (8, u64::MAX)] {
        let mut bytes = library("millgate_plugin_v1");
        put(&mut bytes, SEGMENT + at, &u64::to_le_bytes(value));
        assert!(told(&bytes).contains("damaged"), "{at} {value}");
    }
}

proptest! {
    #[test]
    fn a_file_that_was_cut_short_is_refused(length in 0..NAMES) {
        prop_assert!(check(&library("millgate_plugin_v1")[..length]).is_err());
    }

    #[test]
    fn no_number_in_a_file_makes_it_panic(changes in prop::collection::vec((0..NAMES + 20, any::<u8>()), 1..8)) {
        let mut bytes = library("millgate_plugin_v1");
        for (at, value) in changes {
            bytes[at] = value;
        }
        let _ = check(&bytes);
    }
}
