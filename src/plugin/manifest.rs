//! What a library says that it is, read with suspicion before any of its functions is called.

use std::mem::offset_of;

use millgate_plugin::border::abi;

use super::slices::{sized, text};

/// What a plugin holds. Everything in it lives as long as the library, which is for ever.
pub struct Manifest {
    /// What it calls itself.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it was written with.
    pub sdk: &'static str,
    /// The minor version of the interface that it was built against.
    pub minor: u32,
    /// Called before anything else.
    pub init: Option<unsafe extern "C" fn(*const abi::Host) -> abi::Status>,
    /// Its kinds of stages.
    pub stages: Vec<Kind<abi::StageType>>,
    /// Its kinds of providers.
    pub providers: Vec<Kind<abi::ProviderType>>,
}

/// A kind of stage or provider.
pub struct Kind<T: 'static> {
    /// What `kind = "PLUGIN/NAME"` ends with.
    pub name: &'static str,
    /// Its functions.
    pub functions: &'static T,
}

/// Why a library is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPlugin {
    /// The first bytes of the symbol are others.
    #[error("`millgate_plugin_v1` is no manifest: it does not begin with MILLGATE")]
    Magic,
    /// The manifest ends before what every version has.
    #[error("the plugin's manifest has {0} bytes, too few for version 1")]
    Short(u32),
    /// It needs a newer gateway.
    #[error(
        "the plugin needs version 1.{0} of the plugin interface, and this gateway has 1.{minor}",
        minor = abi::MINOR
    )]
    Newer(u32),
    /// A panic in it would end the process.
    #[error("the plugin was built with panic = \"abort\": a panic in it would end the gateway")]
    Aborts,
    /// It holds nothing.
    #[error("the plugin has neither stages nor providers")]
    Empty,
    /// Something that must be there is not.
    #[error("the plugin is not complete: {0} is missing")]
    Missing(String),
    /// A kind's struct ends before what every version has.
    #[error("number {1} of the plugin's {0} has {2} bytes, too few for version 1")]
    ShortKind(&'static str, usize, u32),
    /// A text that is none.
    #[error("{0} is not UTF-8")]
    NotText(&'static str),
    /// A name that cannot be one.
    #[error(
        "the plugin uses {0:?} as a name, which none can be: letters, digits, `-` and `_` make one"
    )]
    BadName(String),
    /// A name that stands for two things.
    #[error("the plugin has two {0} named `{1}`")]
    Twice(&'static str, String),
}

impl NotAPlugin {
    /// What to do about it.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Newer(_) => "use a newer gateway, or an older build of the plugin",
            Self::Aborts => "build it with panic = \"unwind\" in its profile, which is the default",
            _ => {
                "tell the plugin's author; `millgate plugin check FILE` shows what is wrong with it"
            }
        }
    }
}

/// More kinds than any plugin has: a count beyond it is garbage.
const MOST_KINDS: usize = 1024;

impl Manifest {
    /// Reads the manifest behind a library's symbol.
    ///
    /// # Safety
    /// `symbol` is the address of `millgate_plugin_v1` in a library that stays loaded for ever. Beyond that
    /// it is believed only as far as it can be checked; a pointer in it that points to nothing cannot.
    pub unsafe fn read(symbol: *const abi::Manifest) -> Result<Self, NotAPlugin> {
        // SAFETY: whatever the symbol is, it is data of its own; the first 16 bytes are read before the rest is believed in.
        let (magic, size) = unsafe {
            (
                (&raw const (*symbol).magic).read_unaligned(),
                (&raw const (*symbol).size).read_unaligned(),
            )
        };
        if magic != abi::MAGIC {
            return Err(NotAPlugin::Magic);
        }
        // What version 1.0 had.
        if (size as usize) < size_of::<abi::Manifest>() {
            return Err(NotAPlugin::Short(size));
        }
        // SAFETY: it says that it is a manifest, and how long.
        let manifest = unsafe { sized(symbol, size) };
        if manifest.min_host_minor > abi::MINOR {
            return Err(NotAPlugin::Newer(manifest.min_host_minor));
        }
        if manifest.flags & abi::FLAG_PANIC_ABORTS != 0 {
            return Err(NotAPlugin::Aborts);
        }
        // SAFETY: texts of a library that stays loaded.
        let (name, version, sdk) = unsafe {
            (
                text(manifest.name).ok_or(NotAPlugin::NotText("the plugin's name"))?,
                text(manifest.version).ok_or(NotAPlugin::NotText("the plugin's version"))?,
                text(manifest.sdk).ok_or(NotAPlugin::NotText("the name of the plugin's SDK"))?,
            )
        };
        let name = checked_name(name)?;
        // SAFETY: as above, arrays of pointers.
        let (stages, providers): (Vec<Kind<abi::StageType>>, Vec<Kind<abi::ProviderType>>) = unsafe {
            (
                kinds(manifest.stages, manifest.stage_count)?,
                kinds(manifest.providers, manifest.provider_count)?,
            )
        };
        if stages.is_empty() && providers.is_empty() {
            return Err(NotAPlugin::Empty);
        }
        Ok(Self {
            name,
            version,
            sdk,
            minor: manifest.minor,
            init: manifest.init,
            stages,
            providers,
        })
    }
}

/// A kind's struct, as far as it is read before its functions are called.
trait Functions: Sized {
    const WHAT: &'static str;
    /// Its size up to the name, before which nothing can be said about it.
    const UP_TO_NAME: usize;
    fn size(this: *const Self) -> *const u32;
    fn name(&self) -> abi::Slice;
    /// The first required function that is null.
    fn missing(&self) -> Option<&'static str>;
}

impl Functions for abi::StageType {
    const WHAT: &'static str = "stages";
    const UP_TO_NAME: usize = offset_of!(Self, name) + size_of::<abi::Slice>();

    fn size(this: *const Self) -> *const u32 {
        this.cast()
    }

    fn name(&self) -> abi::Slice {
        self.name
    }

    fn missing(&self) -> Option<&'static str> {
        [
            ("create", self.create.is_none()),
            ("destroy", self.destroy.is_none()),
            ("hooks", self.hooks.is_none()),
            ("end", self.begin.is_some() && self.end.is_none()),
        ]
        .into_iter()
        .find_map(|(name, missing)| missing.then_some(name))
    }
}

impl Functions for abi::ProviderType {
    const WHAT: &'static str = "providers";
    const UP_TO_NAME: usize = offset_of!(Self, name) + size_of::<abi::Slice>();

    fn size(this: *const Self) -> *const u32 {
        this.cast()
    }

    fn name(&self) -> abi::Slice {
        self.name
    }

    fn missing(&self) -> Option<&'static str> {
        let answers = self.flags & abi::PROVIDER_ANSWERS != 0;
        [
            ("create", self.create.is_none()),
            ("destroy", self.destroy.is_none()),
            ("serves", self.serves.is_none()),
            ("encode", !answers && self.encode.is_none()),
            ("answer", answers && self.answer.is_none()),
            ("end", self.begin.is_some() && self.end.is_none()),
        ]
        .into_iter()
        .find_map(|(name, missing)| missing.then_some(name))
    }
}

/// Reads an array of pointers to kinds.
///
/// # Safety
/// `array` has `count` pointers, each null or to a struct that begins with its size, in a library that stays loaded.
unsafe fn kinds<T: Functions>(
    array: *const *const T,
    count: usize,
) -> Result<Vec<Kind<T>>, NotAPlugin> {
    let mut kinds: Vec<Kind<T>> = Vec::new();
    if count == 0 {
        return Ok(kinds);
    }
    if array.is_null() || count > MOST_KINDS {
        return Err(NotAPlugin::Missing(format!(
            "the list of its {count} {}",
            T::WHAT
        )));
    }
    for index in 0..count {
        // SAFETY: within the array, as the caller vouches for.
        let pointer = unsafe { array.add(index).read() };
        if pointer.is_null() {
            return Err(NotAPlugin::Missing(format!(
                "number {index} of its {}",
                T::WHAT
            )));
        }
        // SAFETY: not null; it begins with its size.
        let size = unsafe { T::size(pointer).read() };
        if (size as usize) < T::UP_TO_NAME {
            return Err(NotAPlugin::ShortKind(T::WHAT, index, size));
        }
        // SAFETY: not null, and as large as it says.
        let functions = unsafe { sized(pointer, size) };
        // SAFETY: a text of a library that stays loaded.
        let name = unsafe { text(functions.name()) }.ok_or(NotAPlugin::NotText("a kind's name"))?;
        let name = checked_name(name)?;
        if let Some(function) = functions.missing() {
            return Err(NotAPlugin::Missing(format!(
                "the function `{function}` of {name:?}"
            )));
        }
        if kinds.iter().any(|kind| kind.name == name) {
            return Err(NotAPlugin::Twice(T::WHAT, name.to_owned()));
        }
        // The library stays loaded for ever, and so does what is known of it.
        let functions = Box::leak(Box::new(functions));
        kinds.push(Kind { name, functions });
    }
    Ok(kinds)
}

fn checked_name(name: &'static str) -> Result<&'static str, NotAPlugin> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(is_good) {
        return Err(NotAPlugin::BadName(name.chars().take(64).collect()));
    }
    Ok(name)
}
