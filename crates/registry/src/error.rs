//! What is wrong with a file, and where.

use std::io;

/// Why the reference data cannot be taken. It is taken whole or not at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing or cannot be read.
    #[error("{file} cannot be read")]
    Unreadable {
        /// The file, relative to the directory of the data.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file says something that it cannot.
    #[error("{file}, line {line}, column {column}: {problem}")]
    Content {
        /// The file, relative to the directory of the data.
        file: String,
        /// The line, from 1, the header's being 1.
        line: u64,
        /// The name of the column, or `header`, or the number of a byte in the line.
        column: String,
        /// What is wrong, in a sentence without the full stop.
        problem: String,
    },
}

impl Error {
    /// File, line and column, for a fault of content.
    pub fn place(&self) -> Option<(&str, u64, &str)> {
        match self {
            Self::Unreadable { .. } => None,
            Self::Content { file, line, column, .. } => Some((file, *line, column)),
        }
    }
}
