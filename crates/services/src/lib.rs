//! In what order? One file per workflow.
