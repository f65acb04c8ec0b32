//! Who said it, and was it changed since? Hash chain, sealed person fields, keyed digests.
