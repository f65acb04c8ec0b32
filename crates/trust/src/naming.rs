//! Names that follow from what they name: the same cause gives the same id, however often and by
//! whichever store it is worked on.

use sha2::{Digest, Sha256};

/// Sets these ids apart from other uses of SHA-256.
const LABEL: &[u8] = b"xacminh/message-id/v1";

/// The id of the message that follows from another: a UUID of version 7 with the time of its cause,
/// and random bits that are the hash of what it is and of what it follows from. No secret: whoever
/// knows the cause can tell it.
pub fn following(kind: &str, sender: &str, cause: &[u8; 16], about: &[u8; 16]) -> [u8; 16] {
    let mut sha = Sha256::new();
    for part in [LABEL, kind.as_bytes(), sender.as_bytes(), cause, about] {
        // The length keeps the parts apart.
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    let hash = sha.finalize();
    let mut id = [0; 16];
    id[..6].copy_from_slice(&cause[..6]);
    id[6..].copy_from_slice(&hash[..10]);
    id[6] = 0x70 | id[6] & 0x0f;
    id[8] = 0x80 | id[8] & 0x3f;
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAUSE: [u8; 16] = [1, 154, 154, 60, 88, 0, 122, 188, 141, 239, 1, 35, 69, 103, 137, 171];

    #[test]
    fn the_same_of_the_same_and_another_of_all_else() {
        let id = following("answer.deliver", "vpa2b3c4", &CAUSE, &CAUSE);
        assert_eq!(id, following("answer.deliver", "vpa2b3c4", &CAUSE, &CAUSE));
        assert_ne!(id, following("request.deliver", "vpa2b3c4", &CAUSE, &CAUSE));
        assert_ne!(id, following("answer.deliver", "vpa2b3c5", &CAUSE, &CAUSE));
        assert_ne!(id, following("answer.deliver", "vpa2b3c4", &CAUSE, &[0; 16]));
    }

    #[test]
    fn it_is_of_version_7_and_of_the_time_of_its_cause() {
        let id = following("answer.deliver", "vpa2b3c4", &CAUSE, &CAUSE);
        assert_eq!((&id[..6], id[6] >> 4, id[8] >> 6), (&CAUSE[..6], 7, 2));
    }

    #[test]
    fn it_does_not_move() {
        // What was lost with one store is made again by the next, and has to have the same name.
        let hex: String =
            following("answer.deliver", "vpa2b3c4", &CAUSE, &CAUSE).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "019a9a3c58007c50863d876c5f7d72e6");
    }
}
