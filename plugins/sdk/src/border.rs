//! A stage or provider behind the C interface: what [`export_plugin!`](crate::export_plugin) puts into a plugin.
//!
//! For each type of an author there are functions here, made by the compiler, that translate a C call into a call of the
//! trait. They catch panics, and keep what the host hands them no longer than it says.
#![expect(
    unsafe_code,
    reason = "the C interface is pointers; each block says why it is sound"
)]
#![allow(
    clippy::similar_names,
    reason = "a stage has a state, and both have to be called something"
)]

mod exchange;
mod host;
mod logs;
mod provider;
mod refusal;
pub(crate) mod setup;
mod slices;
mod stage;
#[cfg(test)]
mod tests;
mod wait;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

pub use millgate_plugin_abi as abi;

pub use host::{connect, host, init};
pub use provider::provider_type;
pub use slices::{name_of, slice};
pub use stage::stage_type;

/// What a panic said.
fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Runs `call`; a panic in it becomes what `panicked` makes of its message.
fn contain<T>(call: impl FnOnce() -> T, panicked: impl FnOnce(&str) -> T) -> T {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let answer = panicked(panic_message(&*panic));
        discard(panic);
        answer
    })
}

/// Drops what was thrown, which may be anything: also something that panics when it is dropped.
fn discard(mut panic: Box<dyn Any + Send>) {
    for _ in 0..3 {
        match catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            Ok(()) => return,
            Err(another) => panic = another,
        }
    }
    // It does so on purpose.
    std::mem::forget(panic);
}

/// Makes a library a plugin: exports the symbol that a gateway looks for.
///
/// ```standalone_crate
/// # use millgate_plugin::{Hooks, Host, SetupError, Stage};
/// # struct WordFilter;
/// # impl Stage for WordFilter {
/// #     const KIND: &'static str = "filter";
/// #     type Config = std::collections::BTreeMap<String, String>;
/// #     type State = ();
/// #     fn new(_: &str, _: Self::Config, _: &Host) -> Result<Self, SetupError> { Ok(Self) }
/// #     fn hooks(&self) -> Hooks { Hooks::NONE }
/// #     fn begin(&self) {}
/// # }
/// millgate_plugin::export_plugin! {
///     name: "word-filter",
///     stages: [WordFilter],
/// }
/// # fn main() {}
/// ```
/// The crate is of type `cdylib`. Without `name`, the plugin is called as its package is; `stages` or `providers` may be left
/// out. A kind is then `kind = "word-filter/filter"` in the config, where `filter` is the stage's `KIND`.
#[macro_export]
macro_rules! export_plugin {
    (
        $(name: $name:expr,)?
        $(stages: [$($stage:ty),* $(,)?] $(,)?)?
        $(providers: [$($provider:ty),* $(,)?] $(,)?)?
    ) => {
        const _: () = {
            use $crate::border::abi;
            static STAGES: &[&abi::StageType] =
                &[$($(&const { $crate::border::stage_type::<$stage>() }),*)?];
            static PROVIDERS: &[&abi::ProviderType] =
                &[$($(&const { $crate::border::provider_type::<$provider>() }),*)?];
            #[unsafe(no_mangle)]
            #[allow(non_upper_case_globals, unsafe_code)]
            static millgate_plugin_v1: abi::Manifest = abi::Manifest {
                magic: abi::MAGIC,
                size: size_of::<abi::Manifest>() as u32,
                minor: abi::MINOR,
                min_host_minor: 0,
                flags: if cfg!(panic = "abort") { abi::FLAG_PANIC_ABORTS } else { 0 },
                name: $crate::border::slice(
                    $crate::border::name_of(&[$($name,)? env!("CARGO_PKG_NAME")]).as_bytes(),
                ),
                version: $crate::border::slice(env!("CARGO_PKG_VERSION").as_bytes()),
                sdk: $crate::border::slice($crate::SDK.as_bytes()),
                init: Some($crate::border::init),
                stages: STAGES.as_ptr().cast(),
                stage_count: STAGES.len(),
                providers: PROVIDERS.as_ptr().cast(),
                provider_count: PROVIDERS.len(),
            };
        };
    };
}
