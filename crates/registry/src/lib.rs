//! Is the reference data whole, and what does it say? Reads and checks the files of data/.
