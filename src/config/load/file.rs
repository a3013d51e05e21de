//! Reads files as text.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use crate::config::finding::{Finding, Findings, Place, Source};

/// A larger configuration is a mistake.
const LARGEST: u64 = 16 << 20;

/// The text of the configuration, or a finding that says what to do.
pub(super) fn read(path: &Path, findings: &Findings) -> Option<Arc<Source>> {
    match bytes(path) {
        Ok(bytes) => text(path, &bytes, true, findings),
        Err(error) => {
            findings.add(unreadable(path, &error));
            None
        }
    }
}

/// The text of a `.env`, which need not be there.
pub(super) fn read_optional(path: &Path, findings: &Findings) -> Option<Arc<Source>> {
    match bytes(path) {
        Ok(bytes) => text(path, &bytes, false, findings),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // A configuration given as `some-file/config.toml` is told of where that is read.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => None,
        Err(error) => {
            findings.add(unreadable(path, &error));
            None
        }
    }
}

/// The text of a file that another one names at `place`.
pub(super) fn read_included(
    path: &Path,
    place: &Place,
    findings: &Findings,
) -> Option<Arc<Source>> {
    match bytes(path) {
        Ok(bytes) => text(path, &bytes, true, findings),
        Err(error) => {
            let finding = unreadable(path, &error).at(place.clone());
            let help = "a relative path begins at the folder of the configuration".to_owned();
            findings.add(match error.kind() {
                io::ErrorKind::NotFound => finding.help(help),
                _ => finding,
            });
            None
        }
    }
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> Finding {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => Finding::error(format!("there is no file `{path}`"))
            .help("create it, or name another one with `--config`".to_owned()),
        io::ErrorKind::PermissionDenied => {
            Finding::error(format!("the file `{path}` may not be read"))
                .help("let the user that millgate runs as read it".to_owned())
        }
        io::ErrorKind::IsADirectory => Finding::error(format!("`{path}` is a folder, not a file"))
            .help("name the file in it".to_owned()),
        _ => Finding::error(format!("the file `{path}` cannot be read: {error}")),
    }
}

/// Bytes as text, without a byte order mark.
pub(super) fn text(
    path: &Path,
    bytes: &[u8],
    shown: bool,
    findings: &Findings,
) -> Option<Arc<Source>> {
    let name = path.display().to_string();
    let source = |text: &str, shown| {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        Arc::new(Source {
            name: name.clone(),
            text,
            shown,
        })
    };
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let finding = Finding::error(format!("the file `{name}` is UTF-16 text"));
        findings.add(finding.help("save it as UTF-8".to_owned()));
        return None;
    }
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Some(source(text, shown)),
        Err(error) => error,
    };
    let text = String::from_utf8_lossy(bytes);
    let source = source(&text, shown);
    let at = error.valid_up_to() - (text.len() - source.text.len()).min(error.valid_up_to());
    let finding = Finding::error("this byte is not UTF-8 text").at(Place {
        span: at..at + char::REPLACEMENT_CHARACTER.len_utf8(),
        source,
    });
    findings.add(finding.help("save the file as UTF-8".to_owned()));
    None
}
