//! Durations, sizes and rates as an operator writes them: for the `Config` of a stage or a provider.

/// Why a text is not the unit that it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitError {
    /// It does not have the shape of one.
    Malformed,
    /// It is smaller than what makes sense.
    TooSmall(&'static str),
    /// It is larger than what makes sense or fits.
    TooLarge(&'static str),
}

impl std::fmt::Display for UnitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Malformed => "is not written like one",
            Self::TooSmall(why) | Self::TooLarge(why) => why,
        })
    }
}

impl std::error::Error for UnitError {}

/// `Deserialize`, `Serialize` and `Display`-as-text for a unit that is a number or a string in TOML.
macro_rules! unit_serde {
    ($unit:ty, $expecting:literal) => {
        impl<'de> serde::Deserialize<'de> for $unit {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl Visitor {
                    fn parsed<E: serde::de::Error>(
                        &self,
                        parsed: Result<$unit, $crate::units::UnitError>,
                        found: serde::de::Unexpected<'_>,
                    ) -> Result<$unit, E> {
                        use $crate::units::UnitError;
                        parsed.map_err(|error| match error {
                            UnitError::Malformed => E::invalid_value(found, self),
                            UnitError::TooSmall(why) | UnitError::TooLarge(why) => E::custom(why),
                        })
                    }
                }
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $unit;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$unit, E> {
                        self.parsed(text.parse(), serde::de::Unexpected::Str(text))
                    }

                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$unit, E> {
                        let found = serde::de::Unexpected::Signed(number);
                        self.parsed(<$unit>::from_number(number), found)
                    }

                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$unit, E> {
                        let found = serde::de::Unexpected::Unsigned(number);
                        self.parsed(number.to_string().parse(), found)
                    }

                    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<$unit, E> {
                        let found = serde::de::Unexpected::Float(number);
                        self.parsed(number.to_string().parse(), found)
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }

        impl serde::Serialize for $unit {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}
use unit_serde;

mod decimal;
mod duration;
mod rate;
mod size;
#[cfg(test)]
mod tests;

pub use duration::Duration;
pub use rate::{Per, Rate, whole_count};
pub use size::Size;
