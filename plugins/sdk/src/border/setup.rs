//! The making of a stage or provider.

use std::ffi::c_void;

use millgate_plugin_abi::{self as abi, Status};
use schemars::SchemaGenerator;
use serde::de::DeserializeOwned;

use super::{contain, host::table, slices::slice};
use crate::SetupError;

/// Writes the schema of a table.
///
/// # Safety
/// The output is valid for the time of the call.
pub(super) unsafe fn write_schema<C: schemars::JsonSchema>(output: *mut abi::Output) {
    let schema = SchemaGenerator::default().into_root_schema_for::<C>();
    let text = schema.as_value().to_string();
    if let Some(write) = table().write {
        // SAFETY: as the caller vouches for.
        unsafe { write(output, slice(text.as_bytes())) };
    }
}

/// Reads a table that came as JSON.
pub(crate) fn read_config<C: DeserializeOwned>(json: &[u8]) -> Result<C, SetupError> {
    let mut json = serde_json::Deserializer::from_slice(json);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().iter().filter_map(|segment| match segment {
            serde_path_to_error::Segment::Seq { index } => Some(index.to_string()),
            serde_path_to_error::Segment::Map { key } => Some(key.clone()),
            _ => None,
        });
        SetupError::at(path.collect::<Vec<_>>(), error.inner().to_string())
    })
}

/// Makes what a `create` was asked for, or tells what is wrong with its table.
///
/// # Safety
/// `setup` and `made` are valid for the time of the call.
pub(super) unsafe fn hand_over<T>(
    setup: *mut abi::Setup,
    made: *mut *mut c_void,
    create: impl FnOnce() -> Result<T, SetupError>,
) -> Status {
    let (error, status) = match contain(
        || create().map_err(|error| (error, abi::FAILED)),
        |panic| {
            let error = SetupError::at(Vec::<String>::new(), format!("panicked: {panic}"));
            Err((error, abi::PANICKED))
        },
    ) {
        Ok(it) => {
            // SAFETY: as the caller vouches for.
            unsafe { made.write(Box::into_raw(Box::new(it)).cast()) };
            return abi::NEXT;
        }
        Err(refused) => refused,
    };
    let path = serde_json::to_string(&error.path).unwrap_or_default();
    if let Some(refuse) = table().refuse {
        // SAFETY: as the caller vouches for; the texts are borrowed for the call.
        unsafe {
            refuse(
                setup,
                slice(path.as_bytes()),
                slice(error.message.as_bytes()),
            );
        }
    }
    status
}
