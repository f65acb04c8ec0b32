//! What do the bytes on the wire mean?
