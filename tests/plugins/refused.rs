//! Files that are no plugins, or that somebody else could have written.

use std::{
    fs::{Permissions, set_permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use super::{
    config,
    support::plugins::{Folder, check},
};

/// Checks that a config with this file is refused in these words.
#[track_caller]
fn assert_refused(library: &Path, told: &[&str]) {
    let (code, said) = check(&config(library, "", ""), &[], &[]);
    assert_eq!(code, 1, "{said}");
    for words in told {
        assert!(said.contains(words), "{words:?} is not in:\n{said}");
    }
    // The stage is of a kind that is not known now, and that is not told of as well.
    assert!(said.ends_with("1 error\n"), "{said}");
}

#[test]
fn a_file_that_is_not_there_has_the_caret_at_its_path() {
    let folder = Folder::new();
    let library = folder.path().join("none.so");
    let (code, said) = check(&config(&library, "", ""), &[], &[]);
    let path = library.display();
    let carets = "^".repeat(path.to_string().len() + 2);
    assert_eq!(
        (code, said),
        (
            1,
            format!(
                "error: there is no file `{path}`
 --> config.toml:3:8
  |
3 | path = \"{path}\"
  |        {carets}
  = help: a relative path begins at the folder of the configuration

config.toml: 1 error
"
            )
        )
    );
}

#[test]
fn a_path_has_to_be_there() {
    let library = Path::new("");
    let missing = config(library, "", "").replace("path = \"\"\n", "");
    let (code, said) = check(&missing, &[], &[]);
    assert_eq!(code, 1);
    assert!(said.contains("the key `path` is missing here"), "{said}");
    assert!(said.ends_with("1 error\n"), "{said}");
    assert_refused(library, &["this is no path"]);
}

#[test]
fn no_library_for_this_machine() {
    let folder = Folder::new();
    let good = std::fs::read(folder.build("good.so", "probe", &[])).unwrap();
    let changed = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        folder.write(name, &bytes)
    };
    let empty = folder.write("empty.so", b"");
    assert_refused(&empty, &["the file is empty"]);
    let text = folder.write("text.so", b"#!/bin/sh\n");
    assert_refused(&text, &["no shared library (ELF)", "name the .so"]);
    let short = changed("short.so", &|bytes| bytes.truncate(good.len() / 2));
    assert_refused(&short, &["the library is damaged", "copy it again"]);
    let head = changed("head.so", &|bytes| bytes.truncate(40));
    assert_refused(&head, &["the library is damaged"]);
    let s390 = changed("s390.so", &|bytes| bytes[18] = 22);
    let ours = std::env::consts::ARCH;
    assert_refused(
        &s390,
        &["built for s390x", &format!("this gateway runs on {ours}")],
    );
    let other_class = changed("class.so", &|bytes| bytes[4] = 1);
    assert_refused(&other_class, &[&format!("build it for {ours}, 64 bits")]);
    let program = changed("program.so", &|bytes| bytes[16] = 2);
    assert_refused(
        &program,
        &["no shared library, but another ELF file", "cc -shared"],
    );
}

#[test]
fn no_manifest() {
    let folder = Folder::new();
    for (define, told) in [
        (
            "SYMBOL=something_else",
            "it does not export `millgate_plugin_v1`",
        ),
        (
            "SYMBOL=millgate_plugin_v2",
            "version 2 of the plugin interface, and this gateway version 1",
        ),
        ("FUNCTION", "`millgate_plugin_v1` is a function"),
        ("MAGIC=1", "it does not begin with MILLGATE"),
        ("SIZE=24", "the plugin's manifest has 24 bytes"),
        (
            "MIN_HOST=99",
            "version 1.99 of the plugin interface, and this gateway has 1.",
        ),
        ("FLAGS=MG_FLAG_PANIC_ABORTS", "panic = \"abort\""),
        ("NAME=\"not a name\"", "\"not a name\" as a name"),
        ("NAME=\"\"", "\"\" as a name"),
        ("KIND=\"a/b\"", "\"a/b\" as a name"),
        ("KIND=\"\\xff\"", "a kind's name is not UTF-8"),
        ("STAGES={&echo,&echo}", "two stages named `echo`"),
        ("STAGES={NULL}", "number 0 of its stages is missing"),
        ("STAGE_COUNT=0", "neither stages nor providers"),
        (
            "STAGE_COUNT=100000",
            "the list of its 100000 stages is missing",
        ),
        (
            "STAGE_SIZE=8",
            "number 0 of the plugin's stages has 8 bytes",
        ),
        (
            "STAGE_SIZE=40",
            "the function `destroy` of \"echo\" is missing",
        ),
        (
            "CREATE=NULL",
            "the function `create` of \"echo\" is missing",
        ),
        ("INIT=MG_FAILED", "the plugin `probe` refuses to start"),
        (
            "SCHEMA=\"{\"",
            "the plugin's schema of `probe/echo` is none: it is no JSON",
        ),
        (
            "SCHEMA=\"{\\\"type\\\":\\\"text\\\"}\"",
            "the plugin's schema of `probe/echo` is none: `#/type` is no type",
        ),
    ] {
        assert_refused(&folder.build("bad.so", "probe", &[define]), &[told]);
    }
}

#[test]
fn a_library_that_needs_what_is_not_there() {
    let folder = Folder::new();
    let library = folder.build("needy.so", "needy", &[]);
    assert_refused(
        &library,
        &[
            "the system cannot load the library",
            "nobody_has_this_function",
            &library.display().to_string(),
        ],
    );
}

/// Structs that end before functions that may be null are those of an older plugin.
#[test]
fn a_shorter_struct_is_an_older_one() {
    let folder = Folder::new();
    let older = folder.build(
        "older.so",
        "probe",
        &["STAGE_SIZE=offsetof(MgStageType,place)"],
    );
    let (code, said) = check(&config(&older, "", ""), &[], &[]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn the_table_is_called_as_the_plugin_is() {
    let folder = Folder::new();
    let library = folder.build("other.so", "probe", &["NAME=\"prober\""]);
    let (code, said) = check(&config(&library, "", ""), &[], &[]);
    assert_eq!(code, 1);
    let caret = "2 | [plugins.probe]\n  |          ^^^^^\n  = help: write [plugins.prober]\n";
    assert!(said.contains("calls itself `prober`"), "{said}");
    assert!(said.contains(caret), "{said}");
}

#[test]
fn a_pin_is_for_one_content() {
    let folder = Folder::new();
    let library = folder.build("probe.so", "probe", &[]);
    let (code, said) = check(&config(&library, "", ""), &[], &[]);
    assert_eq!(code, 0, "{said}");
    let (_, rest) = said.split_once("not pinned; this file has ").expect(&said);
    let pin = rest.lines().next().unwrap();
    let (code, said) = check(&config(&library, pin, ""), &["--strict"], &[]);
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("not pinned"), "{said}");

    folder.build("probe.so", "probe", &["VERSION=\"1.0.1\""]);
    let (code, said) = check(&config(&library, pin, ""), &[], &[]);
    assert_eq!(code, 1);
    let caret = format!("4 | {pin}\n  |          {}\n", "^".repeat(66));
    assert!(
        said.contains("not the one that is pinned: its SHA-256 is "),
        "{said}"
    );
    assert!(said.contains(&caret), "{said}");

    let (code, said) = check(&config(&library, "sha256 = \"abc\"", ""), &[], &[]);
    assert_eq!(code, 1);
    assert!(
        said.contains("64 hexadecimal digits: sha256sum FILE"),
        "{said}"
    );
}

#[test]
fn no_link_is_followed() {
    let folder = Folder::new();
    let library = folder.build("probe.so", "probe", &[]);
    let link = folder.path().join("link.so");
    symlink(&library, &link).unwrap();
    let told = format!("`{}` is a symbolic link", link.display());
    assert_refused(&link, &[&told, "write the path that it leads to"]);

    let linked = folder.path().join("linked");
    symlink(folder.path(), &linked).unwrap();
    let told = format!("`{}` is a symbolic link", linked.display());
    assert_refused(&linked.join("probe.so"), &[&told]);
    // What is not on the way does not matter.
    let (code, said) = check(&config(&linked.join("../probe.so"), "", ""), &[], &[]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn nobody_else_may_be_able_to_change_it() {
    let folder = Folder::new();
    let library = folder.build("probe.so", "probe", &[]);
    let mode = |path: &Path, mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let path = library.display();
    mode(&library, 0o775);
    assert_refused(
        &library,
        &[
            &format!("its group may write to the file `{path}`"),
            &format!("chmod go-w {path}"),
        ],
    );
    mode(&library, 0o646);
    assert_refused(
        &library,
        &[&format!("anybody may write to the file `{path}`")],
    );
    mode(&library, 0o644);

    let shown = folder.path().display();
    mode(folder.path(), 0o777);
    assert_refused(
        &library,
        &[&format!("anybody may write to the folder `{shown}`")],
    );
    mode(folder.path(), 0o770);
    assert_refused(
        &library,
        &[&format!("its group may write to the folder `{shown}`")],
    );
    for fine in [0o700, 0o755, 0o1777] {
        mode(folder.path(), fine);
        let (code, said) = check(&config(&library, "", ""), &[], &[]);
        assert_eq!(code, 0, "{fine:o}: {said}");
    }
}

#[test]
fn what_is_no_regular_file() {
    let folder = Folder::new();
    let made = std::process::Command::new("mkfifo")
        .arg(folder.path().join("pipe.so"))
        .status();
    assert!(made.unwrap().success());
    assert_refused(&folder.path().join("pipe.so"), &["is no regular file"]);
    assert_refused(folder.path(), &["is a folder, not a file"]);
    let inside = folder.write("file", b"").join("probe.so");
    assert_refused(&inside, &["is no folder"]);
}
