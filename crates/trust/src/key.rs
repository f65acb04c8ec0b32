//! The master key, its file, and the ring of keys a running service holds.
//!
//! ```text
//! master key (a file outside the database)
//!    ├─ "sealing" ─▶ wraps data keys          sealing.rs
//!    ├─ "digest"  ─▶ keys digests             digest.rs
//!    └─ "id"      ─▶ the key's id, public
//! ```
//!
//! Changing the master key: the new one becomes the ring's current key, the one before stays on
//! the ring as an older one. New bytes are sealed under the current key, old ones stay readable.
//! Losing every copy of the master key is losing every person field: keep one off the machine.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::{FixedOutput, KeyInit};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::Error;

/// 32 secret bytes. In a box, so that moving them leaves no copy behind.
pub(crate) type Secret = Box<Zeroizing<[u8; 32]>>;

/// More than a key file can hold, so that a wrong path does not read a whole disk.
const FILE_LIMIT: u16 = 1024;

/// Permission bits that a key file must not have: anything for its group or for others.
const OPEN_TO_OTHERS: u32 = 0o077;
const GROUP_READS: u32 = 0o040;

/// The public name of a master key: 8 hex digits derived from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 4]);

impl KeyId {
    pub(crate) const LEN: usize = 4;

    pub(crate) fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The one secret all others are derived from.
pub struct MasterKey {
    secret: Secret,
    kid: KeyId,
}

impl MasterKey {
    /// A new key from the system's random source.
    pub fn generate() -> Result<Self, Error> {
        let mut secret = Secret::default();
        getrandom::fill(&mut **secret).map_err(Error::Random)?;
        Ok(Self::from_secret(secret))
    }

    /// Reads a key file: base64 of 32 bytes and a newline. On Unix a file that its group or others
    /// can read or write is refused.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        Self::read(path, OPEN_TO_OTHERS)
    }

    /// The same for a file that systemd handed over as a credential. It lets one user read the file
    /// by an access list where the file system has these, and the list's mask then stands in the
    /// bits of the group: they may say "read". Others may not, and nobody may write.
    pub fn from_credential(path: &Path) -> Result<Self, Error> {
        Self::read(path, OPEN_TO_OTHERS & !GROUP_READS)
    }

    fn read(path: &Path, refused: u32) -> Result<Self, Error> {
        let unreadable = |cause| Error::KeyUnreadable { path: path.to_owned(), cause };
        let file = File::open(path).map_err(unreadable)?;
        // The opened file is asked, not the path, which may have changed in between.
        refuse_exposed(path, &file, refused)?;
        let mut text = Zeroizing::new(String::with_capacity(FILE_LIMIT.into()));
        match file.take(FILE_LIMIT.into()).read_to_string(&mut text) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                return Err(Error::KeyMalformed { path: path.to_owned() });
            }
            Err(e) => return Err(unreadable(e)),
        }
        Self::decode(&text).ok_or_else(|| Error::KeyMalformed { path: path.to_owned() })
    }

    /// Writes the key to a file that must not exist yet and that only its owner can read.
    pub fn write_new(&self, path: &Path) -> Result<(), Error> {
        let unwritable = |cause| Error::KeyUnwritable { path: path.to_owned(), cause };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(unwritable)?;
        let mut text = Zeroizing::new(STANDARD.encode(**self.secret));
        text.push('\n');
        if let Err(cause) = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()) {
            // It was made here a moment ago; a half-written key would only block the next try.
            let _ = fs::remove_file(path);
            return Err(unwritable(cause));
        }
        Ok(())
    }

    /// The key's public name.
    pub fn kid(&self) -> KeyId {
        self.kid
    }

    fn from_secret(secret: Secret) -> Self {
        let id = derive(&secret, "id");
        let [a, b, c, d, ..] = **id;
        Self { secret, kid: KeyId([a, b, c, d]) }
    }

    /// A key that is the same in every test run.
    #[cfg(test)]
    pub(crate) fn of(byte: u8) -> Self {
        Self::from_secret(Box::new(Zeroizing::new([byte; 32])))
    }

    fn decode(text: &str) -> Option<Self> {
        let mut secret = Secret::default();
        // The decoder asks for whole groups of three: 33 bytes for the 44 characters of a key.
        let mut room = Zeroizing::new([0; 33]);
        let len = STANDARD.decode_slice(text.trim_ascii_end(), &mut *room).ok()?;
        secret.copy_from_slice(room.get(..len).filter(|bytes| bytes.len() == 32)?);
        Some(Self::from_secret(secret))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({}, …)", self.kid)
    }
}

/// What a master key derives to, without the master key itself.
pub(crate) struct Subkeys {
    pub(crate) kid: KeyId,
    pub(crate) sealing: Secret,
    pub(crate) digest: Secret,
}

impl From<MasterKey> for Subkeys {
    fn from(master: MasterKey) -> Self {
        Self { kid: master.kid, sealing: derive(&master.secret, "sealing"), digest: derive(&master.secret, "digest") }
    }
}

/// The keys a running service holds: one that is current, and older ones to open what was sealed
/// before it. Put it behind an `Arc`; it is not cloned.
pub struct KeyRing {
    current: Subkeys,
    older: Vec<Subkeys>,
}

impl KeyRing {
    /// A ring of one key.
    pub fn new(current: MasterKey) -> Self {
        Self { current: current.into(), older: Vec::new() }
    }

    /// Adds a key of before.
    pub fn with_older(mut self, key: MasterKey) -> Result<Self, Error> {
        if self.keys().any(|k| k.kid == key.kid) {
            return Err(Error::KeyTwice(key.kid));
        }
        self.older.push(key.into());
        Ok(self)
    }

    /// The public name of the current key.
    pub fn kid(&self) -> KeyId {
        self.current.kid
    }

    pub(crate) fn current(&self) -> &Subkeys {
        &self.current
    }

    /// All keys, the current one first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Subkeys> {
        std::iter::once(&self.current).chain(&self.older)
    }

    pub(crate) fn by_kid(&self, kid: KeyId) -> Result<&Subkeys, Error> {
        self.keys().find(|k| k.kid == kid).ok_or(Error::KeyUnknown(kid))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let older: Vec<KeyId> = self.older.iter().map(|k| k.kid).collect();
        f.debug_struct("KeyRing").field("current", &self.current.kid).field("older", &older).finish_non_exhaustive()
    }
}

/// HMAC-SHA256 with a 32-byte key.
pub(crate) fn hmac(key: &[u8; 32]) -> Hmac<Sha256> {
    // HMAC fills a short key up with zeros to a block; doing so here leaves no length to be wrong.
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key);
    <Hmac<Sha256> as KeyInit>::new((&*block).into())
}

/// A key for one purpose. The label keeps the purposes apart.
fn derive(secret: &Secret, label: &str) -> Secret {
    let mut mac = hmac(secret);
    mac.update(b"xacminh key v1 ");
    mac.update(label.as_bytes());
    let mut out = Secret::default();
    mac.finalize_into((&mut **out).into());
    out
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, file: &File, refused: u32) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|cause| Error::KeyUnreadable { path: path.to_owned(), cause })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & refused == 0 { Ok(()) } else { Err(Error::KeyExposed { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path, _: &File, _: u32) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A directory of this test alone, removed with it.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("xacminh-trust-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_key_survives_its_file() {
        let dir = Dir::new("survives");
        let path = dir.0.join("key");
        let key = MasterKey::generate().unwrap();
        key.write_new(&path).unwrap();
        let read = MasterKey::from_file(&path).unwrap();
        assert_eq!(read.secret, key.secret);
        assert_eq!(read.kid(), key.kid());
        assert!(fs::read_to_string(&path).unwrap().ends_with("=\n"));
    }

    #[test]
    fn an_existing_file_is_never_replaced() {
        let dir = Dir::new("never-replaced");
        let path = dir.0.join("key");
        fs::write(&path, "precious").unwrap();
        let refused = MasterKey::generate().unwrap().write_new(&path);
        assert!(matches!(refused, Err(Error::KeyUnwritable { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_open_to_others_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = Dir::new("exposed");
        let path = dir.0.join("key");
        MasterKey::generate().unwrap().write_new(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        for mode in [0o640, 0o604, 0o660, 0o602] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = MasterKey::from_file(&path).unwrap_err();
            assert!(refused.to_string().contains(&format!("(mode {mode:04o})")), "{refused}");
            assert!(refused.to_string().contains("chmod 600"), "{refused}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        MasterKey::from_file(&path).unwrap();
        for (mode, taken) in [(0o400, true), (0o440, true), (0o460, false), (0o444, false), (0o402, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(MasterKey::from_credential(&path).is_ok(), taken, "{mode:o} as a credential");
        }
    }

    #[test]
    fn only_32_bytes_are_a_key() {
        assert!(MasterKey::decode(&STANDARD.encode([1; 32])).is_some());
        for bad in ["", "\n", "secret", &STANDARD.encode([1; 31]), &STANDARD.encode([1; 33]), &STANDARD.encode([1; 64])]
        {
            assert!(MasterKey::decode(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_missing_or_foreign_file_is_told_apart() {
        let dir = Dir::new("foreign");
        let missing = MasterKey::from_file(&dir.0.join("none")).unwrap_err();
        assert!(matches!(missing, Error::KeyUnreadable { .. }), "{missing}");
        let path = dir.0.join("key");
        MasterKey::generate().unwrap().write_new(&path).unwrap();
        fs::write(&path, [0xff; 40]).unwrap();
        let foreign = MasterKey::from_file(&path).unwrap_err();
        assert!(matches!(foreign, Error::KeyMalformed { .. }), "{foreign}");
    }

    #[test]
    fn the_derivation_does_not_move() {
        // What was sealed years ago opens only while this stays; sealing.rs and digest.rs pin theirs.
        assert_eq!(MasterKey::of(7).kid().to_string(), "88e953b3");
    }

    #[test]
    fn debug_shows_no_secret() {
        let master = MasterKey::of(7);
        let secret = master.secret.clone();
        let shown = format!(
            "{master:?} {:?}",
            KeyRing::new(MasterKey::of(7)).with_older(MasterKey::generate().unwrap()).unwrap()
        );
        assert!(shown.contains(&master.kid().to_string()));
        for spelling in [STANDARD.encode(**secret), "07070707".to_owned(), "7, 7".to_owned()] {
            assert!(!shown.contains(&spelling), "{shown}");
        }
    }

    #[test]
    fn a_key_comes_once_to_a_ring() {
        let twice = KeyRing::new(MasterKey::of(7)).with_older(MasterKey::of(7));
        assert!(matches!(twice, Err(Error::KeyTwice(_))));
    }
}
