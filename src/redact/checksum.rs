//! Check digits. All of them take ASCII digits (and letters, where the number has some) without separators.

/// The values of the digits; other characters are passed over.
pub(super) fn digits(text: &str) -> impl DoubleEndedIterator<Item = u32> + '_ {
    text.bytes()
        .filter(u8::is_ascii_digit)
        .map(|byte| u32::from(byte - b'0'))
}

/// Whether the last digit is right by Luhn (ISO/IEC 7812-1, annex B).
pub(super) fn luhn(text: &str) -> bool {
    let sum: u32 = digits(text)
        .rev()
        .enumerate()
        .map(|(index, digit)| match (index % 2, digit * 2) {
            (0, _) => digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    sum.is_multiple_of(10) && digits(text).any(|digit| digit != 0)
}

/// Whether the check digits are right by ISO 7064 mod 97-10, as an IBAN has them (ISO 13616).
pub(super) fn mod97(text: &str) -> bool {
    let characters: Vec<u8> = text.bytes().filter(u8::is_ascii_alphanumeric).collect();
    if characters.len() < 5 {
        return false;
    }
    let (head, rest) = characters.split_at(4);
    let remainder = rest.iter().chain(head).fold(0_u32, |remainder, byte| {
        let value = match byte {
            b'0'..=b'9' => u32::from(byte - b'0'),
            letter => u32::from(letter.to_ascii_uppercase() - b'A') + 10,
        };
        let shifted = remainder * if value < 10 { 10 } else { 100 };
        (shifted + value) % 97
    });
    remainder == 1
}

/// The sum of the digits, each times its weight.
fn weighted(text: &str, weights: &[u32]) -> u32 {
    digits(text)
        .zip(weights)
        .map(|(digit, weight)| digit * weight)
        .sum()
}

const REGISTRATION: &[u32] = &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5];

/// Whether the last of the 13 digits of a Korean resident registration number is right. Numbers given out since
/// October 2020 have none.
pub(super) fn rrn(text: &str) -> bool {
    let check = (11 - weighted(text, REGISTRATION) % 11) % 10;
    digits(text).count() == 13 && digits(text).next_back() == Some(check)
}

/// The same for a Korean alien registration number.
pub(super) fn frn(text: &str) -> bool {
    let check = (13 - weighted(text, REGISTRATION) % 11) % 10;
    digits(text).count() == 13 && digits(text).next_back() == Some(check)
}

/// Whether the last of the 10 digits of a Korean business registration number is right.
pub(super) fn brn(text: &str) -> bool {
    let sum = weighted(text, &[1, 3, 7, 1, 3, 7, 1, 3, 5]);
    let ninth = digits(text).nth(8).unwrap_or(0);
    let check = (10 - (sum + ninth * 5 / 10) % 10) % 10;
    digits(text).count() == 10 && digits(text).next_back() == Some(check)
}
