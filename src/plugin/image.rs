//! Libraries that were loaded: each content once, and for ever.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use millgate_plugin::border::abi;

use super::{
    elf, host,
    kinds::{provider_kind, stage_kind},
    library,
    manifest::Manifest,
    open, provider,
    refused::{At, Refused},
    stage,
    watch::{self, Plugin},
};
use crate::{pipeline::registry::StageKind, providers::ProviderKind};

/// A library that was loaded. It stays so until the process ends, and with it all that it is asked for.
pub struct Image {
    /// What is counted of it.
    pub plugin: &'static Plugin,
    /// What it calls itself.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it was written with.
    pub sdk: &'static str,
    /// The minor version of the interface that it was built against.
    pub minor: u32,
    /// Where it was read from when it was loaded.
    pub path: PathBuf,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: &'static str,
    /// When it was loaded.
    pub loaded_at: SystemTime,
    /// Its kinds of stages.
    pub stages: Vec<StageKind>,
    /// Its kinds of providers.
    pub providers: Vec<ProviderKind>,
    /// The JSON Schemas of their tables: of the stages, then of the providers; `None` where a kind has none.
    pub schemas: Vec<Option<String>>,
}

/// All libraries of this process. What was loaded once is not loaded again, even if it was refused after that: its code
/// is there and cannot be taken out.
#[derive(Default)]
pub struct Images {
    known: Mutex<Vec<Known>>,
    /// Held while one is loaded, which may take for ever: who only wants to know which there are does not wait for that.
    loading: Mutex<()>,
}

struct Known {
    sha256: [u8; 32],
    image: Result<&'static Image, Refused>,
}

impl Images {
    /// The library at this [absolute](open::absolute) path, loaded unless its content was before. `pin` is the SHA-256
    /// that it must have.
    pub fn load(&self, path: &Path, pin: Option<[u8; 32]>) -> Result<&'static Image, Refused> {
        let bytes = open::read(path)?;
        let digest = sha256(&bytes);
        if let Some(pin) = pin
            && pin != digest
        {
            let message = format!(
                "the file is not the one that is pinned: its SHA-256 is {}",
                hexadecimal(&digest)
            );
            return Err(Refused {
                at: At::Pin,
                message,
                help: Some(
                    "find out who changed it; if it is as it should be, pin that".to_owned(),
                ),
            });
        }
        let _one_at_a_time = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.known().iter().find(|known| known.sha256 == digest) {
            return known.image.clone();
        }
        elf::check(&bytes)?;
        let symbol = library::load(path, &bytes)?;
        let image = start(symbol, path, &digest);
        self.known().push(Known {
            sha256: digest,
            image: image.clone(),
        });
        image
    }

    /// All that were not refused, in the order in which they were loaded.
    pub fn all(&self) -> Vec<&'static Image> {
        let known = self.known();
        known
            .iter()
            .filter_map(|known| known.image.as_ref().ok())
            .copied()
            .collect()
    }

    /// A poisoned lock only means that some thread panicked; the list is whole all the same.
    fn known(&self) -> MutexGuard<'_, Vec<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shakes hands with a library that has been loaded, from `path`.
fn start(
    symbol: *const abi::Manifest,
    path: &Path,
    digest: &[u8; 32],
) -> Result<&'static Image, Refused> {
    // SAFETY: `library::load` found it in a library that stays loaded.
    let manifest = unsafe { Manifest::read(symbol) }
        .map_err(|fault| Refused::file(fault.to_string()).help(fault.help()))?;
    let plugin = Plugin::leak(manifest.name, manifest.version);
    if let Some(init) = manifest.init {
        let _running = watch::enter_at_leisure(plugin);
        // SAFETY: the manifest has it, and the table lives for ever.
        let status = unsafe { init(&raw const host::TABLE) };
        if status != abi::NEXT {
            let message = format!("the plugin `{}` refuses to start", manifest.name);
            return Err(Refused::file(message)
                .help("`millgate plugin check FILE` runs it alone and shows what it logs"));
        }
    }
    let sha256: &'static str = hexadecimal(digest).leak();
    let stages = manifest
        .stages
        .iter()
        .map(|kind| stage_kind(plugin, sha256, kind));
    let providers = manifest
        .providers
        .iter()
        .map(|kind| provider_kind(plugin, sha256, kind));
    let stage_schemas = manifest.stages.iter();
    let stage_schemas = stage_schemas.map(|kind| stage::schema(kind.functions));
    let provider_schemas = manifest.providers.iter();
    let provider_schemas = provider_schemas.map(|kind| provider::schema(kind.functions));
    Ok(Box::leak(Box::new(Image {
        plugin,
        name: manifest.name,
        version: manifest.version,
        sdk: manifest.sdk,
        minor: manifest.minor,
        path: path.to_owned(),
        sha256,
        loaded_at: SystemTime::now(),
        stages: stages.collect::<Result<_, _>>()?,
        providers: providers.collect::<Result<_, _>>()?,
        schemas: stage_schemas.chain(provider_schemas).collect(),
    })))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut array = [0; 32];
    array.copy_from_slice(digest.as_ref());
    array
}

/// Bytes as `sha256sum` prints them.
fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0'))
        .collect()
}
