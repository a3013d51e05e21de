//! Refusals across the border.

use std::borrow::Cow;

use millgate_plugin_abi as abi;

use super::slices::{NOTHING, slice};
use crate::Refusal;

/// A refusal as the other side reads it.
pub(super) fn across(refusal: &Refusal) -> abi::Refusal {
    let text = |text: &Option<Cow<'static, str>>| {
        text.as_ref().map_or(NOTHING, |text| slice(text.as_bytes()))
    };
    abi::Refusal {
        size: size_of::<abi::Refusal>() as u32,
        kind: refusal.kind as u32,
        retry_after: refusal.retry_after.map_or(0, |after| {
            u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1)
        }),
        message: slice(refusal.message.as_bytes()),
        code: text(&refusal.code),
        param: text(&refusal.param),
        error_type: text(&refusal.error_type),
    }
}
