//! What can a person see and do? So far the health pages.
