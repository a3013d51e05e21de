//! Addresses of crypto wallets.

use aws_lc_rs::digest;

use super::{
    candidate::{Candidate, score},
    kind::Kind,
    text::Text,
};

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BECH32: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// How the addresses of a chain begin that are written in bech32 (BIP 173).
const CHAINS: &[&str] = &["bc1", "tb1", "ltc1"];

/// An address that begins at `start`, as one word that ends at `end`.
pub(super) fn wallet(text: Text<'_>, start: usize, end: usize) -> Option<Candidate> {
    let word = text.slice(start, end);
    let found = |score| Some(Candidate::new(Kind::Crypto, start, end, score));
    if !text.is_closed(end) {
        return None;
    }
    match word.len() {
        42 if word.starts_with("0x")
            && word.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit()) =>
        {
            found(score::FORMED)
        }
        26..=35 if is_base58check(word) => found(score::CERTAIN),
        42..=64 if is_bech32(word) => found(score::CERTAIN),
        _ => None,
    }
}

/// Whether a wallet may begin with this byte: Bitcoin, Litecoin, Dogecoin, Tron in base58; bech32; Ethereum.
pub(super) const fn may_begin(byte: u8) -> bool {
    matches!(
        byte,
        b'0' | b'1' | b'3' | b'L' | b'M' | b'D' | b'T' | b'b' | b't' | b'l' | b'B'
    )
}

/// A version, 20 bytes and the first four of their double hash, in base58.
fn is_base58check(word: &str) -> bool {
    let Some(bytes) = base58(word) else {
        return false;
    };
    let (payload, check) = bytes.split_at(21);
    let once = digest::digest(&digest::SHA256, payload);
    let twice = digest::digest(&digest::SHA256, once.as_ref());
    twice.as_ref()[..4] == *check
}

/// 25 bytes; `None` where the word is something else or longer.
fn base58(word: &str) -> Option<[u8; 25]> {
    let mut bytes = [0_u8; 25];
    for character in word.bytes() {
        let value = BASE58.iter().position(|known| *known == character)?;
        let mut carry = value as u32;
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            return None;
        }
    }
    Some(bytes)
}

/// Whether the check digits are right by BIP 173 or, for later kinds of address, BIP 350.
fn is_bech32(word: &str) -> bool {
    let is_mixed = word.bytes().any(|byte| byte.is_ascii_lowercase())
        && word.bytes().any(|byte| byte.is_ascii_uppercase());
    let word = word.to_ascii_lowercase();
    let Some(chain) = CHAINS.iter().find(|chain| word.starts_with(**chain)) else {
        return false;
    };
    let prefix = &chain.as_bytes()[..chain.len() - 1];
    let mut check = Polynomial(1);
    for byte in prefix {
        check.take(u32::from(byte >> 5));
    }
    check.take(0);
    for byte in prefix {
        check.take(u32::from(byte & 31));
    }
    for byte in word.bytes().skip(chain.len()) {
        let Some(value) = BECH32.iter().position(|known| *known == byte) else {
            return false;
        };
        check.take(value as u32);
    }
    !is_mixed && matches!(check.0, 1 | 0x2bc8_30a3)
}

/// The checksum of bech32 under way.
struct Polynomial(u32);

impl Polynomial {
    fn take(&mut self, value: u32) {
        const GENERATORS: [u32; 5] = [
            0x3b6a_57b2,
            0x2650_8e6d,
            0x1ea1_19fa,
            0x3d42_33dd,
            0x2a14_62b3,
        ];
        let top = self.0 >> 25;
        self.0 = (self.0 & 0x01ff_ffff) << 5 ^ value;
        for (bit, generator) in GENERATORS.iter().enumerate() {
            if top >> bit & 1 == 1 {
                self.0 ^= generator;
            }
        }
    }
}
