//! Where the store is kept.

use std::path::{Path, PathBuf};

use crate::config::Server;

/// The folder of the store: `[server] state_dir`, relative to the config file at `config`; else the first folder of
/// `$STATE_DIRECTORY` (what systemd's `StateDirectory=` makes); else `$XDG_STATE_HOME/millgate`, by default
/// `~/.local/state/millgate`. The error says what to set.
pub fn folder(
    server: &Server,
    config: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<PathBuf, String> {
    let variable = |name: &str| {
        let value = environment(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    if let Some(folder) = &server.state_dir {
        let beside = config.parent().unwrap_or(Path::new(""));
        return Ok(beside.join(folder));
    }
    if let Some(folders) = environment("STATE_DIRECTORY")
        && let Some(first) = folders.split(':').find(|folder| !folder.is_empty())
    {
        return Ok(PathBuf::from(first));
    }
    let state = variable("XDG_STATE_HOME")
        // "All paths set in these environment variables must be absolute": others are to be ignored.
        .filter(|folder| folder.is_absolute())
        .or_else(|| Some(variable("HOME")?.join(".local/state")));
    state.map(|state| state.join("millgate")).ok_or_else(|| {
        "there is no folder for what outlives a restart: set [server] state_dir".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_on_it_counts() {
        let all = [
            ("STATE_DIRECTORY", ":/var/lib/millgate:/var/lib/other"),
            ("XDG_STATE_HOME", "/state"),
            ("HOME", "/home/me"),
        ];
        let find = |state_dir: Option<&str>, variables: &[(&str, &str)]| {
            let server = Server {
                state_dir: state_dir.map(PathBuf::from),
                ..Server::default()
            };
            let environment = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            folder(
                &server,
                Path::new("/etc/millgate/config.toml"),
                &environment,
            )
        };
        let path = |text: &str| Ok(PathBuf::from(text));
        assert_eq!(find(Some("/srv"), &all), path("/srv"));
        assert_eq!(find(Some("state"), &all), path("/etc/millgate/state"));
        assert_eq!(find(None, &all), path("/var/lib/millgate"));
        assert_eq!(find(None, &all[1..]), path("/state/millgate"));
        let relative = [("XDG_STATE_HOME", "state"), ("HOME", "/home/me")];
        let home = path("/home/me/.local/state/millgate");
        assert_eq!(find(None, &relative), home);
        assert_eq!(find(None, &[("STATE_DIRECTORY", ""), all[2]]), home);
        assert!(
            find(None, &[("HOME", "")])
                .unwrap_err()
                .contains("state_dir")
        );
    }
}
