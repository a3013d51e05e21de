//! Chance without randomness: numbers that look random and depend on nothing but their input.

/// 64 well-mixed bits, the same for the same `purpose` and `bytes` in every version: FNV-1a, then [`mix`].
pub(super) fn hash(purpose: &str, bytes: &[u8]) -> u64 {
    // 0xff occurs in no UTF-8 text, so purpose and bytes cannot run into each other.
    let input = purpose.bytes().chain([0xff]).chain(bytes.iter().copied());
    mix(input.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}

/// The finalizer of SplitMix64: every bit of the input moves half of the output's.
pub(super) fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The numbers of SplitMix64 from a seed on.
pub(super) fn sequence(seed: u64) -> impl Iterator<Item = u64> {
    (1..).map(move |step: u64| mix(seed.wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
}

/// A number from 0 to below 1.
pub(super) fn fraction(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_spread_evenly() {
        let mut buckets = [0_u32; 10];
        for n in 0..10_000 {
            let fraction = fraction(hash("test", format!("request-{n}").as_bytes()));
            buckets[(fraction * 10.0) as usize] += 1;
        }
        assert!(
            buckets.iter().all(|n| (850..1150).contains(n)),
            "{buckets:?}"
        );
    }

    #[test]
    fn the_purpose_is_part_of_the_input() {
        assert_eq!(hash("a", b"bc"), hash("a", b"bc"));
        assert_ne!(hash("a", b"bc"), hash("ab", b"c"));
        assert_ne!(hash("cut", b"r"), hash("error", b"r"));
    }
}
