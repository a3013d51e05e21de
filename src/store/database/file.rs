//! The file and its folder: made for this user alone, and refused where others could write.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use super::StoreError;

/// Write permission of anybody but the owner.
const OTHERS_WRITE: u32 = 0o022;

/// Any permission of anybody but the owner.
const OTHERS: u32 = 0o077;

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// That of the file at `path`.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

/// Sees to it that there is a file that only its owner reads and writes. A new file belongs to the owner of its folder,
/// so that an administrator may make the first key of a service. SQLite gives the files beside it (`-wal`,
/// `-shm`) the mode and owner of this one.
pub(crate) fn prepare(folder: &Path, path: &Path, create: bool) -> Result<Identity, StoreError> {
    let told = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| StoreError::File { path, error }
    };
    if create {
        make_folder(folder).map_err(told(folder))?;
    }
    let mode = match fs::metadata(folder) {
        Ok(metadata) => metadata.mode() & 0o7777,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let path = path.to_owned();
            return Err(StoreError::Missing { path });
        }
        Err(error) => return Err(told(folder)(error)),
    };
    if mode & OTHERS_WRITE != 0 {
        let path = folder.to_owned();
        return Err(StoreError::Exposed { path, mode });
    }
    if create && let Some(file) = make(path).map_err(told(path))? {
        give_to_owner(&file, folder);
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.mode() & OTHERS != 0 => {
            let owners = fs::Permissions::from_mode(metadata.mode() & 0o700);
            fs::set_permissions(path, owners).map_err(told(path))?;
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let path = path.to_owned();
            return Err(StoreError::Missing { path });
        }
        Err(error) => return Err(told(path)(error)),
    }
    Identity::of(path).map_err(told(path))
}

/// The folder with mode 0700, and those above it as the umask has them, where they are missing.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The empty file with mode 0600; `None` where there is one.
fn make(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}

/// Only a superuser can, and only a superuser needs to.
fn give_to_owner(file: &File, folder: &Path) {
    if let (Ok(ours), Ok(theirs)) = (file.metadata(), fs::metadata(folder))
        && ours.uid() != theirs.uid()
    {
        let _ = std::os::unix::fs::fchown(file, Some(theirs.uid()), Some(theirs.gid()));
    }
}
