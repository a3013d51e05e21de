//! What may become of a layout.

use std::collections::BTreeMap;

/// A layout by the first two words of its entries, `struct MgHost`.
fn entries(layout: &str) -> BTreeMap<String, Entry<'_>> {
    let mut entries = BTreeMap::new();
    let mut last = String::new();
    for line in layout.lines() {
        if let Some(member) = line.strip_prefix("  ") {
            let entry: &mut Entry<'_> =
                entries.get_mut(&last).expect("a struct before its members");
            entry.members.push(member);
            continue;
        }
        let mut words = line.splitn(3, ' ');
        let mut next = || words.next().expect("three words");
        last = format!("{} {}", next(), next());
        let entry = Entry {
            is: next(),
            members: Vec::new(),
        };
        assert!(
            entries.insert(last.clone(), entry).is_none(),
            "{last} twice"
        );
    }
    entries
}

struct Entry<'a> {
    /// The size of a struct, the value of a constant, the signature of a type.
    is: &'a str,
    members: Vec<&'a str>,
}

/// Whether `found` keeps what `kept` promises; else what it breaks.
pub(crate) fn holds(kept: &str, found: &str) -> Result<(), String> {
    let mut found = entries(found);
    for (name, kept) in entries(kept) {
        let found = found
            .remove(&name)
            .ok_or_else(|| format!("`{name}` is gone"))?;
        // What does not begin with its size is handed over by value, or embedded.
        let has_size = kept
            .members
            .iter()
            .any(|member| member.ends_with(" uint32_t size"));
        let may_grow = has_size || name == "const MG_MINOR";
        let is_fine = if may_grow {
            number(found.is) >= number(kept.is)
        } else {
            found.is == kept.is
        };
        if !is_fine {
            return Err(format!("`{name}` was `{}`, and is `{}`", kept.is, found.is));
        }
        for (index, member) in kept.members.iter().enumerate() {
            match found.members.get(index) {
                Some(now) if now == member => {}
                Some(now) => return Err(format!("in `{name}`, `{member}` has become `{now}`")),
                None => return Err(format!("in `{name}`, `{member}` is gone")),
            }
        }
        for member in &found.members[kept.members.len()..] {
            if number(member) < number(kept.is) {
                return Err(format!(
                    "in `{name}`, `{member}` lies in what was padding, so that its size does not tell whether it is there"
                ));
            }
        }
    }
    Ok(())
}

/// The number that a text begins with.
fn number(text: &str) -> u64 {
    let digits = text.split(' ').next().unwrap_or_default();
    digits.parse().expect("a number")
}
