//! Plugins: stages and providers from shared libraries, behind the same traits as those that are built in.
//!
//! A library is read from where nobody else could have put it ([`open`]), looked into ([`elf`]), loaded (`library`) and
//! believed as far as it can be checked ([`manifest`]). What it holds ([`image`], `kinds`) is mounted as foreign stages
//! ([`stage`]) and providers ([`provider`]), which call it through the C interface (`plugins/abi`) with a table that its
//! [`schema`] allows. What a plugin may call on is [`host`]; where it waits, [`token`]. This is the only `unsafe` code of
//! the gateway.
#![allow(
    unsafe_code,
    reason = "the C interface is pointers; each block says why it is sound"
)]
#![allow(
    clippy::similar_names,
    reason = "a stage has a state, and both have to be called something"
)]

pub mod elf;
pub mod host;
pub mod image;
mod kinds;
#[cfg(target_os = "linux")]
mod library;
#[cfg(not(target_os = "linux"))]
#[path = "plugin/library/elsewhere.rs"]
mod library;
pub mod manifest;
pub mod metrics;
pub mod open;
pub mod provider;
pub mod refused;
pub mod schema;
pub mod slices;
pub mod stage;
#[cfg(feature = "through-border")]
pub mod through;
pub mod token;
pub mod watch;

pub use watch::Plugin;
