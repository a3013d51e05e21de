use super::*;

#[test]
fn a_path_is_plain_and_begins_at_its_folder() {
    let folder = Path::new("/etc/millgate");
    for (path, expected) in [
        ("a.so", "/etc/millgate/a.so"),
        ("./plugins/./a.so", "/etc/millgate/plugins/a.so"),
        ("../a.so", "/etc/a.so"),
        ("../../../../a.so", "/a.so"),
        ("/opt//plugins/a.so", "/opt/plugins/a.so"),
    ] {
        assert_eq!(
            absolute(folder, Path::new(path)).unwrap(),
            Path::new(expected)
        );
    }
    let here = std::env::current_dir().unwrap();
    assert_eq!(
        absolute(Path::new(""), Path::new("a.so")).unwrap(),
        here.join("a.so")
    );
}

#[test]
fn the_root_is_no_file() {
    assert!(
        read(Path::new("/"))
            .unwrap_err()
            .message
            .contains("is a folder")
    );
}

/// Whoever may not look into a folder is told so, and not that there is no file.
#[test]
fn what_cannot_be_opened_says_why() {
    for (error, words) in [
        (Errno::NOENT, "there is no file `/a`"),
        (Errno::LOOP, "`/a` is a symbolic link"),
        (Errno::NOTDIR, "no folder"),
        (Errno::ACCESS, "may not be read"),
        (Errno::IO, "cannot be opened"),
    ] {
        let message = unopened(Path::new("/a"), error).message;
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn only_root_and_this_user_may_own_it() {
    let mut stat = rustix::fs::stat("/").unwrap();
    let user = rustix::process::geteuid().as_raw();
    for (owner, is_fine) in [(0, true), (user, true), (user.wrapping_add(1), false)] {
        stat.st_mode = 0o100_644;
        stat.st_uid = owner;
        let checked = check_writers(Path::new("/a"), "file", &stat);
        assert_eq!(checked.is_ok(), is_fine, "{owner}");
        if let Err(refused) = checked {
            assert!(refused.message.contains("belongs to user"), "{refused:?}");
        }
    }
}

#[test]
fn others_may_write_to_a_folder_only_where_they_cannot_replace_what_is_there() {
    let mut stat = rustix::fs::stat("/").unwrap();
    stat.st_uid = 0;
    for (mode, what, is_fine) in [
        (0o755, "folder", true),
        (0o775, "folder", false),
        (0o777, "folder", false),
        (0o1777, "folder", true),
        (0o1777, "file", false),
        (0o664, "file", false),
    ] {
        stat.st_mode = mode;
        let checked = check_writers(Path::new("/a"), what, &stat);
        assert_eq!(checked.is_ok(), is_fine, "{what} {mode:o}");
    }
}
