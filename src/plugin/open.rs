//! From a path to the bytes of a library that nobody else could have written.
//!
//! A plugin is code that runs as this process, so that whoever can write to it can do what the gateway can. The way
//! to it is gone folder by folder, each opened below the one before, without following links, and looked at through its
//! descriptor: what was looked at is what is read, whatever happens to the names meanwhile.

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{FileType, Mode, OFlags, Stat},
    io::Errno,
};

use super::refused::Refused;

/// A larger library is a mistake.
const LARGEST: u64 = 1 << 30;

/// What a folder on the way is opened for: to look at it, and to go further.
#[cfg(target_os = "linux")]
const FOLDER: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const FOLDER: OFlags = OFlags::RDONLY;

/// The absolute path that `path` means, without `.` and `..`. One that is relative begins at `folder`, and that at the
/// working directory.
pub fn absolute(folder: &Path, path: &Path) -> io::Result<PathBuf> {
    let joined = std::path::absolute(folder.join(path))?;
    let mut plain = PathBuf::from("/");
    for component in joined.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            // No link is followed on the way, so that the folder above is the one that stands before in the path.
            Component::ParentDir => drop(plain.pop()),
            _ => {}
        }
    }
    Ok(plain)
}

/// Reads the library at this [`absolute`] path.
pub fn read(path: &Path) -> Result<Vec<u8>, Refused> {
    let mut names: Vec<OsString> = path.iter().skip(1).map(OsString::from).collect();
    let file_name = names
        .pop()
        .ok_or_else(|| Refused::file("`/` is a folder, not a file"))?;
    let mut walked = PathBuf::from("/");
    let mut folder = rustix::fs::open("/", FOLDER | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| unopened(&walked, error))?;
    check_folder(&walked, &folder)?;
    for name in names {
        walked.push(&name);
        let flags = FOLDER | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        folder = rustix::fs::openat(&folder, name, flags, Mode::empty())
            .map_err(|error| unopened(&walked, error))?;
        check_folder(&walked, &folder)?;
    }
    walked.push(&file_name);
    // Opening a pipe must not wait for somebody to write into it.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(&folder, file_name, flags | OFlags::NOCTTY, Mode::empty())
        .map_err(|error| unopened(&walked, error))?;
    check_file(&walked, &file)?;
    let mut bytes = Vec::new();
    File::from(file)
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            Refused::file(format!(
                "the file `{}` cannot be read: {error}",
                walked.display()
            ))
        })?;
    if bytes.len() as u64 > LARGEST {
        let message = format!("the file `{}` is larger than 1 GiB", walked.display());
        return Err(Refused::file(message).help("no plugin is: name another file"));
    }
    Ok(bytes)
}

fn stat(path: &Path, descriptor: impl AsFd) -> Result<Stat, Refused> {
    rustix::fs::fstat(descriptor).map_err(|error| unopened(path, error))
}

fn check_folder(path: &Path, folder: &OwnedFd) -> Result<(), Refused> {
    let stat = stat(path, folder)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => check_writers(path, "folder", &stat),
        FileType::Symlink => Err(is_link(path)),
        _ => Err(Refused::file(format!("`{}` is no folder", path.display()))),
    }
}

fn check_file(path: &Path, file: &OwnedFd) -> Result<(), Refused> {
    let stat = stat(path, file)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => check_writers(path, "file", &stat),
        FileType::Directory => Err(Refused::file(format!(
            "`{}` is a folder, not a file",
            path.display()
        ))
        .help("name the file in it")),
        _ => Err(Refused::file(format!(
            "`{}` is no regular file",
            path.display()
        ))),
    }
}

/// Nobody but root and the user of this process may be able to change it.
fn check_writers(path: &Path, what: &str, stat: &Stat) -> Result<(), Refused> {
    let shown = path.display();
    let user = rustix::process::geteuid().as_raw();
    if stat.st_uid != 0 && stat.st_uid != user {
        let message = format!(
            "the {what} `{shown}` belongs to user {}, who could change the plugin",
            stat.st_uid
        );
        let help = format!("give it to root, or to user {user}, which millgate runs as: chown");
        return Err(Refused::file(message).help(help));
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    // In a folder with the sticky bit, as /tmp, only their owners may replace what is there, and who that is is looked at.
    let is_sticky = what == "folder" && mode.contains(Mode::SVTX);
    if is_sticky || !mode.intersects(Mode::WGRP | Mode::WOTH) {
        return Ok(());
    }
    let who = if mode.contains(Mode::WOTH) {
        "anybody"
    } else {
        "its group"
    };
    Err(Refused::file(format!(
        "{who} may write to the {what} `{shown}`, and so change the plugin"
    ))
    .help(format!("take that away: chmod go-w {shown}")))
}

fn is_link(path: &Path) -> Refused {
    Refused::file(format!(
        "`{}` is a symbolic link, which is not followed",
        path.display()
    ))
    .help("write the path that it leads to")
}

fn unopened(path: &Path, error: Errno) -> Refused {
    let shown = path.display();
    match error {
        Errno::NOENT => Refused::file(format!("there is no file `{shown}`"))
            .help("a relative path begins at the folder of the configuration"),
        Errno::LOOP => is_link(path),
        Errno::NOTDIR => Refused::file(format!("what `{shown}` should be in is no folder")),
        Errno::ACCESS | Errno::PERM => Refused::file(format!("`{shown}` may not be read"))
            .help("let the user that millgate runs as read it"),
        error => Refused::file(format!("`{shown}` cannot be opened: {error}")),
    }
}
