use super::*;

#[test]
fn a_callers_id_is_of_its_key_and_not_the_keys_hash() {
    let id = id_of("sk-1234567890");
    assert_eq!(id, id_of("sk-1234567890"));
    assert_ne!(id, id_of("sk-1234567891"));
    assert_eq!(id.len(), 4 + ID_DIGITS);
    let hash = sha256(&[b"sk-1234567890"]);
    assert!(!id.contains(&format!("{:02x}{:02x}", hash[0], hash[1])));
}

#[test]
fn the_host_knows_a_key_by_the_same_hash() {
    assert_eq!(sha256(&[b"sk-1"]), crate::callers::hash("sk-1"));
}
