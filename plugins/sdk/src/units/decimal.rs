//! A decimal number with a unit behind it, read without floating point.

use super::UnitError;

/// Splits `"1.5h"` into its number and its unit, spaces around either dropped.
pub(super) fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

const TOO_LARGE: UnitError = UnitError::TooLarge("this value is too large");

/// `number` × `scale`, rounded down; digits only, with at most one point between two of them.
pub(super) fn scaled(number: &str, scale: u128) -> Result<u128, UnitError> {
    if number.starts_with('-') {
        return Err(UnitError::TooSmall("a negative value makes no sense here"));
    }
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(UnitError::Malformed),
        None => (number, ""),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(UnitError::Malformed);
    }
    let whole: u128 = whole.parse().map_err(|_| TOO_LARGE)?;
    // More than 18 digits behind the point are below anything that a unit can tell apart.
    let fraction = &fraction[..fraction.len().min(18)];
    let part: u128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().map_err(|_| TOO_LARGE)?
    };
    let part = part.checked_mul(scale).ok_or(TOO_LARGE)? / 10u128.pow(fraction.len() as u32);
    whole
        .checked_mul(scale)
        .and_then(|whole| whole.checked_add(part))
        .ok_or(TOO_LARGE)
}
