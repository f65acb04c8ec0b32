//! New passwords on their way to offices: made, put where they are safe, and, when the command failed
//! half way, which of them are worth anything.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xacminh_bus::Grant;
use xacminh_domain::id::OfficeId;

use crate::show;

/// Passwords that somebody has before RabbitMQ knows them: a login nobody can use is worse than a
/// file that is not used.
pub(crate) struct HandedOut {
    /// In the order of the file.
    pub(crate) grants: Vec<Grant>,
    out: Option<PathBuf>,
}

impl HandedOut {
    /// Makes them, and writes them into a file of their own or prints them.
    pub(crate) fn new(offices: &[OfficeId], out: Option<&Path>) -> Result<Self> {
        let grants: Vec<Grant> =
            offices.iter().map(|office| Ok(Grant { office: *office, password: password()? })).collect::<Result<_>>()?;
        match out {
            Some(file) => write(file, &grants)?,
            None => show::line(text(&grants).trim_end()),
        }
        Ok(Self { grants, out: out.map(Path::to_owned) })
    }

    /// What is to be said when granting failed after so many were done. Those stay granted when the
    /// command is given again, and get no other password then.
    pub(crate) fn half_way(&self, done: usize) -> String {
        let (there, destroy) = self.place();
        match self.last(done) {
            None => self.none_counts(),
            Some(last) => format!(
                "the first {done} of {} passwords {there} are in force, up to that of {last}: hand those out. The others \
                 do not count: once the cause is mended, give the command again with another file, which gets new ones \
                 for them, and {destroy} when the first {done} are handed out",
                self.grants.len()
            ),
        }
    }

    /// The same of a rotation: given again, it replaces every one.
    pub(crate) fn half_way_again(&self, done: usize) -> String {
        let (there, destroy) = self.place();
        let all = self.grants.len();
        match self.last(done) {
            None => self.none_counts(),
            Some(_) if done == all => format!(
                "all {all} passwords {there} are in force; connections that were just being opened with an old one \
                 may be left. To be sure of their end, give the command again with another file, which replaces every \
                 password, and {destroy} then"
            ),
            Some(last) => format!(
                "the first {done} of {all} passwords {there} are in force, up to that of {last}; of the others that is \
                 not certain. Once the cause is mended, give the command again with another file, which replaces every \
                 one, and {destroy} then"
            ),
        }
    }

    fn none_counts(&self) -> String {
        let (there, destroy) = self.place();
        format!(
            "no password {there} can be relied on: {destroy}, and once the cause is mended give the command again with another \
             file"
        )
    }

    /// Where they are, and how they are got rid of.
    fn place(&self) -> (String, String) {
        match &self.out {
            Some(file) => (format!("in {}", file.display()), format!("destroy {}", file.display())),
            None => ("that was printed".to_owned(), "destroy what was printed".to_owned()),
        }
    }

    fn last(&self, done: usize) -> Option<OfficeId> {
        done.checked_sub(1).and_then(|last| self.grants.get(last)).map(|grant| grant.office)
    }
}

fn text(of: &[Grant]) -> String {
    let mut text = String::from("office,login,password,inbox\n");
    for Grant { office, password } in of {
        text.push_str(&format!("{office},{office},{password},{}\n", xacminh_contract::names::inbox(*office)));
    }
    text
}

fn write(file: &Path, of: &[Grant]) -> Result<()> {
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("{} (an existing file is never overwritten)", file.display()))?;
    out.write_all(text(of).as_bytes())?;
    out.sync_all()?;
    // The file is safe when its name is.
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).with_context(|| format!("{}", dir.display()))?;
    Ok(())
}

/// 24 characters of a-z2-9 without the ones that look alike: 115 bits.
fn password() -> Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).context("no random bytes")?;
    Ok(bytes.iter().map(|b| char::from(LETTERS[usize::from(b % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> HandedOut {
        let grant = |office: &str| Grant { office: office.parse().unwrap(), password: "secret".to_owned() };
        let grants = ["vpa2b3c4", "vpa2b3c5", "vpa2b3c6"].map(grant).to_vec();
        HandedOut { grants, out: Some(PathBuf::from("/root/a.csv")) }
    }

    #[test]
    fn a_failure_says_which_passwords_count_and_what_becomes_of_the_file() {
        let handed = three();
        for none in [handed.half_way(0), handed.half_way_again(0)] {
            assert!(none.starts_with("no password in /root/a.csv can be relied on: destroy /root/a.csv"), "{none}");
            assert!(none.contains("again with another file"), "{none}");
        }
        let some = handed.half_way(2);
        assert!(some.starts_with("the first 2 of 3 passwords in /root/a.csv are in force, up to that of vpa2b3c5"));
        assert!(some.contains("hand those out") && some.contains("destroy /root/a.csv when"), "{some}");
        let some = handed.half_way_again(2);
        assert!(some.contains("replaces every one, and destroy /root/a.csv then"), "{some}");
        assert!(handed.half_way_again(3).starts_with("all 3 passwords in /root/a.csv are in force"));
    }

    #[test]
    fn what_was_printed_has_no_file_and_no_password_is_repeated() {
        let printed = HandedOut { out: None, ..three() };
        for said in [printed.half_way(0), printed.half_way(1), printed.half_way_again(1), printed.half_way_again(3)] {
            assert!(said.contains("destroy what was printed"), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
