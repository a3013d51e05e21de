//! The layout that the C header has.

use std::{env, fmt::Write, fs, path::Path, process::Command};

/// Everything in the header that a plugin could rely on, as lines of `layout.txt`.
pub(crate) fn layout(include: &Path, scratch: &Path) -> String {
    let header = fs::read_to_string(include.join("millgate_plugin.h")).unwrap();
    let source = scratch.join("layout.c");
    let program = scratch.join("layout");
    fs::write(&source, asking(&header)).unwrap();
    let compiled = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-I"])
        .args([include, &source])
        .arg("-o")
        .arg(&program)
        .output()
        .expect("a C compiler: cc, or what $CC says");
    assert!(
        compiled.status.success(),
        "the header does not compile: {}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    let told = Command::new(&program).output().unwrap();
    assert!(told.status.success());
    String::from_utf8(told.stdout).unwrap()
}

/// A program that tells the layout of what is in the header.
fn asking(header: &str) -> String {
    let mut asked =
        String::from("#include <stdio.h>\n#include \"millgate_plugin.h\"\nint main(void) {\n");
    let mut structs = String::new();
    let mut inside: Option<String> = None;
    for declaration in declarations(header) {
        if let Some(constant) = declaration.strip_prefix("#define ") {
            // `MILLGATE_PLUGIN` is no constant, but the beginning of a declaration.
            let Some((name, _)) = constant
                .split_once(' ')
                .filter(|(name, _)| name.starts_with("MG_"))
            else {
                continue;
            };
            writeln!(
                asked,
                "printf(\"const {name} %llu\\n\", (unsigned long long) {name});"
            )
            .unwrap();
        } else if let Some(name) = opened(&declaration) {
            writeln!(structs, "printf(\"struct {name} %zu\\n\", sizeof({name}));").unwrap();
            inside = Some(name.to_owned());
        } else if declaration.starts_with('}') {
            inside = None;
        } else if let Some(of) = &inside {
            let (name, kind) = member(&declaration);
            writeln!(
                structs,
                "printf(\"  %zu %zu {kind} {name}\\n\", offsetof({of}, {name}), sizeof((({of} *)0)->{name}));"
            )
            .unwrap();
        } else if let Some(known) = declaration.strip_prefix("typedef ")
            && !known.starts_with("struct")
        {
            let (name, kind) = member(known);
            writeln!(structs, "printf(\"type {name} {kind}\\n\");").unwrap();
        }
    }
    asked + &structs + "return 0;\n}\n"
}

/// The declarations and constants, each on one line, without comments and semicolons.
fn declarations(header: &str) -> Vec<String> {
    let mut declarations = Vec::new();
    let mut open = String::new();
    for line in header.lines() {
        let line = line.trim();
        if line.starts_with("#define ") {
            declarations.push(line.to_owned());
        }
        if line.is_empty() || line.starts_with("//") || line.starts_with(['#', '/']) {
            continue;
        }
        if !open.is_empty() && !open.ends_with('(') {
            open.push(' ');
        }
        open.push_str(line);
        if line.ends_with('{') {
            declarations.push(std::mem::take(&mut open));
        } else if let Some(whole) = open.strip_suffix(';') {
            declarations.push(whole.to_owned());
            open.clear();
        }
    }
    assert_eq!(open, "", "the header ends within a declaration");
    declarations
}

/// The struct that a declaration opens.
fn opened(declaration: &str) -> Option<&str> {
    declaration
        .strip_prefix("typedef struct ")?
        .strip_suffix(" {")
}

/// Name and type of a member: `f` and `void (*)(int)` of `void (*f)(int)`.
fn member(declaration: &str) -> (&str, String) {
    if let Some((returned, rest)) = declaration.split_once("(*")
        && let Some((name, arguments)) = rest.split_once(')')
    {
        return (name, format!("{returned}(*){arguments}"));
    }
    let cut = declaration
        .rfind(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .map_or(0, |at| at + 1);
    let (kind, name) = declaration.split_at(cut);
    (name, kind.trim().to_owned())
}
