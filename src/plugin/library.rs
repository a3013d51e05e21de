//! The system's loader, asked for a copy of a library that nobody can change any more.

use std::{
    fs::File,
    io::Write,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use millgate_plugin::border::abi;
use rustix::{
    fs::{MemfdFlags, SealFlags},
    io::Errno,
};

use super::refused::Refused;

/// Never unloaded: threads of the plugin's, and pointers into it, may be anywhere. See dlopen(3).
const RTLD_NODELETE: i32 = 0x1000;

/// Loads a library with these bytes, which were read from `path`, and finds its manifest. From here on its code runs.
pub(super) fn load(path: &Path, bytes: &[u8]) -> Result<*const abi::Manifest, Refused> {
    let copy = sealed_copy(path, bytes).map_err(|error| {
        Refused::file(format!(
            "no copy of the library can be made in memory: {error}"
        ))
    })?;
    let name = format!("/proc/self/fd/{}", copy.as_raw_fd());
    // SAFETY: it runs whatever the library runs as it is loaded. Whose it is was checked, and that is all that can be.
    let library = unsafe { Library::open(Some(&name), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) }
        .map_err(|error| unloadable(path, &name, &error))?;
    // The loader knows libraries by their names: the number must not come to mean another file.
    std::mem::forget(copy);
    // SAFETY: the symbol is data, so that its address is what is asked for.
    let symbol = unsafe { library.get::<*const abi::Manifest>(abi::SYMBOL) }.map(|symbol| *symbol);
    std::mem::forget(library);
    symbol.map_err(|error| unloadable(path, &name, &error))
}

/// A file in memory that cannot be written to any more, not even by this process.
fn sealed_copy(path: &Path, bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let name = path.file_name().unwrap_or_default();
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know `EXEC`, and later ones may be set up to ask for it.
    let copy = match rustix::fs::memfd_create(name, flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags)?,
        made => made?,
    };
    let mut file = File::from(copy);
    file.write_all(bytes)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

/// What the loader says, about the file that the operator knows.
fn unloadable(path: &Path, name: &str, error: &libloading::Error) -> Refused {
    use std::error::Error;
    let said = error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string);
    let said = said.replace(name, &path.display().to_string());
    Refused::file(format!("the system cannot load the library: {said}"))
        .help("install what it needs, or build it on a system as old as this one")
}
