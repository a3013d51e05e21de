//! CRC-32 and the least of gzip: enough to send a body that really is compressed data.

/// The CRC-32 that gzip uses (RFC 1952, 8).
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)]
    })
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

/// `bytes` as a gzip member of stored blocks (RFC 1951, 3.2.4).
pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for block in bytes.chunks(0xffff) {
        let length = block.len() as u16;
        member.push(0);
        member.extend_from_slice(&length.to_le_bytes());
        member.extend_from_slice(&(!length).to_le_bytes());
        member.extend_from_slice(block);
    }
    // An empty last block, so that none of the others has to know whether it is the last.
    member.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    member.extend_from_slice(&crc32(bytes).to_le_bytes());
    member.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    member
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32_gives_the_published_check_value() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn blocks_are_cut_at_what_their_length_can_hold() {
        let member = compress(&vec![7; 70_000]);
        assert_eq!(member.len(), 10 + 2 * 5 + 70_000 + 5 + 8);
        assert_eq!(member[10..15], [0, 0xff, 0xff, 0, 0]);
    }
}
