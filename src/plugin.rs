//! Plugins: stages and providers from shared libraries, behind the same traits as those that are built in.
//!
//! What a library holds is mounted as a foreign
//! stage ([`stage`]) or provider ([`provider`]) that calls it through the C interface (`plugins/abi`). What a
//! plugin may call on is [`host`]; where it waits, [`token`]. This is the only `unsafe` code of the gateway.
#![allow(
    unsafe_code,
    reason = "the C interface is pointers; each block says why it is sound"
)]
#![allow(
    clippy::similar_names,
    reason = "a stage has a state, and both have to be called something"
)]

pub mod host;
pub mod metrics;
pub mod provider;
pub mod slices;
pub mod stage;
#[cfg(feature = "through-border")]
pub mod through;
pub mod token;
pub mod watch;

pub use watch::Plugin;
