//! How many columns of a terminal a character takes.

/// Blocks that terminals draw two columns wide (Unicode's East Asian Width `W` and `F`, by block).
const WIDE: &[(u32, u32)] = &[
    (0x1100, 0x115F),   // Hangul initial consonants
    (0x231A, 0x231B),   // watch, hourglass
    (0x2E80, 0x303E),   // CJK radicals and punctuation
    (0x3041, 0x33FF),   // kana, Hangul compatibility letters, CJK symbols
    (0x3400, 0x4DBF),   // CJK extension A
    (0x4E00, 0xA4CF),   // CJK, Yi
    (0xA960, 0xA97F),   // Hangul initial consonants, extended
    (0xAC00, 0xD7A3),   // Hangul syllables
    (0xF900, 0xFAFF),   // CJK compatibility
    (0xFE30, 0xFE6F),   // CJK compatibility forms
    (0xFF01, 0xFF60),   // full-width forms
    (0xFFE0, 0xFFE6),   // full-width signs
    (0x1F300, 0x1F64F), // pictographs, faces
    (0x1F680, 0x1F6FF), // transport
    (0x1F900, 0x1F9FF), // more pictographs
    (0x20000, 0x3FFFD), // CJK extensions B and on
];

/// Characters that are drawn onto the one before.
const ZERO: &[(u32, u32)] = &[
    (0x0300, 0x036F), // combining marks
    (0x1160, 0x11FF), // Hangul vowels and final consonants, joined to an initial one
    (0x200B, 0x200F), // zero-width spaces and joiners, direction marks
    (0x20D0, 0x20FF), // combining marks for symbols
    (0xD7B0, 0xD7FF), // Hangul vowels and final consonants, extended
    (0xFE00, 0xFE0F), // variation selectors
    (0xFEFF, 0xFEFF), // zero-width no-break space
];

/// The columns of a printable character: 0, 1 or 2.
pub(crate) fn width(character: char) -> usize {
    let code = u32::from(character);
    let within = |blocks: &[(u32, u32)]| {
        blocks
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&code))
    };
    if code < 0x300 {
        1
    } else if within(ZERO) {
        0
    } else if within(WIDE) {
        2
    } else {
        1
    }
}
