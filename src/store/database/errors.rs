//! What can be wrong with a store, and what to do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

/// Why the store cannot be used. Its text is for operators: what happened, and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or the file cannot be made or looked at.
    #[error(
        "cannot use {path}: {error}\n  let this user write there, or set another [server] state_dir"
    )]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is no file, and none was to be made.
    #[error("there is no store at {path}")]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file that was open has been taken away or replaced.
    #[error(
        "{path} is gone, or another file now\n  what was known is kept; put it back, or make a new one by `millgate key new` or a restart"
    )]
    Gone {
        /// Where it was.
        path: PathBuf,
    },
    /// Others could plant keys.
    #[error(
        "others can write to {path} (mode {mode:03o})\n  take that from them: chmod go-w {path}"
    )]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A later version has changed the schema.
    #[error(
        "{path} was written by a newer millgate (schema {found}, this one knows up to {known})\n  update this millgate, or set another [server] state_dir"
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// The schema of the file.
        found: u32,
        /// The newest schema that is known here.
        known: u32,
    },
    /// Something else than a store of millgate.
    #[error(
        "{path} is a database of something else\n  move it away, or set another [server] state_dir"
    )]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// The file cannot be understood.
    #[error(
        "{path} is damaged ({error})\n  put a backup in its place; or save what is left by `sqlite3 {path} .recover`, and move the file and those beside it (-wal, -shm) away, so that a new one is made"
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// In SQLite's words.
        error: rusqlite::Error,
    },
    /// The disk, the file or its folder takes no writes.
    #[error(
        "cannot write to {path}: {error}\n  let this user write to the file and its folder, or set another [server] state_dir"
    )]
    ReadOnly {
        /// Which.
        path: PathBuf,
        /// In SQLite's words.
        error: rusqlite::Error,
    },
    /// The disk is full.
    #[error("the disk of {path} is full\n  make room")]
    Full {
        /// Which.
        path: PathBuf,
    },
    /// Another process is writing, for longer than was waited.
    #[error(
        "{path} is locked by another process\n  try again; if it lasts, see who has it open: lsof {path}"
    )]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// Anything else.
    #[error("{path}: {error}")]
    Other {
        /// Which.
        path: PathBuf,
        /// In SQLite's words.
        error: rusqlite::Error,
    },
}

impl StoreError {
    /// What an error of SQLite means for the store at `path`.
    pub(crate) fn of(error: rusqlite::Error, path: &Path) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { path, error }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::ReadOnly { path, error }
            }
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            _ => Self::Other { path, error },
        }
    }

    /// Whether it passes by itself, with the file as it is.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Locked { .. })
    }
}

impl From<StoreError> for String {
    fn from(error: StoreError) -> Self {
        error.to_string()
    }
}
