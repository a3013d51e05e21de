//! A look into a library before the system's loader gets it, which runs its code without asking.
//!
//! Only what makes a difference to an operator is looked at: whether it is a whole library for this machine, and whether
//! it exports the one symbol that makes it a plugin. Every number in it is doubted.
//!
//! Format: System V Application Binary Interface, chapters "Object Files" and "Program Loading and Dynamic Linking".

#[cfg(test)]
mod tests;

use std::ops::Range;

use millgate_plugin::border::abi;

use super::refused::Refused;

/// What all symbols of this interface begin with; the version follows.
const SYMBOL_FAMILY: &[u8] = b"millgate_plugin_v";

const MAGIC: &[u8] = b"\x7fELF";
const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const SHARED_OBJECT: u16 = 3;
const SEGMENT_LOAD: u32 = 1;
const SECTION_DYNAMIC_SYMBOLS: u32 = 11;
const SYMBOL_SIZE: usize = 24;
const SYMBOL_OBJECT: u8 = 1;
const SYMBOL_FUNCTION: u8 = 2;

/// Machines by the numbers that they have in a header.
const MACHINES: &[(u16, &str)] = &[
    (3, "x86"),
    (8, "mips"),
    (21, "powerpc64"),
    (22, "s390x"),
    (40, "arm"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv64"),
    (258, "loongarch64"),
];

/// Whether these bytes are a library for this machine that exports a manifest.
pub fn check(bytes: &[u8]) -> Result<(), Refused> {
    let file = File(bytes);
    if bytes.is_empty() {
        return Err(Refused::file("the file is empty").help("copy the library again"));
    }
    if !bytes.starts_with(MAGIC) {
        return Err(Refused::file("the file is no shared library (ELF)")
            .help("name the .so that building the plugin made"));
    }
    file.header().ok_or_else(cut_short)??;
    let segments = file.segments().ok_or_else(cut_short)?;
    file.manifest(&segments).unwrap_or_else(|| Err(cut_short()))
}

fn cut_short() -> Refused {
    Refused::file("the library is damaged: it ends before what it says that it holds")
        .help("copy it again")
}

/// A part of the file that is loaded into memory, by its addresses there.
type Segments = Vec<Range<u64>>;

struct File<'a>(&'a [u8]);

impl File<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.bytes(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.bytes(at).map(u64::from_le_bytes)
    }

    /// A number that is an offset or a size within the file.
    fn offset(&self, at: usize) -> Option<usize> {
        usize::try_from(self.u64(at)?).ok()
    }

    /// Where the entry of a table stands whose place, size of an entry and number of entries the header has there.
    fn entries(&self, (table, size, count): (usize, usize, usize)) -> Option<Vec<usize>> {
        let (table, size) = (self.offset(table)?, usize::from(self.u16(size)?));
        let place = |index: usize| table.checked_add(index.checked_mul(size)?);
        (0..usize::from(self.u16(count)?)).map(place).collect()
    }

    /// `None` where it ends too early.
    fn header(&self) -> Option<Result<(), Refused>> {
        let [class, order] = self.bytes(4)?;
        let (kind, machine) = (self.u16(16)?, self.u16(18)?);
        if class != CLASS_64 || order != LITTLE_ENDIAN || !is_ours(machine) {
            let known = MACHINES.iter().find(|(number, _)| *number == machine);
            let built_for = match known {
                Some((_, name)) if order == LITTLE_ENDIAN => (*name).to_owned(),
                _ => "another machine".to_owned(),
            };
            let ours = std::env::consts::ARCH;
            return Some(Err(Refused::file(format!(
                "the library is built for {built_for}, and this gateway runs on {ours}"
            ))
            .help(format!("build it for {ours}, 64 bits"))));
        }
        if kind != SHARED_OBJECT {
            return Some(Err(Refused::file(
                "the file is no shared library, but another ELF file",
            )
            .help(
                "build the plugin as a library: crate-type = [\"cdylib\"], or cc -shared -fPIC",
            )));
        }
        Some(Ok(()))
    }

    /// The parts that are loaded; `None` where one goes past the end of the file.
    fn segments(&self) -> Option<Segments> {
        let mut segments = Segments::new();
        for at in self.entries((32, 54, 56))? {
            if self.u32(at)? != SEGMENT_LOAD {
                continue;
            }
            let (start, size) = (self.offset(at + 8)?, self.offset(at + 32)?);
            self.0.get(start..start.checked_add(size)?)?;
            let address = self.u64(at + 16)?;
            segments.push(address..address.checked_add(self.u64(at + 40)?)?);
        }
        Some(segments)
    }

    /// Looks for the manifest among the symbols; `None` where their table goes past the end of the file.
    fn manifest(&self, segments: &Segments) -> Option<Result<(), Refused>> {
        let wanted = &abi::SYMBOL[..abi::SYMBOL.len() - 1];
        let mut other = None;
        for section in self.entries((40, 58, 60))? {
            if self.u32(section.checked_add(4)?)? != SECTION_DYNAMIC_SYMBOLS {
                continue;
            }
            let (symbols, size) = (self.offset(section + 24)?, self.offset(section + 32)?);
            let table = self.0.get(symbols..symbols.checked_add(size)?)?;
            let names = self.names(usize::try_from(self.u32(section + 40)?).ok()?)?;
            for symbol in table.chunks_exact(SYMBOL_SIZE) {
                let symbol = Symbol(symbol);
                if !symbol.is_defined() {
                    continue;
                }
                let name = symbol.name(names)?;
                if name == wanted {
                    return Some(symbol.check(segments));
                }
                if name.starts_with(SYMBOL_FAMILY) {
                    other = Some(String::from_utf8_lossy(name).into_owned());
                }
            }
        }
        Some(Err(match other {
            Some(name) => {
                let version = &name[SYMBOL_FAMILY.len()..];
                Refused::file(format!(
                    "the plugin speaks version {version} of the plugin interface, and this gateway version 1"
                ))
                .help("use a gateway that speaks that version, or a build of the plugin for version 1")
            }
            None => Refused::file(
                "the library is no plugin: it does not export `millgate_plugin_v1`",
            )
            .help(
                "see docs/plugins.md for what a plugin exports; in Rust, `export_plugin!` does it",
            ),
        }))
    }

    /// The bytes of a section of texts.
    fn names(&self, index: usize) -> Option<&[u8]> {
        let section = *self.entries((40, 58, 60))?.get(index)?;
        let (start, size) = (self.offset(section + 24)?, self.offset(section + 32)?);
        self.0.get(start..start.checked_add(size)?)
    }
}

/// An entry of the table of symbols.
struct Symbol<'a>(&'a [u8]);

impl Symbol<'_> {
    fn number(&self, range: Range<usize>) -> u64 {
        let bytes = self.0[range].iter().rev();
        bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn is_defined(&self) -> bool {
        self.number(6..8) != 0
    }

    fn name<'n>(&self, names: &'n [u8]) -> Option<&'n [u8]> {
        let rest = names.get(self.number(0..4) as usize..)?;
        rest.split(|byte| *byte == 0).next()
    }

    /// Whether it can be a manifest.
    fn check(&self, segments: &Segments) -> Result<(), Refused> {
        let (kind, address, size) = (self.0[4] & 0xf, self.number(8..16), self.number(16..24));
        if kind != SYMBOL_OBJECT {
            let what = if kind == SYMBOL_FUNCTION {
                "a function"
            } else {
                "something else"
            };
            return Err(Refused::file(format!(
                "`millgate_plugin_v1` is {what}, where it should be data: the manifest itself"
            ))
            .help("export a `const MgManifest millgate_plugin_v1`"));
        }
        if size < size_of::<abi::Manifest>() as u64 {
            return Err(Refused::file(format!(
                "`millgate_plugin_v1` has {size} bytes, too few for a manifest of version 1"
            ))
            .help("export a whole `const MgManifest millgate_plugin_v1`"));
        }
        let is_loaded = |segment: &Range<u64>| {
            segment.contains(&address)
                && address
                    .checked_add(size)
                    .is_some_and(|end| end <= segment.end)
        };
        if segments.iter().any(is_loaded) {
            Ok(())
        } else {
            Err(cut_short())
        }
    }
}

fn is_ours(machine: u16) -> bool {
    let ours = MACHINES
        .iter()
        .find(|(_, name)| *name == std::env::consts::ARCH);
    // A machine that has no number here is left to the loader.
    ours.is_none_or(|(number, _)| *number == machine)
}
