//! Reading a CSV file strictly: the header exact, every row full, every value well formed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sha2::{Digest, Sha256};
use xacminh_domain::Date;
use xacminh_domain::name::is_nfc;
use xacminh_domain::unit::UnitCode;

use crate::error::Error;

/// The files of the data, read once each and remembered for the digest.
pub(crate) struct Files {
    root: PathBuf,
    digests: BTreeMap<String, [u8; 32]>,
}

impl Files {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), digests: BTreeMap::new() }
    }

    /// The text of a file: UTF-8, lines ending in LF.
    pub(crate) fn read(&mut self, file: &str) -> Result<String, Error> {
        let unreadable = |source| Error::Unreadable { file: file.to_owned(), source };
        let bytes = std::fs::read(self.root.join(file)).map_err(unreadable)?;
        self.digests.insert(file.to_owned(), Sha256::digest(&bytes).into());
        let fault_at = |at: usize, problem: &str| {
            let line_start = bytes[..at].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
            let line = bytes[..at].iter().filter(|b| **b == b'\n').count() as u64 + 1;
            let column = format!("byte {}", at - line_start + 1);
            Error::Content { file: file.to_owned(), line, column, problem: problem.to_owned() }
        };
        if let Some(at) = bytes.iter().position(|b| *b == b'\r') {
            return Err(fault_at(at, "a line ends in CR LF, not LF"));
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(e) => Err(fault_at(e.valid_up_to(), "not UTF-8")),
        }
    }

    /// The rows of a table, each made by `row`.
    pub(crate) fn table<T>(
        &mut self,
        file: &str,
        header: &'static [&'static str],
        row: impl Fn(&Record<'_>) -> Result<T, Error>,
    ) -> Result<Table<T>, Error> {
        let text = self.read(file)?;
        let place = |line, column: &str, problem: String| Error::Content {
            file: file.to_owned(),
            line,
            column: column.to_owned(),
            problem,
        };
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let mut fields = csv::StringRecord::new();
        let mut rows = Vec::new();
        let mut header_read = false;
        loop {
            match reader.read_record(&mut fields) {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) => return Err(place(reader.position().line(), "header", e.to_string())),
            }
            let line = fields.position().map_or(0, csv::Position::line);
            if !header_read {
                header_read = true;
                if !fields.iter().eq(header.iter().copied()) {
                    return Err(place(line, "header", format!("expected {}", header.join(","))));
                }
                continue;
            }
            if fields.len() != header.len() {
                let column = header.get(fields.len()).or(header.last()).copied().unwrap_or("header");
                return Err(place(line, column, format!("expected {} values, found {}", header.len(), fields.len())));
            }
            rows.push(Lined { line, row: row(&Record { file, line, header, fields: &fields })? });
        }
        if !header_read {
            return Err(place(1, "header", format!("expected {}", header.join(","))));
        }
        Ok(Table { file: file.to_owned(), rows })
    }

    /// The files of a folder, by name, relative to the root.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let unreadable = |source| Error::Unreadable { file: folder.to_owned(), source };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.root.join(folder)).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            names.push(format!("{folder}/{}", name.to_string_lossy()));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The digest over all files read, each by its name and content.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut all = Sha256::new();
        for (file, digest) in &self.digests {
            all.update(file.as_bytes());
            all.update([0]);
            all.update(digest);
        }
        all.finalize().into()
    }
}

/// A row and the line it stands on.
#[derive(Debug, Clone)]
pub(crate) struct Lined<T> {
    pub(crate) line: u64,
    pub(crate) row: T,
}

/// The rows of one file.
#[derive(Debug)]
pub(crate) struct Table<T> {
    pub(crate) file: String,
    pub(crate) rows: Vec<Lined<T>>,
}

impl<T> Table<T> {
    pub(crate) fn fault(&self, line: u64, column: &str, problem: impl Into<String>) -> Error {
        Error::Content { file: self.file.clone(), line, column: column.to_owned(), problem: problem.into() }
    }

    /// A fault of what is not there: said of the last line.
    pub(crate) fn lacks(&self, column: &str, problem: impl Into<String>) -> Error {
        self.fault(self.rows.last().map_or(1, |row| row.line), column, problem)
    }

    pub(crate) fn into_rows(self) -> impl Iterator<Item = T> {
        self.rows.into_iter().map(|lined| lined.row)
    }

    /// The first row that repeats another's key.
    pub(crate) fn repeated<K: Ord>(&self, key: impl Fn(&T) -> K) -> Option<&Lined<T>> {
        let mut keys: Vec<(K, &Lined<T>)> = self.rows.iter().map(|lined| (key(&lined.row), lined)).collect();
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        keys.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1)
    }
}

/// One row of a file, asked by the names of its columns.
pub(crate) struct Record<'a> {
    file: &'a str,
    line: u64,
    header: &'static [&'static str],
    fields: &'a csv::StringRecord,
}

impl Record<'_> {
    fn raw(&self, column: &str) -> &str {
        let at = self.header.iter().position(|name| *name == column);
        at.and_then(|at| self.fields.get(at)).unwrap_or_default()
    }

    pub(crate) fn fault(&self, column: &str, problem: impl Into<String>) -> Error {
        Error::Content {
            file: self.file.to_owned(),
            line: self.line,
            column: column.to_owned(),
            problem: problem.into(),
        }
    }

    /// A text that may be empty: NFC, no spaces around it.
    pub(crate) fn text(&self, column: &str) -> Result<&str, Error> {
        let text = self.raw(column);
        if text.trim() != text {
            Err(self.fault(column, "spaces around the value"))
        } else if !is_nfc(text) {
            Err(self.fault(column, "not in Unicode form NFC"))
        } else {
            Ok(text)
        }
    }

    pub(crate) fn required(&self, column: &str) -> Result<String, Error> {
        match self.text(column)? {
            "" => Err(self.fault(column, "empty")),
            text => Ok(text.to_owned()),
        }
    }

    pub(crate) fn optional(&self, column: &str) -> Result<Option<String>, Error> {
        self.text(column).map(|text| (!text.is_empty()).then(|| text.to_owned()))
    }

    /// A value checked by its `FromStr`.
    pub(crate) fn parsed<V: FromStr>(&self, column: &str) -> Result<V, Error>
    where
        V::Err: std::fmt::Display,
    {
        self.raw(column).parse().map_err(|e: V::Err| self.fault(column, e.to_string()))
    }

    pub(crate) fn code_or_none(&self, column: &str) -> Result<Option<UnitCode>, Error> {
        if self.raw(column).is_empty() { Ok(None) } else { self.parsed(column).map(Some) }
    }

    /// A word of a closed list.
    pub(crate) fn word<V>(&self, column: &str, read: impl Fn(&str) -> Option<V>) -> Result<V, Error> {
        let word = self.raw(column);
        read(word).ok_or_else(|| self.fault(column, format!("the word {word:?} is not in the list")))
    }

    /// The same where whoever writes the file by hand is told the list.
    pub(crate) fn one_of<V>(
        &self,
        column: &str,
        list: impl IntoIterator<Item = &'static str>,
        read: impl Fn(&str) -> Option<V>,
    ) -> Result<V, Error> {
        let (word, list) = (self.raw(column), list.into_iter().collect::<Vec<_>>());
        let known = read(word).filter(|_| list.contains(&word));
        known.ok_or_else(|| self.fault(column, format!("{word:?} is none of: {}", list.join(", "))))
    }

    /// A plain whole number.
    pub(crate) fn number<V: FromStr>(&self, column: &str) -> Result<V, Error> {
        let text = self.raw(column);
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let parsed = if plain { text.parse().ok() } else { None };
        parsed.ok_or_else(|| self.fault(column, "not a whole number in range"))
    }

    pub(crate) fn date(&self, column: &str) -> Result<Date, Error> {
        let text = self.raw(column);
        let date = if text.len() == 10 { text.parse().ok() } else { None };
        date.ok_or_else(|| self.fault(column, "not a day (YYYY-MM-DD)"))
    }

    pub(crate) fn date_or_none(&self, column: &str) -> Result<Option<Date>, Error> {
        if self.raw(column).is_empty() { Ok(None) } else { self.date(column).map(Some) }
    }

    /// `valid_from` and `valid_to`, in order.
    pub(crate) fn interval(&self) -> Result<(Option<Date>, Option<Date>), Error> {
        let (from, to) = (self.date_or_none("valid_from")?, self.date_or_none("valid_to")?);
        if from.zip(to).is_some_and(|(from, to)| to < from) {
            return Err(self.fault("valid_to", "lies before valid_from"));
        }
        Ok((from, to))
    }
}
