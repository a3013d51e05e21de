//! Whom a limit counts an exchange for.

use std::{borrow::Cow, net::IpAddr};

use millgate_plugin::{Exchange, Field};

use super::config::Per;

/// A caller, a team, a model …
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Subject<'a> {
    /// What sort of name it is: a caller that is called like an address is not that address.
    pub(super) kind: &'static str,
    /// Empty where the exchange has none.
    pub(super) name: Cow<'a, str>,
}

impl<'a> Subject<'a> {
    pub(super) fn of(per: Per, exchange: &'a dyn Exchange) -> Self {
        let field = match per {
            Per::Caller if exchange.get(Field::CallerId, "").is_none() => {
                return Self::of(Per::Address, exchange);
            }
            Per::Caller => Field::CallerId,
            Per::Team => Field::CallerTeam,
            Per::Provider => Field::Provider,
            Per::Model if exchange.get(Field::TargetModel, "").is_some() => Field::TargetModel,
            Per::Model => Field::Model,
            Per::Address => Field::PeerAddress,
            Per::All => {
                return Self {
                    kind: per.name(),
                    name: Cow::Borrowed(""),
                };
            }
        };
        let name = exchange.text(field, "").unwrap_or_default();
        let name = match per {
            Per::Address => network(name),
            _ => Cow::Borrowed(name),
        };
        Self {
            kind: per.name(),
            name,
        }
    }
}

/// An address, or of IPv6 the network: whoever has one address of it has all of them.
fn network(address: &str) -> Cow<'_, str> {
    let Ok(IpAddr::V6(address)) = address.parse() else {
        return Cow::Borrowed(address);
    };
    let [a, b, c, d, ..] = address.segments();
    Cow::Owned(format!("{a:x}:{b:x}:{c:x}:{d:x}::/64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_network_are_one() {
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8::1"), "2001:db8:0:0::/64");
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1:2:3"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    }
}
